//! Samples: two valid events of each type that people sign, at a place of the chain where either is due.

use std::str::FromStr;

use lockgate_ledger::access_review::{ACCESS_REVIEW_NAMESPACE, AccessReview, AccessReviewed, ReviewedUse};
use lockgate_ledger::approval::{Anchor, Consent, NAMESPACE, document_for};
use lockgate_ledger::break_glass::{
    BREAK_GLASS_NAMESPACE, BreakGlassDocument, BreakGlassOpened, BreakGlassReviewDocument, BreakGlassReviewed,
    BreakGlassSigned,
};
use lockgate_ledger::change::{
    CHANGE_TTL, ChangeProposed, ChangeRejected, ChangeSigned, Countersignature, KeyRecovered, KeyRotated,
    REJECTION_NAMESPACE, StandingChanged, draft_bytes, rejection_bytes, standing_bytes,
};
use lockgate_ledger::ci_trust::{
    CI_TRUST_NAMESPACE, CiProvider, CiTrustEndDocument, CiTrusted, CiUntrusted, GITHUB_ISSUER,
};
use lockgate_ledger::delegation::{
    DELEGATION_NAMESPACE, DelegationDocument, DelegationEndDocument, DelegationEnded, DelegationGranted,
};
use lockgate_ledger::entry::{
    ApprovalRecorded, Event, KeyAdded, KeyRevoked, PersonEnrolled, PolicyActivated, PromotionRequested, Sponsor,
    WaiverGranted,
};
use lockgate_ledger::freeze::{FREEZE_NAMESPACE, FreezeDocument, FreezeLiftDocument, FreezeLifted, FreezeOrdered};
use lockgate_ledger::governance::{
    ENROLMENT_NAMESPACE, EnrolmentDocument, POLICY_NAMESPACE, WAIVER_NAMESPACE, WaiverDocument, document_bytes,
};
use lockgate_ledger::identity::{
    BindingDocument, IDENTITY_NAMESPACE, IdentityBound, IdentityUnbound, UnbindingDocument,
};
use lockgate_ledger::waiver::{WaiverEndDocument, WaiverRequested, WaiverRevoked};
use lockgate_ledger::withdrawal::{ApprovalWithdrawn, WITHDRAWAL_NAMESPACE, WithdrawalDocument};
use lockgate_model::facts::{PromotionKind, SubjectKind, Verdict};
use lockgate_model::{
    ChangeId, Digest, EntryIndex, EnvName, GroupName, PersonId, PromotionId, ReleaseName, ServiceName, Span, TreeSize,
    UnixMillis,
};
use lockgate_policy::Permission;
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};

use super::super::kinds::Kind;
use super::{Chain, ORIGIN, RELEASE, SETUP_CODE, START, person, policy};
use crate::failure::{Failure, Result};

/// Why anything is done here.
const REASON: &str = "for the mutants";
/// The environment that everything is about.
const ENVIRONMENT: &str = "production";
/// The service that everything is about.
const SERVICE: &str = "shop/web";
/// An issuer of accounts.
const ISSUER: &str = "https://id.example";
/// Everyone but the first owner: who, in which group, let in by whom.
const PEOPLE: [(&str, &str, &[&str]); 7] = [
    ("kim", "owners", &["sam"]),
    ("lee", "owners", &["sam", "kim"]),
    ("ann", "approvers", &["sam", "kim"]),
    ("bob", "approvers", &["sam", "kim"]),
    ("cem", "approvers", &["sam", "kim"]),
    ("dana", "developers", &["sam", "kim"]),
    ("eve", "auditors", &["sam", "kim"]),
];

/// Makes the kinds of one field of governance, from a chain of people.
type Maker = fn(&Chain) -> Result<Vec<Kind>>;

