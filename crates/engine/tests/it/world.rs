//! The world that the tests play in.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use lockgate_engine::attest::{Evidence, Form, check};
use lockgate_engine::audit::StoreSource;
use lockgate_engine::bodies::Upload;
use lockgate_engine::clock::EntropyError;
use lockgate_engine::engine::Parts;
use lockgate_engine::push::{Publish, publish};
use lockgate_engine::{Clock, Engine, Entropy, Fault, LedgerKeys, Receipt, Submission, approve, promote, setup};
use lockgate_ledger::approval::{Anchor, Consent, NAMESPACE, document_for};
use lockgate_ledger::audit::{Report, audit};
use lockgate_ledger::entry::{PersonEnrolled, Sponsor};
use lockgate_ledger::governance::{ENROLMENT_NAMESPACE, EnrolmentDocument, document_bytes};
use lockgate_model::facts::{Artifact, SubjectKind, Verdict};
use lockgate_model::{PersonId, PromotionId, Span, UnixMillis};
use lockgate_policy::PolicySet;
use lockgate_sign::attestation_key::AttestationKey;
use lockgate_sign::note::{NoteKeyKind, NoteSigner};
use lockgate_sign::ssh_signer::{FileSigner, SshSigner};
use lockgate_store::BlobStore;
use lockgate_store::memory::MemoryStore;

pub const JUNIT: &str = include_str!("../../../evidence/testdata/junit.xml");
pub const SBOM: &str = include_str!("../../../evidence/testdata/sbom.cdx.json");
pub const SCAN: &str = include_str!("../../../evidence/testdata/trivy.json");

/// A clock that the test moves.
pub struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }

    fn go_on_from(&self, time: UnixMillis) {
        self.0.fetch_max(time.0, Ordering::SeqCst);
    }
}

/// Bytes that differ from call to call, and are the same in every run.
struct Seeded(Mutex<u8>);

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let mut next = self.0.lock().unwrap();
        for byte in bytes {
            *next = next.wrapping_mul(5).wrapping_add(17);
            *byte = *next;
        }
        Ok(())
    }
}

/// An engine with a demo's people; dropping it audits.
pub struct World {
    pub engine: Option<Engine>,
    pub store: MemoryStore,
    pub hands: Arc<Hands>,
    pub fatal: Arc<Mutex<Option<String>>>,
    audited: bool,
}

pub fn person(name: &str) -> PersonId {
    name.parse().unwrap()
}

pub fn key_of(name: &str) -> FileSigner {
    let mut seed = [7u8; 32];
    for (to, from) in seed.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    FileSigner::ed25519_from_seed(&seed, name).unwrap()
}

impl World {
    /// sam owns and approves, dana develops, `ci` is a machine; the starter policy set, changed by `edit`.
    pub fn new(edit: impl Fn(&str, &str) -> String) -> Self {
        let store = MemoryStore::new();
        let hands = Arc::new(Hands(AtomicU64::new(1_800_000_000_000)));
        let mut world = Self { engine: None, store, hands, fatal: Arc::default(), audited: true };
        world.reopen().unwrap();
        let files = PolicySet::starter("starter").unwrap();
        let files = files.into_iter().map(|(path, text)| (path.clone(), edit(&path, &text))).collect();
        let policy = PolicySet::from_files(files).unwrap();
        setup::create(world.engine(), policy.document(), "the code").unwrap();
        world.enrol("sam", SubjectKind::Person, &["owners", "approvers"]);
        world.enrol("dana", SubjectKind::Person, &["developers"]);
        world.enrol("ci", SubjectKind::Machine, &["ci"]);
        world
    }

    /// The starter policy set as it is.
    pub fn starter() -> Self {
        Self::new(|_, text| text.to_owned())
    }

    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    /// Stops the engine, if one runs, and opens the same store again.
    pub fn reopen(&mut self) -> Result<(), Fault> {
        self.engine = None;
        self.engine = Some(Engine::open(self.parts())?);
        Ok(())
    }

    /// The same without a thread for the sequencer: what is submitted is one batch with the next request that is run. No
    /// checkpoint is stored at its end.
    pub fn reopen_by_hand(&mut self) {
        self.engine = None;
        self.engine = Some(Engine::open_by_hand(self.parts()).unwrap());
    }

    /// What an engine over this store is made of.
    pub fn parts(&self) -> Parts {
        let log = NoteSigner::from_seed("log1.test.example", NoteKeyKind::Ed25519, &[9; 32]).unwrap();
        let attestation = match self.store_attestation_key() {
            Some(key) => key,
            None => AttestationKey::generate().unwrap(),
        };
        let fatal = self.fatal.clone();
        Parts {
            store: Arc::new(self.store.clone()),
            keys: LedgerKeys { log, attestation },
            clock: self.hands.clone(),
            entropy: Arc::new(Seeded(Mutex::new(3))),
            on_fatal: Box::new(move |reason| *fatal.lock().unwrap() = Some(reason)),
        }
    }

    /// One attestation key for the whole test process.
    fn store_attestation_key(&self) -> Option<AttestationKey> {
        static KEY: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let bytes = KEY.get_or_init(|| AttestationKey::generate().unwrap().to_pkcs8().to_vec());
        AttestationKey::from_pkcs8(bytes).ok()
    }

