//! Where: which releases contain, were built, signed or found by something, and which environments run them now or ran
//! them at a time.
//!
//! The answer comes from the index of [`crate::where_index`], and from the grants of each service in each environment.
//! It knows what the evidence that was handed in says, and nothing else: a release without a bill of materials may
//! contain a package without being found by it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use lockgate_ledger::bodies::required;
use lockgate_ledger::{Event, Governance, Manifest};
use lockgate_model::facts::{Artifact, bare_purl};
use lockgate_model::{
    Digest, EnvName, Limits, PersonId, PromotionId, ReleaseName, ServiceName, StreamName, UnixMillis,
};
use lockgate_policy::TrustedSigner;
use lockgate_sign::PublicKey;
use lockgate_store::Store;

use crate::bodies::StoreBodies;
use crate::engine::Engine;
use crate::environment;
use crate::fault::Fault;
use crate::reader;
use crate::sight::Sight;
use crate::where_index::{
    ABOUT, PARTIAL, UNVERIFIED, WHERE, build_term, builder_term, clean, key_term, vulnerability_term,
};

/// The most rows of one answer.
pub const ROWS_MAX: usize = 2_000;
/// How many rows of the index one question reads at most.
const SCANNED_MAX: usize = 200_000;
/// How many rows, or entries, are read at a time.
const PAGE: usize = 512;
/// How many environments there can be at most.
const ENVIRONMENTS_MAX: usize = 1_000;
/// How many releases are named whose evidence is not indexed as a whole.
const PARTIAL_MAX: usize = 100;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// A package, in one version or in any.
    Package {
        /// The package URL without version and qualifiers.
        package: String,
        /// The version.
        version: Option<String>,
    },
    /// Every package whose URL starts so.
    PackagesFrom(String),
    /// A vulnerability, by any of its names.
    Vulnerability(String),
    /// A key by fingerprint, or a person, machine or signer by name.
    Key(String),
    /// A builder.
    Builder(String),
    /// Every builder whose id starts so.
    BuildersFrom(String),
    /// Bytes: an artifact, a manifest, evidence, notes, a configuration.
    Bytes(Digest),
}

/// Why a text is no question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is nothing to look for: write pkg:TYPE/NAME[@VERSION], cve:ID, key:FINGERPRINT or key:NAME, builder:ID, or sha256:HEX"
)]
pub struct QueryError(String);

impl FromStr for Query {
    type Err = QueryError;
    fn from_str(text: &str) -> Result<Self, QueryError> {
        let error = || QueryError(text.chars().take(160).collect());
        let text = text.trim();
        let (kind, rest) = text.split_once(':').unwrap_or(("", text));
        if rest.is_empty() || text.len() > Limits::DEFAULT.text_bytes || text.chars().any(char::is_control) {
            return Err(error());
        }
        let starts = |start: &str| text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
        match kind {
            "pkg" => {
                let (whole, open) = match text.strip_suffix('*') {
                    Some(whole) => (whole, true),
                    None => (text, false),
                };
                let name = rest.split_once('/').map(|(_, name)| name.trim_end_matches('*')).unwrap_or_default();
                if name.is_empty() {
                    return Err(error());
                }
                let (package, version) = bare_purl(whole);
                match (open, version) {
                    (true, None) => Ok(Self::PackagesFrom(clean(&package))),
                    (true, Some(_)) => Err(error()),
                    (false, version) => Ok(Self::Package { package, version }),
                }
            }
            "cve" => Ok(Self::Vulnerability(rest.to_owned())),
            "key" => Ok(Self::Key(rest.to_owned())),
            "builder" => match rest.strip_suffix('*') {
                Some("") => Err(error()),
                Some(start) => Ok(Self::BuildersFrom(start.to_owned())),
                None => Ok(Self::Builder(rest.to_owned())),
            },
            "sha256" => text.parse().map(Self::Bytes).map_err(|_| error()),
            _ if starts("CVE-") || starts("GHSA-") => Ok(Self::Vulnerability(text.to_owned())),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package { package, version: None } => f.write_str(package),
            Self::Package { package, version: Some(version) } => write!(f, "{package}@{version}"),
            Self::PackagesFrom(start) => write!(f, "{start}*"),
            Self::Vulnerability(id) => write!(f, "cve:{id}"),
            Self::Key(key) => write!(f, "key:{key}"),
            Self::Builder(builder) => write!(f, "builder:{builder}"),
            Self::BuildersFrom(start) => write!(f, "builder:{start}*"),
            Self::Bytes(digest) => digest.fmt(f),
        }
    }
}

