//! CI identity: which pipelines count, and how a job signs in.

use std::collections::BTreeMap;

use lockgate_api::Exit;
use lockgate_api::client::query_value;
use lockgate_api::https::Https;
use lockgate_api::wire::{
    Acknowledged, Changed, CiIssuer, CiTokenReply, CiTokenRequest, CiTrustEnd, CiTrustRequest, CiTrustRow, PersonRow,
    ServerInfo,
};
use lockgate_ledger::Event;
use lockgate_ledger::change::render;
use lockgate_ledger::ci_trust::{
    CI_TRUST_NAMESPACE, CiProvider, CiTrustDocument, CiTrustEndDocument, CiTrusted, check, reach,
};
use lockgate_ledger::governance::document_bytes;
use lockgate_model::json::{self, Numbers};
use lockgate_model::{EntryIndex, GroupName, Limits, PersonId};

use crate::cli::{Ci, CiTrust, CiTrustAdd, CiTrustCommon};
use crate::commands::change::outcome;
use crate::failure::{Failure, Outcome};
use crate::keyring::sign;
use crate::terminal::{printable, table};
use crate::world::{World, variable};

/// The group of a machine that is made without one.
const GROUP: &str = "ci";

/// `lockgate ci`.
///
/// # Errors
/// What the trust, the key or the server refuses.
pub fn ci(world: &World, options: &Ci) -> Outcome {
    let Ci::Trust(options) = options;
    match options {
        CiTrust::Add(add) => trust(world, add),
        CiTrust::List => list(world),
        CiTrust::Remove { trust, reason } => remove(world, *trust, reason),
    }
}

/// What one kind of trust says beside what all say.
struct Named<'a> {
    provider: CiProvider,
    issuer: &'a str,
    claims: BTreeMap<String, String>,
    common: &'a CiTrustCommon,
}

fn named(add: &CiTrustAdd) -> Result<Named<'_>, Failure> {
    let mut claims = BTreeMap::new();
    let mut demand = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            claims.insert(name.to_owned(), value);
        }
    };
    let (provider, issuer, common) = match add {
        CiTrustAdd::Github { owner_id, repository_id, environment, git_ref, workflow_ref, issuer, common } => {
            demand("repository_owner_id", Some(owner_id.to_string()));
            demand("repository_id", Some(repository_id.to_string()));
            demand("environment", environment.clone());
            demand("ref", git_ref.clone());
            demand("workflow_ref", workflow_ref.clone());
            (CiProvider::Github, issuer, common)
        }
        CiTrustAdd::Gitlab { namespace_id, project_id, environment, git_ref, protected, issuer, common } => {
            demand("namespace_id", Some(namespace_id.to_string()));
            demand("project_id", Some(project_id.to_string()));
            demand("environment", environment.clone());
            demand("ref", git_ref.clone());
            demand("ref_protected", protected.then(|| "true".to_owned()));
            (CiProvider::Gitlab, issuer, common)
        }
        CiTrustAdd::Oidc { issuer, claims: wanted, common } => {
            for (name, value) in wanted {
                if wanted.iter().filter(|(other, _)| other == name).count() > 1 {
                    return Err(Failure::usage(
                        "CI_TRUST_INVALID",
                        format!("the claim `{}` is given twice", printable(name)),
                    ));
                }
                demand(name, Some(value.clone()));
            }
            (CiProvider::Oidc, issuer, common)
        }
    };
    Ok(Named { provider, issuer, claims, common })
}