    pub fn wait(&self, span: &str) {
        let span: Span = span.parse().unwrap();
        self.hands.0.fetch_add(span.millis(), Ordering::SeqCst);
    }

    /// Turns the clock back.
    pub fn turn_back(&self, span: &str) {
        let span: Span = span.parse().unwrap();
        self.hands.0.fetch_sub(span.millis(), Ordering::SeqCst);
    }

    pub fn size(&self) -> u64 {
        self.engine().published().head.size.0
    }

    pub fn enrol(&self, name: &str, subject: SubjectKind, groups: &[&str]) {
        let signer = key_of(name);
        let groups: Vec<_> = groups.iter().map(|group| group.parse().unwrap()).collect();
        let id = person(name);
        let document = EnrolmentDocument::new("log1.test.example", &id, subject, &groups, signer.public_key());
        let document = document_bytes(&document).unwrap();
        let proof = signer.sign(ENROLMENT_NAMESPACE, &document).unwrap().to_armored();
        let sponsor = match name {
            "sam" => Sponsor::SetupCode { code: "the code".to_owned() },
            _ => Sponsor::Countersigned {
                by: person("sam"),
                signature: key_of("sam").sign(ENROLMENT_NAMESPACE, &document).unwrap().to_armored(),
            },
        };
        let event = PersonEnrolled {
            person: id,
            subject,
            groups,
            key: signer.public_key().clone(),
            proof,
            sponsor,
            countersigned: Vec::new(),
            expires_at: None,
            environments: Vec::new(),
        };
        let submission = match name {
            "sam" => setup::first_owner(event),
            _ => lockgate_engine::people::enrol(&person("sam"), event),
        };
        self.engine().run(submission.unwrap()).unwrap();
    }

    /// The submission that publishes a release with a full set of evidence.
    pub fn publication(&self, release: &str) -> Submission {
        let bytes = format!("the bytes of {release}");
        let mut staged = self.store.stage().unwrap();
        staged.write(bytes.as_bytes()).unwrap();
        let (digest, size_bytes) = staged.commit(None).unwrap();
        let evidence = [JUNIT, SBOM, SCAN].map(|text| Evidence {
            upload: Upload::Inline(text.as_bytes().to_vec()),
            form: Form::Report(None),
            expect: None,
        });
        let request = Publish {
            release: release.parse().unwrap(),
            artifacts: vec![Artifact { digest, name: "app".to_owned(), size_bytes }],
            source: None,
            notes: None,
            evidence: evidence.into_iter().map(|one| check(self.engine(), one).unwrap()).collect(),
        };
        publish(self.engine(), person("ci"), request).unwrap()
    }

    pub fn push(&self, release: &str) {
        self.engine().run(self.publication(release)).unwrap();
    }

    pub fn promotion(&self, release: &str, environment: &str) -> Submission {
        let request = promote::Promote {
            release: release.parse().unwrap(),
            environment: environment.parse().unwrap(),
            reason: "a test".to_owned(),
        };
        promote::promote(person("dana"), request).unwrap()
    }

    /// Asks, and gives the last promotion's id and status.
    pub fn promote(&self, release: &str, environment: &str) -> Result<(PromotionId, String), Fault> {
        let receipt = self.engine().run(self.promotion(release, environment))?;
        let last = receipt.value["promotions"].as_array().unwrap().last().unwrap().clone();
        Ok((last["promotion"].as_str().unwrap().parse().unwrap(), last["status"].as_str().unwrap().to_owned()))
    }

    /// What `name` signs for a promotion as the ledger stands.
    pub fn approval(&self, promotion: PromotionId, name: &str) -> approve::Approve {
        let (state, _, _) = lockgate_engine::why::slice(self.engine(), promotion).unwrap();
        let head = self.engine().published().head;
        let consent = Consent {
            approver: person(name),
            verdict: Verdict::Approve,
            comment: None,
            expires_at: self.hands.now().plus("72h".parse().unwrap()),
            anchor: Anchor { size: head.size, root: head.root },
        };
        let document = document_for(&state, promotion, consent).unwrap().to_bytes().unwrap();
        let signature = key_of(name).sign(NAMESPACE, &document).unwrap().to_armored();
        approve::Approve { promotion, document, signature }
    }

    pub fn approve(&self, promotion: PromotionId, name: &str) -> Result<Receipt, Fault> {
        let submission = approve::approve(person(name), self.approval(promotion, name))?;
        self.engine().run(submission)
    }

    pub fn status(&self, promotion: PromotionId) -> String {
        lockgate_engine::why::why(self.engine(), promotion).unwrap().status.as_str().to_owned()
    }

    /// Does not audit at the end: the test has damaged the store.
    pub fn damaged(&mut self) {
        self.audited = false;
    }

    /// Audits the ledger, under another engine: one that stops stores its newest checkpoint, which else happens a moment
    /// after an answer.
    pub fn audit(&mut self) -> Report {
        self.reopen().unwrap();
        audit(&StoreSource(&self.store), None, Vec::new(), |_, _| {})
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.engine = None;
        if self.audited && !std::thread::panicking() {
            let report = audit(&StoreSource(&self.store), None, Vec::new(), |_, _| {});
            assert!(report.problems.is_empty(), "{:?}", report.problems);
        }
    }
}