impl Query {
    /// What the keys of its rows start with.
    fn prefix(&self) -> String {
        match self {
            Self::Package { package, version: None } => format!("{}\t", clean(package)),
            Self::Package { package, version: Some(version) } => format!("{}\t{}\t", clean(package), clean(version)),
            Self::PackagesFrom(start) => start.clone(),
            Self::Vulnerability(id) => format!("{}\t", vulnerability_term(id)),
            Self::Key(key) => format!("{}\t", key_term(key)),
            Self::Builder(builder) => format!("{}\t", builder_term(builder)),
            Self::BuildersFrom(start) => builder_term(start),
            Self::Bytes(digest) => format!("{digest}\t"),
        }
    }

    /// Whether what it finds rests on what bills of materials and scans list.
    fn needs_whole_lists(&self) -> bool {
        matches!(self, Self::Package { .. } | Self::PackagesFrom(_) | Self::Vulnerability(_))
    }
}

/// A question.
#[derive(Debug, Clone)]
pub struct Question {
    /// What is looked for.
    pub query: Query,
    /// At which moment it ran; now, without it.
    pub at: Option<UnixMillis>,
    /// Only what runs, or ran then, in this environment.
    pub environment: Option<EnvName>,
    /// How many rows.
    pub most: usize,
}

/// One release, and what says that it is one.
#[derive(Debug, Clone)]
pub struct Hit {
    /// Which.
    pub release: ReleaseName,
    /// What was found: a package with its version, a builder, or what was asked for.
    pub matched: String,
    /// What says so: `sbom`, `vulnerabilities`, `provenance`, `artifact`, `approval` and the like.
    pub kind: String,
    /// By which evidence or bytes.
    pub via: Option<Digest>,
    /// By which promotion, where an approval says so.
    pub promotion: Option<PromotionId>,
    /// In words.
    pub detail: String,
    /// Whether it rests on a signature that did not verify for a signer of the policy set.
    pub unverified: bool,
    /// The artifacts of the release that it is about.
    pub artifacts: Vec<Artifact>,
    /// Where it runs, or ran then.
    pub runs: Vec<Spell>,
}

/// How long a release ran in an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spell {
    /// Where.
    pub environment: EnvName,
    /// By which promotion.
    pub promotion: PromotionId,
    /// Since when.
    pub since: UnixMillis,
    /// Until when another took its place; absent while it runs.
    pub until: Option<UnixMillis>,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What runs first, then by release, the newest version first.
    pub hits: Vec<Hit>,
    /// How many rows were left out because there are too many.
    pub left_out: u64,
    /// Whether the index holds more than one question reads, of whatever services (`SECURITY.md`).
    pub cut: bool,
    /// Releases with evidence that is not indexed as a whole; only where that matters to what was asked.
    pub partial: Vec<ReleaseName>,
    /// Whether a key or name was asked for that belongs to no person, machine or signer of the policy set.
    pub unknown_key: bool,
}

/// A row of the index that the asker may read.
struct Found {
    release: ReleaseName,
    term: String,
    via: String,
    kind: String,
    detail: String,
    unverified: bool,
}

