//! Story: two releases that two people approved, one with an SSH key and one with a passkey, in a ledger that the real
//! engine writes for this run; and everything of it that somebody verifies.
//!
//! It is as small as it can be, so that a verifier reads many changed copies of it in a short time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use lockgate_engine::approve::{Approve, approve};
use lockgate_engine::attest::{Evidence, Form, check};
use lockgate_engine::bodies::Upload;
use lockgate_engine::clock::EntropyError;
use lockgate_engine::engine::Parts;
use lockgate_engine::promote::{Promote, promote};
use lockgate_engine::push::{Publish, publish};
use lockgate_engine::{Clock, Engine, Entropy, LedgerKeys, bundle, people, setup, why};
use lockgate_ledger::approval::{Anchor, Consent, NAMESPACE, document_for};
use lockgate_ledger::entry::{PersonEnrolled, Sponsor};
use lockgate_ledger::governance::{ENROLMENT_NAMESPACE, EnrolmentDocument, document_bytes};
use lockgate_ledger::{Bundle, Governance, TrustFile};
use lockgate_model::facts::{Artifact, SubjectKind, Verdict};
use lockgate_model::{Digest, EntryIndex, GroupName, PersonId, PromotionId, ReleaseName, Span, UnixMillis};
use lockgate_policy::PolicySet;
use lockgate_sign::AttestationKey;
use lockgate_sign::note::{Note, NoteKeyKind, NoteSigner};
use lockgate_sign::passkey::SoftPasskey;
use lockgate_sign::ssh_signer::{FileSigner, SshSigner};
use lockgate_store::{BlobStore as _, LedgerStore as _};
use lockgate_store_local::{LocalStore, Options};
use lockgate_tlog::cosignature::cosign;
use lockgate_tlog::{Checkpoint, ProofFile, leaf_hash};

use crate::failure::{Failure, Result};
use crate::random::Random;
use crate::requests;
use crate::scratch::Scratch;

/// The origin of every such ledger, so that another one looks as alike as it can.
const ORIGIN: &str = "mutate.lockgate.example";
/// The code of the first owner.
const SETUP_CODE: &str = "the code of the mutants";
/// Where the passkey is used.
const WEB_ORIGIN: &str = "https://lockgate.example";
/// The environment of both grants.
pub const ENVIRONMENT: &str = "production";
/// What is granted: two services, so that the proof of one says nothing about the other.
const RELEASES: [&str; 2] = ["shop/web@1.4.2", "shop/api@2.0.0"];
/// When the witnesses have seen the ledger, in seconds since 1970.
const WITNESSED_AT: u64 = 1_800_000_100;
/// More entries than the story has.
const ENTRIES_MAX: usize = 200;
/// The policy set: few files, few lines.
const POLICY: [(&str, &str); 4] = [
    (
        "policy.toml",
        "# What the mutants are made of.\nname = \"mutants\"\ndescription = \"For the mutants\"\n\
         verifier_id = \"https://lockgate.example/verifier/v1\"\n\
         resource_uri = \"https://lockgate.example/{environment}/{service}\"\n\
         approval_ttl = \"72h\"\npromotion_ttl = \"30d\"\n",
    ),
    (
        "environments.toml",
        "[environment.production]\npurpose = \"serve\"\nowners = [\"owners\"]\nrisk = \"high\"\ngrant_ttl = \"90d\"\n",
    ),
    (
        "people.toml",
        "[role.developer]\npermissions = [\"read\", \"push\", \"attest\", \"request\"]\n\n\
         [role.approver]\npermissions = [\"read\", \"approve\", \"reject\"]\n\n\
         [role.owner]\npermissions = [\"read\", \"audit\", \"keys\", \"policy\"]\n\n\
         [group.developers]\nroles = [\"developer\"]\n\n[group.approvers]\nroles = [\"approver\"]\n\n\
         [group.owners]\nroles = [\"owner\"]\n",
    ),
    (
        "gates/gates.toml",
        "[[gate]]\nname = \"tests\"\nkind = \"tests\"\nenvironments = [\"production\"]\n\n\
         [[gate]]\nname = \"approvals\"\nkind = \"approvals\"\nenvironments = [\"production\"]\n\
         groups = [\"approvers\"]\ncount = 2\n",
    ),
];

/// An approval as it is handed in.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The signed bytes.
    pub document: Vec<u8>,
    /// The signature, armored.
    pub signature: String,
}

/// A consistency proof between two heads.
#[derive(Debug, Clone)]
pub struct Growth {
    /// The older head, cosigned.
    pub old: String,
    /// The path.
    pub path: Vec<Digest>,
}

