//! The whole corpus at once: every case through every door that it has data for, the table of that, and whether the
//! attacks that have to be withstood are all there.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;

use super::sign_ins::SignIns;
use super::tokens::Tokens;
use super::{Case, Tried, against_library, cases, folder, read};
use crate::attack_stories;

/// The attacks that have to be there, and through which doors: `c` command line, `h` HTTP, `l` library, `p` pages.
const REQUIRED: [(&str, &str); 99] = [
    ("A-01", "chl"),
    ("A-02", "chl"),
    ("A-03", "chl"),
    ("A-04", "chl"),
    ("A-05", "chl"),
    ("A-06", "h"),
    ("A-07", "chl"),
    ("A-08", "chl"),
    ("A-09", "ch"),
    ("A-10", "chl"),
    ("A-11", "chl"),
    ("A-12", "chl"),
    ("A-13", "chl"),
    ("A-14", "chl"),
    ("A-15", "chl"),
    ("A-16", "chl"),
    ("A-17", "chl"),
    ("A-18", "chl"),
    ("A-19", "chl"),
    ("A-20", "chl"),
    ("A-21", "h"),
    ("A-22", "chl"),
    ("A-23", "chl"),
    ("A-24", "chl"),
    ("A-25", "h"),
    ("A-26", "chl"),
    ("A-27", "ch"),
    ("A-28", "chl"),
    ("A-29", "chl"),
    ("A-30", "chl"),
    ("A-31", "chl"),
    ("A-32", "chl"),
    ("A-33", "chlp"),
    ("A-34", "h"),
    ("A-35", "ch"),
    ("A-36", "ch"),
    ("A-37", "h"),
    ("A-38", "ch"),
    ("A-39", "h"),
    ("A-40", "chl"),
    ("A-41", "chl"),
    ("A-42", "chl"),
    ("A-43", "chl"),
    ("A-44", "chl"),
    ("A-45", "ch"),
    ("A-46", "chl"),
    ("A-47", "chl"),
    ("A-48", "chl"),
    ("A-49", "chl"),
    ("A-50", "chl"),
    ("A-51", "chl"),
    ("A-52", "chl"),
    ("A-53", "chl"),
    ("A-54", "chl"),
    ("A-55", "chl"),
    ("A-56", "chl"),
    ("A-57", "ch"),
    ("A-58", "ch"),
    ("A-59", "chl"),
    ("A-60", "cl"),
    ("A-62", "c"),
    ("A-63", "c"),
    ("A-64", "cl"),
    ("A-65", "l"),
    ("A-66", "cl"),
    ("A-67", "c"),
    ("A-68", "cl"),
    ("A-69", "l"),
    ("A-71", "c"),
    ("A-72", "c"),
    ("A-74", "c"),
    ("A-76", "l"),
    ("A-77", "l"),
    ("A-79", "c"),
    ("A-80", "ch"),
    ("A-81", "c"),
    ("A-84", "chl"),
    ("A-85", "chl"),
    ("A-86", "chl"),
    ("A-87", "chl"),
    ("A-88", "chl"),
    ("A-89", "chl"),
    ("A-95", "ch"),
    ("A-96", "ch"),
    ("A-98", "ch"),
    ("A-99", "ch"),
    ("A-100", "h"),
    ("A-101", "ch"),
    ("A-102", "chlp"),
    ("A-103", "hp"),
    ("A-104", "h"),
    ("A-105", "chlp"),
    ("A-106", "c"),
    ("A-107", "ch"),
    ("A-108", "ch"),
    ("A-109", "ch"),
    ("A-110", "chp"),
    ("A-111", "chl"),
    ("A-112", "h"),
];

/// The attack whose data is `routes.toml`.
const ROUTES: u32 = 34;
/// The most stories at a time; each has a server of its own.
const WORKERS: usize = 8;
/// The most tokens, or sign-ins, for one server: it answers only so many of one address at once.
const INPUTS_MAX: usize = 48;

/// `waiting.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    waiting: Vec<Wait>,
}

/// A part of an attack that there is no case for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    /// The attack.
    case: String,
    /// Which part of it.
    what: String,
    /// Why.
    why: String,
    /// Whether it is all of the attack, so that nothing else has to be there.
    #[serde(default)]
    whole: bool,
}

