//! Sessions: how long they last, what ends them at once, and what they are not enough for.

use lockgate_engine::session::{self, Amr, Caller, Challenges, SignedIn};
use lockgate_engine::{Fault, identity, people, policy, step_up};
use lockgate_ledger::entry::{KeyRevoked, PolicyActivated};
use lockgate_ledger::governance::{
    ActivationDocument, ENROLMENT_NAMESPACE, POLICY_NAMESPACE, RevocationDocument, document_bytes,
};
use lockgate_ledger::identity::{
    BindingDocument, IDENTITY_NAMESPACE, IdentityBound, IdentityUnbound, UnbindingDocument, credential,
};
use lockgate_model::{Digest, EntryIndex, Span, UnixMillis};
use lockgate_policy::PolicySet;
use lockgate_sign::ssh_signer::SshSigner as _;
use lockgate_store::{Session, SessionStore as _};

use crate::world::{World, key_of, person};

const ORIGIN: &str = "log1.test.example";
const ISSUER: &str = "https://idp.example";

fn signed(name: &str, namespace: &str, bytes: &[u8]) -> String {
    key_of(name).sign(namespace, bytes).unwrap().to_armored()
}

fn sign_in(world: &World, name: &str) -> SignedIn {
    let (engine, challenges) = (world.engine(), Challenges::default());
    let challenge = session::challenge(engine, &challenges, person(name)).unwrap();
    let id = person(name);
    let document = document_bytes(&session::ChallengeDocument::new(ORIGIN, &id, &challenge)).unwrap();
    let signature = signed(name, session::NAMESPACE, &document);
    session::sign_in(engine, &challenges, &id, &challenge, &signature).unwrap()
}

fn code(world: &World, token: &str) -> Option<&'static str> {
    session::caller(world.engine(), token).err().map(|fault| fault.code)
}

fn caller(world: &World, token: &str) -> Caller {
    session::caller(world.engine(), token).unwrap()
}

/// Makes the starter policy set, changed, the active one; sam signs.
fn activate(world: &World, edit: impl Fn(&str, &str) -> String) {
    let governance = world.engine().governance().unwrap();
    let files = PolicySet::starter("starter").unwrap();
    let files = files.into_iter().map(|(path, text)| (path.clone(), edit(&path, &text)));
    // The set's own tests describe the starter, not what is made of it.
    let set = PolicySet::from_files(files.filter(|(path, _)| !path.starts_with("tests/")).collect()).unwrap();
    let document = ActivationDocument {
        schema: "https://lockgate.dev/policy-activation/v1",
        ledger: ORIGIN,
        policy: set.digest(),
        previous: governance.policy_digest,
        previous_at: governance.policy_at,
        reason: "a test",
        backtest: None,
    };
    let event = PolicyActivated {
        policy: set.digest(),
        previous: governance.policy_digest,
        previous_at: governance.policy_at,
        reason: "a test".to_owned(),
        by: person("sam"),
        signature: signed("sam", POLICY_NAMESPACE, &document_bytes(&document).unwrap()),
        countersigned: Vec::new(),
        backtest: None,
    };
    let submission = policy::activate(&person("sam"), set.document(), event).unwrap();
    world.engine().run(submission).unwrap();
    assert_eq!(world.engine().governance().unwrap().policy_digest, set.digest());
}

fn revoke(world: &World, name: &str) {
    let fingerprint = key_of(name).public_key().fingerprint();
    let id = person(name);
    let document = RevocationDocument {
        schema: "https://lockgate.dev/revocation/v1",
        ledger: ORIGIN,
        person: &id,
        key: &fingerprint,
        compromised_since: None,
        reason: "lost",
    };
    let signature = signed(name, ENROLMENT_NAMESPACE, &document_bytes(&document).unwrap());
    let event = KeyRevoked {
        person: id.clone(),
        key: fingerprint.clone(),
        compromised_since: None,
        reason: "lost".to_owned(),
        by: id.clone(),
        signature,
        countersigned: Vec::new(),
    };
    world.engine().run(people::revoke_key(&id, event).unwrap()).unwrap();
}

fn bind(world: &World, name: &str, signer: &str, subject: &str) -> Result<(), Fault> {
    let id = person(name);
    let governance = world.engine().governance().unwrap();
    let after = governance.account(&credential(ISSUER, subject)).and_then(|account| account.unbound_at);
    let document = document_bytes(&BindingDocument::new(ORIGIN, &id, ISSUER, subject).after(after)).unwrap();
    let event = IdentityBound {
        person: id.clone(),
        issuer: ISSUER.to_owned(),
        subject: subject.to_owned(),
        after,
        signature: signed(signer, IDENTITY_NAMESPACE, &document),
    };
    world.engine().run(identity::bind(&id, event)?).map(|_| ())
}

