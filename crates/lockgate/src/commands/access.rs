//! Who may do what, where and why; and the review of it.

use lockgate_api::Exit;
use lockgate_api::client::query_value;
use lockgate_api::wire::{
    AccessReply, Acknowledged, BecauseRow, Changed, HolderRow, HoldersReply, ReviewMade, ReviewReply, ReviewRequest,
    RightRow, ServerInfo,
};
use lockgate_ledger::access_review::{ACCESS_REVIEW_NAMESPACE, AccessReview, REVIEW_SPAN, ReviewRow};
use lockgate_ledger::code_words::code_words;
use lockgate_model::text::visible;
use lockgate_model::{Digest, EnvName, PersonId, ServiceName, UnixMillis};
use lockgate_policy::Permission;
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::keyring::sign;
use crate::receipts::logged_line;
use crate::terminal::table;
use crate::world::World;

/// `lockgate access show`.
///
/// # Errors
/// `PERSON_UNKNOWN`.
pub fn show(world: &World, name: Option<&PersonId>) -> Outcome {
    let client = world.signed_in()?;
    let person = match name {
        Some(name) => name.clone(),
        None => world.person()?,
    };
    let reply: AccessReply = client.get(&format!("/v1/people/{person}/access"))?;
    world.terminal.show(&reply, || {
        if reply.suspended {
            return format!("{} is suspended and may do nothing", reply.person);
        }
        if reply.rights.is_empty() {
            return format!("{} may do nothing: no role is bound to them or to their groups", reply.person);
        }
        let row = |right: &RightRow| {
            vec![
                right.permission.clone(),
                scope(right.services.as_ref()),
                scope(right.environments.as_ref()),
                why(&right.because),
                match right.last_use_hidden {
                    true => "where you may not read".to_owned(),
                    false => used(&right.permission, right.last_used),
                },
            ]
        };
        let header = ["permission", "services", "environments", "because", "last used"];
        format!("{}\n{}", reply.person, table(&header, reply.rights.iter().map(row)))
    })?;
    Ok(Exit::Done)
}

/// `lockgate access who`.
///
/// # Errors
/// `QUERY_INVALID` when the permission needs both a service and an environment.
pub fn who(
    world: &World,
    permission: Permission,
    service: Option<&ServiceName>,
    environment: Option<&EnvName>,
) -> Outcome {
    let client = world.signed_in()?;
    let mut query: Vec<String> = Vec::new();
    query.extend(service.map(|service| format!("service={}", query_value(service.as_str()))));
    query.extend(environment.map(|environment| format!("environment={}", query_value(environment.as_str()))));
    let reply: HoldersReply = client.get(&format!("/v1/permissions/{permission}?{}", query.join("&")))?;
    world.terminal.show(&reply, || {
        if reply.holders.is_empty() {
            return format!("nobody has the permission `{permission}` there");
        }
        let row = |holder: &HolderRow| vec![holder.person.to_string(), why(&holder.because)];
        table(&["who", "because"], reply.holders.iter().map(row))
    })?;
    Ok(Exit::Done)
}

