//! Steps of attack stories that make keys, approvals and policy sets, and that change files.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_ledger::approval::NAMESPACE;
use lockgate_model::canonical;
use lockgate_sign::passkey::SoftPasskey;
use lockgate_sign::ssh_signer::{FileSigner, SshSigner};
use serde_json::{Value, json};

use crate::attack_stories::Story;
use crate::instance::{text, until};

/// Where the passkeys of stories belong.
const ORIGIN: &str = "http://localhost:7070";

fn signer(path: &Path) -> Box<dyn SshSigner> {
    match path.to_string_lossy().ends_with(SoftPasskey::FILE_SUFFIX) {
        true => Box::new(SoftPasskey::load(path).unwrap()),
        false => Box::new(FileSigner::load(path).unwrap()),
    }
}

/// The fingerprint of a key file, or its public line without the comment.
pub fn public_key(path: &Path, kind: &str) -> String {
    let signer = signer(path);
    match kind {
        "FP" => signer.public_key().fingerprint(),
        _ => signer.public_key().to_string(),
    }
}

/// Makes what later steps use.
pub fn prepare(story: &Story, kind: &str, step: &Value) {
    match kind {
        "approval" => approval(story, step),
        "passkey" => {
            let passkey = SoftPasskey::generate(&ORIGIN.parse().unwrap()).unwrap();
            let file = format!("{}{}", text(&step["passkey"]), SoftPasskey::FILE_SUFFIX);
            story.lockgate.write(&file, passkey.to_json().unwrap());
        }
        "enrol" => enrol(story, step),
        "policy" => policy(story, step),
        other => panic!("`{other}` prepares nothing"),
    }
}

/// Somebody new, with a key of their own, whom sam lets in.
fn enrol(story: &Story, step: &Value) {
    let name = text(&step["enrol"]);
    let (key, request) = (format!("{name}.key"), format!("{name}.json"));
    let groups: Vec<String> = match &step["group"] {
        Value::Null => vec!["approvers".to_owned()],
        Value::Array(groups) => groups.iter().map(text).collect(),
        one => vec![text(one)],
    };
    let flags = groups.iter().flat_map(|group| ["--group", group.as_str()]);
    let enrol: Vec<&str> =
        ["key", "enrol", &name, "--key", &key, "--file", &request].into_iter().chain(flags).collect();
    story.lockgate.run(&["key", "generate", &key]).exits(0);
    story.lockgate.run(&enrol).exits(0);
    story.lockgate.run(&["invite", &request, "--as", "sam", "--yes"]).exits(0);
}

/// The starter policy set in a directory, changed: each text, once in its file, by another; an empty one is the end.
fn policy(story: &Story, step: &Value) {
    let dir = text(&step["policy"]);
    story.lockgate.run(&["init", &dir]).exits(0);
    // The set's own tests describe the starter, not what is made of it.
    fs::remove_dir_all(story.lockgate.file(&dir).join("tests")).unwrap();
    for change in step["changes"].as_array().into_iter().flatten() {
        let (from, to) = (text(&change[1]), text(&change[2]));
        let path = story.lockgate.file(&dir).join(text(&change[0]));
        let before = fs::read_to_string(&path).unwrap_or_default();
        let after = match from.as_str() {
            "" => format!("{before}{to}"),
            from => {
                assert_eq!(before.matches(from).count(), 1, "{from} in {}", path.display());
                before.replace(from, &to)
            }
        };
        fs::write(&path, after).unwrap();
    }
}

/// The document that sam would sign now, made out to somebody, changed, and signed with a key, as a request's body.
fn approval(story: &Story, step: &Value) {
    let lockgate = &story.lockgate;
    let (promotion, verdict) = (text(&step["approval"]), step["verdict"].as_str().unwrap_or("approve"));
    let path = format!("/v1/promotions/{promotion}/document?verdict={verdict}");
    let shown = lockgate.get(&path, Some(&lockgate.token("sam"))).json();
    let mut document: Value = serde_json::from_str(&text(&shown["document"])).unwrap();
    document["predicate"]["approver"] = step["by"].clone();
    for (at, change) in step["set"].as_object().into_iter().flatten() {
        set(&mut document, at, &story.filled(change));
    }
    let bytes = canonical::to_vec(&document).unwrap();
    let namespace = step["namespace"].as_str().unwrap_or(NAMESPACE);
    let signature = signer(&lockgate.file(&text(&step["key"]))).sign(namespace, &bytes).unwrap();
    let body = json!({ "document": String::from_utf8(bytes).unwrap(), "signature": signature.to_armored() });
    lockgate.write(&text(&step["file"]), body.to_string());
}

