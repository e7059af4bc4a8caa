//! What runs out, breaks or is taken: connections, ports, disks, standard output.

use std::fs;
use std::io::{Read as _, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use lockgate_model::Digest;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::instance::{Instance, Ran, artifact, artifact_name, skipped, until};

#[test]
fn a_length_that_cannot_be_is_refused_at_once() {
    let lockgate = Instance::demo();
    let ci = lockgate.token("ci");
    let entries = lockgate.entries();
    let put = |length: &str| {
        let head = format!(
            "PUT /v1/blobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Authorization: Bearer {ci}\r\nContent-Length: {length}\r\n\r\nabc"
        );
        lockgate.raw(head.as_bytes())
    };
    for length in ["10000000000000", "53687091201"] {
        put(length).refused(413, "TOO_LARGE");
    }
    for length in ["-1", "ten", "99999999999999999999999999"] {
        assert_eq!(put(length).status, 400, "{length}");
    }
    // Ten gigabytes are allowed, but three bytes are not ten gigabytes.
    let mut stream = lockgate.connect();
    let head = format!(
        "PUT /v1/blobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ci}\r\nContent-Length: 10000000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(b"abc").unwrap();
    until("the upload has begun", || lockgate.staged() == 1);
    drop(stream);
    until("nothing of it is kept", || lockgate.staged() == 0);
    assert_eq!(blobs(&lockgate.home().join("data/blobs")), 0);
    assert_eq!(lockgate.entries(), entries);
}

fn blobs(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { blobs(&path) } else { 1 }).sum()
}

/// Begins an upload of 10 MB and leaves it hanging.
fn half_an_upload(lockgate: &Instance) -> std::net::TcpStream {
    let ci = lockgate.token("ci");
    let mut stream = lockgate.connect();
    let head = format!(
        "PUT /v1/blobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ci}\r\nContent-Length: 10000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&vec![7u8; 2_000_000]).unwrap();
    until("the upload has begun", || lockgate.staged() == 1);
    stream
}

/// How many uploads and downloads of one account go on at the same time.
const OWN_TRANSFERS: usize = 32;

/// Whoever uploads as much as they may leaves places to others.
#[test]
fn one_account_does_not_take_all_transfers() {
    let lockgate = Instance::demo();
    lockgate.push("1.4.2", "trivy.json").exits(0);
    let (ci, dana) = (lockgate.token("ci"), lockgate.token("dana"));
    let head = format!(
        "PUT /v1/blobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ci}\r\nContent-Length: 1000\r\n\r\nabc"
    );
    let begin = |_| {
        let mut stream = lockgate.connect();
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let uploads: Vec<TcpStream> = (0..OWN_TRANSFERS).map(begin).collect();
    until("the uploads have begun", || lockgate.staged() == OWN_TRANSFERS);
    let more = || lockgate.http("PUT", "/v1/blobs", Some(&ci), &[], b"one more");
    let waited = more();
    waited.refused(503, "OVERLOADED");
    assert!(waited.head.to_lowercase().contains("retry-after: 1"), "{waited:?}");
    let path = format!("/v1/blobs/{}", Digest::of(&artifact("1.4.2")));
    assert!(lockgate.get(&path, Some(&dana)).body == artifact("1.4.2"), "another account has places left");
    drop(uploads);
    assert_eq!(more().status, 200);
}

/// More components than a system keeps the difference of for somebody who does not read it.
const COMPONENTS: usize = 40_000;

/// What evidence says is read and shown for few at one time, and for two of one account.
#[test]
fn evidence_is_shown_to_few_at_a_time() {
    let lockgate = Instance::pending();
    lockgate.push("1.5.0", "trivy.json").exits(0);
    let name = "x".repeat(800);
    let component =
        |number: usize| json!({ "type": "library", "name": format!("{number}-{name}"), "version": "1.0.0" });
    let components: Vec<_> = (0..COMPONENTS).map(component).collect();
    let sbom = json!({ "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components });
    lockgate.write("large.cdx.json", sbom.to_string());
    lockgate.run(&["attest", "shop/web@1.5.0", "--sbom", "large.cdx.json"]).exits(0);
    let (dana, sam) = (lockgate.token("dana"), lockgate.token("sam"));
    let path = "/v1/diff?from=shop/web@1.4.2&to=shop/web@1.5.0";
    // Reads nothing but the beginning.
    let begin = |_| {
        let mut stream = lockgate.connect();
        let asked = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {dana}\r\n\r\n");
        stream.write_all(asked.as_bytes()).unwrap();
        let mut beginning = [0u8; 13];
        stream.read_exact(&mut beginning).unwrap();
        assert_eq!(&beginning, b"HTTP/1.1 200 ");
        stream
    };
    let readers: Vec<TcpStream> = (0..2).map(begin).collect();
    let waited = lockgate.get(path, Some(&dana));
    waited.refused(503, "OVERLOADED");
    assert!(waited.head.to_lowercase().contains("retry-after: 1"), "{waited:?}");
    // Others have places left, and whoever decides needs none of these.
    assert_eq!(lockgate.get("/v1/releases/shop/web@1.4.2", Some(&sam)).status, 200);
    assert_eq!(lockgate.get("/v1/promotions/P-3", Some(&dana)).status, 200);
    drop(readers);
    let whole = lockgate.get(path, Some(&dana));
    assert_eq!(whole.status, 200);
    assert!(whole.body.len() > COMPONENTS * name.len(), "{} bytes", whole.body.len());
}

#[test]
fn a_connection_that_breaks_leaves_nothing() {
    let lockgate = Instance::granted();
    let (entries, before) = (lockgate.entries(), blobs(&lockgate.home().join("data/blobs")));
    drop(half_an_upload(&lockgate));
    until("nothing of it is kept", || lockgate.staged() == 0);
    assert_eq!((lockgate.entries(), blobs(&lockgate.home().join("data/blobs"))), (entries, before));
    lockgate.verify("1.4.2", &[]).exits(0);
}

#[test]
fn a_server_that_is_killed_leaves_nothing_half_done() {
    let lockgate = Instance::granted();
    let (entries, before) = (lockgate.entries(), blobs(&lockgate.home().join("data/blobs")));
    let stream = half_an_upload(&lockgate);
    lockgate.kill();
    drop(stream);
    lockgate.run(&["audit"]).exits(0);
    lockgate.start(&[]).exits(0);
    assert_eq!(lockgate.staged(), 0, "the start cleans up");
    assert_eq!((lockgate.entries(), blobs(&lockgate.home().join("data/blobs"))), (entries, before));
    lockgate.verify("1.4.2", &[]).exits(0);
    lockgate.push("1.5.0", "trivy.json").exits(0);
}

#[test]
fn a_port_and_a_data_directory_have_one_server() {
    let lockgate = Instance::pending();
    let entries = lockgate.entries();
    let other = Instance::new();
    other.run(&["up", "--demo", "--detach", "--listen", &lockgate.address()]).refused(7, "PORT_TAKEN");
    other.run(&["serve", "--demo", "--listen", "0.0.0.0:0"]).refused(2, "DEMO_NOT_LOOPBACK");
    other.run(&["serve", "--listen", "nowhere"]).refused(2, "ADDRESS_INVALID");
    lockgate.run(&["serve", "--listen", "127.0.0.1:0"]).refused(7, "STORE_LOCKED");
    lockgate.run(&["up", "--detach", "--listen", "127.0.0.1:0"]).refused(7, "SERVER_RUNNING");
    assert_eq!(lockgate.entries(), entries);
    lockgate.run(&["why", "P-3"]).exits(5);
}

/// A small file system in memory; it needs the right to mount.
struct Disk(TempDir);

impl Disk {
    fn new(megabytes: u32) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let size = format!("size={megabytes}m");
        let mounted = mount(&["-t", "tmpfs", "-o", &size, "tmpfs"], dir.path());
        mounted.then_some(Self(dir))
    }

    fn remount(&self, how: &str) -> bool {
        mount(&["-o", &format!("remount,{how}")], self.0.path())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Without it the directory is not empty, and stays; that is no failure of the test.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).stderr(Stdio::null()).status();
    }
}

fn mount(arguments: &[&str], path: &Path) -> bool {
    let mounted = Command::new("mount").args(arguments).arg(path).stderr(Stdio::null()).status();
    mounted.is_ok_and(|status| status.success())
}

#[test]
fn a_full_disk_refuses_writes_and_still_reads() {
    let Some(disk) = Disk::new(96) else { return eprintln!("not checked: a full disk needs the right to mount") };
    let lockgate = Instance::with_home(&disk.0.path().join("home"));
    lockgate.start(&["--demo"]).exits(0);
    lockgate.push("1.4.2", "trivy.json").exits(0);
    lockgate.promote("1.4.2").exits(5);
    lockgate.run(&["whoami", "--as", "sam"]).exits(0);
    let entries = lockgate.entries();
    let filler = disk.0.path().join("filler");
    fs::write(&filler, vec![0u8; 50 * 1024 * 1024]).unwrap();
    lockgate.push("1.5.0", "trivy.json").refused(8, "DISK_FULL");
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).refused(8, "DISK_FULL");
    assert_eq!((lockgate.entries(), lockgate.staged()), (entries, 0));
    lockgate.run(&["why", "P-3"]).exits(5);
    // Whoever only reads can still sign in: where nothing can be stored, the session lives in memory.
    let token = lockgate.token("dana");
    assert_eq!(lockgate.get("/v1/whoami", Some(&token)).status, 200);
    lockgate.run(&["audit"]).exits(0);
    // With room again, everything goes on.
    fs::remove_file(&filler).unwrap();
    lockgate.push("1.5.0", "trivy.json").exits(0);
    lockgate.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0);
    lockgate.verify("1.4.2", &[]).exits(0);
}

#[test]
fn a_drill_whose_own_directory_is_full_says_which_that_is() {
    let Some(disk) = Disk::new(96) else { return eprintln!("not checked: a full disk needs the right to mount") };
    let lockgate = Instance::pending();
    let place = disk.0.path().display().to_string();
    let arguments = ["drill", "--no-record"];
    let output = lockgate.command().args(arguments).env("TMPDIR", &place).output().unwrap();
    let ran = Ran::of(&arguments, &output).refused(8, "DISK_FULL").says(&format!("`{place}/lockgate-drill-"));
    assert!(!ran.stderr.contains("server's disk"), "{ran}");
}

/// What a server has to say is lost where it cannot be written, as on a full disk; what it does goes on.
#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let Ok(full) = fs::File::options().write(true).open("/dev/full") else {
        return skipped("a log on /dev/full, which is not there");
    };
    let lockgate = Instance::demo();
    let address = lockgate.address();
    lockgate.stop();
    let mut serve = lockgate.command();
    serve.args(["serve", "--listen", address.as_str()]).stdout(Stdio::null()).stderr(full);
    let mut server = serve.spawn().unwrap();
    until("the server listens", || lockgate.home().join("server.json").exists());
    until("the server answers", || TcpStream::connect(&address).is_ok());
    // A refusal is told.
    lockgate.get("/v1/whoami", None).refused(401, "SIGN_IN_NEEDED");
    lockgate.push("1.4.2", "trivy.json").exits(0);
    lockgate.promote("1.4.2").exits(5);
    assert!(Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap().success());
    assert!(server.wait().unwrap().success());
}