fn trust(world: &World, add: &CiTrustAdd) -> Outcome {
    let Named { provider, issuer, claims, common } = named(add)?;
    let by = world.person()?;
    let client = world.signed_in_as(&by)?;
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let people: Vec<PersonRow> = client.get("/v1/people")?;
    let mut services = common.services.clone();
    services.sort();
    services.dedup();
    let mut event = CiTrusted {
        provider,
        machine: common.machine.clone(),
        groups: groups(&people, common)?,
        issuer: issuer.to_owned(),
        audience: common.audience.clone().unwrap_or_else(|| info.origin.clone()),
        claims,
        services,
        jwks_url: common.jwks_url.clone(),
        nonce: world.random_hex()?,
        by: by.clone(),
        signature: String::new(),
        countersigned: Vec::new(),
    };
    check(&event)?;
    let document = document_bytes(&CiTrustDocument::new(&info.origin, &event))?;
    let shown = render(&Event::CiTrusted(event.clone()), &document);
    world.terminal.say(format!("You are about to sign:\n{}", shown.trim_end()));
    if !common.yes && !world.terminal.confirm("Sign this?")? {
        return Err(Failure::new(Exit::Failed, "NOT_CONFIRMED", "nothing was signed"));
    }
    let signer = world.keyring.signer(&world.context()?, &by, None)?;
    event.signature = sign(signer.as_ref(), CI_TRUST_NAMESPACE, &document)?;
    let request = wire(event);
    let reply: Acknowledged<Changed> = client.post("/v1/ci/trusts", &request, Some(&world.random_hex()?))?;
    outcome(world, &reply, || {
        let services: Vec<&str> = request.services.iter().map(lockgate_model::ServiceName::as_str).collect();
        format!("pipelines of {} may act as {} on {}", request.issuer, request.machine, services.join(", "))
    })
}

/// The groups that were named, else those that the machine has, else the usual one.
fn groups(people: &[PersonRow], common: &CiTrustCommon) -> Result<Vec<GroupName>, Failure> {
    if !common.groups.is_empty() {
        return Ok(common.groups.clone());
    }
    if let Some(known) = people.iter().find(|row| row.person == common.machine) {
        return Ok(known.groups.clone());
    }
    let usual: GroupName =
        GROUP.parse::<GroupName>().map_err(|error| Failure::new(Exit::Bug, "NAME_INVALID", format!("{error}")))?;
    Ok(vec![usual])
}

fn wire(event: CiTrusted) -> CiTrustRequest {
    CiTrustRequest {
        provider: match event.provider {
            CiProvider::Github => CiIssuer::Github,
            CiProvider::Gitlab => CiIssuer::Gitlab,
            CiProvider::Oidc => CiIssuer::Oidc,
        },
        machine: event.machine,
        groups: event.groups,
        issuer: event.issuer,
        audience: event.audience,
        claims: event.claims,
        services: event.services,
        jwks_url: event.jwks_url,
        nonce: event.nonce,
        by: event.by,
        signature: event.signature,
    }
}

fn list(world: &World) -> Outcome {
    let rows: Vec<CiTrustRow> = world.signed_in()?.get("/v1/ci/trusts")?;
    world.terminal.show(&rows, || {
        if rows.is_empty() {
            return "no pipeline is trusted".to_owned();
        }
        let lines = rows.iter().map(|row| {
            let claims: Vec<String> = row.claims.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let services: Vec<&str> = row.services.iter().map(lockgate_model::ServiceName::as_str).collect();
            vec![
                row.trust.to_string(),
                row.machine.to_string(),
                services.join(", "),
                printable(&row.issuer),
                printable(&claims.join(", ")),
                row.by.to_string(),
            ]
        });
        table(&["trust", "machine", "services", "issuer", "claims", "signed by"], lines)
    })?;
    Ok(Exit::Done)
}

fn remove(world: &World, trust: u64, reason: &str) -> Outcome {
    let by = world.person()?;
    let client = world.signed_in_as(&by)?;
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let document = document_bytes(&CiTrustEndDocument::new(&info.origin, EntryIndex(trust), reason, &by))?;
    let signer = world.keyring.signer(&world.context()?, &by, None)?;
    let signature = sign(signer.as_ref(), CI_TRUST_NAMESPACE, &document)?;
    let request = CiTrustEnd { trust, reason: reason.to_owned(), by, signature };
    let reply: Acknowledged<Changed> = client.post("/v1/ci/trusts/removals", &request, Some(&world.random_hex()?))?;
    outcome(world, &reply, || format!("the trust of entry {trust} has ended"))
}

