//! History: one stream of the ledger or all of it, newest first, filtered.

use std::fmt::{self, Display};
use std::str::FromStr;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use lockgate_api::csv;
use lockgate_api::wire::{HistoryItem, HistoryReply};
use lockgate_engine::authorise::names_hidden_service;
use lockgate_engine::history::{self as histories, CameOut, DigestStart, EventStart, Filter, Item, Search};
use lockgate_engine::suspects::suspects;
use lockgate_engine::{Engine, Fault, Kind};
use lockgate_ledger::Event;
use lockgate_model::{Digest, EnvName, PersonId, ServiceName, Span, StreamName, UnixMillis};

use super::heavy;
use crate::call::Call;
use crate::reply;
use crate::summary::{summary, veiled, veiled_summary};

/// How many pages of entries one export has at most.
const EXPORT_PAGES: usize = 10;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Which entries.
    pub filter: Filter,
    /// Words that the entry's line holds, in any case.
    pub text: String,
    /// Before which number.
    pub before: Option<u64>,
    /// How many.
    pub most: usize,
}

impl Asked {
    /// Reads it from a query; a value that is empty, as forms send it, asks for nothing.
    ///
    /// # Errors
    /// `QUERY_INVALID`.
    pub fn of(call: &Call, most: usize) -> Result<Self, Fault> {
        let mut streams: Vec<StreamName> = filled(call, "stream")?.into_iter().collect();
        streams.extend(filled(call, "artifact")?.map(|digest: Digest| StreamName::artifact(&digest)));
        streams.extend(filled(call, "person")?.map(|person: PersonId| StreamName::person(&person)));
        let filter = Filter {
            streams,
            service: filled::<ServiceName>(call, "service")?,
            environment: filled::<EnvName>(call, "environment")?,
            event: filled::<EventStart>(call, "event")?,
            since: filled(call, "since")?.map(|moment: Moment| moment.0),
            until: filled(call, "until")?.map(|moment: Moment| moment.1),
            outcome: filled::<CameOut>(call, "outcome")?,
            policy: filled::<DigestStart>(call, "policy")?,
            build: filled::<String>(call, "build")?.map(|build| build.trim().to_owned()),
        };
        let most = filled::<usize>(call, "limit")?.unwrap_or(most).clamp(1, histories::PAGE_MAX);
        let text = filled::<String>(call, "text")?.unwrap_or_default();
        Ok(Self { filter, text: text.to_lowercase(), before: filled(call, "before")?, most })
    }

    /// Whether it is one stream or the whole ledger as it is, and nothing is looked for in it.
    fn is_plain(&self) -> bool {
        self.filter.is_plain() && self.text.is_empty()
    }
}

/// A query value, parsed, unless it is absent or empty, as forms send it.
pub(super) fn filled<T: FromStr<Err: std::fmt::Display>>(call: &Call, name: &str) -> Result<Option<T>, Fault> {
    match call.query.get(name).is_some_and(|text| !text.trim().is_empty()) {
        true => call.query(name),
        false => Ok(None),
    }
}

/// A moment, or a whole day: from when on, and before when.
struct Moment(UnixMillis, UnixMillis);

/// Why a text is neither.
#[derive(Debug)]
struct MomentError(String);

impl Display for MomentError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "`{}` is no day or moment: write YYYY-MM-DD, or RFC 3339 with a zone, such as 2026-11-21T09:00:00Z",
            self.0
        )
    }
}

impl FromStr for Moment {
    type Err = MomentError;
    fn from_str(text: &str) -> Result<Self, MomentError> {
        if let Ok(moment) = text.parse::<UnixMillis>() {
            return Ok(Self(moment, moment));
        }
        let day = format!("{text}T00:00:00Z")
            .parse::<UnixMillis>()
            .map_err(|_| MomentError(text.chars().take(64).collect()))?;
        Ok(Self(day, day.plus(Span::from_secs(86_400))))
    }
}

/// `GET /v1/history`.
pub async fn history(call: Call) -> Result<Response, Fault> {
    let asked = Asked::of(&call, 50)?;
    let (engine, person) = (call.engine().clone(), call.person()?);
    reply::json(&heavy(move || history_reply(&engine, &person, &asked)).await?)
}

