//! Graph: the environments of the active policy set, what leads from one into another, and how much is in each.
//!
//! For pipelines that do not form one line. That something runs is told by the names of streams; which version it is has
//! to be read, and is only where there is so little of it that a page of the matrix could read it too. Where there is more,
//! the graph says so instead of reading all.

use std::collections::BTreeMap;

use lockgate_ledger::Event;
use lockgate_model::{EntryIndex, EnvName, GateName, PersonId, ServiceName, Version};
use lockgate_policy::{Environment, GateKind, Object, PolicySet};

use super::{CELLS_MAX, NAMES, Reader, open};
use crate::engine::Engine;
use crate::fault::Fault;
use crate::reader;

/// One environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Which.
    pub environment: EnvName,
    /// How many services run something there; absent where there are too many to count.
    pub running: Option<u64>,
    /// How many of them run an older version than an environment that they come from; absent where there are too many to
    /// read.
    pub behind: Option<u64>,
    /// How many promotions into it are open.
    pub open: u64,
}

/// What leads from one environment into another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Where releases come from.
    pub from: EnvName,
    /// Where they get in.
    pub into: EnvName,
    /// Whether the second one names the first in `after`.
    pub comes: bool,
    /// The gates that ask for a certificate of the first, of some service at least.
    pub gates: Vec<GateName>,
    /// How many services run an older version in the second; absent where there are too many to read.
    pub behind: Option<u64>,
}

/// All of it, as far as somebody may read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// The environments, in policy order.
    pub nodes: Vec<Node>,
    /// What leads into each, in the same order.
    pub edges: Vec<Edge>,
    /// Whether more promotions are open than were counted.
    pub open_cut: bool,
}

/// How many places, each a service in an environment, are counted at most.
const PLACES_MAX: usize = 50_000;

/// The services that run something in each environment, with the entry of its grant.
type Places<'a> = BTreeMap<&'a EnvName, Vec<(ServiceName, EntryIndex)>>;
/// What runs of each service in each environment.
type Everywhere = BTreeMap<EnvName, BTreeMap<ServiceName, Version>>;

/// The graph with the counts of what somebody may read.
///
/// # Errors
/// What the store says.
pub fn graph(engine: &Engine, principal: &PersonId) -> Result<Graph, Fault> {
    let governance = engine.governance()?;
    let now = engine.time();
    let reader = Reader { governance: &governance, principal, now };
    let policy = &governance.policy;
    let found = open(engine, &reader, false)?;
    let places = places(engine, &reader, policy.environments())?;
    let few = places.as_ref().filter(|places| places.values().map(Vec::len).sum::<usize>() <= CELLS_MAX);
    let versions = few.map(|places| versions(engine, places)).transpose()?;
    let mut edges = edges(policy);
    if let Some(versions) = &versions {
        for edge in &mut edges {
            edge.behind = Some(behind(versions, &edge.into, &[&edge.from]));
        }
    }
    let node = |environment: &Environment| {
        let name = &environment.name;
        let sources: Vec<&EnvName> = environment.after.iter().collect();
        let here = |places: &Places<'_>| places.get(name).map_or(0, Vec::len) as u64;
        Node {
            environment: name.clone(),
            running: places.as_ref().map(here),
            behind: versions.as_ref().map(|all| behind(all, name, &sources)),
            open: found.by_environment.get(name).copied().unwrap_or_default(),
        }
    };
    Ok(Graph { nodes: policy.environments().iter().map(node).collect(), edges, open_cut: found.cut })
}

/// What leads into each environment: what it names in `after`, and what gates ask to be certified in.
fn edges(policy: &PolicySet) -> Vec<Edge> {
    let mut edges = Vec::new();
    for environment in policy.environments() {
        let into = &environment.name;
        let edge = |from: &EnvName| Edge {
            from: from.clone(),
            into: into.clone(),
            comes: environment.after.contains(from),
            gates: Vec::new(),
            behind: None,
        };
        let mut here: BTreeMap<&EnvName, Edge> = environment.after.iter().map(|from| (from, edge(from))).collect();
        for gate in policy.gates().iter().filter(|gate| gate.environments.contains(into)) {
            let GateKind::Certified(certified) = &gate.kind else { continue };
            for from in certified.certified_in.as_deref().unwrap_or(&environment.after) {
                here.entry(from).or_insert_with(|| edge(from)).gates.push(gate.name.clone());
            }
        }
        edges.extend(here.into_values());
    }
    edges
}

