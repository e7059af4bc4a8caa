//! Steps of attack stories that make keys, approvals and policy sets, and that change files.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_api::{ROUTES, STEP_UP, StepUp};
use lockgate_ledger::approval::NAMESPACE;
use lockgate_model::canonical;
use lockgate_sign::passkey::SoftPasskey;
use lockgate_sign::ssh_signer::{FileSigner, SshSigner};
use serde_json::{Map, Value, json};

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

/// The requests that one step stands for, where it stands for many.
pub fn many(kind: &str, step: &Value) -> Option<Vec<(String, Value)>> {
    match kind {
        "step_up" => Some(unsigned()),
        "nulls" => {
            let request = text(&step["nulls"]);
            Some(hollowed(&step["body"]).into_iter().map(|body| (request.clone(), body)).collect())
        }
        _ => None,
    }
}

/// Every route that asks for more than a session, each without a signature, and with what is none where one belongs.
fn unsigned() -> Vec<(String, Value)> {
    let mut requests = Vec::new();
    for (name, asks) in STEP_UP {
        let route = ROUTES.iter().find(|route| route.name == *name).unwrap_or_else(|| panic!("no route `{name}`"));
        let id = if route.path.starts_with("/v1/changes/") { "C-1" } else { "P-3" };
        let parts: Vec<&str> =
            route.path.split('/').map(|part| if part.starts_with('{') { id } else { part }).collect();
        let request = format!("{} {}", route.method, parts.join("/"));
        let fields: &[&str] = match *asks {
            StepUp::Signed(fields) => fields,
            StepUp::FreshSignIn => &[],
        };
        requests.push((request.clone(), json!({})));
        for given in ["", "none"] {
            let body: Map<String, Value> =
                fields.iter().map(|field| ((*field).to_owned(), Value::from(given))).collect();
            requests.push((request.clone(), Value::Object(body)));
        }
    }
    requests
}

/// A body with nothing in each of its places in turn, and in place of it all: `null`, an empty list, an empty object.
fn hollowed(body: &Value) -> Vec<Value> {
    let mut places = vec![String::new()];
    pointers(body, "", &mut places);
    let mut bodies = Vec::new();
    for at in &places {
        for hollow in [Value::Null, json!([]), json!({})] {
            let mut changed = body.clone();
            *changed.pointer_mut(at).unwrap() = hollow;
            bodies.push(changed);
        }
    }
    bodies
}