/// Every kind of statement.
///
/// # Errors
/// When the fold refuses one that is valid.
pub fn kinds() -> Result<Vec<Kind>> {
    let mut chain = Chain::begin("")?;
    let [sam, max] = ["sam", "max"].map(|name| enrolment(name, "owners", &[], None));
    let (sam, max) = (Event::PersonEnrolled(sam?), Event::PersonEnrolled(max?));
    let mut kinds = vec![chain.kind("first-owner", "sam", [sam.clone(), max])?];
    chain.apply(person("sam")?, sam, &[])?;
    for (name, group, signers) in PEOPLE {
        let event = enrolment(name, group, signers, None)?;
        chain.apply(person("sam")?, Event::PersonEnrolled(event), &[])?;
    }
    let all: [Maker; 12] = [
        people,
        keys,
        standing,
        accounts,
        changes,
        waivers,
        pipelines,
        reviews,
        rights,
        freezes,
        emergencies,
        approvals,
    ];
    for more in all {
        kinds.extend(more(&chain)?);
    }
    Ok(kinds)
}

/// The n-th key of somebody.
fn key(name: &str, number: u8) -> Result<FileSigner> {
    let mut seed = [number; 32];
    for (to, from) in seed.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    Ok(FileSigner::ed25519_from_seed(&seed, name)?)
}

/// The signature of somebody's first key.
fn sign(name: &str, namespace: &str, document: &[u8]) -> Result<String> {
    Ok(key(name, 1)?.sign(namespace, document)?.to_armored())
}

/// The signatures of two owners, as a change takes them.
fn by_two(namespace: &str, document: &[u8]) -> Result<(String, Vec<Countersignature>)> {
    let more = Countersignature { by: "kim".parse()?, signature: sign("kim", namespace, document)? };
    Ok((sign("sam", namespace, document)?, vec![more]))
}

fn names<T: FromStr>(names: &[&str]) -> Result<Vec<T>>
where
    T::Err: std::error::Error,
{
    let mut read = Vec::with_capacity(names.len());
    for name in names {
        read.push(name.parse::<T>()?);
    }
    Ok(read)
}

fn days(chain: &Chain, days: u64) -> UnixMillis {
    chain.time.plus(Span::from_secs(days * 86_400))
}

/// An enrolment; of the first owner where nobody signs for it.
fn enrolment(name: &str, group: &str, signers: &[&str], end: Option<UnixMillis>) -> Result<PersonEnrolled> {
    let own = key(name, 1)?;
    let mut event = PersonEnrolled {
        person: name.parse()?,
        subject: SubjectKind::Person,
        groups: names(&[group])?,
        key: own.public_key().clone(),
        proof: String::new(),
        sponsor: Sponsor::SetupCode { code: SETUP_CODE.to_owned() },
        countersigned: Vec::new(),
        expires_at: end,
        environments: if end.is_some() { names(&["staging", ENVIRONMENT])? } else { Vec::new() },
    };
    let document = event.document(ORIGIN)?;
    event.proof = sign(name, ENROLMENT_NAMESPACE, &document)?;
    for (place, signer) in signers.iter().enumerate() {
        let (by, signature): (PersonId, String) = (signer.parse()?, sign(signer, ENROLMENT_NAMESPACE, &document)?);
        match place {
            0 => event.sponsor = Sponsor::Countersigned { by, signature },
            _ => event.countersigned.push(Countersignature { by, signature }),
        }
    }
    Ok(event)
}

fn people(chain: &Chain) -> Result<Vec<Kind>> {
    let limited = enrolment("fay", "approvers", &["sam", "kim"], Some(days(chain, 30)))?;
    let other = enrolment("gus", "developers", &["sam", "kim"], None)?;
    let events = [limited, other].map(Event::PersonEnrolled);
    Ok(vec![chain.kind("person-enrolled", "sam", events)?])
}