/// A server takes all open files that it may have, and no more connections than leave some of them for the store.
#[test]
fn few_open_files_are_few_connections() {
    let lockgate = Instance::demo();
    let address = lockgate.address();
    lockgate.stop();
    let (sealed, log) = (lockgate.command(), lockgate.file("serve.log"));
    let mut serve = Command::new("sh");
    serve.env_clear().envs(sealed.get_envs().filter_map(|(name, value)| Some((name, value?))));
    serve.current_dir(sealed.get_current_dir().unwrap()).stdin(Stdio::null()).stdout(Stdio::null());
    serve.stderr(fs::File::create(&log).unwrap());
    serve.args(["-c", "ulimit -S -n 100 && ulimit -H -n 400 && exec \"$@\"", "sh"]).arg(sealed.get_program());
    serve.args(["serve", "--listen", address.as_str()]);
    let mut server = serve.spawn().unwrap();
    until("the server listens", || lockgate.home().join("server.json").exists());
    until("the server answers", || TcpStream::connect(&address).is_ok());
    assert_eq!(lockgate.get("/healthz", None).status, 200);
    let told = fs::read_to_string(&log).unwrap();
    assert_eq!(told.matches("connections=200 ").count(), 1, "{told}");
    assert!(Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap().success());
    assert!(server.wait().unwrap().success());
}