/// Where something stands in a value.
fn pointers(value: &Value, at: &str, places: &mut Vec<String>) {
    let parts: Vec<(String, &Value)> = match value {
        Value::Array(items) => items.iter().enumerate().map(|(number, item)| (number.to_string(), item)).collect(),
        Value::Object(fields) => fields.iter().map(|(name, item)| (name.clone(), item)).collect(),
        _ => Vec::new(),
    };
    for (name, part) in parts {
        let here = format!("{at}/{name}");
        pointers(part, &here, places);
        places.push(here);
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
        "link" => symlink(story.lockgate.file(&text(&step["to"])), &path).unwrap(),
        "chmod" => {
            let mode = u32::from_str_radix(&text(&step["mode"]), 8).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        other => panic!("`{other}` changes nothing"),
    }
}

/// Changes a JSON file at a pointer: flips a bit of base64, removes or sets an item, exchanges it with another, takes
/// one out of another file, or replaces a part of a text.
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
    } else if step["from"].is_array() {
        let other = document_of(story, &step["from"][0]);
        let taken = other.pointer(&text(&step["from"][1])).unwrap().clone();
        set(&mut document, &at, &taken);
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

fn document_of(story: &Story, name: &Value) -> Value {
    serde_json::from_slice(&fs::read(story.lockgate.file(&text(name))).unwrap()).unwrap()
}

/// Puts a part of one bundle in the place of the same part of another: `entries`, or any other member; `leaf:EVENT`,
/// `proof:EVENT` or `entry:EVENT`, of the newest entry of this kind; `body:EVENT/FIELD`, the body that it names there.
pub fn mix(story: &Story, step: &Value) {
    let (of, before) = (document_of(story, &step["of"]), document_of(story, &step["into"]));
    let (mut into, part) = (before.clone(), text(&step["part"]));
    match part.split_once(':') {
        None => {
            let member = part.as_str();
            assert!(!of[member].is_null(), "a bundle has no {member}");
            into[member] = of[member].clone();
        }
        Some(("body", place)) => {
            let (event, field) = place.split_once('/').unwrap();
            let name = |bundle: &Value| text(&newest(bundle, event).1["event"]["body"][field]);
            let (own, other) = (name(&before), name(&of));
            let body = of["bodies"][other.as_str()].clone();
            assert!(body.is_string(), "a bundle lacks {other}");
            into["bodies"][own.as_str()] = body;
        }
        Some((field, event)) => {
            let (at, other) = (newest(&before, event).0, newest(&of, event).0);
            let taken = of["entries"][other].clone();
            match field {
                "entry" => into["entries"][at] = taken,
                "leaf" | "proof" => into["entries"][at][field] = taken[field].clone(),
                other => panic!("an entry has no {other}"),
            }
            // In the order of the ledger, as a verifier wants it.
            into["entries"].as_array_mut().unwrap().sort_by_key(|entry| entry["index"].as_u64());
        }
    }
    assert_ne!(into, before, "{part} is the same in both");
    story.lockgate.write(&text(&step["mix"]), into.to_string());
}

/// The newest entry of a kind in a bundle: its place, and what it says.
fn newest(bundle: &Value, event: &str) -> (usize, Value) {
    let read =
        |entry: &Value| -> Value { serde_json::from_slice(&STANDARD.decode(text(&entry["leaf"])).unwrap()).unwrap() };
    let entries = bundle["entries"].as_array().unwrap().iter().enumerate().rev();
    let mut entries = entries.map(|(at, entry)| (at, read(entry)));
    entries.find(|(_, entry)| entry["event"]["type"] == event).unwrap_or_else(|| panic!("no {event}"))
}

/// Nothing is there, not even a link that leads nowhere.
pub fn gone(story: &Story, label: &str, step: &Value) {
    for name in step["gone"].as_array().unwrap() {
        let path = story.lockgate.file(&text(name));
        assert!(fs::symlink_metadata(&path).is_err(), "{label}: {} is there", path.display());
    }
}

/// The bytes of a request: text, or parts that are repeated.
fn request_of(story: &Story, given: &Value) -> String {
    let Some(parts) = given["parts"].as_array() else { return story.fill(&text(given)) };
    let part = |part: &Value| {
        story.fill(&text(&part["text"])).repeat(usize::try_from(part["times"].as_u64().unwrap()).unwrap())
    };
    parts.iter().map(part).collect()
}

/// Sends requests as they are: each has one answer, and the connection ends, whatever stands behind the request. With
/// `within_ms`, it does so in that time; with `unanswered`, it may end without an answer.
pub fn raw(story: &Story, label: &str, step: &Value) {
    for given in step["raw"].as_array().unwrap() {
        let request = request_of(story, given);
        // What is sent may be long.
        let shown: String = request.chars().take(400).collect();
        let mut stream = story.lockgate.connect();
        let since = Instant::now();
        // A server that knows enough answers and closes without reading the rest.
        let _ = stream.write_all(request.as_bytes());
        let mut told = Vec::new();
        match stream.read_to_end(&mut told) {
            Ok(_) => {}
            // The server has closed without reading what stands behind the request.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{label}: {shown:?} leaves the connection open: {error}"),
        }
        let took = since.elapsed();
        if let Some(most) = step["within_ms"].as_u64() {
            assert!(took < Duration::from_millis(most), "{label}: {shown:?} took {took:?}");
        }
        let told = String::from_utf8_lossy(&told);
        if told.is_empty() && step["unanswered"] == true {
            continue;
        }
        assert!(told.starts_with(&format!("HTTP/1.1 {} ", step["status"])), "{label}: {shown:?}: {told}");
        assert_eq!(told.matches("HTTP/1.1 ").count(), 1, "{label}: {shown:?}: {told}");
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