#[test]
fn a_session_ends_when_it_is_idle_or_old() {
    let world = World::starter();
    let idle = sign_in(&world, "dana").token;
    world.wait("29m");
    assert_eq!(code(&world, &idle), None);
    world.wait("29m");
    assert_eq!(code(&world, &idle), None, "it was used in between");
    world.wait("30m");
    assert_eq!(code(&world, &idle), Some("TOKEN_EXPIRED"));

    let busy = sign_in(&world, "dana");
    assert_eq!(busy.expires.since(world.engine().inner().now()), session::ABSOLUTE);
    for _ in 0..35 {
        world.wait("20m");
        assert_eq!(code(&world, &busy.token), None);
    }
    world.wait("20m");
    assert_eq!(code(&world, &busy.token), Some("TOKEN_EXPIRED"), "twelve hours have passed");
}

#[test]
fn what_has_expired_stays_so_when_the_clock_goes_back() {
    let mut world = World::starter();
    let (asked, unasked) = (sign_in(&world, "dana").token, sign_in(&world, "sam").token);
    world.wait("13h");
    assert_eq!(code(&world, &asked), Some("TOKEN_EXPIRED"));
    world.turn_back("13h");
    assert_eq!(code(&world, &asked), Some("TOKEN_UNKNOWN"));
    world.reopen().unwrap();
    assert_eq!(code(&world, &asked), Some("TOKEN_UNKNOWN"), "nor does a restart bring it back");
    assert_eq!(code(&world, &unasked), None, "nobody saw it expire");
    // What the ledger has recorded is past for whoever opens it.
    world.wait("13h");
    world.push("shop/web@1.0.0");
    world.turn_back("13h");
    world.reopen().unwrap();
    assert_eq!(code(&world, &unasked), Some("TOKEN_EXPIRED"));
}

#[test]
fn a_restart_ends_nobodys_session_and_a_changed_token_is_nobodys() {
    let mut world = World::starter();
    let token = sign_in(&world, "dana").token;
    let before = caller(&world, &token);
    world.reopen().unwrap();
    assert_eq!(caller(&world, &token), before, "how it began is remembered too");
    assert_eq!(before.proof.amr.names(), ["swk"]);
    assert_eq!(before.proof.fingerprint(), key_of("dana").public_key().fingerprint());
    // Whoever claims more than was proven has another token.
    let (secret, proof) = token.split_once('.').unwrap();
    for other in [secret.to_owned(), format!("{secret}."), format!("{secret}.{}", proof.replacen('A', "B", 1))] {
        assert_eq!(code(&world, &other), Some("TOKEN_UNKNOWN"), "{other}");
    }
}

#[test]
fn a_revoked_key_takes_the_sessions_that_it_opened() {
    let world = World::starter();
    let (dana, sam) = (sign_in(&world, "dana").token, sign_in(&world, "sam").token);
    revoke(&world, "dana");
    assert_eq!(code(&world, &dana), Some("KEY_REVOKED"));
    assert_eq!(code(&world, &sam), None);
}

#[test]
fn whoever_loses_a_permission_signs_in_anew() {
    let mut world = World::starter();
    let tokens = ["dana", "sam", "ci"].map(|name| sign_in(&world, name).token);
    let unused = sign_in(&world, "dana").token;
    let codes = |world: &World| tokens.each_ref().map(|token| code(world, token));
    assert_eq!(codes(&world), [None; 3]);
    // A change that takes nothing from anyone ends nothing.
    activate(&world, |path, text| match path {
        "policy.toml" => text.replace("72h", "48h"),
        _ => text.to_owned(),
    });
    assert_eq!(codes(&world), [None; 3]);
    activate(&world, |path, text| match path {
        "people.toml" => text.replacen(", \"rollback\"", "", 1),
        _ => text.to_owned(),
    });
    assert_eq!(codes(&world), [Some("TOKEN_UNKNOWN"), None, None], "developers could roll back");
    // The store has forgotten them as well.
    world.reopen().unwrap();
    assert_eq!(code(&world, &unused), Some("TOKEN_UNKNOWN"));
    world.wait("1m");
    let again = sign_in(&world, "dana").token;
    assert_eq!(code(&world, &again), None);
}

#[test]
fn what_the_store_is_told_later_counts_at_once() {
    let world = World::starter();
    let token = sign_in(&world, "dana").token;
    let row = || world.store.session_by_hash(&world.engine().inner().token_hash(&token)).unwrap();
    let began = row().unwrap().last_used;
    world.wait("2m");
    let (caller, unsaved) = session::caller_unsaved(world.engine(), &token);
    assert_eq!(caller.unwrap().person, person("dana"));
    assert_eq!(row().unwrap().last_used, began);
    unsaved.unwrap().save(world.engine());
    assert_eq!(row().unwrap().last_used, world.engine().inner().now());
    assert!(session::caller_unsaved(world.engine(), &token).1.is_none(), "once a minute");
    activate(&world, |path, text| match path {
        "people.toml" => text.replacen(", \"rollback\"", "", 1),
        _ => text.to_owned(),
    });
    let (caller, unsaved) = session::caller_unsaved(world.engine(), &token);
    assert_eq!(caller.unwrap_err().code, "TOKEN_UNKNOWN");
    assert!(row().is_some(), "nobody has waited for the store");
    unsaved.unwrap().save(world.engine());
    assert!(row().is_none());
}