/// Answers a question with what somebody may read.
///
/// # Errors
/// `ENVIRONMENT_UNKNOWN` for an environment that there never was; what the store says.
pub fn find(engine: &Engine, principal: &PersonId, question: &Question) -> Result<Answer, Fault> {
    let governance = engine.governance()?;
    let store = engine.store();
    let mut sight = Sight::new(store, &governance, principal);
    let (rows, cut) = rows_under(store, &question.query.prefix(), SCANNED_MAX)?;
    let mut places = Places::new(store, question.at)?;
    // One that the policy set no longer has is asked about rightly, where something was let into it.
    if let Some(name) = question.environment.as_ref().filter(|name| !places.environments.contains(*name)) {
        environment::check(&governance.policy, name)?;
    }
    let mut found: Vec<(Found, Vec<Spell>)> = Vec::new();
    for row in rows.iter().filter_map(|(key, value)| parse(key, value)) {
        if !sight.service(&row.release.service) || !is_readable(&mut sight, &row)? {
            continue;
        }
        let runs = places.runs(&mut sight, &row.release, question.environment.as_ref())?;
        if question.environment.is_none() || !runs.is_empty() {
            found.push((row, runs));
        }
    }
    found.sort_by(|(a, a_runs), (b, b_runs)| {
        let newest = b.release.version.cmp(&a.release.version);
        a_runs.is_empty().cmp(&b_runs.is_empty()).then(a.release.service.cmp(&b.release.service)).then(newest)
    });
    let unknown_key = match &question.query {
        Query::Key(key) => found.is_empty() && is_unknown_key(&governance, &clean(key)),
        _ => false,
    };
    let most = question.most.clamp(1, ROWS_MAX);
    let left_out = found.len().saturating_sub(most) as u64;
    found.truncate(most);
    let hits = found.into_iter().map(|(row, runs)| hit(store, &question.query, row, runs)).collect::<Result<_, _>>()?;
    let partial = match question.query.needs_whole_lists() {
        true => partial(store, &mut sight)?,
        false => Vec::new(),
    };
    Ok(Answer { hits, left_out, cut, partial, unknown_key })
}

/// The releases of services that somebody may read, whose build is known by something that begins so: a commit, a run,
/// or a builder. Whoever shows entries about them asks who may read those, as ever.
///
/// # Errors
/// `QUERY_INVALID` where the index holds more of what begins so than one question reads; what the store says.
pub fn built(engine: &Engine, principal: &PersonId, start: &str) -> Result<BTreeSet<ReleaseName>, Fault> {
    let governance = engine.governance()?;
    let mut sight = Sight::new(engine.store(), &governance, principal);
    built_within(engine.store(), start, SCANNED_MAX, |service| sight.service(service))
}

/// INVARIANT (what one may not read does not exist): releases of other services are dropped before anything is told of
/// how many there are, and where their entries stand. The one exception is that there are more rows than one search
/// reads: those of other services count to them (`SECURITY.md`).
fn built_within(
    store: &dyn Store,
    start: &str,
    most: usize,
    mut is_readable: impl FnMut(&ServiceName) -> bool,
) -> Result<BTreeSet<ReleaseName>, Fault> {
    let mut releases = BTreeSet::new();
    for term in [build_term(start), builder_term(start)] {
        let (rows, is_cut) = rows_under(store, &term, most)?;
        // Whatever were left out would be missed without a word.
        if is_cut {
            let message = "`build` is too short: more of what releases were built from begins so than one search reads";
            let hint = "write more of the commit, the run or the builder";
            return Err(Fault::invalid("QUERY_INVALID", message).hint(hint));
        }
        let found = rows.iter().filter_map(|(key, value)| parse(key, value)).map(|row| row.release);
        releases.extend(found.filter(|release| is_readable(&release.service)));
    }
    Ok(releases)
}

/// Whether this is neither a person, a machine or a signer of the policy set by name, nor a key of theirs. Identities
/// in certificates are not looked up: a policy set has patterns for them.
fn is_unknown_key(governance: &Governance, key: &str) -> bool {
    let policy = &governance.policy;
    let is_identity = key.contains('@') || key.contains("://");
    let is_person = |id: PersonId| governance.person(policy.aliases().person(&id)).is_some();
    let is_signers = |signer: &TrustedSigner| {
        let is_key = |own: &PublicKey| own.keyid_ssh() == key || Digest::of(own.spki_der()).to_string() == key;
        signer.name.as_str() == key || signer.proof.key().is_some_and(is_key)
    };
    !is_identity
        && !key.parse().is_ok_and(is_person)
        && governance.owner_of_key(key).is_none()
        && !policy.signers().iter().any(is_signers)
}