/// What a ledger holds, and what its verifiers pin.
pub struct Story {
    /// The pinned trust: a log, two witnesses, both of whom have to have seen it.
    pub trust: TrustFile,
    /// The state of keys and people.
    pub governance: Arc<Governance>,
    /// What the releases are of which the bundles are, by artifact.
    pub artifacts: [(Digest, ReleaseName); 2],
    /// The bundles of both grants, under the cosigned head.
    pub bundles: Vec<Vec<u8>>,
    /// The newest head, cosigned.
    pub head: String,
    /// An older one.
    pub older: String,
    /// Two entries with their proofs.
    pub proofs: Vec<(Vec<u8>, ProofFile)>,
    /// Two proofs that older heads grew into the newest.
    pub growths: Vec<Growth>,
    /// The approvals by SSH key, one for each release.
    pub by_ssh: Vec<Signed>,
    /// The approvals by passkey.
    pub by_passkey: Vec<Signed>,
    /// The policy set's document.
    pub policy: Vec<u8>,
    /// A moment after all of it.
    pub now: UnixMillis,
}

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

/// Who signs what in one ledger.
struct Cast {
    log: NoteSigner,
    witnesses: [NoteSigner; 2],
    sam: FileSigner,
    dana: FileSigner,
    ada: SoftPasskey,
}

impl Cast {
    fn new(seed: u8) -> Result<Self> {
        let note = |name: &str, kind: NoteKeyKind, number: u8| {
            NoteSigner::from_seed(name, kind, &[seed.wrapping_add(number); 32])
        };
        let witness = |name: &str, number: u8| note(name, NoteKeyKind::CosignatureEd25519, number);
        Ok(Self {
            log: note(ORIGIN, NoteKeyKind::Ed25519, 0)?,
            witnesses: [witness("witness.example/w1", 1)?, witness("witness.example/w2", 2)?],
            sam: FileSigner::ed25519_from_seed(&[seed.wrapping_add(3); 32], "sam")?,
            dana: FileSigner::ed25519_from_seed(&[seed.wrapping_add(4); 32], "dana")?,
            ada: SoftPasskey::generate(&WEB_ORIGIN.parse()?)?,
        })
    }

    /// A head, signed by the log and seen by both witnesses.
    fn note(&self, engine: &Engine) -> Note {
        let head = engine.published().head;
        let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: head.size, root: head.root };
        let mut note = checkpoint.sign(&self.log);
        note.signatures.extend(self.witnesses.iter().map(|witness| cosign(witness, &checkpoint, WITNESSED_AT)));
        note
    }

    fn log_policy(&self) -> String {
        let [first, second] = &self.witnesses;
        format!(
            "log {} https://lockgate.example/log\nwitness w1 {}\nwitness w2 {}\ngroup both all w1 w2\nquorum both\n",
            self.log.vkey(),
            first.vkey(),
            second.vkey()
        )
    }
}

/// A ledger on its way.
struct Telling {
    cast: Cast,
    engine: Engine,
    store: Arc<LocalStore>,
}

impl Story {
    /// Lets the engine write a ledger whose keys follow from `seed`, and takes from it what is verified.
    ///
    /// `name` tells the folder of this ledger from those of others that are written at the same time.
    ///
    /// # Errors
    /// What the engine refuses.
    pub fn tell(name: &str, seed: u8) -> Result<Self> {
        let scratch = Scratch::new(&format!("mutate-{name}"))?;
        let telling = Telling::begin(&scratch, seed)?;
        let (mut artifacts, mut notes, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut by_ssh, mut by_passkey) = (Vec::new(), Vec::new());
        for (number, release) in (1..).zip(RELEASES) {
            let release: ReleaseName = release.parse()?;
            notes.push(telling.cast.note(&telling.engine).to_text());
            sizes.push(telling.engine.published().head.size);
            artifacts.push((telling.release(&release)?, release));
            by_ssh.push(telling.approve(PromotionId(number), "sam", &telling.cast.sam)?);
            by_passkey.push(telling.approve(PromotionId(number), "ada", &telling.cast.ada)?);
        }
        let artifacts: [(Digest, ReleaseName); 2] =
            artifacts.try_into().map_err(|_| Failure::new("there are not two artifacts"))?;
        let Telling { cast, engine, store } = &telling;
        let published = engine.published();
        let note = cast.note(engine).to_text();
        let governance = engine.governance()?;
        let entries = store.entries(EntryIndex(0), ENTRIES_MAX)?;
        let first = entries.first().ok_or_else(|| Failure::new("the ledger has no entry"))?;
        let mut trust = TrustFile::of(&governance, leaf_hash(first))?;
        trust.tlog_policy = cast.log_policy();
        let mut growths = Vec::new();
        for (old, size) in notes.iter().zip(sizes) {
            let (_, path) = engine.consistency(size, &published.head)?;
            growths.push(Growth { old: old.clone(), path });
        }
        let mut proofs = Vec::new();
        for (at, extra) in [(entries.len() / 2, b"not signed"), (entries.len() / 3, b"other text")] {
            let entry = entries.get(at).ok_or_else(|| Failure::new("the ledger has too few entries"))?;
            let index = EntryIndex(at as u64);
            let hashes = engine.inclusion(index, &leaf_hash(entry), &published.head)?;
            proofs.push((
                entry.clone(),
                ProofFile { extra: Some(extra.to_vec()), index, hashes, checkpoint: note.clone() },
            ));
        }
        let mut bundles = Vec::new();
        for number in [1, 2] {
            let mut bundle = Bundle::from_bytes(&bundle::build(engine, PromotionId(number))?)?;
            bundle.checkpoint.clone_from(&note);
            bundles.push(bundle.to_bytes()?);
        }
        Ok(Self {
            trust,
            governance: Arc::clone(&governance),
            artifacts,
            bundles,
            head: note,
            older: notes.pop().unwrap_or_default(),
            proofs,
            growths,
            by_ssh,
            by_passkey,
            policy: governance.policy.document(),
            now: published.time,
        })
    }
}