/// Whoever can write the database, and has none of the server's keys, makes nobody's session.
#[test]
fn a_row_that_somebody_else_has_written_is_no_session() {
    let world = World::starter();
    let token = sign_in(&world, "dana").token;
    let now = world.engine().inner().now();
    let row = world.store.session_by_hash(&world.engine().inner().token_hash(&token)).unwrap().unwrap();
    let made_up = format!("another{token}");
    for subject in ["dana", "sam"] {
        let token_hash = Digest::of(made_up.as_bytes());
        let forged = Session { token_hash, subject: person(subject), created: now, last_used: now, ..row.clone() };
        world.store.session_remove(&token_hash).unwrap();
        world.store.session_insert(&forged).unwrap();
        assert_eq!(code(&world, &made_up), Some("TOKEN_UNKNOWN"));
    }
    // Nor does a token that is known turn into another person's by its row.
    let mut world = world;
    world.store.session_remove(&row.token_hash).unwrap();
    world.store.session_insert(&Session { subject: person("sam"), ..row }).unwrap();
    world.reopen().unwrap();
    assert_eq!(code(&world, &token), Some("KEY_UNKNOWN"));
}

#[test]
fn sessions_are_listed_and_ended() {
    let mut world = World::starter();
    let dana = person("dana");
    let tokens: Vec<String> = (0..3)
        .map(|_| {
            world.wait("1m");
            sign_in(&world, "dana").token
        })
        .collect();
    let listed = session::list(world.engine(), &dana);
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[0].id, caller(&world, &tokens[2]).session, "newest first");
    assert!(session::list(world.engine(), &person("sam")).is_empty());

    assert_eq!(session::end(world.engine(), &person("sam"), &listed[0].id).unwrap_err().code, "SESSION_UNKNOWN");
    session::end(world.engine(), &dana, &listed[0].id).unwrap();
    assert_eq!(code(&world, &tokens[2]), Some("TOKEN_UNKNOWN"));
    session::sign_out(world.engine(), &tokens[1]).unwrap();
    assert_eq!((code(&world, &tokens[1]), code(&world, &tokens[0])), (Some("TOKEN_UNKNOWN"), None));
    // One that nobody has used since a restart is not listed, and ends all the same.
    world.reopen().unwrap();
    assert_eq!(session::sign_out_everywhere(world.engine(), &dana).unwrap(), 0);
    assert_eq!(code(&world, &tokens[0]), Some("TOKEN_UNKNOWN"));
}

/// Marks of used tokens stand beside sessions, under a name that nobody has: ending its sessions would forget them.
#[test]
fn the_name_that_used_tokens_are_kept_under_is_nobodys() {
    let world = World::starter();
    let ended = session::sign_out_everywhere(world.engine(), &person("ci-token"));
    assert_eq!(ended.unwrap_err().code, "NAME_RESERVED");
}

#[test]
fn a_sensitive_act_needs_a_fresh_sign_in_or_a_signature_of_ones_own() {
    let world = World::starter();
    let dana = caller(&world, &sign_in(&world, "dana").token);
    let (own, foreign) = (signed("dana", "any", b"x"), signed("sam", "any", b"x"));
    let check = |signatures: &[&str]| {
        let governance = world.engine().governance().unwrap();
        let next = EntryIndex(world.size());
        step_up::check(&governance, &dana, signatures, next, world.engine().inner().now()).map_err(|fault| fault.code)
    };
    assert_eq!(check(&[]), Ok(()));
    world.wait("14m");
    assert_eq!(check(&[]), Ok(()));
    world.wait("1m");
    assert_eq!(check(&[]), Err("STEP_UP_REQUIRED"));
    assert_eq!(check(&[foreign.as_str(), "", "not a signature"]), Err("STEP_UP_REQUIRED"));
    assert_eq!(check(&[foreign.as_str(), own.as_str()]), Ok(()));
    revoke(&world, "dana");
    assert_eq!(check(&[own.as_str()]), Err("STEP_UP_REQUIRED"));
}