fn keys(chain: &Chain) -> Result<Vec<Kind>> {
    let added = |name: &str, group: &str, end: Option<UnixMillis>| -> Result<Event> {
        let (id, groups): (PersonId, Vec<GroupName>) = (name.parse()?, names(&[group])?);
        let new = key(name, 2)?;
        let environments: Vec<EnvName> = if end.is_some() { names(&[ENVIRONMENT])? } else { Vec::new() };
        let document = EnrolmentDocument::new(ORIGIN, &id, SubjectKind::Person, &groups, new.public_key());
        let document = document_bytes(&document.limited(end, &environments))?;
        Ok(Event::KeyAdded(KeyAdded {
            person: id.clone(),
            key: new.public_key().clone(),
            proof: new.sign(ENROLMENT_NAMESPACE, &document)?.to_armored(),
            by: id.clone(),
            signature: sign(name, ENROLMENT_NAMESPACE, &document)?,
            expires_at: end,
            environments,
        }))
    };
    let rotated = |name: &str, end: Option<UnixMillis>| -> Result<Event> {
        let new = key(name, 2)?;
        let mut event = KeyRotated {
            person: name.parse()?,
            key: new.public_key().clone(),
            proof: String::new(),
            replaces: key(name, 1)?.public_key().fingerprint(),
            signature: String::new(),
            expires_at: end,
            environments: Vec::new(),
        };
        let document = event.document(ORIGIN)?;
        event.proof = new.sign(ENROLMENT_NAMESPACE, &document)?.to_armored();
        event.signature = sign(name, ENROLMENT_NAMESPACE, &document)?;
        Ok(Event::KeyRotated(event))
    };
    let recovered = |name: &str, end: Option<UnixMillis>| -> Result<Event> {
        let new = key(name, 3)?;
        let mut event = KeyRecovered {
            person: name.parse()?,
            key: new.public_key().clone(),
            proof: String::new(),
            reason: REASON.to_owned(),
            by: "sam".parse()?,
            signature: String::new(),
            countersigned: Vec::new(),
            expires_at: end,
            environments: Vec::new(),
        };
        let document = event.demand(ORIGIN)?.document;
        event.proof = new.sign(ENROLMENT_NAMESPACE, &document)?.to_armored();
        (event.signature, event.countersigned) = by_two(ENROLMENT_NAMESPACE, &document)?;
        Ok(Event::KeyRecovered(event))
    };
    let revoked = |name: &str, since: Option<EntryIndex>, own: bool| -> Result<Event> {
        let mut event = KeyRevoked {
            person: name.parse()?,
            key: key(name, 1)?.public_key().fingerprint(),
            compromised_since: since,
            reason: REASON.to_owned(),
            by: if own { name.parse()? } else { "sam".parse()? },
            signature: String::new(),
            countersigned: Vec::new(),
        };
        let document = event.document(ORIGIN)?;
        match own {
            true => event.signature = sign(name, ENROLMENT_NAMESPACE, &document)?,
            false => (event.signature, event.countersigned) = by_two(ENROLMENT_NAMESPACE, &document)?,
        }
        Ok(Event::KeyRevoked(event))
    };
    let (end, since) = (Some(days(chain, 30)), Some(EntryIndex(chain.next - 1)));
    Ok(vec![
        chain.kind("key-added", "ann", [added("ann", "approvers", end)?, added("dana", "developers", None)?])?,
        chain.kind("key-rotated", "dana", [rotated("dana", end)?, rotated("ann", None)?])?,
        chain.kind("key-recovered", "sam", [recovered("dana", end)?, recovered("ann", None)?])?,
        chain.kind("key-revoked", "sam", [revoked("dana", since, false)?, revoked("ann", None, false)?])?,
        chain.kind("key-revoked-own", "dana", [revoked("dana", since, true)?, revoked("ann", None, true)?])?,
    ])
}

fn standing_changed(chain: &Chain, name: &str, suspended: bool) -> Result<StandingChanged> {
    let person: PersonId = name.parse()?;
    let known = chain.governance()?.person(&person);
    let previous_at = known.ok_or_else(|| Failure::new(format!("`{name}` is not enrolled")))?.standing_at;
    let document = standing_bytes(ORIGIN, &person, suspended, previous_at, REASON)?;
    let (signature, countersigned) = by_two(ENROLMENT_NAMESPACE, &document)?;
    let reason = REASON.to_owned();
    Ok(StandingChanged { person, previous_at, reason, by: "sam".parse()?, signature, countersigned })
}

