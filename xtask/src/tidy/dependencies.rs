//! Dependencies: arrows between rooms go only downwards, and every package from outside is known and paid for.

use std::collections::BTreeSet;
use std::path::Path;

use crate::workspace::Package;

/// Which rooms each room may use; `lockgate` is the binary, which may use all others.
const MAY_USE: &[(&str, &[&str])] = &[
    ("failpoint", &[]),
    ("model", &[]),
    ("sign", &["failpoint", "model"]),
    ("sigstore", &["model", "sign"]),
    ("tlog", &["failpoint", "model", "sign"]),
    ("evidence", &["model", "sign"]),
    ("policy", &["failpoint", "model", "sign"]),
    ("ledger", &["failpoint", "model", "sign", "sigstore", "tlog", "evidence", "policy"]),
    ("store", &["failpoint", "model"]),
    ("store-local", &["failpoint", "model", "store"]),
    ("engine", &["failpoint", "model", "sign", "sigstore", "tlog", "evidence", "policy", "ledger", "store"]),
    ("api", &["model"]),
    ("web", &["model", "api"]),
    (
        "server",
        &["failpoint", "model", "sign", "tlog", "evidence", "policy", "ledger", "store", "engine", "api", "web"],
    ),
    (
        "lockgate",
        &[
            "failpoint",
            "model",
            "sign",
            "sigstore",
            "tlog",
            "evidence",
            "policy",
            "ledger",
            "store",
            "store-local",
            "engine",
            "api",
            "server",
        ],
    ),
];

/// The rooms that an auditor has to trust.
const PURE: &[&str] = &["model", "sign", "sigstore", "tlog", "evidence", "policy", "ledger"];

/// What no pure room depends on, not even in its tests: runtimes, HTTP, SQL.
const IMPURE: &[&str] = &["tokio", "hyper", "axum", "ureq", "rusqlite"];

/// How many packages `Cargo.lock` may hold. Every one is built from nothing by whoever checks us, and read by whoever
/// audits us; a new one has to push out an old one before this number rises.
const LOCKED_MAX: usize = 300;

/// Packages of `crates/` that use a room which stands above them, and rooms that the table does not know.
pub fn rooms(packages: &[Package], root: &Path) -> Vec<String> {
    let crates = root.join("crates");
    let mut problems = Vec::new();
    for package in packages.iter().filter(|package| package.manifest_path.starts_with(&crates)) {
        let Some((_, allowed)) = MAY_USE.iter().find(|(room, _)| *room == room_of(&package.name)) else {
            problems.push(format!(
                "{}: not in the table of rooms in xtask/src/tidy/dependencies.rs; add a row",
                package.name
            ));
            continue;
        };
        let used = package.dependencies.iter().filter(|dependency| dependency.kind.is_none());
        for used in used.filter(|used| used.name == "lockgate" || used.name.starts_with("lockgate-")) {
            if !allowed.contains(&room_of(&used.name)) {
                problems.push(format!(
                    "{}: may not use {}; arrows between rooms go only downwards",
                    package.name, used.name
                ));
            }
        }
    }
    problems
}

/// Pure rooms that depend on a runtime, HTTP or SQL.
pub fn pure_rooms(packages: &[Package]) -> Vec<String> {
    let mut problems = Vec::new();
    for package in packages.iter().filter(|package| PURE.contains(&room_of(&package.name))) {
        for used in package.dependencies.iter().filter(|used| IMPURE.contains(&used.name.as_str())) {
            problems.push(format!("{}: is pure and may not depend on {}", package.name, used.name));
        }
    }
    problems
}

/// A lock file with too many packages.
pub fn too_many(lock: &str) -> Option<String> {
    let count = lock.lines().filter(|line| *line == "[[package]]").count();
    (count > LOCKED_MAX).then(|| format!("Cargo.lock: {count} packages, of at most {LOCKED_MAX}; remove one first"))
}