/// Changes the stored bytes of a version's artifact, and gives its digest.
fn damage(lockgate: &Instance, version: &str) -> Digest {
    let digest = Digest::of(&artifact(version));
    let hex = digest.hex();
    let path = lockgate.home().join("data/blobs/sha256").join(&hex[..2]).join(&hex[2..4]).join(&hex);
    lockgate.tampered();
    let mut bytes = fs::read(&path).unwrap();
    bytes[0] ^= 1;
    // Stored bytes are not writable.
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    digest
}

/// Whoever sends what is there, and damaged, is told which bytes that are; so is the operator.
#[test]
fn a_damaged_artifact_is_named_to_whoever_sends_it_again() {
    let lockgate = Instance::demo();
    lockgate.push("1.4.2", "trivy.json").exits(0);
    let digest = damage(&lockgate, "1.4.2").to_string();
    let reply = lockgate.http("PUT", "/v1/blobs", Some(&lockgate.token("ci")), &[], &artifact("1.4.2"));
    reply.refused(502, "STORE_CORRUPT");
    assert!(reply.json().to_string().contains(&digest), "{reply:?}");
    lockgate.get("/readyz", None).refused(503, "STORE_CORRUPT");
    let log = fs::read_to_string(lockgate.home().join("server.log")).unwrap();
    let told =
        |line: &str| line.contains("ERROR") && line.contains("what is stored is damaged") && line.contains(&digest);
    assert!(log.lines().any(told), "{log}");
}