fn standing(chain: &Chain) -> Result<Vec<Kind>> {
    let [dana, ann] = ["dana", "ann"].map(|name| standing_changed(chain, name, true).map(Event::PersonSuspended));
    let (dana, ann) = (dana?, ann?);
    let mut after = chain.clone();
    after.apply(person("sam")?, dana.clone(), &[])?;
    after.apply(person("sam")?, ann.clone(), &[])?;
    let back = |name: &str| standing_changed(&after, name, false).map(Event::PersonReinstated);
    Ok(vec![
        chain.kind("person-suspended", "sam", [dana, ann])?,
        after.kind("person-reinstated", "sam", [back("dana")?, back("ann")?])?,
    ])
}

fn accounts(chain: &Chain) -> Result<Vec<Kind>> {
    let bound = |name: &str| -> Result<Event> {
        let id: PersonId = name.parse()?;
        let document = document_bytes(&BindingDocument::new(ORIGIN, &id, ISSUER, name))?;
        let signature = sign(name, IDENTITY_NAMESPACE, &document)?;
        let (issuer, subject) = (ISSUER.to_owned(), name.to_owned());
        Ok(Event::IdentityBound(IdentityBound { person: id, issuer, subject, after: None, signature }))
    };
    let events = [bound("dana")?, bound("ann")?];
    let mut after = chain.clone();
    for event in events.clone() {
        after.apply(person("dana")?, event, &[])?;
    }
    let unbound = |name: &str, by: &str| -> Result<Event> {
        let id: PersonId = name.parse()?;
        let governance = after.governance()?;
        let identity = governance.identities_of(&id).next();
        let identity = identity.ok_or_else(|| Failure::new(format!("`{name}` has no account")))?;
        let document = document_bytes(&UnbindingDocument::new(ORIGIN, identity, REASON))?;
        Ok(Event::IdentityUnbound(IdentityUnbound {
            person: id.clone(),
            issuer: ISSUER.to_owned(),
            subject: name.to_owned(),
            reason: REASON.to_owned(),
            by: by.parse()?,
            signature: sign(by, IDENTITY_NAMESPACE, &document)?,
        }))
    };
    Ok(vec![
        chain.kind("identity-bound", "dana", events)?,
        after.kind("identity-unbound", "dana", [unbound("dana", "dana")?, unbound("ann", "sam")?])?,
    ])
}

/// Changes that several people sign: another policy set, and what is proposed, signed and rejected before.
fn changes(chain: &Chain) -> Result<Vec<Kind>> {
    let mut ready = chain.clone();
    let mut activated = |description: &str| -> Result<Event> {
        let next = ready.bodies.insert(policy("", description)?);
        let governance = ready.governance()?;
        let mut event = PolicyActivated {
            policy: next,
            previous: governance.policy_digest,
            previous_at: governance.policy_at,
            reason: REASON.to_owned(),
            by: "sam".parse()?,
            signature: String::new(),
            countersigned: Vec::new(),
            backtest: None,
        };
        let document = event.demand(ORIGIN)?.document;
        (event.signature, event.countersigned) = by_two(POLICY_NAMESPACE, &document)?;
        Ok(Event::PolicyActivated(event))
    };
    let sets = [activated("The second set")?, activated("The third set")?];
    let mut kinds = vec![ready.kind("policy-activated", "sam", sets)?];

    let draft = |name: &str| -> Result<Event> {
        let alone = StandingChanged { countersigned: Vec::new(), ..standing_changed(chain, name, true)? };
        Ok(Event::PersonSuspended(alone))
    };
    let drafts = [draft("dana")?, draft("ann")?];
    let [dana, ann] = &drafts;
    let mut open = chain.clone();
    let (first, other) = (proposed(&mut open, dana)?, proposed(&mut open, ann)?);
    kinds.push(open.kind("change-proposed", "sam", [first.clone(), other])?);

    open.apply(person("sam")?, first, &[])?;
    let second = proposed(&mut open, ann)?;
    open.apply(person("sam")?, second, &[])?;
    let (mut signed, mut rejected) = (Vec::new(), Vec::new());
    for (number, draft) in (1..).zip(&drafts) {
        let (change, by): (ChangeId, PersonId) = (ChangeId(number), "kim".parse()?);
        let (namespace, document) = demanded(draft)?;
        let signature = sign("kim", namespace, &document)?;
        signed.push(Event::ChangeSigned(ChangeSigned { change, by: by.clone(), signature }));
        let document = rejection_bytes(ORIGIN, change, Digest::of(&document), REASON)?;
        let signature = sign("kim", REJECTION_NAMESPACE, &document)?;
        let reason = REASON.to_owned();
        rejected.push(Event::ChangeRejected(ChangeRejected { change, reason, by, signature }));
    }
    kinds.push(open.kind("change-signed", "kim", pair(signed)?)?);
    kinds.push(open.kind("change-rejected", "kim", pair(rejected)?)?);
    Ok(kinds)
}

