use lockgate_model::facts::{Artifact, PromotionKind, Verdict};
use lockgate_model::{EnvName, PromotionId, ReleaseName, StreamName, TreeSize};
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};

use super::*;
use crate::approval::{Anchor, Consent, NAMESPACE, document_for};
use crate::bodies::BodyMap;
use crate::entry::{
    ApprovalRecorded, Entry, LedgerCreated, PersonEnrolled, Position, PromotionRequested, ReleasePublished, SCHEMA,
    Sponsor, WaiverGranted,
};
use crate::governance::{ENROLMENT_NAMESPACE, EnrolmentDocument, WAIVER_NAMESPACE, WaiverDocument, document_bytes};
use crate::state::{Slice, State};
use crate::{Actor, Event, Manifest};

const ORIGIN: &str = "log1.test.example";
const START: u64 = 1_800_000_000_000;

/// sam approves for `shop/*` in production, by name and nowhere else.
const BINDING: &str = "
[[bindings]]
role = \"approver\"
people = [\"sam\"]
services = [\"shop/*\"]
environments = [\"production\"]
";

/// A ledger with pat (owner), dana (developer) and sam.
struct World {
    state: State,
    bodies: BodyMap,
    next: u64,
}

fn id(name: &str) -> PersonId {
    name.parse().unwrap()
}

fn key(name: &str) -> FileSigner {
    let mut seed = [3u8; 32];
    for (to, from) in seed.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    FileSigner::ed25519_from_seed(&seed, name).unwrap()
}

fn sign(name: &str, namespace: &str, bytes: &[u8]) -> String {
    key(name).sign(namespace, bytes).unwrap().to_armored()
}

impl World {
    fn new() -> Self {
        let mut files = PolicySet::starter("starter").unwrap();
        files.retain(|path, _| !path.starts_with("tests/"));
        files.entry("people.toml".to_owned()).or_default().push_str(BINDING);
        // What is tested here is the right to grant; requests have tests of their own.
        let settings = files.entry("policy.toml".to_owned()).or_default();
        *settings = settings.replace("two_people = true", "two_people = false");
        let policy = PolicySet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"));
        let mut bodies = BodyMap::default();
        let policy = bodies.insert(policy.document());
        let mut world = Self { state: State::default(), bodies, next: 0 };
        let created = LedgerCreated {
            origin: ORIGIN.to_owned(),
            log_key: "key".to_owned(),
            attestation_key: "key".to_owned(),
            policy,
            setup_code: Digest::of(b"code"),
            software: "a test".to_owned(),
        };
        world.append(Actor::System, Event::LedgerCreated(created), &[]).unwrap();
        world.enrol("pat", &["owners"]);
        world.enrol("dana", &["developers"]);
        world.enrol("sam", &["auditors"]);
        world
    }

    fn append(&mut self, actor: Actor, event: Event, more: &[StreamName]) -> Result<EntryIndex, ApplyError> {
        let index = EntryIndex(self.next);
        let head = self.state.head(&StreamName::governance());
        let governance = head.map(|head| Position { seq: head.seq, index: head.index });
        let mut streams = event.streams(&actor);
        streams.extend_from_slice(more);
        let streams = streams.iter().map(|stream| self.state.next_link(stream)).collect();
        let time = UnixMillis(START + self.next * 1000);
        let entry = Entry { schema: SCHEMA.to_owned(), time, actor, governance, streams, event };
        self.state.apply(index, &entry, &self.bodies, Slice::Whole)?;
        self.next += 1;
        Ok(index)
    }

    fn by(&mut self, name: &str, event: Event) -> Result<EntryIndex, ApplyError> {
        self.append(Actor::Subject { id: id(name) }, event, &[])
    }

    fn enrol(&mut self, name: &str, groups: &[&str]) {
        let groups: Vec<GroupName> = groups.iter().map(|group| group.parse().unwrap()).collect();
        let (person, public) = (id(name), key(name).public_key().clone());
        let document = EnrolmentDocument::new(ORIGIN, &person, SubjectKind::Person, &groups, &public);
        let document = document_bytes(&document).unwrap();
        let sponsor = match name {
            "pat" => Sponsor::SetupCode { code: "code".to_owned() },
            _ => Sponsor::Countersigned { by: id("pat"), signature: sign("pat", ENROLMENT_NAMESPACE, &document) },
        };
        let event = PersonEnrolled {
            person,
            subject: SubjectKind::Person,
            proof: sign(name, ENROLMENT_NAMESPACE, &document),
            groups,
            key: public,
            sponsor,
            countersigned: Vec::new(),
            expires_at: None,
            environments: Vec::new(),
        };
        self.by("pat", Event::PersonEnrolled(event)).unwrap();
    }

    /// Publishes a release and asks for it, as dana.
    fn ask(&mut self, release: &str, environment: &str) -> PromotionId {
        let name: ReleaseName = release.parse().unwrap();
        let artifact = Digest::of(release.as_bytes());
        let manifest = Manifest {
            schema: Manifest::SCHEMA.to_owned(),
            release: name.clone(),
            artifacts: vec![Artifact { digest: artifact, name: "app".to_owned(), size_bytes: 3 }],
            source: None,
            notes: None,
        };
        let manifest = self.bodies.insert(manifest.to_bytes(&Limits::DEFAULT).unwrap());
        let published = Event::ReleasePublished(ReleasePublished { release: name.clone(), manifest });
        self.append(Actor::Subject { id: id("dana") }, published, &[StreamName::artifact(&artifact)]).unwrap();
        let number = self.state.head(&StreamName::promotions()).map_or(1, |head| head.seq + 2);
        let request = PromotionRequested {
            promotion: PromotionId(number),
            release: name,
            manifest,
            environment: environment.parse().unwrap(),
            kind: PromotionKind::Promotion,
            reason: "a test".to_owned(),
            expires_at: UnixMillis(START * 2),
        };
        self.by("dana", Event::PromotionRequested(request)).unwrap();
        PromotionId(number)
    }

    fn approve(&mut self, promotion: PromotionId, name: &str, verdict: Verdict) -> Result<EntryIndex, ApplyError> {
        let consent = Consent {
            approver: id(name),
            verdict,
            comment: None,
            expires_at: UnixMillis(START * 2),
            anchor: Anchor { size: TreeSize(self.next), root: Digest::of(b"root") },
        };
        let document = document_for(&self.state, promotion, consent).unwrap();
        let bytes = document.to_bytes().unwrap();
        let event = ApprovalRecorded {
            promotion,
            release: document.predicate.release.clone(),
            verdict,
            approver: id(name),
            key: key(name).public_key().fingerprint(),
            signature: sign(name, NAMESPACE, &bytes),
            document: self.bodies.insert(bytes),
        };
        self.by(name, Event::ApprovalRecorded(event))
    }

    fn review(&self) -> AccessReview {
        let governance = self.state.governance().unwrap();
        AccessReview {
            schema: AccessReview::SCHEMA.to_owned(),
            ledger: ORIGIN.to_owned(),
            policy: governance.policy_digest,
            people: AccessReview::people_of(governance),
            bindings: AccessReview::bindings_of(&governance.policy),
            uses: Vec::new(),
            unused: Vec::new(),
            reviewed_at_index: EntryIndex(self.next),
        }
    }

    fn hand_in(&mut self, review: &AccessReview, signer: &str, by: &str) -> Result<EntryIndex, ApplyError> {
        let bytes = review.to_bytes().unwrap();
        let signature = sign(signer, ACCESS_REVIEW_NAMESPACE, &bytes);
        let review = self.bodies.insert(bytes);
        self.by(by, Event::AccessReviewed(AccessReviewed { review, by: id(by), signature }))
    }
}

/// The server's administrator cannot record an approval by someone who has no right for that service there.
#[test]
fn an_approval_takes_the_right_for_that_service_and_environment() {
    let mut world = World::new();
    let check = |world: &mut World, release: &str, environment: &str, name: &str, code: Option<&'static str>| {
        for verdict in [Verdict::Approve, Verdict::Reject] {
            let release = format!("{release}.{}", world.next);
            let promotion = world.ask(&release, environment);
            let before = world.next;
            let found = world.approve(promotion, name, verdict).err().map(|error| error.code);
            assert_eq!(found, code, "{name} on {release} into {environment}");
            assert_eq!(world.next, before + u64::from(code.is_none()));
        }
    };
    check(&mut world, "shop/web@1.0", "production", "sam", None);
    check(&mut world, "shop/web@1.1", "staging", "sam", Some("NOT_PERMITTED"));
    check(&mut world, "bank/api@1.0", "production", "sam", Some("NOT_PERMITTED"));
    check(&mut world, "shop/web@1.2", "production", "pat", Some("NOT_PERMITTED"));
    check(&mut world, "shop/web@1.3", "production", "dana", Some("NOT_PERMITTED"));
}

#[test]
fn a_waiver_takes_the_right_for_that_service_and_environment() {
    let mut world = World::new();
    let (service, wrong): (lockgate_model::ServiceName, EnvName) =
        ("shop/web".parse().unwrap(), "staging".parse().unwrap());
    let mut waive = |environment: EnvName, release: Option<&str>| {
        let (asked_by, gate) = (id("dana"), "vulnerabilities".parse().unwrap());
        let expires_at = UnixMillis(START + 86_400_000);
        let release = release.map(|release| release.parse().unwrap());
        let document = document_bytes(&WaiverDocument {
            schema: "https://lockgate.dev/waiver/v1",
            ledger: ORIGIN,
            gate: &gate,
            finding: "CVE-1",
            service: &service,
            environment: &environment,
            release: release.as_ref(),
            artifact: None,
            reason: "a test",
            ticket: None,
            expires_at,
            asked_by: &asked_by,
        })
        .unwrap();
        let event = WaiverGranted {
            gate,
            finding: "CVE-1".to_owned(),
            service: service.clone(),
            environment,
            reason: "a test".to_owned(),
            expires_at,
            asked_signature: sign("dana", WAIVER_NAMESPACE, &document),
            asked_by,
            granted_by: id("sam"),
            granted_signature: sign("sam", WAIVER_NAMESPACE, &document),
            request: None,
            release,
            artifact: None,
            ticket: None,
        };
        world.by("sam", Event::WaiverGranted(event)).err().map(|error| error.code)
    };
    assert_eq!(waive(wrong, Some("shop/web@1.0.0")), Some("NOT_PERMITTED"));
    let production: EnvName = "production".parse().unwrap();
    assert_eq!(waive(production.clone(), None), Some("WAIVER_SCOPE"), "the set's terms hold without a request, too");
    assert_eq!(waive(production, Some("shop/web@1.0.0")), None);
}

#[test]
fn a_review_is_signed_by_someone_who_may_and_shows_what_is_so() {
    let mut world = World::new();
    let good = world.review();
    let check = |world: &mut World, review: &AccessReview, signer: &str, by: &str, code: &str| {
        assert_eq!(world.hand_in(review, signer, by).unwrap_err().code, code);
        assert!(world.state.governance().unwrap().last_review().is_none());
    };
    check(&mut world, &good, "dana", "dana", "NOT_PERMITTED");
    check(&mut world, &good, "sam", "pat", "KEY_UNKNOWN");
    let other = AccessReview { ledger: "log2.test.example".to_owned(), ..good.clone() };
    check(&mut world, &other, "pat", "pat", "REVIEW_TARGET");
    let later = AccessReview { reviewed_at_index: EntryIndex(1000), ..good.clone() };
    check(&mut world, &later, "pat", "pat", "REVIEW_TARGET");
    let policy = AccessReview { policy: Digest::of(b"other"), ..good.clone() };
    check(&mut world, &policy, "pat", "pat", "REVIEW_STALE");
    let mut hidden = good.clone();
    hidden.people.pop();
    check(&mut world, &hidden, "pat", "pat", "REVIEW_STALE");
    let mut narrower = good.clone();
    narrower.bindings.last_mut().unwrap().people.clear();
    check(&mut world, &narrower, "pat", "pat", "REVIEW_STALE");
    // sam may audit, pat manages keys.
    for name in ["sam", "pat"] {
        let index = world.hand_in(&world.review(), name, name).unwrap();
        let last = world.state.governance().unwrap().last_review().unwrap();
        assert_eq!((last.index, last.by.as_str()), (index, name));
    }
    world.enrol("eve", &["developers"]);
    assert_eq!(world.hand_in(&good, "pat", "pat").unwrap_err().code, "REVIEW_STALE");
}

/// Whoever writes the ledger cannot make an old review look recent, while people and policy set stay what they are.
#[test]
fn a_review_counts_once_and_only_after_those_before_it() {
    let mut world = World::new();
    let (first, before) = (world.review(), world.next);
    let kept = AccessReview { reviewed_at_index: EntryIndex(before - 1), ..first.clone() };
    world.hand_in(&first, "sam", "sam").unwrap();
    let check = |world: &mut World, review: &AccessReview, name: &str| {
        let last = world.state.governance().unwrap().last_review().cloned();
        assert_eq!(world.hand_in(review, name, name).unwrap_err().code, "REVIEW_REPLAYED");
        assert_eq!(world.state.governance().unwrap().last_review().cloned(), last);
    };
    check(&mut world, &first, "sam");
    check(&mut world, &first, "pat");
    check(&mut world, &kept, "pat");
    let second = world.review();
    assert_eq!((&second.people, &second.policy), (&first.people, &first.policy));
    let index = world.hand_in(&second, "sam", "sam").unwrap();
    check(&mut world, &first, "sam");
    check(&mut world, &second, "sam");
    let last = world.state.governance().unwrap().last_review().unwrap();
    assert_eq!((last.index, last.reviewed_at_index), (index, second.reviewed_at_index));
}

#[test]
fn a_review_lists_every_right_with_its_line() {
    let world = World::new();
    let mut review = world.review();
    let rows = review.rows();
    let of = |name: &str, permission: Permission| -> Vec<ReviewRow> {
        rows.iter().filter(|row| row.person == id(name) && row.permission == permission).cloned().collect()
    };
    let approve = of("sam", Permission::Approve);
    assert_eq!(approve.len(), 1);
    assert_eq!(approve[0].services.as_deref(), Some(&["shop/*".to_owned()][..]));
    assert!(approve[0].rule.starts_with("people.toml:"), "{}", approve[0].rule);
    // As an auditor everywhere, and as an approver there.
    assert_eq!(of("sam", Permission::Read).len(), 2);
    assert!(of("dana", Permission::Approve).is_empty());
    review.people.last_mut().unwrap().suspended = true;
    assert!(review.rows().iter().all(|row| row.person != id("sam")));
    let bytes = review.to_bytes().unwrap();
    assert_eq!(AccessReview::from_bytes(&bytes).unwrap(), review);
    let spaced = String::from_utf8(bytes).unwrap().replacen(':', ": ", 1);
    assert_eq!(AccessReview::from_bytes(spaced.as_bytes()).unwrap_err().code, "DOCUMENT_INVALID");
}
