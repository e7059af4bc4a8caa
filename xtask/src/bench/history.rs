//! History: a ledger of many services, written by the real engine through its own verbs.
//!
//! No server and no network: what is measured on it is reading. Every service has releases of its own, each with a bill
//! of materials, a scan and a test report that no other has, and every asked promotion takes the whole way up.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use lockgate_engine::attest::{Evidence, Form, check};
use lockgate_engine::bodies::Upload;
use lockgate_engine::clock::EntropyError;
use lockgate_engine::engine::Parts;
use lockgate_engine::promote::{Promote, promote};
use lockgate_engine::push::{Publish, publish};
use lockgate_engine::{Clock, Engine, Entropy, LedgerKeys, people, setup};
use lockgate_ledger::entry::{PersonEnrolled, Sponsor};
use lockgate_ledger::governance::{ENROLMENT_NAMESPACE, EnrolmentDocument, document_bytes};
use lockgate_model::facts::{Artifact, SubjectKind};
use lockgate_model::{GroupName, PersonId, ReleaseName, UnixMillis};
use lockgate_policy::PolicySet;
use lockgate_sign::AttestationKey;
use lockgate_sign::note::{NoteKeyKind, NoteSigner};
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};
use lockgate_store::BlobStore as _;
use lockgate_store_local::{LocalStore, Options};
use serde_json::{Value, json};

use super::decide;
use crate::failure::{During as _, Failure, Result};
use crate::random::Random;

/// The origin of the ledger.
const ORIGIN: &str = "bench.lockgate.example";
/// The code of its first owner.
const SETUP_CODE: &str = "the code of the bench";
/// How many threads hand in: enough that the sequencer has a batch to commit.
const THREADS: u64 = 16;
/// How many packages there are in all; every release has a few of them.
const PACKAGES: u64 = 2000;
/// How many packages one release has.
const PACKAGES_EACH: u64 = 20;
/// How many vulnerabilities one scan finds.
const FINDINGS_EACH: u64 = 5;
/// How many decisions one promotion to production takes: one in each environment on the way.
pub const DECISIONS_EACH: u64 = 3;
/// Who owns, who develops, and the machine that builds.
const PEOPLE: [(&str, SubjectKind, &[&str]); 3] = [
    ("sam", SubjectKind::Person, &["owners", "approvers"]),
    ("dana", SubjectKind::Person, &["developers"]),
    ("ci", SubjectKind::Machine, &["ci"]),
];

/// A clock that goes on by a millisecond whenever it is asked.
struct Ticks(AtomicU64);

impl Clock for Ticks {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Bytes that are the same in every run.
struct Seeded(Mutex<Random>);

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) -> std::result::Result<(), EntropyError> {
        self.0.lock().map_err(|_| EntropyError)?.fill(bytes);
        Ok(())
    }
}

/// How large a history is.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Services.
    pub services: u64,
    /// How many promotions to production are asked for: of one version of every service, then of the next.
    pub promotions: u64,
}

/// A ledger with its engine.
pub struct History {
    /// The engine, for questions.
    pub engine: Engine,
    /// The store, for reading.
    pub store: Arc<LocalStore>,
    /// How large it is.
    pub extent: Extent,
}

impl History {
    /// Writes it into an empty folder.
    ///
    /// # Errors
    /// What the engine refuses.
    pub fn write(folder: &Path, extent: Extent) -> Result<Self> {
        let store = Arc::new(LocalStore::open(folder, Options::default())?);
        let log = NoteSigner::from_seed(ORIGIN, NoteKeyKind::Ed25519, &[9; 32])?;
        let engine = Engine::open(Parts {
            store: store.clone(),
            keys: LedgerKeys { log, attestation: AttestationKey::generate()? },
            clock: Arc::new(Ticks(AtomicU64::new(1_800_000_000_000))),
            entropy: Arc::new(Seeded(Mutex::new(Random::new(3)))),
            on_fatal: Box::new(|reason| eprintln!("the engine has to stop: {reason}")),
        })?;
        let history = Self { engine, store, extent };
        let policy = policy(|_, text| text.to_owned())?;
        setup::create(&history.engine, policy.document(), SETUP_CODE)?;
        for (name, kind, groups) in PEOPLE {
            history.enrol(name, kind, groups)?;
        }
        history.fill()?;
        Ok(history)
    }

    fn enrol(&self, name: &str, subject: SubjectKind, groups: &[&str]) -> Result<()> {
        let signer = key_of(name)?;
        let groups =
            groups.iter().map(|group| group.parse::<GroupName>()).collect::<std::result::Result<Vec<_>, _>>()?;
        let person: PersonId = name.parse()?;
        let document = EnrolmentDocument::new(ORIGIN, &person, subject, &groups, signer.public_key());
        let document = document_bytes(&document)?;
        let proof = signer.sign(ENROLMENT_NAMESPACE, &document)?.to_armored();
        let owner: PersonId = "sam".parse()?;
        let sponsor = match person == owner {
            true => Sponsor::SetupCode { code: SETUP_CODE.to_owned() },
            false => Sponsor::Countersigned {
                by: owner.clone(),
                signature: key_of("sam")?.sign(ENROLMENT_NAMESPACE, &document)?.to_armored(),
            },
        };
        let event = PersonEnrolled {
            person: person.clone(),
            subject,
            groups,
            key: signer.public_key().clone(),
            proof,
            sponsor,
            countersigned: Vec::new(),
            expires_at: None,
            environments: Vec::new(),
        };
        let submission = match person == owner {
            true => setup::first_owner(event)?,
            false => people::enrol(&owner, event)?,
        };
        self.engine.run(submission)?;
        Ok(())
    }