fn pair<T>(events: Vec<T>) -> Result<[T; 2]> {
    events.try_into().map_err(|_| Failure::new("there are not two"))
}

/// The namespace and the document that a change's signers sign.
fn demanded(draft: &Event) -> Result<(&'static str, Vec<u8>)> {
    let demand = draft.demand(ORIGIN)?.ok_or_else(|| Failure::new("nobody has to sign this"))?;
    Ok((demand.namespace, demand.document))
}

fn proposed(chain: &mut Chain, draft: &Event) -> Result<Event> {
    let (namespace, document) = demanded(draft)?;
    let event = ChangeProposed {
        change: chain.governance()?.next_change(),
        draft: chain.bodies.insert(draft_bytes(draft)?),
        document: Digest::of(&document),
        by: "sam".parse()?,
        signature: sign("sam", namespace, &document)?,
        expires_at: chain.time.plus(CHANGE_TTL),
    };
    Ok(Event::ChangeProposed(event))
}

fn waivers(chain: &Chain) -> Result<Vec<Kind>> {
    let release: ReleaseName = RELEASE.parse()?;
    let asked = |finding: &str, artifact: Option<Digest>| -> Result<WaiverRequested> {
        let mut event = WaiverRequested {
            gate: "vulnerabilities".parse()?,
            finding: finding.to_owned(),
            service: SERVICE.parse()?,
            environment: ENVIRONMENT.parse()?,
            release: Some(release.clone()),
            artifact,
            reason: REASON.to_owned(),
            ticket: Some("OPS-7".to_owned()),
            expires_at: days(chain, 10),
            asked_by: "dana".parse()?,
            signature: String::new(),
        };
        let document = document_bytes(&WaiverDocument::new(ORIGIN, &event))?;
        event.signature = sign("dana", WAIVER_NAMESPACE, &document)?;
        Ok(event)
    };
    let requests = [asked("CVE-2099-1", Some(Digest::of(b"app")))?, asked("CVE-2099-2", None)?];
    let [first, other] = requests.clone().map(Event::WaiverRequested);
    let mut after = chain.clone();
    let mut indices = Vec::new();
    for event in [first.clone(), other.clone()] {
        indices.push(after.apply(person("dana")?, event, &[])?);
    }
    let (mut granted, mut revoked) = (Vec::new(), Vec::new());
    for ((request, index), by) in requests.into_iter().zip(indices).zip(["dana", "ann"]) {
        let document = document_bytes(&WaiverDocument::new(ORIGIN, &request))?;
        granted.push(Event::WaiverGranted(WaiverGranted {
            gate: request.gate,
            finding: request.finding,
            service: request.service,
            environment: request.environment,
            reason: request.reason,
            expires_at: request.expires_at,
            asked_by: request.asked_by,
            asked_signature: request.signature,
            granted_by: "ann".parse()?,
            granted_signature: sign("ann", WAIVER_NAMESPACE, &document)?,
            request: Some(index),
            release: request.release,
            artifact: request.artifact,
            ticket: request.ticket,
        }));
        let document = document_bytes(&WaiverEndDocument::new(ORIGIN, index, REASON))?;
        let signature = sign(by, WAIVER_NAMESPACE, &document)?;
        let reason = REASON.to_owned();
        revoked.push(Event::WaiverRevoked(WaiverRevoked { waiver: index, reason, by: by.parse()?, signature }));
    }
    Ok(vec![
        chain.kind("waiver-requested", "dana", [first, other])?,
        after.kind("waiver-granted", "ann", pair(granted)?)?,
        after.kind("waiver-revoked", "dana", pair(revoked)?)?,
    ])
}

