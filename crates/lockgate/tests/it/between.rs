//! Somebody between the command line and its server: earlier answers come again, or none at all.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_api::{Problem, ProblemKind};
use lockgate_model::Digest;
use serde_json::{Value, json};

use crate::instance::{Instance, Ran, artifact_name};

/// How long either side may be silent.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest request that is passed on.
const REQUEST_MAX: u64 = 1024 * 1024;
/// As often as it is asked for.
const ALWAYS: usize = usize::MAX;

const GRANTS: &str = "/v1/grants?";
const BUNDLE: &str = "/v1/promotions/P-3/bundle";
const CONSISTENCY: &str = "/v1/consistency?";

/// A proxy on loopback: it passes on what it has no other orders for, one connection at a time, until it is dropped.
struct Between {
    url: String,
    address: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    server: String,
    stopped: AtomicBool,
    /// The server's replies, with the targets that they were for.
    passed: Mutex<Vec<(String, Vec<u8>)>>,
    orders: Mutex<Vec<Order>>,
}

/// What is answered in place of the server.
struct Order {
    /// How the target begins.
    start: &'static str,
    /// The whole reply; the connection ends without one where it is empty.
    reply: Vec<u8>,
    times: usize,
}

impl Between {
    fn new(lockgate: &Instance) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            server: lockgate.address(),
            stopped: AtomicBool::new(false),
            passed: Mutex::default(),
            orders: Mutex::default(),
        });
        let serving = shared.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.stopped.load(Ordering::SeqCst) {
                    break;
                }
                // What went wrong on the way is told by the command that asked.
                let _ = serving.serve(stream);
            }
        });
        Self { url: format!("http://{address}"), address, shared, thread: Some(thread) }
    }

    /// Verifies the granted release for production, by way of this proxy.
    fn verify(&self, lockgate: &Instance) -> Ran {
        lockgate.verify("1.4.2", &["--server", &self.url])
    }

    /// From now on what begins like this gets the newest reply that it got so far.
    fn replays(&self, start: &'static str, times: usize) {
        let passed = self.shared.passed.lock().unwrap();
        let (_, reply) = passed.iter().rev().find(|(target, _)| target.starts_with(start)).unwrap();
        self.shared.orders.lock().unwrap().push(Order { start, reply: reply.clone(), times });
    }

    /// From now on what begins like this gets this reply, and nothing else is ordered any more.
    fn only_answers(&self, start: &'static str, reply: Vec<u8>) {
        *self.shared.orders.lock().unwrap() = vec![Order { start, reply, times: ALWAYS }];
    }

    /// From now on everything is passed on.
    fn is_honest(&self) {
        self.shared.orders.lock().unwrap().clear();
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // It waits for a connection, and looks whether it should stop when there is one.
        let _ = TcpStream::connect(&self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_read_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(client.try_clone()?).take(REQUEST_MAX);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() {
                break;
            }
            head.push(line);
        }
        let length = head.iter().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<u64>().ok())?
        });
        let length = length.unwrap_or(0);
        let mut body = Vec::new();
        reader.by_ref().take(length).read_to_end(&mut body)?;
        let target = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
        let reply = match self.ordered(&target) {
            Some(reply) => reply,
            None => {
                let reply = self.pass(&head, &body)?;
                self.passed.lock().unwrap().push((target, reply.clone()));
                reply
            }
        };
        client.write_all(&reply)
    }

    fn ordered(&self, target: &str) -> Option<Vec<u8>> {
        let mut orders = self.orders.lock().unwrap();
        let order = orders.iter_mut().find(|order| order.times > 0 && target.starts_with(order.start))?;
        order.times -= 1;
        Some(order.reply.clone())
    }

    /// The server's reply to a request, whole; the connection ends with it.
    fn pass(&self, head: &[String], body: &[u8]) -> io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(&self.server)?;
        server.set_read_timeout(Some(PATIENCE))?;
        let kept = head.iter().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        let head: String = kept.map(String::as_str).chain(["Connection: close\r\n\r\n"]).collect();
        server.write_all(&[head.as_bytes(), body].concat())?;
        let mut reply = Vec::new();
        server.read_to_end(&mut reply)?;
        Ok(reply)
    }
}