/// Bytes that are others make a server not ready; the ledger, which is sound, goes on.
#[test]
fn a_damaged_artifact_is_not_ready() {
    let lockgate = Instance::demo();
    lockgate.push("1.4.2", "trivy.json").exits(0);
    let dana = lockgate.token("dana");
    assert_eq!(lockgate.get("/readyz", None).status, 200);
    let digest = damage(&lockgate, "1.4.2");
    lockgate.get(&format!("/v1/blobs/{digest}"), Some(&dana)).refused(502, "DIGEST_MISMATCH");
    lockgate.get("/readyz", None).refused(503, "DIGEST_MISMATCH");
    assert_eq!(lockgate.get("/healthz", None).status, 200, "it lives");
    lockgate.run(&["doctor"]).refused(9, "DOCTOR_FAILED").says("DIGEST_MISMATCH");
    lockgate.push("1.4.3", "trivy.json").exits(0);
}

/// A ledger that is not what was signed makes a server not ready, and it appends nothing to it.
#[test]
fn nothing_is_appended_to_an_edited_ledger() {
    let lockgate = Instance::pending();
    lockgate.tampered();
    let connection = Connection::open(lockgate.home().join("data/ledger.db")).unwrap();
    let edit = "DROP TRIGGER entry_stands; UPDATE entry SET bytes =
        CAST(replace(CAST(bytes AS TEXT), 'weekly release', 'weekly releasE') AS BLOB)
        WHERE instr(CAST(bytes AS TEXT), 'weekly release');";
    connection.execute_batch(edit).unwrap();
    assert!(connection.total_changes() > 0);
    drop(connection);
    lockgate.run(&["history"]).refused(9, "ENTRY_CHANGED");
    lockgate.run(&["why", "P-3"]).refused(9, "ENTRY_CHANGED");
    lockgate.get("/readyz", None).refused(503, "ENTRY_CHANGED");
    assert_eq!(lockgate.get("/healthz", None).status, 200, "it lives");
    let entries = lockgate.entries();
    lockgate.push("1.4.9", "trivy.json").refused(9, "LEDGER_DOUBTFUL");
    assert_eq!(lockgate.entries(), entries);
    let granted =
        format!("/v1/grants?artifact={}&service=shop/web&environment=production", Digest::of(&artifact("1.4.2")));
    lockgate.get(&granted, Some(&lockgate.token("dana"))).refused(502, "LEDGER_DOUBTFUL");
}