/// An approval is readable with its promotion's target, a break-glass or a waiver with its own.
fn is_readable(sight: &mut Sight<'_>, row: &Found) -> Result<bool, Fault> {
    let Some((place, _)) = row.via.split_once('/') else { return Ok(true) };
    match place.parse::<EnvName>() {
        Ok(environment) => Ok(sight.target(&row.release.service, &environment)),
        Err(_) => place.parse::<PromotionId>().map_or(Ok(false), |promotion| sight.promotion(promotion)),
    }
}

fn promotion_of(via: &str) -> Option<PromotionId> {
    via.split_once('/').and_then(|(promotion, _)| promotion.parse().ok())
}

/// Rows of a projection: key and value.
type Rows = Vec<(String, Vec<u8>)>;

/// The rows whose keys start so, and whether there are more than were read: `most`, or the rest of a page more.
fn rows_under(store: &dyn Store, prefix: &str, most: usize) -> Result<(Rows, bool), Fault> {
    let mut rows = Rows::new();
    // A row's key is never the prefix alone, so that nothing is missed by starting after it.
    let mut after = prefix.to_owned();
    while rows.len() < most {
        let page = store.projections(WHERE, Some(&after), PAGE)?;
        let whole = page.len() == PAGE;
        for (key, value) in page {
            if !key.starts_with(prefix) {
                return Ok((rows, false));
            }
            after.clone_from(&key);
            rows.push((key, value));
        }
        if !whole {
            return Ok((rows, false));
        }
    }
    Ok((rows, true))
}

fn parse(key: &str, value: &[u8]) -> Option<Found> {
    let mut parts = key.rsplitn(3, '\t');
    let (via, release, term) = (parts.next()?, parts.next()?, parts.next()?);
    let text = std::str::from_utf8(value).ok()?;
    let mut parts = text.splitn(3, '\t');
    let (kind, detail) = (parts.next()?, parts.next().unwrap_or_default());
    Some(Found {
        release: release.parse().ok()?,
        term: term.to_owned(),
        via: via.to_owned(),
        kind: kind.to_owned(),
        detail: detail.to_owned(),
        unverified: parts.next() == Some(UNVERIFIED),
    })
}

fn hit(store: &dyn Store, query: &Query, row: Found, runs: Vec<Spell>) -> Result<Hit, Fault> {
    let matched = match row.term.split_once('\t') {
        Some((package, "")) => package.to_owned(),
        Some((package, version)) => format!("{package}@{version}"),
        None if row.term.starts_with("builder:") => row.term.clone(),
        None => query.to_string(),
    };
    let via: Option<Digest> = row.via.parse().ok();
    let artifacts = artifacts(store, &row.release, via.as_ref(), &row.kind)?;
    Ok(Hit {
        matched,
        promotion: promotion_of(&row.via),
        via,
        artifacts,
        runs,
        release: row.release,
        kind: row.kind,
        detail: row.detail,
        unverified: row.unverified,
    })
}

/// The artifacts that something is about: those that signed evidence names, the one that is asked for, else all.
fn artifacts(
    store: &dyn Store,
    release: &ReleaseName,
    via: Option<&Digest>,
    kind: &str,
) -> Result<Vec<Artifact>, Fault> {
    let mut all = manifest(store, release)?.map(|manifest| manifest.artifacts).unwrap_or_default();
    let Some(via) = via else { return Ok(all) };
    if kind == "artifact" {
        all.retain(|artifact| artifact.digest == *via);
        return Ok(all);
    }
    if let Some(listed) = store.projection(WHERE, &format!("{ABOUT}\t{release}\t{via}"))? {
        let listed = String::from_utf8_lossy(&listed).into_owned();
        all.retain(|artifact| listed.split(',').any(|digest| digest == artifact.digest.to_string()));
    }
    Ok(all)
}