/// `lockgate access review`: shows who may do what; with `sign`, signs what was shown and logs it.
///
/// # Errors
/// `REVIEW_STALE` when something has changed since it was shown, or what the key or the server refuses.
pub fn review(world: &World, wants_signature: bool, yes: bool) -> Outcome {
    let person = world.person()?;
    let client = world.signed_in_as(&person)?;
    let reply: ReviewReply = client.get("/v1/access-reviews")?;
    // Shown is what the document itself says, and nothing else that the server sent.
    let review = AccessReview::from_bytes(reply.document.as_bytes())?;
    let rows = review.rows();
    if !wants_signature {
        let shown = json!({ "review": review, "rows": rows, "last": reply.last });
        world.terminal.show(&shown, || {
            let last = reply.last.as_ref().map_or("there was none yet".to_owned(), made);
            format!("{}\n\n  last       {last}\n  next       lockgate access review --sign", text(&review, &rows))
        })?;
        return Ok(Exit::Done);
    }
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    if review.ledger != info.origin {
        return Err(Failure::new(
            Exit::Integrity,
            "LEDGER_UNKNOWN",
            format!("the review is of the ledger `{}`, not `{}`", review.ledger, info.origin),
        ));
    }
    let bytes = review.to_bytes()?;
    world.terminal.say(format!(
        "You are about to sign that you have reviewed:\n\n{}\n\n  code       {}",
        text(&review, &rows),
        code_words(&Digest::of(&bytes))
    ));
    if !yes && !world.terminal.confirm("Sign this review?")? {
        return Err(Failure::new(Exit::Failed, "NOT_CONFIRMED", "nothing was signed"));
    }
    let signer = world.keyring.signer(&world.context()?, &person, None)?;
    let request = ReviewRequest {
        document: reply.document,
        signature: sign(signer.as_ref(), ACCESS_REVIEW_NAMESPACE, &bytes)?,
        by: person,
    };
    let reply: Acknowledged<Changed> = client.post("/v1/access-reviews", &request, Some(&world.random_hex()?))?;
    world.acknowledged(&reply, || {
        format!("the access review {} is logged\n{}", Digest::of(&bytes), logged_line(reply.logged.as_ref()))
    })?;
    Ok(Exit::Done)
}

/// Whether the last review is recent enough, in words; for `lockgate doctor`.
///
/// # Errors
/// When the server cannot be asked.
pub fn last_review(world: &World) -> Result<(bool, String), Failure> {
    let reply: ReviewReply = world.signed_in()?.get("/v1/access-reviews")?;
    Ok(match &reply.last {
        None => (false, "nobody has reviewed who may do what".to_owned()),
        Some(last) => (last.time.plus(REVIEW_SPAN) > world.now(), format!("last reviewed {}", made(last))),
    })
}

fn made(last: &ReviewMade) -> String {
    format!("{} by {} at entry {}", last.time, last.by, last.index)
}

fn text(review: &AccessReview, rows: &[ReviewRow]) -> String {
    let row = |row: &ReviewRow| {
        vec![
            row.person.to_string(),
            row.permission.to_string(),
            scope(row.services.as_ref()),
            scope(row.environments.as_ref()),
            format!("role {} ({})", row.role, row.rule),
            used(row.permission.as_str(), row.last_used),
            if row.unused { "UNUSED".to_owned() } else { String::new() },
        ]
    };
    let header = ["who", "may", "services", "environments", "because", "last used", ""];
    let nobody = review.people.iter().filter(|person| !rows.iter().any(|row| row.person == person.person));
    let mut text = table(&header, rows.iter().map(row));
    for person in nobody {
        let why = if person.suspended { "is suspended and may do nothing" } else { "may do nothing" };
        text.push_str(&format!("\n{} {why}", person.person));
    }
    text.push_str(&format!(
        "\n\n  ledger     {} at {} entries\n  policy     {}\n  unused     {} for {REVIEW_SPAN} or longer",
        visible(&review.ledger),
        review.reviewed_at_index,
        review.policy,
        review.unused.len()
    ));
    text
}

fn scope(patterns: Option<&Vec<String>>) -> String {
    patterns.map_or("all".to_owned(), |patterns| patterns.join(", "))
}

fn why(because: &BecauseRow) -> String {
    let through = match (&because.group, &because.named) {
        (Some(group), _) => format!("group {group}"),
        (None, Some(named)) => format!("named as {named}"),
        (None, None) => String::new(),
    };
    format!("role {} through {through} ({}:{})", because.role, because.file, because.line)
}

/// When a permission was last used; reading leaves no trace in the ledger, and so is never called unused.
fn used(permission: &str, last: Option<UnixMillis>) -> String {
    let traced = permission.parse::<Permission>().is_ok_and(Permission::leaves_a_trace);
    match last {
        Some(time) => time.to_string(),
        None if traced => "never".to_owned(),
        None => "-".to_owned(),
    }
}