fn waiting() -> Vec<Wait> {
    let file: Waiting = toml::from_str(&read(&folder().join("waiting.toml"))).unwrap();
    for wait in &file.waiting {
        assert!(!wait.what.is_empty() && !wait.why.is_empty(), "{} waits for nothing", wait.case);
    }
    file.waiting
}

/// `cases.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Titles {
    titles: BTreeMap<String, String>,
}

/// Every attack, by number, with what it is called.
fn titles() -> BTreeMap<u32, String> {
    let file: Titles = toml::from_str(&read(&folder().join("cases.toml"))).unwrap();
    file.titles.into_iter().map(|(id, title)| (number(&id), title)).collect()
}

/// The attacks that have data: files of their own, or the routes, which are held against theirs by `matrix`.
fn with_data() -> BTreeSet<u32> {
    cases().iter().map(|case| number(&case.id)).chain([ROUTES]).collect()
}

/// What became of one attack.
#[derive(Default)]
struct Row {
    files: usize,
    tried: Tried,
}

/// By number, and not by letter.
type Rows = BTreeMap<u32, Row>;

fn number(id: &str) -> u32 {
    id.strip_prefix("A-").and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("`{id}` is no attack"))
}

#[test]
fn every_attack_gets_its_answer() {
    let rows: Mutex<Rows> = Mutex::default();
    let add = |id: &str, tried: Tried| {
        let mut rows = rows.lock().unwrap();
        let row = rows.entry(number(id)).or_default();
        row.files += 1;
        row.tried.doors.extend(tried.doors);
        row.tried.inputs += tried.inputs;
        row.tried.wrong.extend(tried.wrong);
    };
    let (mut stories, mut tokens, mut sign_ins) = (Vec::new(), Vec::new(), Vec::new());
    for case in cases() {
        match case.target.as_str() {
            "story" => stories.push(case),
            "ci-token" => tokens.push(case),
            "sign-in" => sign_ins.push(case),
            _ => add(&case.id, against_library(&case)),
        }
    }
    let next = AtomicUsize::new(0);
    let tell = || {
        while let Some(case) = stories.get(next.fetch_add(1, Ordering::SeqCst)) {
            add(&case.id, told(case));
        }
    };
    let aftermath = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(tell)).collect();
        let people = scope.spawn(|| {
            let mut aftermath: Vec<String> = Vec::new();
            for group in groups(&sign_ins) {
                let server = SignIns::new();
                for case in group {
                    add(&case.id, server.against(case));
                }
                aftermath.extend(server.aftermath());
            }
            aftermath
        });
        let mut aftermath: Vec<String> = Vec::new();
        for group in groups(&tokens) {
            let server = Tokens::new(group);
            for case in group {
                add(&case.id, server.against(case));
            }
            aftermath.extend(server.aftermath());
        }
        for worker in workers {
            worker.join().unwrap();
        }
        aftermath.extend(people.join().unwrap());
        aftermath
    });
    conclude(&rows.into_inner().unwrap(), &aftermath);
}

/// The cases in groups, each of them few enough for one server.
fn groups(mut cases: &[Case]) -> Vec<&[Case]> {
    let mut groups = Vec::new();
    while !cases.is_empty() {
        let (mut fitting, mut inputs) = (0, 0);
        for case in cases {
            // Its control is tried too.
            inputs += case.inputs.len() + 1;
            fitting += usize::from(fitting == 0 || inputs <= INPUTS_MAX);
            if inputs > INPUTS_MAX {
                break;
            }
        }
        let (group, rest) = cases.split_at(fitting);
        groups.push(group);
        cases = rest;
    }
    groups
}

/// Tells a story; what went otherwise is what it panicked with.
fn told(case: &Case) -> Tried {
    catch_unwind(AssertUnwindSafe(|| attack_stories::tell(case)))
        .unwrap_or_else(|panic| Tried { wrong: vec![words_of(panic.as_ref())], ..Tried::default() })
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a story ended without a word").to_owned()
}

