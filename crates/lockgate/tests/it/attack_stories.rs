//! The cases of `tests/attacks` that need a server and the command line: their stages and steps, as
//! `tests/attacks/README.md` describes them.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_model::Digest;
use rusqlite::Connection;
use serde_json::Value;

use crate::instance::{Instance, artifact, copy_dir, text};

/// The version that the stories are about.
const VERSION: &str = "1.4.2";

/// One story while it is told.
struct Story {
    lockgate: Instance,
    /// The server refused to start with an integrity alarm: the alarm that a story waits for may come this early.
    alarm: bool,
}

#[test]
fn every_attack_story_ends_as_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/attacks");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut told = 0;
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        let case: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        if case["target"] != "story" {
            continue;
        }
        let name = format!("{} ({})", text(&case["id"]), text(&case["name"]));
        println!("{name}");
        let mut story = Story::begin(&text(&case["stage"]));
        for (number, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            story.step(&format!("{name}, step {number}"), step);
        }
        told += 1;
    }
    println!("{told} stories told");
    assert!(told > 0, "there was no story to tell");
}

impl Story {
    fn begin(stage: &str) -> Self {
        let lockgate = match stage {
            "none" => Instance::new(),
            "pending" => Instance::pending(),
            "granted" => Instance::granted(),
            other => panic!("`{other}` is not a stage"),
        };
        lockgate.write("app.tar.gz", artifact(VERSION));
        if stage == "granted" {
            lockgate.run(&["bundle", "get", "P-3", "--file", "bundle.json"]).exits(0);
        }
        Self { lockgate, alarm: false }
    }

    fn step(&mut self, label: &str, step: &Value) {
        let fields = step.as_object().unwrap_or_else(|| panic!("{label}: not a step: {step}"));
        let has = |name: &str| fields.contains_key(name);
        let lockgate = &self.lockgate;
        if has("run") {
            self.run(label, step);
        } else if has("http") {
            self.http(label, step);
        } else if has("promotion") {
            assert_eq!(lockgate.status_of(&text(&step["promotion"])), text(&step["status"]), "{label}");
        } else if has("edit") {
            edit(&lockgate.file(&text(&step["edit"])), step);
        } else if has("append") {
            let path = lockgate.file(&text(&step["append"]));
            fs::write(&path, [fs::read(&path).unwrap(), text(&step["text"]).into_bytes()].concat()).unwrap();
        } else if has("flip") {
            let path = self.place(&text(&step["flip"]));
            let at = usize::try_from(step["byte"].as_u64().unwrap()).unwrap();
            let mut bytes = fs::read(&path).unwrap();
            bytes[at] ^= 1;
            // Stored bytes are not writable, and are not named by what is in them from now on.
            fs::remove_file(&path).unwrap();
            fs::write(&path, bytes).unwrap();
        } else if has("delete") {
            fs::remove_file(self.place(&text(&step["delete"]))).unwrap();
        } else if has("sql") {
            let connection = Connection::open(lockgate.home().join("data/ledger.db")).unwrap();
            connection.execute_batch(&text(&step["sql"])).unwrap();
            assert!(connection.total_changes() > 0, "{label}: nothing was changed");
            lockgate.tampered();
        } else if has("copy") {
            let (from, to) = (text(&step["copy"]), lockgate.home().join(text(&step["to"])));
            if to.exists() {
                fs::remove_dir_all(&to).unwrap();
            }
            copy_dir(&lockgate.home().join(from), &to);
            lockgate.tampered();
        } else if has("stop") {
            lockgate.stop();
        } else if has("start") {
            let ran = lockgate.start(&[]);
            assert!(matches!(ran.code, 0 | 9), "{label}: {ran}");
            self.alarm = ran.code == 9;
        } else {
            panic!("{label}: `{step}` is not a step");
        }
    }

    fn run(&self, label: &str, step: &Value) {
        let exit = i32::try_from(step["exit"].as_i64().unwrap()).unwrap();
        if self.alarm {
            assert_eq!(exit, 9, "{label}: the server did not start, which is an alarm that the story does not expect");
            return;
        }
        let command = text(&step["run"]);
        let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
        let ran = self.lockgate.run(&arguments);
        assert_eq!(ran.code, exit, "{label}: {ran}");
        if let Some(code) = step["code"].as_str() {
            // An audit names each problem; every other command ends with one reason.
            let named = ran.stderr.contains(&format!("error[{code}]")) || ran.stdout.contains(&format!("x {code} "));
            assert!(named, "{label}: wanted {code}: {ran}");
        }
    }

    fn http(&self, label: &str, step: &Value) {
        let request = text(&step["http"]);
        let (method, path) = request.split_once(' ').unwrap();
        let token = step["as"].as_str().map(|person| self.lockgate.token(person));
        let body = match (step["body_bytes"].as_u64(), &step["body"]) {
            (Some(count), _) => vec![b' '; usize::try_from(count).unwrap()],
            (None, Value::Null) => Vec::new(),
            (None, body) => body.to_string().into_bytes(),
        };
        let reply = self.lockgate.http(method, path, token.as_deref(), &[], &body);
        assert_eq!(u64::from(reply.status), step["status"].as_u64().unwrap(), "{label}: {reply:?}");
        if let Some(code) = step["code"].as_str() {
            assert_eq!(reply.code(), code, "{label}");
        }
    }

    /// A file of the working directory, or a stored artifact as `blob:NAME`.
    fn place(&self, name: &str) -> PathBuf {
        let Some(artifact) = name.strip_prefix("blob:") else { return self.lockgate.file(name) };
        self.lockgate.tampered();
        let hex = Digest::of(&fs::read(self.lockgate.file(artifact)).unwrap()).hex();
        self.lockgate.home().join("data/blobs/sha256").join(&hex[..2]).join(&hex[2..4]).join(&hex)
    }
}

/// Changes a JSON file at a pointer: flips a bit of base64, removes an item, or exchanges it with another.
fn edit(path: &Path, step: &Value) {
    let mut document: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let at = text(&step["at"]);
    if let Some(byte) = step["flip"].as_u64() {
        let place = document.pointer_mut(&at).unwrap();
        let mut bytes = STANDARD.decode(text(place)).unwrap();
        bytes[usize::try_from(byte).unwrap()] ^= 1;
        *place = STANDARD.encode(bytes).into();
    } else if step["remove"] == true {
        let (parent, last) = at.rsplit_once('/').unwrap();
        match document.pointer_mut(parent).unwrap() {
            Value::Array(items) => drop(items.remove(last.parse().unwrap())),
            Value::Object(fields) => drop(fields.remove(last).unwrap()),
            other => panic!("nothing to remove from {other}"),
        }
    } else {
        let other = text(&step["swap"]);
        let (one, two) = (document.pointer(&at).unwrap().clone(), document.pointer(&other).unwrap().clone());
        *document.pointer_mut(&at).unwrap() = two;
        *document.pointer_mut(&other).unwrap() = one;
    }
    fs::write(path, document.to_string()).unwrap();
}