/// Whoever removes the data under a running server, or puts other data there, is not told of writes that nobody finds again.
#[test]
fn nothing_is_acknowledged_once_the_data_is_gone() {
    let lockgate = Instance::pending();
    let (data, away) = (lockgate.home().join("data"), lockgate.file("away"));
    fs::rename(&data, &away).unwrap();
    let ran = lockgate.run(&["freeze", "--env", "production", "--reason", "incident", "--yes", "--as", "sam"]);
    assert_ne!(ran.code, 0, "{ran}");
    lockgate.run(&["freeze", "list"]).exits(8);
    lockgate.start(&[]).refused(9, "LEDGER_MISSING");
    fs::rename(&away, &data).unwrap();
    lockgate.start(&[]).exits(0);
    lockgate.run(&["freeze", "list"]).exits(0).says("nothing is frozen");
}

#[test]
fn a_read_only_disk_starts_no_server_and_can_be_audited() {
    let Some(disk) = Disk::new(96) else { return eprintln!("not checked: a read-only disk needs the right to mount") };
    let lockgate = Instance::with_home(&disk.0.path().join("home"));
    lockgate.start(&["--demo"]).exits(0);
    lockgate.push("1.4.2", "trivy.json").exits(0);
    lockgate.stop();
    assert!(disk.remount("ro"));
    lockgate.run(&["serve", "--listen", "127.0.0.1:0"]).refused(8, "DISK_READ_ONLY");
    let up = lockgate.run(&["up", "--detach", "--listen", "127.0.0.1:0"]);
    assert!(up.code != 0 && up.stderr.contains("error["), "{up}");
    lockgate.run(&["audit"]).exits(0).says("is sound");
    assert!(disk.remount("rw"));
    lockgate.start(&[]).exits(0);
}

/// A result that nobody got is no success.
#[test]
fn a_closed_or_full_output_is_no_success() {
    let lockgate = Instance::granted();
    let file = artifact_name("1.4.2");
    let commands: [&[&str]; 10] = [
        &["status"],
        &["why", "P-3"],
        &["history"],
        &["--output", "json", "status"],
        &["verify", &file, "--service", "shop/web", "--env", "production"],
        &["audit"],
        &["bundle", "get", "P-3", "--file", "-"],
        &["completions", "bash"],
        &["--version"],
        &["--help"],
    ];
    for arguments in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let closed = lockgate.command().args(arguments).stdout(writer).output().unwrap();
        let ran = Ran::of(arguments, &closed);
        assert_eq!(ran.code, 1, "a closed pipe: {ran}");
        match fs::File::options().write(true).open("/dev/full") {
            Ok(full) => {
                let full = lockgate.command().args(arguments).stdout(full).output().unwrap();
                let ran = Ran::of(arguments, &full);
                assert_eq!(ran.code, 1, "a full disk: {ran}");
            }
            Err(_) => skipped("output to /dev/full, which is not there"),
        }
    }
}