#[test]
fn a_policy_set_may_demand_a_signature_every_time_and_a_second_factor() {
    let world = World::starter();
    let governance = || world.engine().governance().unwrap();
    let dana = caller(&world, &sign_in(&world, "dana").token);
    let ci = caller(&world, &sign_in(&world, "ci").token);
    let factors = |caller: &Caller| session::check_factors(&governance(), caller).map_err(|fault| fault.code);
    assert_eq!(factors(&dana), Ok(()));
    activate(&world, |path, text| match path {
        "policy.toml" => text.replace("mfa = false", "mfa = true").replace("\"15m\"", "\"0s\""),
        _ => text.to_owned(),
    });
    assert_eq!((factors(&dana), factors(&ci)), (Err("MFA_REQUIRED"), Ok(())));
    let mut strong = dana.clone();
    strong.proof.amr = Amr::HARDWARE_KEY;
    assert_eq!(factors(&strong), Err("MFA_REQUIRED"), "a key that asks nobody for anything is one factor");
    for amr in [Amr::HARDWARE_KEY.and(Amr::USER_VERIFIED), Amr::MULTI_FACTOR] {
        strong.proof.amr = amr;
        assert_eq!(factors(&strong), Ok(()));
    }
    let now = world.engine().inner().now();
    let checked = step_up::check(&governance(), &dana, &[], EntryIndex(world.size()), now);
    assert_eq!(checked.unwrap_err().code, "STEP_UP_REQUIRED");
    activate(&world, |path, text| match path {
        "policy.toml" => text.replace("mfa = false", "mfa = [\"approver\"]"),
        _ => text.to_owned(),
    });
    let sam = caller(&world, &sign_in(&world, "sam").token);
    assert_eq!((factors(&dana), factors(&sam)), (Ok(()), Err("MFA_REQUIRED")));
}

#[test]
fn an_account_is_bound_by_its_persons_key_and_opens_their_sessions() {
    let world = World::starter();
    let now = || world.engine().inner().now();
    let open = |subject: &str, amr: Amr, at: UnixMillis| {
        session::sign_in_by_account(world.engine(), ISSUER, subject, amr, at).map_err(|fault| fault.code)
    };
    assert_eq!(open("1", Amr::default(), now()).err(), Some("IDENTITY_UNBOUND"));
    let refused = |name: &str, signer: &str, subject: &str| bind(&world, name, signer, subject).unwrap_err().code;
    assert_eq!(refused("dana", "sam", "1"), "KEY_UNKNOWN", "somebody else's key");
    assert_eq!(refused("ci", "ci", "1"), "SOD_ROBOT");
    assert_eq!(refused("dana", "dana", ""), "IDENTITY_INVALID");
    bind(&world, "dana", "dana", "1").unwrap();
    assert_eq!(refused("sam", "sam", "1"), "KEY_ALREADY_BOUND");
    assert_eq!(refused("dana", "dana", "1"), "KEY_ALREADY_BOUND");

    let long_ago = UnixMillis(now().0 - Span::from_secs(3600).millis());
    let token = open("1", Amr::MULTI_FACTOR, long_ago).unwrap().token;
    let dana = caller(&world, &token);
    assert_eq!((dana.person.as_str(), dana.proof.method.as_str()), ("dana", "oidc"));
    assert_eq!(dana.proof.auth_time, long_ago, "when it was proven, not when the session began");
    assert!(dana.proof.amr.is_multi_factor());
    assert_eq!(open("2", Amr::default(), now()).err(), Some("IDENTITY_UNBOUND"));

    // Who manages keys can end it, and so it ends at once.
    let governance = world.engine().governance().unwrap();
    let account = governance.account(&credential(ISSUER, "1")).unwrap();
    let bytes = document_bytes(&UnbindingDocument::new(ORIGIN, account, "left")).unwrap();
    let unbind = |by: &str| {
        let event = IdentityUnbound {
            person: person("dana"),
            issuer: ISSUER.to_owned(),
            subject: "1".to_owned(),
            reason: "left".to_owned(),
            by: person(by),
            signature: signed(by, IDENTITY_NAMESPACE, &bytes),
        };
        world.engine().run(identity::unbind(&person(by), event).unwrap()).map(|_| ()).map_err(|fault| fault.code)
    };
    assert_eq!(unbind("ci"), Err("NOT_PERMITTED"));
    assert_eq!(unbind("sam"), Ok(()));
    assert_eq!(unbind("sam"), Err("IDENTITY_UNKNOWN"));
    assert_eq!(code(&world, &token), Some("KEY_REVOKED"));
    // It stays dana's: nobody else can take it over.
    assert_eq!(refused("sam", "sam", "1"), "KEY_ALREADY_BOUND");
    bind(&world, "dana", "dana", "1").unwrap();
    let token = open("1", Amr::default(), now()).unwrap().token;
    revoke(&world, "dana");
    assert_eq!(code(&world, &token), Some("KEY_REVOKED"), "whoever has no key left has no session");
}