fn pipelines(chain: &Chain) -> Result<Vec<Kind>> {
    let trusted = |machine: &str, repository: &str, services: &[&str]| -> Result<Event> {
        let claims = [("repository_owner_id", "123"), ("repository_id", repository)];
        let mut event = CiTrusted {
            provider: CiProvider::Github,
            machine: machine.parse()?,
            groups: names(&["ci"])?,
            issuer: GITHUB_ISSUER.to_owned(),
            audience: ORIGIN.to_owned(),
            claims: claims.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            services: names(services)?,
            jwks_url: Some(format!("{GITHUB_ISSUER}/.well-known/jwks")),
            nonce: "0123456789abcdef".to_owned(),
            by: "sam".parse()?,
            signature: String::new(),
            countersigned: Vec::new(),
        };
        let document = event.demand(ORIGIN)?.document;
        (event.signature, event.countersigned) = by_two(CI_TRUST_NAMESPACE, &document)?;
        Ok(Event::CiTrusted(event))
    };
    let events = [trusted("ci-web", "456", &["shop/api", SERVICE])?, trusted("ci-api", "789", &["shop/api"])?];
    let mut after = chain.clone();
    let mut ended = Vec::new();
    for event in events.clone() {
        let trust = after.apply(person("sam")?, event, &[])?;
        let by: PersonId = "sam".parse()?;
        let document = document_bytes(&CiTrustEndDocument::new(ORIGIN, trust, REASON, &by))?;
        let signature = sign("sam", CI_TRUST_NAMESPACE, &document)?;
        ended.push(Event::CiUntrusted(CiUntrusted { trust, reason: REASON.to_owned(), by, signature }));
    }
    Ok(vec![chain.kind("ci-trusted", "sam", events)?, after.kind("ci-untrusted", "sam", pair(ended)?)?])
}

fn reviews(chain: &Chain) -> Result<Vec<Kind>> {
    let mut ready = chain.clone();
    let (mut documents, mut events) = (Vec::new(), Vec::new());
    for (by, size) in [("eve", chain.next), ("sam", chain.next - 1)] {
        let governance = chain.governance()?;
        let used = ReviewedUse {
            person: "dana".parse()?,
            permission: Permission::Push,
            index: EntryIndex(size - 1),
            time: START,
        };
        let review = AccessReview {
            schema: AccessReview::SCHEMA.to_owned(),
            ledger: ORIGIN.to_owned(),
            policy: governance.policy_digest,
            people: AccessReview::people_of(governance),
            bindings: AccessReview::bindings_of(&governance.policy),
            uses: vec![used],
            unused: Vec::new(),
            reviewed_at_index: EntryIndex(size),
        };
        let document = review.to_bytes()?;
        let signature = sign(by, ACCESS_REVIEW_NAMESPACE, &document)?;
        events.push(AccessReviewed { review: ready.bodies.insert(document.clone()), by: by.parse()?, signature });
        documents.push(document);
    }
    let signed = events.first().cloned().ok_or_else(|| Failure::new("there is no review"))?;
    let events = pair(events)?.map(Event::AccessReviewed);
    Ok(vec![ready.kind("access-reviewed", "eve", events)?, ready.reviews("eve", signed, documents)?])
}

