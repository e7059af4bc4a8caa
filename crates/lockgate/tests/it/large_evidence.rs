//! A report that is larger than the memory that handing it in may take: sent, read, decided on and audited as it comes.

use std::fs::{self, File};
use std::io::{BufWriter, Read as _, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::instance::{Instance, skipped};

/// So many results of about 4 KiB each.
const RESULTS: usize = 8_000;
/// The bundle that carries it.
const BUNDLE: &str = "/v1/promotions/P-3/bundle";
/// The least that the log is long, in KiB.
const LOG_KIB: u64 = 4 * RESULTS as u64;

fn write_log(lockgate: &Instance, name: &str) {
    let mut file = BufWriter::new(File::create(lockgate.file(name)).unwrap());
    let text = "x".repeat(4096);
    file.write_all(br#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"lint"}},"results":["#).unwrap();
    for number in 0..RESULTS {
        let comma = if number == 0 { "" } else { "," };
        let result = format!(
            r#"{comma}{{"level":"note","message":{{"text":"{number}"}},"codeFlows":[{{"message":{{"text":"{text}"}}}}]}}"#
        );
        file.write_all(result.as_bytes()).unwrap();
    }
    file.write_all(b"]}]}").unwrap();
    file.flush().unwrap();
}

/// The most that the server has held so far, where the system says so.
fn peak_kib(lockgate: &Instance) -> Option<u64> {
    let server: Value = serde_json::from_slice(&fs::read(lockgate.home().join("server.json")).unwrap()).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", server["pid"])).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[test]
fn a_large_report_needs_little_memory() {
    let lockgate = Instance::pending();
    write_log(&lockgate, "large.sarif");
    let before = peak_kib(&lockgate);
    let attest = ["attest", "shop/web@1.4.2", "--sarif", "large.sarif"];
    lockgate.run(&attest).exits(0).says("static-analysis");
    lockgate.run(&attest).exits(0).says("known");
    lockgate.run(&["why", "P-3"]).exits(5);
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0).says("it is granted");
    lockgate.verify("1.4.2", &[]).exits(0);
    lockgate.run(&["audit"]).exits(0);

    // What a bundle carries is held whole; what hands it in, and decides on it, is not.
    let other = Instance::pending();
    write_log(&other, "large.sarif");
    let (Some(start), Some(_)) = (peak_kib(&other), before) else { return skipped("the server's memory") };
    other.run(&attest).exits(0);
    other.run(&["why", "P-3"]).exits(5);
    let grown = peak_kib(&other).unwrap() - start;
    assert!(grown < LOG_KIB / 2, "{grown} KiB more than before, for a log of {LOG_KIB} KiB");
}

/// Asks for a bundle and reads the head of the reply alone.
fn head_of_bundle(lockgate: &Instance, token: &str) -> (TcpStream, String) {
    let mut stream = lockgate.connect();
    let asked = format!("GET {BUNDLE} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(asked.as_bytes()).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0u8]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.extend_from_slice(&byte);
    }
    (stream, String::from_utf8(head).unwrap().to_lowercase())
}

/// Each is held in memory as a whole, so only two are built and sent at one time.
#[test]
fn bundles_that_nobody_reads_are_few() {
    let lockgate = Instance::pending();
    write_log(&lockgate, "large.sarif");
    lockgate.run(&["attest", "shop/web@1.4.2", "--sarif", "large.sarif"]).exits(0);
    let dana = lockgate.token("dana");
    let tokens = [dana.clone(), lockgate.token("sam")];
    let readers: Vec<(TcpStream, String)> = tokens.iter().map(|token| head_of_bundle(&lockgate, token)).collect();
    for (_, head) in &readers {
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<u64>().ok());
        // More than a system keeps for somebody who does not read.
        assert!(head.starts_with("http/1.1 200 ") && length.unwrap() > LOG_KIB * 1024, "{head}");
    }
    // Whoever asks for nothing that there is waits for nobody.
    lockgate.get("/v1/promotions/P-99/bundle", Some(&dana)).refused(404, "PROMOTION_UNKNOWN");
    let waited = lockgate.get(BUNDLE, Some(&dana));
    waited.refused(503, "OVERLOADED");
    assert!(waited.head.to_lowercase().contains("retry-after: 1"), "{waited:?}");
    // The others need no place.
    lockgate.run(&["why", "P-3"]).exits(5);
    drop(readers);
    lockgate.run(&["bundle", "get", "P-3", "--file", "p3.lockgate"]).exits(0);
}