/// Where something runs, and the entry that says what: none where there are more than [`PLACES_MAX`].
fn places<'a>(engine: &Engine, by: &Reader<'_>, environments: &'a [Environment]) -> Result<Option<Places<'a>>, Fault> {
    let mut places = Places::new();
    let mut read = 0;
    for environment in environments.iter().map(|environment| &environment.name) {
        let prefix = format!("running:{environment}/");
        let mut after: Option<String> = None;
        loop {
            let heads = engine.store().stream_heads(&prefix, after.as_deref(), NAMES)?;
            read += heads.len();
            if read > PLACES_MAX {
                return Ok(None);
            }
            for (stream, head) in &heads {
                let name = stream.as_str().strip_prefix(&prefix).and_then(|name| name.parse::<ServiceName>().ok());
                let readable = name.filter(|service| by.may_read(Object::Target(service, environment)));
                places.entry(environment).or_default().extend(readable.map(|service| (service, head.index)));
            }
            match heads.last() {
                Some((stream, _)) if heads.len() == NAMES => after = Some(stream.as_str().to_owned()),
                _ => break,
            }
        }
    }
    Ok(Some(places))
}

/// Which versions run there.
fn versions(engine: &Engine, places: &Places<'_>) -> Result<Everywhere, Fault> {
    let mut all = Everywhere::new();
    for (environment, services) in places {
        for (service, index) in services {
            if let Event::GrantIssued(grant) = reader::entry(engine.store(), *index)?.event {
                all.entry((*environment).clone()).or_default().insert(service.clone(), grant.release.version);
            }
        }
    }
    Ok(all)
}

/// How many services run an older version in an environment than in at least one of those that they come from.
fn behind(all: &Everywhere, environment: &EnvName, sources: &[&EnvName]) -> u64 {
    let Some(here) = all.get(environment) else { return 0 };
    let is_behind = |service: &ServiceName, version: &Version| {
        let mut there = sources.iter().filter_map(|from| all.get(*from)?.get(service));
        there.any(|newer| version < newer)
    };
    here.iter().filter(|&(service, version)| is_behind(service, version)).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_behind_once_however_many_sources_are_ahead() {
        let name = |text: &str| text.parse::<EnvName>().unwrap();
        let runs = |all: &[(&str, &str)]| -> BTreeMap<ServiceName, Version> {
            all.iter().map(|(service, version)| (service.parse().unwrap(), version.parse().unwrap())).collect()
        };
        let all = Everywhere::from([
            (name("test"), runs(&[("a", "1.10.0"), ("b", "1.0.0")])),
            (name("audit"), runs(&[("a", "1.10.0"), ("c", "2.0.0")])),
            (name("production"), runs(&[("a", "1.9.0"), ("b", "1.0.0"), ("c", "1.0.0"), ("d", "1.0.0")])),
        ]);
        let check = |environment: &str, sources: &[&str], wanted: u64| {
            let sources: Vec<EnvName> = sources.iter().map(|source| name(source)).collect();
            let sources: Vec<&EnvName> = sources.iter().collect();
            assert_eq!(behind(&all, &name(environment), &sources), wanted, "{environment} {sources:?}");
        };
        check("production", &["test"], 1);
        check("production", &["test", "audit"], 2);
        check("production", &[], 0);
        check("test", &["production"], 0);
        check("nowhere", &["test"], 0);
    }

    #[test]
    fn edges_are_what_comes_after_and_what_gates_ask_for() {
        let set = |gates: &str| {
            let mut files = PolicySet::starter("starter").unwrap();
            let environments = files.get_mut("environments.toml").unwrap();
            *environments = environments.replace("after = [\"staging\"]", "after = [\"dev\", \"staging\"]");
            files.retain(|name, _| !name.starts_with("tests/"));
            files.insert("gates/more.toml".to_owned(), gates.to_owned());
            PolicySet::from_files(files).unwrap()
        };
        let seen = |policy: &PolicySet, into: &str| -> Vec<(String, bool, bool)> {
            let all = edges(policy).into_iter().filter(|edge| edge.into.as_str() == into);
            let asks = |edge: &Edge| edge.gates.iter().any(|gate| gate.as_str() == "more");
            all.map(|edge| (edge.from.to_string(), edge.comes, asks(&edge))).collect()
        };
        let from = |name: &str, comes: bool, asked: bool| (name.to_owned(), comes, asked);
        let policy = set("[[gate]]\nname = \"more\"\nkind = \"certified\"\nenvironments = [\"production\"]\n");
        assert!(seen(&policy, "dev").is_empty());
        assert_eq!(seen(&policy, "production"), [from("dev", true, true), from("staging", true, true)]);
        let policy = set(
            "[[gate]]\nname = \"more\"\nkind = \"certified\"\nenvironments = [\"staging\", \"production\"]\ncertified_in = [\"dev\"]\n",
        );
        assert_eq!(seen(&policy, "staging"), [from("dev", true, true)]);
        assert_eq!(seen(&policy, "production"), [from("dev", true, true), from("staging", true, false)]);
    }
}