/// Rights that people lend each other.
fn rights(chain: &Chain) -> Result<Vec<Kind>> {
    let granted = |from: &str, to: &str| -> Result<Event> {
        let mut event = DelegationGranted {
            from: from.parse()?,
            to: to.parse()?,
            groups: names(&["approvers"])?,
            environments: names(&["staging", ENVIRONMENT])?,
            services: names(&[SERVICE])?,
            expires_at: days(chain, 5),
            reason: REASON.to_owned(),
            signature: String::new(),
        };
        let document = document_bytes(&DelegationDocument::new(ORIGIN, &event))?;
        event.signature = sign(from, DELEGATION_NAMESPACE, &document)?;
        Ok(Event::DelegationGranted(event))
    };
    let events = [granted("ann", "bob")?, granted("bob", "cem")?];
    let mut after = chain.clone();
    let mut ended = Vec::new();
    for (event, by) in events.clone().into_iter().zip(["ann", "cem"]) {
        let delegation = after.apply(person("ann")?, event, &[])?;
        let document = document_bytes(&DelegationEndDocument::new(ORIGIN, delegation, REASON))?;
        let signature = sign(by, DELEGATION_NAMESPACE, &document)?;
        let reason = REASON.to_owned();
        ended.push(Event::DelegationEnded(DelegationEnded { delegation, reason, by: by.parse()?, signature }));
    }
    Ok(vec![chain.kind("delegation-granted", "ann", events)?, after.kind("delegation-ended", "ann", pair(ended)?)?])
}

fn freezes(chain: &Chain) -> Result<Vec<Kind>> {
    let ordered = |by: &str, nonce: &str, service: Option<ServiceName>| -> Result<Event> {
        let mut event = FreezeOrdered {
            until: service.is_some().then(|| days(chain, 1)),
            spares_rollbacks: service.is_some(),
            service,
            environment: Some(ENVIRONMENT.parse()?),
            reason: REASON.to_owned(),
            nonce: nonce.to_owned(),
            by: by.parse()?,
            signature: String::new(),
        };
        let document = document_bytes(&FreezeDocument::new(ORIGIN, &event))?;
        event.signature = sign(by, FREEZE_NAMESPACE, &document)?;
        Ok(Event::FreezeOrdered(event))
    };
    let events = [ordered("ann", "one", Some(SERVICE.parse()?))?, ordered("sam", "two", None)?];
    let mut after = chain.clone();
    let mut lifted = Vec::new();
    for event in events.clone() {
        let freeze = after.apply(person("ann")?, event, &[])?;
        let mut event =
            FreezeLifted { freeze, reason: REASON.to_owned(), by: "kim".parse()?, signature: String::new() };
        let document = document_bytes(&FreezeLiftDocument::new(ORIGIN, &event))?;
        event.signature = sign("kim", FREEZE_NAMESPACE, &document)?;
        lifted.push(Event::FreezeLifted(event));
    }
    Ok(vec![chain.kind("freeze-ordered", "ann", events)?, after.kind("freeze-lifted", "kim", pair(lifted)?)?])
}