/// `lockgate login --ci`: exchanges the token that the CI system issued to this job.
///
/// # Errors
/// `CI_TOKEN_MISSING` outside a CI job that may ask for tokens, `TRUST_MISSING` where nobody but the server says for whom
/// the token is to be, or what the server refuses.
pub fn login(world: &World, audience: Option<&str>) -> Outcome {
    let client = world.client()?;
    let info: ServerInfo = client.get("/v1/server")?;
    // A token for the pinned ledger is not handed to a server of another one.
    world.check_ledger(&info.origin)?;
    // Nor does a server that nothing is known of say for whom the job's token is: it would be good for anybody it names.
    let pinned = world.home.trust().exists().then_some(info.origin.as_str());
    let token = job_token(audience.or(pinned))?;
    let session: CiTokenReply = client.post("/v1/ci/tokens", &CiTokenRequest { token }, None)?;
    world.keep_session(client.base(), &session.machine, &session.access_token, session.expires_at)?;
    let mut context = world.context()?;
    context.server = Some(client.base().to_owned());
    context.machine = Some(session.machine.clone());
    context.person = context.person.or_else(|| Some(session.machine.clone()));
    world.home.write_context(&context)?;
    world.terminal.say(told(&session, client.base()));
    Ok(Exit::Done)
}

fn told(session: &CiTokenReply, server: &str) -> String {
    let services: Vec<&str> = session.services.iter().map(lockgate_model::ServiceName::as_str).collect();
    let machine: &PersonId = &session.machine;
    format!("signed in to {server} as {machine} for {} until {}", services.join(", "), session.expires_at)
}

/// The job's own token: `LOCKGATE_ID_TOKEN`, where the CI system puts it into a variable, else asked for as GitHub's
/// runners offer it.
fn job_token(audience: Option<&str>) -> Result<String, Failure> {
    if let Some(token) = variable("LOCKGATE_ID_TOKEN") {
        return Ok(token.trim().to_owned());
    }
    let (Some(url), Some(secret)) =
        (variable("ACTIONS_ID_TOKEN_REQUEST_URL"), variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
    else {
        return Err(Failure::usage("CI_TOKEN_MISSING", "this job has no token to exchange").hint(
            "GitHub: give the job `permissions: id-token: write`; GitLab: add `id_tokens: LOCKGATE_ID_TOKEN: aud: ...`; \
             elsewhere put the token into LOCKGATE_ID_TOKEN",
        ));
    };
    let audience = audience.ok_or_else(|| {
        Failure::usage(
            "TRUST_MISSING",
            "nothing is pinned here, so that only the server says for whom the job's token is",
        )
        .hint("pin the ledger first, `lockgate trust pin FILE`, or name it: `lockgate login --ci --audience NAME`")
    })?;
    let failed = |why: String| Failure::new(Exit::Unavailable, "CI_TOKEN_MISSING", format!("the CI system {why}"));
    if reach(&url).is_none() {
        return Err(failed("names no `https` address to ask for tokens".to_owned()));
    }
    let joint = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{joint}audience={}", query_value(audience));
    let (status, body) = Https::new()
        .get(&url, Some(&format!("Bearer {secret}")))
        .map_err(|error| failed(format!("cannot be asked for a token: {error}")))?;
    if status != 200 {
        return Err(failed(format!("answers with status {status} when asked for a token")));
    }
    let reply = json::read(&body, &Limits::DEFAULT, Numbers::Any)
        .map_err(|error| failed(format!("sends what does not read: {}", error.message)))?;
    let value = reply.get("value").and_then(serde_json::Value::as_str);
    value.map(str::to_owned).ok_or_else(|| failed("sends no token".to_owned()))
}
