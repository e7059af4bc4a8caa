//! Tests of waivers in the ledger: who may ask, grant and end them, for what, and for how long.

use lockgate_model::GroupName;
use lockgate_policy::PolicySet;
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};

use super::*;
use crate::bodies::BodyMap;
use crate::entry::{LedgerCreated, PersonEnrolled, Sponsor};
use crate::governance::{ENROLMENT_NAMESPACE, EnrolmentDocument};

const ORIGIN: &str = "log1.test.example";
const START: u64 = 1_800_000_000_000;
const DAY: u64 = 86_400_000;

fn id(name: &str) -> PersonId {
    name.parse().unwrap()
}

fn sign(name: &str, namespace: &str, bytes: &[u8]) -> String {
    key(name).sign(namespace, bytes).unwrap().to_armored()
}

fn key(name: &str) -> FileSigner {
    let mut seed = [5u8; 32];
    for (to, from) in seed.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    FileSigner::ed25519_from_seed(&seed, name).unwrap()
}

/// A ledger with pat (owner), dana (developer), sam and lee (approvers).
struct World {
    governance: Governance,
    next: u64,
    time: u64,
}

type Applied = Result<EntryIndex, &'static str>;

impl World {
    fn new(change: impl Fn(&str) -> String) -> Self {
        let mut files = PolicySet::starter("starter").unwrap();
        files.retain(|path, _| !path.starts_with("tests/"));
        let settings = files.entry("policy.toml".to_owned()).or_default();
        *settings = change(settings.as_str());
        let policy = PolicySet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"));
        let mut bodies = BodyMap::default();
        let created = LedgerCreated {
            origin: ORIGIN.to_owned(),
            log_key: String::new(),
            attestation_key: String::new(),
            policy: bodies.insert(policy.document()),
            setup_code: Digest::of(b"code"),
            software: "a test".to_owned(),
        };
        let governance = Governance::create(&created, &bodies).unwrap();
        let mut world = Self { governance, next: 1, time: START };
        world.enrol("pat", "owners");
        world.enrol("dana", "developers");
        world.enrol("sam", "approvers");
        world.enrol("lee", "approvers");
        world
    }

    fn enrol(&mut self, name: &str, group: &str) {
        let groups: Vec<GroupName> = vec![group.parse().unwrap()];
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
        self.apply(|governance, index, _| governance.enrol(&event, index)).unwrap();
    }

    fn apply(
        &mut self,
        event: impl FnOnce(&mut Governance, EntryIndex, UnixMillis) -> Result<(), ApplyError>,
    ) -> Applied {
        let (index, time) = (EntryIndex(self.next), UnixMillis(self.time));
        self.governance.advance(time);
        event(&mut self.governance, index, time).map_err(|error| error.code)?;
        self.next += 1;
        self.time += 1000;
        Ok(index)
    }

    /// What dana asks for, for a week.
    fn terms(&self) -> WaiverRequested {
        WaiverRequested {
            gate: "vulnerabilities".parse().unwrap(),
            finding: "CVE-2026-1".to_owned(),
            service: "shop/web".parse().unwrap(),
            environment: "production".parse().unwrap(),
            release: Some("shop/web@1.0.0".parse().unwrap()),
            artifact: None,
            reason: "never called".to_owned(),
            ticket: None,
            expires_at: UnixMillis(self.time + 7 * DAY),
            asked_by: id("dana"),
            signature: String::new(),
        }
    }

    fn ask(&mut self, terms: &WaiverRequested) -> Applied {
        let event = signed(terms);
        self.apply(|governance, index, time| governance.request_waiver(&event, index, time))
    }

    fn grant(&mut self, terms: &WaiverRequested, request: Option<EntryIndex>, by: &str) -> Applied {
        let event = granted(terms, request, by);
        self.apply(|governance, index, time| governance.waive(&event, index, time))
    }

    fn revoke(&mut self, waiver: EntryIndex, by: &str) -> Applied {
        let document = document_bytes(&WaiverEndDocument::new(ORIGIN, waiver, "no")).unwrap();
        let signature = sign(by, WAIVER_NAMESPACE, &document);
        let event = WaiverRevoked { waiver, reason: "no".to_owned(), by: id(by), signature };
        self.apply(|governance, index, _| governance.revoke_waiver(&event, index))
    }

    fn counted(&self, release: &str) -> usize {
        self.governance.waivers_for(&release.parse().unwrap(), &[], &"production".parse().unwrap()).len()
    }
}