/// `GET /timeline.csv`.
pub async fn export(call: Call) -> Result<Response, Fault> {
    let asked = Asked::of(&call, histories::PAGE_MAX)?;
    let (engine, person) = (call.engine().clone(), call.person()?);
    let text = heavy(move || Ok(csv::history(&gathered(&engine, &person, asked, EXPORT_PAGES)?))).await?;
    let mut response = reply::typed(StatusCode::OK, "text/csv; charset=utf-8", text);
    let name = HeaderValue::from_static("attachment; filename=\"timeline.csv\"");
    response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    Ok(response)
}

/// As many full pages as asked for, as one.
///
/// # Errors
/// What the store says.
pub fn gathered(engine: &Engine, person: &PersonId, asked: Asked, pages: usize) -> Result<HistoryReply, Fault> {
    let mut asked = Asked { most: histories::PAGE_MAX, ..asked };
    // What is looked for is found out once, and not for every page.
    let (filter, is_plain) = (asked.filter.clone(), asked.is_plain());
    let search = (!is_plain).then(|| Search::of(engine, person, &filter)).transpose()?;
    let mut all = page_reply(engine, person, &asked, search.as_ref())?;
    for _ in 1..pages {
        let Some(next) = all.next else { break };
        asked.before = Some(next);
        let page = page_reply(engine, person, &asked, search.as_ref())?;
        all.items.extend(page.items);
        (all.next, all.scanned_to) = (page.next, page.scanned_to);
    }
    Ok(all)
}

/// What happened, as far as somebody may read it: what the API gives, and what the timeline shows.
pub fn history_reply(engine: &Engine, person: &PersonId, asked: &Asked) -> Result<HistoryReply, Fault> {
    let search = (!asked.is_plain()).then(|| Search::of(engine, person, &asked.filter)).transpose()?;
    page_reply(engine, person, asked, search.as_ref())
}

/// One page, of a search where there is one.
fn page_reply(
    engine: &Engine,
    person: &PersonId,
    asked: &Asked,
    search: Option<&Search<'_>>,
) -> Result<HistoryReply, Fault> {
    let Asked { filter, text, before, most } = asked;
    let governance = engine.governance()?;
    let is_hidden = |event: &Event| names_hidden_service(&governance, person, event);
    let line = |event: &Event| if is_hidden(event) { veiled_summary(event) } else { summary(event) };
    let (items, next, scanned_to) = match search {
        None => {
            let (items, next) = histories::history_for(engine, person, filter.streams.first(), *before, *most)?;
            (items, next, None)
        }
        Some(search) => {
            let says = |item: &Item| {
                text.is_empty()
                    || line(&item.entry.event).to_lowercase().contains(text)
                    || item.entry.actor.to_string().to_lowercase().contains(text)
            };
            let found = search.page(engine, says, *before, *most)?;
            (found.items, found.next, found.scanned_to)
        }
    };
    let doubtful = suspects(engine, None)?;
    let item = |item: Item| {
        let suspect = doubtful.iter().find(|suspect| suspect.index == item.index);
        let entry = serde_json::to_value(&item.entry)
            .map_err(|error| Fault::new(Kind::Bug, "REPLY_INVALID", error.to_string()))?;
        Ok(HistoryItem {
            index: item.index.0,
            time: item.entry.time,
            actor: item.entry.actor.to_string(),
            event: item.entry.event.name().to_owned(),
            summary: line(&item.entry.event),
            suspect: suspect.map(|suspect| format!("since entry {}: {}", suspect.since, suspect.why)),
            entry: if is_hidden(&item.entry.event) { veiled(entry) } else { entry },
        })
    };
    Ok(HistoryReply {
        items: items.into_iter().map(item).collect::<Result<_, Fault>>()?,
        next,
        scanned_to: scanned_to.map(|index| index.0),
        checkpoint_size: engine.published().head.size.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_all_of_it_and_a_moment_is_itself() {
        let check = |text: &str, wanted: Option<(&str, &str)>| {
            let found = text.parse::<Moment>().ok().map(|moment| (moment.0.to_string(), moment.1.to_string()));
            let wanted = wanted.map(|(from, to)| (from.to_owned(), to.to_owned()));
            assert_eq!(found, wanted, "{text}");
        };
        check("2026-11-21", Some(("2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z")));
        check("2026-11-21T09:00:00Z", Some(("2026-11-21T09:00:00Z", "2026-11-21T09:00:00Z")));
        check("21.11.2026", None);
        check("2026-13-01", None);
    }
}