/// The manifest of a release, without any of its evidence; `None` where it is not published. Asks no rights.
///
/// # Errors
/// What the store says.
pub fn manifest(store: &dyn Store, release: &ReleaseName) -> Result<Option<Manifest>, Fault> {
    let page = store.stream_page(&StreamName::release(release), 0, 1)?;
    let Some((_, index)) = page.first() else { return Ok(None) };
    let Event::ReleasePublished(event) = reader::entry(store, *index)?.event else { return Ok(None) };
    let bodies = StoreBodies(store);
    let bytes = required(&bodies, &event.manifest)?;
    Ok(Manifest::from_bytes(&bytes, &Limits::DEFAULT).ok())
}

/// Releases whose evidence is not indexed as a whole.
fn partial(store: &dyn Store, sight: &mut Sight<'_>) -> Result<Vec<ReleaseName>, Fault> {
    let (rows, _) = rows_under(store, &format!("{PARTIAL}\t"), SCANNED_MAX)?;
    let mut releases: Vec<ReleaseName> =
        rows.iter().filter_map(|(key, value)| parse(key, value)).map(|row| row.release).collect();
    releases.dedup();
    releases.retain(|release| sight.service(&release.service));
    releases.truncate(PARTIAL_MAX);
    Ok(releases)
}

/// What ran where at one moment; each service in each environment is looked up once.
struct Places<'a> {
    store: &'a dyn Store,
    at: Option<UnixMillis>,
    environments: Vec<EnvName>,
    known: BTreeMap<(EnvName, ServiceName), Option<(ReleaseName, Spell)>>,
}

impl<'a> Places<'a> {
    fn new(store: &'a dyn Store, at: Option<UnixMillis>) -> Result<Self, Fault> {
        Ok(Self { store, at, environments: environments(store)?, known: BTreeMap::new() })
    }

    fn runs(
        &mut self,
        sight: &mut Sight<'_>,
        release: &ReleaseName,
        only: Option<&EnvName>,
    ) -> Result<Vec<Spell>, Fault> {
        let mut runs = Vec::new();
        for environment in self.environments.clone() {
            if only.is_some_and(|only| *only != environment) || !sight.target(&release.service, &environment) {
                continue;
            }
            let key = (environment.clone(), release.service.clone());
            let known = match self.known.get(&key) {
                Some(known) => known.clone(),
                None => {
                    let found = spell(self.store, &environment, &release.service, self.at)?;
                    self.known.insert(key, found.clone());
                    found
                }
            };
            runs.extend(known.filter(|(running, _)| running == release).map(|(_, spell)| spell));
        }
        Ok(runs)
    }
}

/// Every environment that something was ever granted into, whatever the policy set defines today.
fn environments(store: &dyn Store) -> Result<Vec<EnvName>, Fault> {
    let mut found: Vec<EnvName> = Vec::new();
    let mut after = None;
    while found.len() < ENVIRONMENTS_MAX {
        let page = store.stream_heads("running:", after.as_deref(), 1)?;
        let Some((stream, _)) = page.first() else { break };
        let name = stream.as_str().strip_prefix("running:").and_then(|rest| rest.split('/').next()).unwrap_or_default();
        // No name holds a `~`, and every character that a name may hold comes before it.
        after = Some(format!("running:{name}/~"));
        found.extend(name.parse::<EnvName>().ok());
    }
    Ok(found)
}