/// Outside dependencies of the workspace that no row of the table explains.
pub fn without_row(manifest: &str, table: &str) -> Vec<String> {
    let explained: BTreeSet<&str> = table.lines().filter_map(first_cell).flat_map(words).collect();
    let missing = outside(manifest).into_iter().filter(|name| !explained.contains(name));
    missing.map(|name| format!("docs/dependencies.md: no row says what `{name}` is for and what it costs")).collect()
}

fn room_of(package: &str) -> &str {
    package.strip_prefix("lockgate-").unwrap_or(package)
}

/// The names under `[workspace.dependencies]` that are not rooms.
fn outside(manifest: &str) -> Vec<&str> {
    let lines = manifest.lines().skip_while(|line| line.trim() != "[workspace.dependencies]").skip(1);
    let entries = lines.take_while(|line| !line.starts_with('['));
    let names = entries.filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim());
    names.filter(|name| !name.starts_with('#') && !name.starts_with("lockgate-")).collect()
}

fn first_cell(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix('|')?.split('|').next()
}

fn words(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependency = |(name, kind): &(&str, Option<&str>)| Dependency {
            name: (*name).to_owned(),
            kind: kind.map(ToOwned::to_owned),
        };
        Package {
            name: name.to_owned(),
            manifest_path: format!("/w/crates/{}/Cargo.toml", room_of(name)).into(),
            dependencies: dependencies.iter().map(dependency).collect(),
        }
    }

    #[test]
    fn arrows_go_only_downwards() {
        let check = |package: Package, expected: usize| {
            let problems = rooms(&[package], Path::new("/w"));
            assert_eq!(problems.len(), expected, "{problems:?}");
        };
        check(package("lockgate-ledger", &[("lockgate-policy", None), ("serde", None)]), 0);
        check(package("lockgate-policy", &[("lockgate-ledger", None)]), 1);
        check(package("lockgate-policy", &[("lockgate-ledger", Some("dev"))]), 0);
        check(package("lockgate-server", &[("lockgate-store-local", None)]), 1);
        check(package("lockgate", &[("lockgate-store-local", None), ("lockgate-server", None)]), 0);
        check(package("lockgate-api", &[("lockgate", None)]), 1);
        check(package("lockgate-elsewhere", &[]), 1);
        let elsewhere =
            Package { manifest_path: "/w/xtask/Cargo.toml".into(), ..package("xtask", &[("lockgate", None)]) };
        check(elsewhere, 0);
    }

    #[test]
    fn pure_rooms_stay_pure() {
        assert_eq!(pure_rooms(&[package("lockgate-model", &[("serde", None)])]), Vec::<String>::new());
        assert_eq!(pure_rooms(&[package("lockgate-model", &[("tokio", Some("dev"))])]).len(), 1);
        assert_eq!(pure_rooms(&[package("lockgate-server", &[("tokio", None)])]), Vec::<String>::new());
    }

    #[test]
    fn packages_are_counted() {
        assert_eq!(too_many(&"[[package]]\nname = \"a\"\n".repeat(LOCKED_MAX)), None);
        assert!(too_many(&"[[package]]\n".repeat(LOCKED_MAX + 1)).is_some());
    }

    #[test]
    fn every_outside_dependency_needs_a_row() {
        let manifest = "[workspace]\nmembers = []\n\n[workspace.dependencies]\nlockgate-model = { path = \"crates/model\" }\n\
                        serde = { version = \"1\" }\nserde_json = \"1\"\n\n[profile.dev]\ndebug = 1\n";
        let check = |table: &str, missing: &[&str]| {
            let problems = without_row(manifest, table);
            assert_eq!(problems.len(), missing.len(), "{problems:?}");
            assert!(missing.iter().zip(&problems).all(|(name, problem)| problem.contains(&format!("`{name}`"))));
        };
        check("| `serde` | x |\n| `serde_json` 1 | y |\n", &[]);
        check("| `serde_json` | instead of `serde` |\n", &["serde"]);
        check("serde and serde_json\n", &["serde", "serde_json"]);
    }
}