/// Break-glass, from its first signature to its review.
fn emergencies(chain: &Chain) -> Result<Vec<Kind>> {
    let opened = |by: &str, ticket: &str| -> Result<BreakGlassOpened> {
        let mut event = BreakGlassOpened {
            release: RELEASE.parse()?,
            manifest: Digest::of(b"manifest"),
            environment: ENVIRONMENT.parse()?,
            reason: REASON.to_owned(),
            ticket: ticket.to_owned(),
            expires_at: chain.time.plus(Span::from_secs(3600)),
            by: by.parse()?,
            signature: String::new(),
        };
        let document = document_bytes(&BreakGlassDocument::new(ORIGIN, &event))?;
        event.signature = sign(by, BREAK_GLASS_NAMESPACE, &document)?;
        Ok(event)
    };
    let both = [opened("ann", "INC-1")?, opened("bob", "INC-2")?];
    let mut after = chain.clone();
    let mut signed = Vec::new();
    for event in both.clone() {
        let document = document_bytes(&BreakGlassDocument::new(ORIGIN, &event))?;
        let break_glass = after.apply(person("ann")?, Event::BreakGlassOpened(event), &[])?;
        let signature = sign("cem", BREAK_GLASS_NAMESPACE, &document)?;
        signed.push(BreakGlassSigned { break_glass, by: "cem".parse()?, signature });
    }
    let signed = pair(signed)?;
    let mut effective = after.clone();
    let [first, _] = signed.clone();
    let break_glass = first.break_glass;
    effective.apply(person("cem")?, Event::BreakGlassSigned(first), &[])?;
    let reviewed = |by: &str, finding: &str| -> Result<Event> {
        let finding = finding.to_owned();
        let mut event = BreakGlassReviewed { break_glass, finding, by: by.parse()?, signature: String::new() };
        let document = document_bytes(&BreakGlassReviewDocument::new(ORIGIN, &event))?;
        event.signature = sign(by, BREAK_GLASS_NAMESPACE, &document)?;
        Ok(Event::BreakGlassReviewed(event))
    };
    let reviews = [reviewed("eve", "the alert was right")?, reviewed("sam", "nobody was needed")?];
    Ok(vec![
        chain.kind("break-glass-opened", "ann", both.map(Event::BreakGlassOpened))?,
        after.kind("break-glass-signed", "cem", signed.map(Event::BreakGlassSigned))?,
        effective.kind("break-glass-reviewed", "eve", reviews)?,
    ])
}

/// Approvals as entries record them, and their withdrawal.
fn approvals(chain: &Chain) -> Result<Vec<Kind>> {
    let mut asked = chain.clone();
    let release = asked.publish()?;
    let manifest = asked.state.release(&release)?.manifest_digest;
    let promotion = PromotionId(1);
    let request = PromotionRequested {
        promotion,
        release: release.clone(),
        manifest,
        environment: ENVIRONMENT.parse()?,
        kind: PromotionKind::Promotion,
        reason: REASON.to_owned(),
        expires_at: days(&asked, 30),
    };
    asked.apply(person("dana")?, Event::PromotionRequested(request), &[])?;
    let (mut recorded, mut withdrawn) = (Vec::new(), Vec::new());
    for name in ["ann", "bob"] {
        let own = key(name, 1)?;
        let consent = Consent {
            approver: name.parse()?,
            verdict: Verdict::Approve,
            comment: Some("read and agreed".to_owned()),
            expires_at: asked.time.plus(Span::from_secs(3600)),
            anchor: Anchor { size: TreeSize(asked.next), root: Digest::of(b"root") },
        };
        let document = document_for(&asked.state, promotion, consent)?.to_bytes()?;
        let signature = own.sign(NAMESPACE, &document)?.to_armored();
        let document = asked.bodies.insert(document);
        recorded.push(Event::ApprovalRecorded(ApprovalRecorded {
            promotion,
            release: release.clone(),
            verdict: Verdict::Approve,
            approver: name.parse()?,
            key: own.public_key().fingerprint(),
            document,
            signature,
        }));
        let mut event = ApprovalWithdrawn {
            promotion,
            release: release.clone(),
            approver: name.parse()?,
            approvals: vec![document],
            reason: REASON.to_owned(),
            signature: String::new(),
        };
        let document = document_bytes(&WithdrawalDocument::new(ORIGIN, &event))?;
        event.signature = sign(name, WITHDRAWAL_NAMESPACE, &document)?;
        withdrawn.push(Event::ApprovalWithdrawn(event));
    }
    let recorded = pair(recorded)?;
    let mut after = asked.clone();
    for event in recorded.clone() {
        after.apply(person("ann")?, event, &[])?;
    }
    Ok(vec![
        asked.kind("approval-recorded", "ann", recorded)?,
        after.kind("approval-withdrawn", "ann", pair(withdrawn)?)?,
    ])
}