/// What ran there at a moment: the newest grant that was not later.
fn spell(
    store: &dyn Store,
    environment: &EnvName,
    service: &ServiceName,
    at: Option<UnixMillis>,
) -> Result<Option<(ReleaseName, Spell)>, Fault> {
    let stream = StreamName::running(environment, service);
    let (mut before, mut until) = (None, None);
    let size = if at.is_none() { 1 } else { PAGE };
    loop {
        let page = store.stream_page_newest(&stream, before, size)?;
        for (seq, index) in &page {
            before = Some(*seq);
            let entry = reader::entry(store, *index)?;
            if at.is_none_or(|at| entry.time <= at) {
                let Event::GrantIssued(grant) = entry.event else { return Ok(None) };
                let (promotion, since) = (grant.promotion, entry.time);
                let spell = Spell { environment: environment.clone(), promotion, since, until };
                return Ok(Some((grant.release, spell)));
            }
            until = Some(entry.time);
        }
        if page.len() < size {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use lockgate_store::{Batch, LedgerStore as _, MemoryStore, Projection};

    use super::*;

    #[test]
    fn questions_are_read_or_refused() {
        let check = |text: &str, prefix: &str| {
            let query: Query = text.parse().unwrap();
            assert_eq!(query.prefix(), prefix, "{text}");
        };
        check("pkg:npm/%40acme/session@0.9.4", "pkg:npm/@acme/session\t0.9.4\t");
        check("pkg:npm/@acme/session", "pkg:npm/@acme/session\t");
        check("pkg:npm/acme-router", "pkg:npm/acme-router\t");
        check("pkg:npm/acme-*", "pkg:npm/acme-");
        check("pkg:npm/@acme/*", "pkg:npm/@acme/");
        check("cve:cve-2026-1", "vuln:CVE-2026-1\t");
        check("GHSA-aaaa-bbbb", "vuln:GHSA-AAAA-BBBB\t");
        check("key:SHA256:abc", "key:SHA256:abc\t");
        check("builder:https://github.com/*", "builder:https://github.com/");
        let digest = Digest::of(b"a").to_string();
        check(&digest, &format!("{digest}\t"));
        for bad in [
            "",
            "pkg:",
            "pkg:npm",
            "pkg:npm/",
            "pkg:*",
            "pkg:npm/*",
            "pkg:npm/a@1*",
            "cve:",
            "sha256:abc",
            "router",
            "builder:*",
            "a:b",
        ] {
            assert!(bad.parse::<Query>().is_err(), "{bad}");
        }
    }

    #[test]
    fn builds_are_of_readable_services_and_found_whole_or_not_at_all() {
        let store = MemoryStore::new();
        let row = |service: &str, commit: String| Projection {
            kind: WHERE,
            key: format!("build:{commit}\t{service}@1.0.0\tsha256:ab"),
            value: Some(b"manifest\tbuilt from this commit".to_vec()),
        };
        let ours = (0..PAGE).map(|number| row("shop/web", format!("aa{number:04}")));
        let rows = ours.chain([row("bank/api", "aa0000".to_owned()), row("bank/api", "bb0000".to_owned())]);
        store.commit(&Batch::of_projections(&store.head().unwrap(), rows.collect())).unwrap();
        let check = |start: &str, wanted: Result<&[&str], &str>| {
            let readable = |service: &ServiceName| service.as_str() == "shop/web";
            let found = built_within(&store, start, PAGE, readable);
            let found = found.map(|releases| releases.iter().map(ToString::to_string).collect::<Vec<_>>());
            let wanted = wanted.map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(found.map_err(|fault| fault.code), wanted, "{start}");
        };
        check("aa00", Ok(&["shop/web@1.0.0"]));
        check("bb", Ok(&[]));
        check("cc", Ok(&[]));
        check("aa", Err("QUERY_INVALID"));
    }

    #[test]
    fn rows_read_back() {
        let row = parse("pkg:npm/a\t1\tshop/web@1.0.0\tsha256:ab", b"sbom\tMIT").unwrap();
        assert_eq!((row.term.as_str(), row.via.as_str()), ("pkg:npm/a\t1", "sha256:ab"));
        assert_eq!((row.kind.as_str(), row.detail.as_str(), row.unverified), ("sbom", "MIT", false));
        let row = parse("builder:b\tshop/web@1.0.0\tsha256:ab", b"provenance\tbuilt it\tunverified").unwrap();
        assert_eq!((row.kind.as_str(), row.detail.as_str(), row.unverified), ("provenance", "built it", true));
        assert!(parse("nonsense", b"").is_none());
        assert_eq!(promotion_of("P-3/17"), Some(PromotionId(3)));
        assert_eq!(promotion_of("sha256:ab"), None);
    }
}