    /// Publishes and promotes, version by version: all threads have to be done with one before the next begins.
    fn fill(&self) -> Result<()> {
        let Extent { services, promotions } = self.extent;
        for version in 0..promotions.div_ceil(services.max(1)) {
            let left = promotions.saturating_sub(version * services).min(services);
            let next = AtomicU64::new(0);
            let work = || -> Result<()> {
                loop {
                    let service = next.fetch_add(1, Ordering::Relaxed);
                    if service >= left {
                        return Ok(());
                    }
                    self.release(service, version)?;
                }
            };
            thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
                let join = |thread: thread::ScopedJoinHandle<'_, Result<()>>| {
                    thread.join().unwrap_or_else(|_| Err(Failure::new("a thread panicked")))
                };
                threads.into_iter().try_for_each(join)
            })?;
        }
        Ok(())
    }

    fn release(&self, service: u64, version: u64) -> Result<()> {
        let release: ReleaseName = format!("bench/service-{service}@1.{version}.0").parse()?;
        let mut staged = self.store.stage()?;
        staged.write(format!("the artifact of {release}").as_bytes())?;
        let (digest, size_bytes) = staged.commit(None)?;
        let reports = [junit(&release), sbom(&release, service, version)?, scan(&release, service, version)?];
        let mut evidence = Vec::new();
        for report in reports {
            let upload = Upload::Inline(report.into_bytes());
            evidence.push(check(&self.engine, Evidence { upload, form: Form::Report(None), expect: None })?);
        }
        let artifacts = vec![Artifact { digest, name: "app".to_owned(), size_bytes }];
        let request = Publish { release: release.clone(), artifacts, source: None, notes: None, evidence };
        self.engine.run(publish(&self.engine, "ci".parse()?, request)?)?;
        let request =
            Promote { release, environment: "production".parse()?, reason: "written by the bench".to_owned() };
        let receipt = self.engine.run(promote("dana".parse()?, request)?)?;
        let asked = receipt.value.get("promotions").and_then(Value::as_array).map_or(0, Vec::len) as u64;
        match asked == DECISIONS_EACH {
            true => Ok(()),
            false => Err(Failure::new(format!("a promotion went another way than expected: {}", receipt.value))),
        }
    }
}

fn key_of(name: &str) -> Result<FileSigner> {
    let mut seed = [7u8; 32];
    for (to, from) in seed.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    Ok(FileSigner::ed25519_from_seed(&seed, name)?)
}

/// The starter policy set, with its files changed.
///
/// # Errors
/// When it does not load any more.
pub fn policy(change: impl Fn(&str, &str) -> String) -> Result<PolicySet> {
    let files = PolicySet::starter("starter").ok_or_else(|| Failure::new("there is no starter policy set"))?;
    decide::read(files.into_iter().map(|(path, text)| (path.clone(), change(&path, &text))).collect())
}

/// The package with a number; numbers go round.
pub fn package(number: u64) -> String {
    format!("pkg:npm/library-{}", number % PACKAGES)
}

/// The vulnerability with a number; numbers go round.
pub fn vulnerability(number: u64) -> String {
    format!("CVE-2098-{}", 10_000 + number % PACKAGES)
}

fn junit(release: &ReleaseName) -> String {
    crate::requests::junit(&release.to_string())
}

/// The packages of neighbouring services overlap, and differ from version to version.
fn packages(service: u64, version: u64) -> impl Iterator<Item = (u64, String)> {
    (0..PACKAGES_EACH).map(move |at| {
        let number = (service * 7 + at * at * 3) % PACKAGES;
        (number, format!("{}.{}.{at}", 1 + number % 3, version))
    })
}

fn sbom(release: &ReleaseName, service: u64, version: u64) -> Result<String> {
    let components: Vec<Value> = packages(service, version)
        .map(|(number, version)| {
            let purl = format!("{}@{version}", package(number));
            json!({ "type": "library", "name": format!("library-{number}"), "version": version, "purl": purl })
        })
        .collect();
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "component": { "type": "application", "name": release.to_string() } },
        "components": components,
    });
    serde_json::to_string(&document).during("write a bill of materials")
}

/// All of medium severity, which the starter policy set lets pass.
fn scan(release: &ReleaseName, service: u64, version: u64) -> Result<String> {
    let findings: Vec<Value> = packages(service, version)
        .take(FINDINGS_EACH as usize)
        .map(|(number, version)| {
            json!({
                "VulnerabilityID": vulnerability(number),
                "PkgName": format!("library-{number}"),
                "PkgIdentifier": { "PURL": format!("{}@{version}", package(number)) },
                "InstalledVersion": version,
                "FixedVersion": "9.0.0",
                "Severity": "MEDIUM",
            })
        })
        .collect();
    let document = json!({
        "SchemaVersion": 2,
        "Trivy": { "Version": "0.74.0" },
        "ArtifactName": release.to_string(),
        "Results": [{ "Target": "app", "Class": "lang-pkgs", "Type": "npm", "Vulnerabilities": findings }],
    });
    serde_json::to_string(&document).during("write a scan")
}