fn signed(terms: &WaiverRequested) -> WaiverRequested {
    let document = document_bytes(&WaiverDocument::new(ORIGIN, terms)).unwrap();
    WaiverRequested { signature: sign(terms.asked_by.as_str(), WAIVER_NAMESPACE, &document), ..terms.clone() }
}

fn granted(terms: &WaiverRequested, request: Option<EntryIndex>, by: &str) -> WaiverGranted {
    let document = document_bytes(&WaiverDocument::new(ORIGIN, terms)).unwrap();
    let terms = signed(terms);
    WaiverGranted {
        gate: terms.gate,
        finding: terms.finding,
        service: terms.service,
        environment: terms.environment,
        reason: terms.reason,
        expires_at: terms.expires_at,
        asked_by: terms.asked_by,
        asked_signature: terms.signature,
        granted_by: id(by),
        granted_signature: sign(by, WAIVER_NAMESPACE, &document),
        request,
        release: terms.release,
        artifact: terms.artifact,
        ticket: terms.ticket,
    }
}

fn world() -> World {
    World::new(str::to_owned)
}

#[test]
fn one_asks_another_grants_and_either_ends_it() {
    let mut world = world();
    let terms = world.terms();
    let request = world.ask(&terms).unwrap();
    assert_eq!(world.counted("shop/web@1.0.0"), 0, "a request alone excepts nothing");
    assert_eq!(world.grant(&terms, Some(request), "dana"), Err("SOD_SELF"));
    assert_eq!(world.grant(&terms, Some(request), "pat"), Err("NOT_PERMITTED"));
    assert_eq!(world.grant(&terms, Some(EntryIndex(99)), "sam"), Err("WAIVER_UNKNOWN"));
    let other = WaiverRequested { finding: "CVE-2026-2".to_owned(), ..terms.clone() };
    assert_eq!(world.grant(&other, Some(request), "sam"), Err("WAIVER_MISMATCH"));
    let waiver = world.grant(&terms, Some(request), "sam").unwrap();
    assert_eq!((world.counted("shop/web@1.0.0"), world.counted("shop/web@1.0.1")), (1, 0));
    assert_eq!(world.grant(&terms, Some(request), "lee"), Err("WAIVER_OVER"));
    assert_eq!(world.ask(&terms), Err("WAIVER_REPLAYED"));

    assert_eq!(world.revoke(EntryIndex(99), "sam"), Err("WAIVER_UNKNOWN"));
    world.revoke(waiver, "dana").unwrap();
    assert_eq!(world.counted("shop/web@1.0.0"), 0);
    assert_eq!(world.revoke(request, "sam"), Err("WAIVER_OVER"));
    // What was revoked does not come back by its old signatures.
    assert_eq!(world.grant(&terms, Some(request), "sam"), Err("WAIVER_OVER"));
}

#[test]
fn whoever_has_nothing_to_do_with_a_waiver_does_not_end_it() {
    let mut world = world();
    world.enrol("kim", "developers");
    let terms = world.terms();
    let request = world.ask(&terms).unwrap();
    assert_eq!(world.revoke(request, "kim"), Err("NOT_PERMITTED"));
    world.revoke(request, "lee").unwrap();
    assert_eq!(world.grant(&terms, Some(request), "sam"), Err("WAIVER_OVER"));
}