/// Sets a value at a pointer; `null` removes it, and `{"plus": n}` adds to a number.
pub fn set(document: &mut Value, at: &str, change: &Value) {
    if change.is_null() {
        return remove(document, at);
    }
    if let Some(more) = change["plus"].as_u64() {
        let place = document.pointer_mut(at).unwrap();
        *place = json!(place.as_u64().unwrap() + more);
        return;
    }
    let (parent, last) = at.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[last.parse::<usize>().unwrap()] = change.clone(),
        Value::Object(fields) => drop(fields.insert(last.to_owned(), change.clone())),
        other => panic!("nothing can be set in {other}"),
    }
}

fn remove(document: &mut Value, at: &str) {
    let (parent, last) = at.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Array(items) => drop(items.remove(last.parse().unwrap())),
        Value::Object(fields) => drop(fields.remove(last).unwrap()),
        other => panic!("nothing to remove from {other}"),
    }
}

/// Copies a file of `tests/attacks/base` into the working directory.
pub fn base(story: &Story, step: &Value) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/attacks/base").join(text(&step["base"]));
    let to = story.lockgate.file(&text(&step["to"]));
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(&from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// Changes a file, or what may be done with it.
pub fn change(story: &Story, kind: &str, step: &Value) {
    let path = story.lockgate.file(&text(&step[kind]));
    match kind {
        "write" => {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, story.fill(&text(&step["text"]))).unwrap();
        }
        "append" => fs::write(&path, [fs::read(&path).unwrap(), text(&step["text"]).into_bytes()].concat()).unwrap(),
        "edit" => edit(story, &path, step),
        "chmod" => {
            let mode = u32::from_str_radix(&text(&step["mode"]), 8).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        other => panic!("`{other}` changes nothing"),
    }
}

/// Changes a JSON file at a pointer: flips a bit of base64, removes or sets an item, exchanges it with another, or
/// replaces a part of a text.
fn edit(story: &Story, path: &Path, step: &Value) {
    let mut document: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let at = text(&step["at"]);
    if let Some(byte) = step["flip"].as_u64() {
        let place = document.pointer_mut(&at).unwrap();
        let mut bytes = STANDARD.decode(text(place)).unwrap();
        bytes[usize::try_from(byte).unwrap()] ^= 1;
        *place = STANDARD.encode(bytes).into();
    } else if step["remove"] == true {
        remove(&mut document, &at);
    } else if !step["set"].is_null() {
        set(&mut document, &at, &story.filled(&step["set"]));
    } else if step["replace"].is_array() {
        let (from, to) = (story.fill(&text(&step["replace"][0])), story.fill(&text(&step["replace"][1])));
        let place = document.pointer_mut(&at).unwrap();
        let before = text(place);
        assert_eq!(before.matches(&from).count(), 1, "{from} in {before}");
        *place = before.replace(&from, &to).into();
    } else {
        let other = text(&step["swap"]);
        let (one, two) = (document.pointer(&at).unwrap().clone(), document.pointer(&other).unwrap().clone());
        *document.pointer_mut(&at).unwrap() = two;
        *document.pointer_mut(&other).unwrap() = one;
    }
    fs::write(path, document.to_string()).unwrap();
}

/// Sends requests as they are: each has one answer, and the connection ends, whatever stands behind the request.
pub fn raw(story: &Story, label: &str, step: &Value) {
    for request in step["raw"].as_array().unwrap() {
        let mut stream = story.lockgate.connect();
        stream.write_all(text(request).as_bytes()).unwrap();
        let mut told = Vec::new();
        match stream.read_to_end(&mut told) {
            Ok(_) => {}
            // The server has closed without reading what stands behind the request.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{label}: {request} leaves the connection open: {error}"),
        }
        let told = String::from_utf8_lossy(&told);
        assert!(told.starts_with(&format!("HTTP/1.1 {} ", step["status"])), "{label}: {request}: {told}");
        assert_eq!(told.matches("HTTP/1.1 ").count(), 1, "{label}: {request}: {told}");
    }
}

/// A text that stands in none of these files, each of which holds something.
pub fn absent(story: &Story, label: &str, step: &Value) {
    let wanted = story.fill(&text(&step["absent"])).into_bytes();
    for name in step["in"].as_array().unwrap() {
        let bytes = fs::read(story.lockgate.file(&text(name))).unwrap();
        assert!(!bytes.is_empty(), "{label}: {name} is empty");
        let found = bytes.windows(wanted.len()).any(|window| window == wanted);
        assert!(!found, "{label}: it stands in {name}");
    }
}

/// Lets time pass.
pub fn wait(millis: u64) {
    let end = Instant::now() + Duration::from_millis(millis);
    until("the time has passed", || Instant::now() >= end);
}