fn reply(status: &str, body: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn problem(kind: ProblemKind, code: &str) -> Vec<u8> {
    let body = serde_json::to_string(&Problem::new(kind, code, "not now", None)).unwrap();
    reply(&format!("{} {}", kind.status(), kind.title()), &body)
}

/// Lets this machine see the ledger as it is, by a verification for an environment that nobody stops; gives its size.
fn look(lockgate: &Instance) -> Value {
    let file = artifact_name("1.4.2");
    let verified = lockgate.json(&["verify", &file, "--service", "shop/web", "--env", "dev"], 0);
    verified["ledgerSize"].clone()
}

/// Publishes from another machine: this one gets no receipt.
fn push_elsewhere(lockgate: &Instance, version: &str) {
    let (seen, aside) = (lockgate.home().join("checkpoints"), lockgate.file("aside"));
    fs::rename(&seen, &aside).unwrap();
    lockgate.push(version, "trivy.json").exits(0);
    fs::remove_dir_all(&seen).unwrap();
    fs::rename(&aside, &seen).unwrap();
}

fn freeze(lockgate: &Instance) {
    let freeze = ["freeze", "--env", "production", "--reason", "payments are down", "--yes", "--as", "sam"];
    lockgate.run(&freeze).exits(0);
}

#[test]
fn a_later_freeze_is_not_hidden_by_an_earlier_bundle() {
    let lockgate = Instance::granted();
    let between = Between::new(&lockgate);
    between.verify(&lockgate).exits(0).says("with the server's newest state");
    let before = look(&lockgate);
    freeze(&lockgate);
    let after = look(&lockgate);
    between.replays(GRANTS, ALWAYS);
    between.replays(BUNDLE, ALWAYS);
    for _ in 0..2 {
        let ran = between.verify(&lockgate).refused(9, "ROLLBACK_DETECTED").says("ask over another network");
        let ran = ran.says(&format!("seen {after} entries")).says(&format!("a state of {before} entries"));
        assert!(ran.stdout.starts_with("NOT VERIFIED  "), "{ran}");
    }
    // Without them, the server says what is so.
    between.is_honest();
    between.verify(&lockgate).refused(3, "FROZEN");
    let passed = between.shared.passed.lock().unwrap();
    let (_, reply) = passed.iter().rev().find(|(target, _)| target == BUNDLE).unwrap();
    let body = reply.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    lockgate.write("earlier.lockgate", &reply[body..]);
    // Offline too: the bundle for dev, which was verified after it, told of the freeze.
    let note = format!("this machine has seen the ledger with {after} entries; the bundle knows {before}");
    let ran = lockgate.verify("1.4.2", &["--bundle", "earlier.lockgate"]).refused(9, "ROLLBACK_DETECTED");
    assert!(ran.stdout.starts_with("NOT VERIFIED  "), "{ran}");
    ran.says(&note).says("froze shop/web in production");
}

/// An answer that is late once, as from a cache, is asked for again.
#[test]
fn what_is_old_once_is_fetched_once_more() {
    let lockgate = Instance::granted();
    let between = Between::new(&lockgate);
    between.verify(&lockgate).exits(0);
    lockgate.push("1.5.0", "trivy.json").exits(0);
    look(&lockgate);
    between.replays(BUNDLE, 1);
    between.verify(&lockgate).exits(0).says("with the server's newest state");
    freeze(&lockgate);
    look(&lockgate);
    between.replays(GRANTS, 1);
    between.replays(BUNDLE, 1);
    between.verify(&lockgate).refused(3, "FROZEN");
}

#[test]
fn nobody_approves_what_is_older_than_what_they_saw() {
    let lockgate = Instance::pending();
    let between = Between::new(&lockgate);
    let approve = || lockgate.run(&["approve", "P-3", "--as", "sam", "--yes", "--server", &between.url]);
    lockgate.run(&["bundle", "get", "P-3", "--file", "early.lockgate", "--server", &between.url]).exits(0);
    lockgate.push("1.5.0", "trivy.json").exits(0);
    let seen = look(&lockgate);
    let entries = lockgate.entries();
    between.replays(BUNDLE, ALWAYS);
    approve().refused(9, "ROLLBACK_DETECTED").says(&format!("seen {seen} entries"));
    assert_eq!((lockgate.entries(), lockgate.status_of("P-3").as_str()), (entries, "pending"));
    between.is_honest();
    approve().exits(0);
}

/// A consistency proof that does not arrive contradicts nothing; nor is anything verified without it.
#[test]
fn a_network_that_fails_is_no_equivocation() {
    let lockgate = Instance::granted();
    // More than this machine has seen, so that it asks for a proof.
    push_elsewhere(&lockgate, "1.4.9");
    let between = Between::new(&lockgate);
    let check = |reply: Vec<u8>, exit: i32, code: &str| {
        between.only_answers(CONSISTENCY, reply);
        let ran = between.verify(&lockgate).refused(exit, code);
        assert!(!ran.stderr.contains("together they are the proof"), "{ran}");
        assert!(!ran.stdout.contains("VERIFIED"), "{ran}");
    };
    check(reply("503 Service Unavailable", ""), 8, "UNAVAILABLE");
    check(Vec::new(), 8, "SERVER_UNREACHABLE");
    check(problem(ProblemKind::RateLimited, "RATE_LIMITED"), 8, "RATE_LIMITED");
    check(problem(ProblemKind::Unauthenticated, "SESSION_INVALID"), 4, "SESSION_INVALID");
    check(reply("200 OK", "<html>sign in to this network</html>"), 1, "SERVER_PROTOCOL");
    between.is_honest();
    between.verify(&lockgate).exits(0);
}

#[test]
fn a_proof_that_does_not_hold_is_the_alarm() {
    let lockgate = Instance::granted();
    // More than this machine has seen, so that it asks for a proof.
    push_elsewhere(&lockgate, "1.4.9");
    let between = Between::new(&lockgate);
    let newest = String::from_utf8(lockgate.get("/checkpoint", None).body).unwrap();
    let check = |proof: &str, checkpoint: &str| {
        let body = json!({ "from": 1, "proof": [proof], "checkpoint": checkpoint }).to_string();
        between.only_answers(CONSISTENCY, reply("200 OK", &body));
        let ran = between.verify(&lockgate).refused(9, "EQUIVOCATION").says("together they are the proof");
        assert!(ran.stdout.starts_with("NOT VERIFIED  "), "{ran}");
    };
    let hash = STANDARD.encode([7u8; 32]);
    check(&hash, &newest);
    check("not base64", &newest);
    check(&STANDARD.encode([7u8; 31]), &newest);
    check(&hash, "not a checkpoint");
    between.is_honest();
    between.verify(&lockgate).exits(0);
}

#[test]
fn an_earlier_proof_says_nothing_of_what_came_later() {
    let lockgate = Instance::granted();
    // More than this machine has seen, so that it asks for a proof.
    push_elsewhere(&lockgate, "1.4.9");
    let between = Between::new(&lockgate);
    between.verify(&lockgate).exits(0);
    push_elsewhere(&lockgate, "1.5.0");
    between.replays(CONSISTENCY, ALWAYS);
    between.verify(&lockgate).refused(9, "ROLLBACK_DETECTED");
    between.is_honest();
    between.verify(&lockgate).exits(0);
}

/// A receipt says which entry was acknowledged, and proves it.
#[test]
fn an_acknowledgement_that_proves_nothing_is_the_alarm() {
    let lockgate = Instance::granted();
    let between = Between::new(&lockgate);
    let freeze = || lockgate.run(&["freeze", "--reason", "look", "--yes", "--as", "sam", "--server", &between.url]);
    freeze().exits(0);
    let honest = {
        let passed = between.shared.passed.lock().unwrap();
        let (_, reply) = passed.iter().rev().find(|(target, _)| target == "/v1/freezes").unwrap();
        let body = reply.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        serde_json::from_slice::<Value>(&reply[body..]).unwrap()
    };
    let answers = |logged: &Value| {
        let body = json!({ "result": honest["result"], "logged": logged }).to_string();
        between.only_answers("/v1/freezes", reply("200 OK", &body));
        freeze()
    };
    answers(&honest["logged"]).exits(0);
    let changed = |name: &str, value: Value| {
        let mut logged = honest["logged"].clone();
        logged[name] = value;
        logged
    };
    let index = honest["logged"]["index"].as_u64().unwrap();
    answers(&changed("index", json!(index - 1))).refused(9, "INCLUSION_PROOF").says("FROZEN by sam");
    answers(&changed("leaf", json!(Digest::of(b"another").to_string()))).refused(9, "INCLUSION_PROOF");
    answers(&changed("proof", json!(["bm8="]))).refused(9, "INCLUSION_PROOF");
    answers(&changed("checkpoint", json!("not a checkpoint"))).refused(9, "LOG_KEY_UNKNOWN");
}