#[test]
fn a_waiver_names_one_thing_and_ends() {
    let check = |change: fn(&mut WaiverRequested), expected: Option<&str>| {
        let mut world = world();
        let mut terms = world.terms();
        change(&mut terms);
        assert_eq!(world.ask(&terms).err(), expected, "{terms:?}");
    };
    let gate = |name: &str| name.parse().unwrap();
    check(|_| {}, None);
    check(|terms| terms.gate = "approvals".parse().unwrap(), Some("WAIVER_GATE"));
    check(|terms| terms.gate = "nothing".parse().unwrap(), Some("GATE_UNKNOWN"));
    check(|terms| terms.finding = " ".to_owned(), Some("WAIVER_SCOPE"));
    check(|terms| terms.environment = "dev".parse().unwrap(), Some("WAIVER_SCOPE"));
    check(|terms| terms.release = Some("shop/api@1.0.0".parse().unwrap()), Some("WAIVER_SCOPE"));
    check(|terms| terms.release = None, Some("WAIVER_SCOPE"));
    check(|terms| (terms.release, terms.artifact) = (None, Some(Digest::of(b"app"))), None);
    check(|terms| terms.ticket = Some(String::new()), Some("WAIVER_TICKET"));
    check(|terms| terms.reason = " ".to_owned(), Some("REASON_MISSING"));
    check(|terms| terms.expires_at = UnixMillis(START), Some("WAIVER_EXPIRY"));
    check(|terms| terms.expires_at = UnixMillis(START + 92 * DAY), Some("WAIVER_EXPIRY"));
    let mut longest = World::new(str::to_owned);
    let now = longest.time;
    let until = |millis: u64| WaiverRequested { expires_at: UnixMillis(now + millis), ..longest.terms() };
    let (exact, longer) = (until(90 * DAY), until(90 * DAY + 1));
    assert_eq!(longest.ask(&longer), Err("WAIVER_EXPIRY"), "by a millisecond");
    longest.ask(&exact).unwrap();
    let mut world = world();
    let terms = WaiverRequested { gate: gate("vulnerabilities"), ..world.terms() };
    let forged = WaiverRequested { finding: "CVE-2026-2".to_owned(), ..signed(&terms) };
    let applied = world.apply(|governance, index, time| governance.request_waiver(&forged, index, time));
    assert_eq!(applied, Err("SIGNATURE_INVALID"));
}

#[test]
fn the_policy_set_says_what_a_waiver_takes() {
    let mut short = World::new(|text| text.replace("max_days = 90", "max_days = 6\nticket = true"));
    let terms = short.terms();
    assert_eq!(short.ask(&terms), Err("WAIVER_TICKET"));
    let terms = WaiverRequested { ticket: Some("SEC-7".to_owned()), ..terms };
    assert_eq!(short.ask(&terms), Err("WAIVER_TOO_LONG"));
    let terms = WaiverRequested { expires_at: UnixMillis(short.time + 6 * DAY), ..terms };
    let request = short.ask(&terms).unwrap();
    short.time += 7 * DAY;
    assert_eq!(short.grant(&terms, Some(request), "sam"), Err("WAIVER_EXPIRY"));
}

/// Ledgers from before there were requests hold grants without one; they stay readable under the sets of their time.
#[test]
fn a_grant_without_a_request_is_for_sets_that_take_it() {
    let mut strict = world();
    let terms = strict.terms();
    assert_eq!(strict.grant(&terms, None, "sam"), Err("WAIVER_REQUEST"));
    let mut old = World::new(|text| text.split("[waivers]").next().unwrap_or_default().to_owned());
    let terms = WaiverRequested { release: None, ..old.terms() };
    assert_eq!(old.grant(&terms, None, "dana"), Err("SOD_SELF"));
    let waiver = old.grant(&terms, None, "sam").unwrap();
    let release = "shop/web@2.0.0".parse().unwrap();
    let facts = old.governance.waivers_for(&release, &[], &"production".parse().unwrap());
    assert_eq!((facts.len(), facts[0].granted_at), (1, None), "the facts are those of before");
    assert_eq!(old.grant(&terms, None, "sam"), Err("WAIVER_REPLAYED"), "its end would leave the other");
    old.revoke(waiver, "sam").unwrap();
    assert_eq!(old.grant(&terms, None, "sam"), Err("WAIVER_REPLAYED"));
}

/// Neither signature says whether the grant names the request: who writes the ledger leaves it out, and has it left over.
#[test]
fn signatures_that_made_a_waiver_do_not_make_another_by_its_request() {
    let mut old = World::new(|text| text.split("[waivers]").next().unwrap_or_default().to_owned());
    let terms = WaiverRequested { release: None, ..old.terms() };
    let request = old.ask(&terms).unwrap();
    let waiver = old.grant(&terms, None, "sam").unwrap();
    assert_eq!(old.counted("shop/web@1.0.0"), 1);
    assert_eq!(old.grant(&terms, Some(request), "sam"), Err("WAIVER_REPLAYED"), "its end would leave the other");
    old.revoke(waiver, "dana").unwrap();
    assert_eq!(old.grant(&terms, Some(request), "sam"), Err("WAIVER_REPLAYED"));
    assert_eq!(old.counted("shop/web@1.0.0"), 0);
    // Another end makes another waiver.
    let terms = WaiverRequested { expires_at: UnixMillis(terms.expires_at.0 + 1), ..terms };
    let request = old.ask(&terms).unwrap();
    old.grant(&terms, Some(request), "sam").unwrap();
    assert_eq!(old.counted("shop/web@1.0.0"), 1);
}
