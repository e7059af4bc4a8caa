//! Access: who may do what, the review of it, and the access log.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_api::Problem;
use lockgate_engine::access_log::Filter as Entries;
use lockgate_engine::{Engine, Fault, Kind, access as accesses};
use lockgate_ledger::access_review::{AccessReview, ReviewRow};
use lockgate_model::{Digest, EnvName, PersonId, ServiceName, canonical};
use lockgate_policy::Permission;
use lockgate_web::Section;
use lockgate_web::access::log::{self as log_page, Filter as LogFilter};
use lockgate_web::access::review::{self as review_page, Filter as ReviewFilter, ReviewLine, ReviewView};
use lockgate_web::access::{self as access_page, AccessView, Asked};
use serde_json::json;

use super::{rights_anywhere, shell};
use crate::call::Call;
use crate::handlers::access_log::log_reply;
use crate::handlers::heavy;
use crate::handlers::history::filled;
use crate::handlers::pages::page;
use crate::handlers::rights::{access_reply, holders_reply, last_review};
use crate::reply::problem_of;

/// How many lines of a review one page shows.
const LINES: usize = 100;
/// How many entries of the access log.
const ENTRIES: usize = 100;

/// `GET /access`.
pub async fn access(call: Call) -> Result<Response, Fault> {
    let reader: PersonId = call.person()?;
    let asked = Asked {
        person: text_of(&call, "person"),
        permission: text_of(&call, "permission"),
        service: text_of(&call, "service"),
        environment: text_of(&call, "environment"),
    };
    let app = call.app.clone();
    let text = heavy(move || {
        let shell = shell(&app, &reader)?;
        let rights = rights_anywhere(&app.engine, &reader)?;
        let view = access_view(&app.engine, &reader, &asked)?;
        let content = access_page::content(&view, &asked, &rights, shell.now);
        Ok(shell.page(Some(Section::Keys), "Who may do what", &content))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}

/// `GET /access/review`.
pub async fn access_review(call: Call) -> Result<Response, Fault> {
    let reader: PersonId = call.person()?;
    let filter = ReviewFilter {
        text: text_of(&call, "q"),
        idle: text_of(&call, "idle") == "1",
        from: filled(&call, "from")?.unwrap_or(0),
    };
    let app = call.app.clone();
    let text = heavy(move || {
        let shell = shell(&app, &reader)?;
        let rights = rights_anywhere(&app.engine, &reader)?;
        let last = last_review(&app.engine)?;
        let found = told(accesses::review_for(&app.engine, &reader))?;
        let view = match found {
            Ok(review) => Ok(review_view(&review, &filter)?),
            Err(problem) => Err(problem),
        };
        let content = review_page::content(&view, last.as_ref(), &filter, &rights, shell.now);
        Ok(shell.page(Some(Section::Keys), "Access review", &content))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}

/// `GET /access/log`.
pub async fn access_log(call: Call) -> Result<Response, Fault> {
    let reader: PersonId = call.person()?;
    let filter = LogFilter {
        person: text_of(&call, "person"),
        action: text_of(&call, "action"),
        outcome: text_of(&call, "outcome"),
        since: text_of(&call, "since"),
        until: text_of(&call, "until"),
        before: filled(&call, "before")?,
    };
    let entries = Entries {
        principal: given(&filter.person),
        action: given(&filter.action),
        outcome: filled(&call, "outcome")?,
        since: parsed("since", &filter.first_moment())?,
        until: parsed("until", &filter.last_moment())?,
    };
    let app = call.app.clone();
    let text = heavy(move || {
        let shell = shell(&app, &reader)?;
        let rights = rights_anywhere(&app.engine, &reader)?;
        let reply = log_reply(&app.access, &entries, filter.before, ENTRIES)?;
        let content = log_page::content(&reply, &filter, &rights, shell.now);
        Ok(shell.page(Some(Section::Keys), "Access log", &content))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}

fn text_of(call: &Call, name: &str) -> String {
    call.query.get(name).map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// A text of the address, parsed, unless it is empty, as forms send it.
fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<Option<T>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = |error: T::Err| Fault::invalid("QUERY_INVALID", format!("`{name}`: {error}"));
    text.parse().map(Some).map_err(invalid)
}

/// What is wrong with a question is told in its place on the page; what is wrong with the server is not.
fn told<T>(result: Result<T, Fault>) -> Result<Result<T, Problem>, Fault> {
    match result {
        Ok(found) => Ok(Ok(found)),
        Err(fault) if matches!(fault.kind, Kind::Invalid | Kind::NotFound | Kind::NotPermitted) => {
            Ok(Err(problem_of(&fault)))
        }
        Err(fault) => Err(fault),
    }
}

fn untraced() -> Vec<String> {
    let untraced = Permission::ALL.iter().filter(|permission| !permission.leaves_a_trace());
    untraced.map(|permission| permission.as_str().to_owned()).collect()
}

fn access_view(engine: &Engine, reader: &PersonId, asked: &Asked) -> Result<AccessView, Fault> {
    let governance = engine.governance()?;
    let of_person = || {
        let person = parsed::<PersonId>("person", &asked.person)?.unwrap_or_else(|| reader.clone());
        access_reply(engine, reader, &person)
    };
    let holders = || {
        let Some(permission) = parsed::<Permission>("permission", &asked.permission)? else { return Ok(None) };
        let service = parsed::<ServiceName>("service", &asked.service)?;
        let environment = parsed::<EnvName>("environment", &asked.environment)?;
        holders_reply(engine, permission, service.as_ref(), environment.as_ref()).map(Some)
    };
    let person = if asked.person.is_empty() { reader.to_string() } else { asked.person.clone() };
    Ok(AccessView {
        person,
        of_person: told(of_person())?,
        holders: told(holders())?.transpose(),
        permissions: Permission::ALL.iter().map(|permission| permission.as_str().to_owned()).collect(),
        untraced: untraced(),
        environments: governance.policy.environments().iter().map(|environment| environment.name.clone()).collect(),
    })
}

fn review_view(review: &AccessReview, filter: &ReviewFilter) -> Result<ReviewView, Fault> {
    let rows = review.rows();
    let able: BTreeSet<&PersonId> = rows.iter().map(|row| &row.person).collect();
    let unable = review.people.iter().filter(|person| !able.contains(&person.person));
    let powerless = unable.map(|person| (person.person.to_string(), person.suspended)).collect();
    let fitting: Vec<ReviewLine> = rows.iter().map(line).filter(|line| filter.keeps(line)).collect();
    let (count, next) = (fitting.len(), filter.from.saturating_add(LINES));
    Ok(ReviewView {
        lines: fitting.into_iter().skip(filter.from).take(LINES).collect(),
        fitting: count,
        next: (count > next).then_some(next),
        people: review.people.len(),
        idle: review.unused.len(),
        powerless,
        untraced: untraced(),
        policy: review.policy,
        entries: review.reviewed_at_index.0,
        shown: shown(review)?,
    })
}

fn line(row: &ReviewRow) -> ReviewLine {
    let (file, line) = row.rule.rsplit_once(':').unwrap_or((row.rule.as_str(), ""));
    ReviewLine {
        person: row.person.to_string(),
        permission: row.permission.to_string(),
        services: row.services.clone(),
        environments: row.environments.clone(),
        role: row.role.to_string(),
        file: file.to_owned(),
        line: line.parse().unwrap_or(1),
        last_used: row.last_used,
        idle: row.unused,
    }
}

/// The digest of what a review says of people, bindings and policy set: `signing.js` makes it of the document that is
/// about to be signed, and compares.
fn shown(review: &AccessReview) -> Result<Digest, Fault> {
    let shown = json!({ "bindings": review.bindings, "people": review.people, "policy": review.policy });
    let bytes = canonical::to_vec(&shown).map_err(|error| {
        Fault::new(Kind::Bug, "DOCUMENT_INVALID", format!("a review has no canonical form: {error}"))
    })?;
    Ok(Digest::of(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_ledger::access_review::{ReviewedBinding, ReviewedPerson, UnusedRight};
    use lockgate_model::EntryIndex;
    use lockgate_model::facts::SubjectKind;

    /// So many members of one group, which holds one role with two permissions; the first of them is suspended.
    fn review(people: usize) -> AccessReview {
        let person = |number: usize| ReviewedPerson {
            person: format!("p{number:04}").parse().unwrap(),
            subject: SubjectKind::Person,
            groups: vec!["approvers".parse().unwrap()],
            suspended: number == 0,
        };
        AccessReview {
            schema: AccessReview::SCHEMA.to_owned(),
            ledger: "log.example".to_owned(),
            policy: Digest::of(b"policy"),
            people: (0..people).map(person).collect(),
            bindings: vec![ReviewedBinding {
                role: "approver".parse().unwrap(),
                permissions: [Permission::Read, Permission::Approve].into(),
                groups: vec!["approvers".parse().unwrap()],
                people: Vec::new(),
                services: Some(vec!["shop/*".to_owned()]),
                environments: None,
                file: "people.toml".to_owned(),
                line: 46,
            }],
            uses: Vec::new(),
            unused: vec![UnusedRight {
                person: "p0001".parse().unwrap(),
                permission: Permission::Approve,
                last_used: None,
            }],
            reviewed_at_index: EntryIndex(7),
        }
    }

    #[test]
    fn a_review_is_shown_page_by_page_and_filtered() {
        let check = |people: usize, filter: ReviewFilter, fitting: usize, lines: usize, next: Option<usize>| {
            let view = review_view(&review(people), &filter).unwrap();
            assert_eq!((view.fitting, view.lines.len(), view.next), (fitting, lines, next), "{filter:?}");
            view
        };
        let from = |from: usize| ReviewFilter { from, ..ReviewFilter::default() };
        check(1, from(0), 0, 0, None);
        check(52, from(0), 102, 100, Some(100));
        check(52, from(100), 102, 2, None);
        check(52, from(usize::MAX), 102, 0, None);
        check(52, ReviewFilter { text: "P0007".to_owned(), ..ReviewFilter::default() }, 2, 2, None);
        let view = check(52, ReviewFilter { idle: true, ..ReviewFilter::default() }, 1, 1, None);
        let line = view.lines.first().unwrap();
        assert_eq!((line.person.as_str(), line.file.as_str(), line.line), ("p0001", "people.toml", 46));
        assert_eq!((view.idle, view.people, view.powerless), (1, 52, vec![("p0000".to_owned(), true)]));
    }

    #[test]
    fn what_is_shown_has_another_digest_once_somebody_is_enrolled_and_none_by_use() {
        let mut used = review(3);
        used.unused.clear();
        used.reviewed_at_index = EntryIndex(99);
        assert_eq!(shown(&used).unwrap(), shown(&review(3)).unwrap());
        assert_ne!(shown(&review(4)).unwrap(), shown(&review(3)).unwrap());
    }

    #[test]
    fn what_is_wrong_with_a_question_is_told_and_nothing_else() {
        let check = |kind: Kind, is_told: bool| {
            let result = told::<()>(Err(Fault::new(kind, "PERSON_UNKNOWN", "somebody")));
            assert_eq!(matches!(result, Ok(Err(_))), is_told, "{kind:?}");
        };
        check(Kind::NotFound, true);
        check(Kind::NotPermitted, true);
        check(Kind::Integrity, false);
        check(Kind::Bug, false);
    }
}