impl Telling {
    /// Creates the ledger and enrols everyone.
    fn begin(scratch: &Scratch, seed: u8) -> Result<Self> {
        let cast = Cast::new(seed)?;
        let store = Arc::new(LocalStore::open(&scratch.path().join("data"), Options::default())?);
        let log = NoteSigner::from_seed(ORIGIN, NoteKeyKind::Ed25519, &[seed; 32])?;
        let engine = Engine::open(Parts {
            store: store.clone(),
            keys: LedgerKeys { log, attestation: AttestationKey::generate()? },
            clock: Arc::new(Ticks(AtomicU64::new(1_800_000_000_000))),
            entropy: Arc::new(Seeded(Mutex::new(Random::new(u64::from(seed))))),
            on_fatal: Box::new(|reason| eprintln!("the engine has to stop: {reason}")),
        })?;
        let files = POLICY.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        let policy = PolicySet::from_files(files.collect::<BTreeMap<String, String>>())
            .map_err(|errors| Failure::new(format!("the policy set does not load: {errors:?}")))?;
        setup::create(&engine, policy.document(), SETUP_CODE)?;
        let telling = Self { cast, engine, store };
        telling.enrol("sam", &["owners", "approvers"], &telling.cast.sam)?;
        telling.enrol("dana", &["developers"], &telling.cast.dana)?;
        telling.enrol("ada", &["approvers"], &telling.cast.ada)?;
        Ok(telling)
    }

    fn enrol(&self, name: &str, groups: &[&str], signer: &dyn SshSigner) -> Result<()> {
        let groups =
            groups.iter().map(|group| group.parse::<GroupName>()).collect::<std::result::Result<Vec<_>, _>>()?;
        let (person, owner): (PersonId, PersonId) = (name.parse()?, "sam".parse()?);
        let document = EnrolmentDocument::new(ORIGIN, &person, SubjectKind::Person, &groups, signer.public_key());
        let document = document_bytes(&document)?;
        let is_first = person == owner;
        let sponsor = match is_first {
            true => Sponsor::SetupCode { code: SETUP_CODE.to_owned() },
            false => Sponsor::Countersigned {
                by: owner.clone(),
                signature: self.cast.sam.sign(ENROLMENT_NAMESPACE, &document)?.to_armored(),
            },
        };
        let event = PersonEnrolled {
            person,
            subject: SubjectKind::Person,
            groups,
            key: signer.public_key().clone(),
            proof: signer.sign(ENROLMENT_NAMESPACE, &document)?.to_armored(),
            sponsor,
            countersigned: Vec::new(),
            expires_at: None,
            environments: Vec::new(),
        };
        let submission = match is_first {
            true => setup::first_owner(event)?,
            false => people::enrol(&owner, event)?,
        };
        self.engine.run(submission)?;
        Ok(())
    }

    /// Publishes a release, asks for it to be let in, and gives its artifact.
    fn release(&self, release: &ReleaseName) -> Result<Digest> {
        let mut staged = self.store.stage()?;
        staged.write(format!("the artifact of {release}").as_bytes())?;
        let (digest, size_bytes) = staged.commit(None)?;
        let upload = Upload::Inline(requests::junit(&release.to_string()).into_bytes());
        let evidence = vec![check(&self.engine, Evidence { upload, form: Form::Report(None), expect: None })?];
        let artifacts = vec![Artifact { digest, name: "app".to_owned(), size_bytes }];
        let request = Publish { release: release.clone(), artifacts, source: None, notes: None, evidence };
        self.engine.run(publish(&self.engine, "dana".parse()?, request)?)?;
        let (release, reason) = (release.clone(), "for the mutants".to_owned());
        let request = Promote { release, environment: ENVIRONMENT.parse()?, reason };
        self.engine.run(promote("dana".parse()?, request)?)?;
        Ok(digest)
    }

    fn approve(&self, promotion: PromotionId, name: &str, signer: &dyn SshSigner) -> Result<Signed> {
        let (state, _, _) = why::slice(&self.engine, promotion)?;
        let published = self.engine.published();
        let approver: PersonId = name.parse()?;
        let consent = Consent {
            approver: approver.clone(),
            verdict: Verdict::Approve,
            comment: Some("read and agreed".to_owned()),
            expires_at: published.time.plus(Span::from_secs(3600)),
            anchor: Anchor { size: published.head.size, root: published.head.root },
        };
        let document = document_for(&state, promotion, consent)?.to_bytes()?;
        let signature = signer.sign(NAMESPACE, &document)?.to_armored();
        let request = Approve { promotion, document: document.clone(), signature: signature.clone() };
        self.engine.run(approve(approver, request)?)?;
        Ok(Signed { document, signature })
    }
}