/// Prints the table, and fails where an answer was another one or an attack is missing.
fn conclude(rows: &Rows, aftermath: &[String]) {
    let waits = waiting();
    let table = table(rows, &waits);
    print!("{table}");
    hand_over(&table);
    let wrong: Vec<&String> = rows.values().flat_map(|row| &row.tried.wrong).chain(aftermath).collect();
    let inputs: usize = rows.values().map(|row| row.tried.inputs).sum();
    let outcome = if wrong.is_empty() { "all as expected".to_owned() } else { format!("{} WRONG", wrong.len()) };
    println!("attacks: {} cases, {inputs} inputs, {outcome}; {} parts wait", rows.len(), waits.len());
    assert!(inputs > 0, "no attack was tried");
    assert!(wrong.is_empty(), "{} answers are wrong:\n{}", wrong.len(), join(&wrong));
    let missing = missing(rows, &waits);
    assert!(missing.is_empty(), "missing in tests/attacks, and not in waiting.toml: {}", missing.join(", "));
}

/// A line for every attack, and what of them waits.
fn table(rows: &Rows, waits: &[Wait]) -> String {
    let mut table =
        format!("{:<6} {:<21} {:>5} {:>6}  {:<12} {}\n", "case", "doors", "files", "inputs", "outcome", "attack");
    for (number, title) in titles() {
        let id = format!("A-{number:02}");
        let (doors, files, inputs, outcome) = match rows.get(&number) {
            Some(Row { files, tried }) => {
                let doors: Vec<&str> = tried.doors.iter().copied().collect();
                let outcome = match tried.wrong.len() {
                    0 => "as expected".to_owned(),
                    count => format!("{count} WRONG"),
                };
                (doors.join(" "), *files, tried.inputs, outcome)
            }
            None if number == ROUTES => ("http".to_owned(), 1, 0, "see `matrix`".to_owned()),
            None => (String::new(), 0, 0, "waits".to_owned()),
        };
        writeln!(table, "{id:<6} {doors:<21} {files:>5} {inputs:>6}  {outcome:<12} {title}").unwrap();
    }
    for wait in waits {
        writeln!(table, "{:<6} waits: {} ({})", wait.case, wait.what, wait.why).unwrap();
    }
    table
}

/// Writes the table where `cargo xtask attacks` wants it.
#[expect(clippy::disallowed_methods, reason = "the command that runs this test says where it reads the table")]
fn hand_over(table: &str) {
    if let Ok(path) = std::env::var("LOCKGATE_ATTACKS_TABLE") {
        std::fs::write(path, table).unwrap();
    }
}

#[test]
fn every_attack_of_the_list_has_data_or_waits() {
    let titles = titles();
    assert_eq!(titles.keys().copied().collect::<Vec<_>>(), (1..=112).collect::<Vec<_>>());
    let (data, waits) = (with_data(), waiting());
    let whole: BTreeSet<u32> = waits.iter().filter(|wait| wait.whole).map(|wait| number(&wait.case)).collect();
    for (number, title) in &titles {
        let found = (data.contains(number), whole.contains(number));
        assert!(found.0 != found.1, "A-{number:02} ({title}) has data: {}, waits as a whole: {}", found.0, found.1);
    }
    let unknown = data.iter().copied().chain(waits.iter().map(|wait| number(&wait.case)));
    let unknown: Vec<u32> = unknown.filter(|number| !titles.contains_key(number)).collect();
    assert!(unknown.is_empty(), "not in cases.toml: {unknown:?}");
}

fn join(lines: &[&String]) -> String {
    lines.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n")
}

/// Every attack that has to be there, with the doors through which nobody tried it.
fn missing(rows: &Rows, waits: &[Wait]) -> Vec<String> {
    let mut missing = Vec::new();
    for (id, doors) in &REQUIRED {
        // The routes are held against their file by a test of their own, `matrix`.
        if *id == "A-34" && folder().join("routes.toml").exists() {
            continue;
        }
        let tried = |door: &str| rows.get(&number(id)).is_some_and(|row| row.tried.doors.contains(door));
        let names = [('c', "cli"), ('h', "http"), ('l', "library"), ('p', "page")];
        let closed: Vec<&str> = names
            .iter()
            .filter(|(letter, door)| doors.contains(*letter) && !tried(door))
            .map(|(_, door)| *door)
            .collect();
        let waits_whole = waits.iter().any(|wait| wait.case == **id && wait.whole);
        if !closed.is_empty() && !waits_whole {
            missing.push(format!("{id} ({})", closed.join(", ")));
        }
    }
    missing
}
