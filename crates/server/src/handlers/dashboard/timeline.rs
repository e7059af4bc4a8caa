//! The timeline: what happened, filtered.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_api::wire::HistoryItem;
use lockgate_engine::Fault;
use lockgate_model::Digest;
use lockgate_web::timeline::{Filter, SAMPLE, View};
use lockgate_web::{Section, timeline as timeline_page};

use super::shell;
use crate::call::Call;
use crate::handlers::heavy;
use crate::handlers::history::{Asked, gathered, history_reply};
use crate::handlers::pages::page;

/// How many entries one page shows.
const ENTRIES: usize = 100;
/// How many full pages of entries are counted by day, or drawn from: 1,000 entries.
const COUNTED_PAGES: usize = 5;

/// `GET /timeline`.
pub async fn timeline(call: Call) -> Result<Response, Fault> {
    let asked = Asked::of(&call, ENTRIES)?;
    let kept = |name: &str| call.query.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
    let filter = Filter {
        stream: kept("stream"),
        service: kept("service"),
        artifact: kept("artifact"),
        person: kept("person"),
        environment: kept("environment"),
        event: kept("event"),
        text: kept("text"),
        since: kept("since"),
        until: kept("until"),
        outcome: kept("outcome"),
        policy: kept("policy"),
        build: kept("build"),
        before: asked.before,
        view: View::of(&kept("view"), &kept("seed")),
    };
    let person = call.person()?;
    let app = call.app.clone();
    let text = heavy(move || {
        let shell = shell(&app, &person)?;
        let mut reply = match &filter.view {
            View::List => history_reply(&app.engine, &person, &asked)?,
            View::Days | View::Sample(_) => gathered(&app.engine, &person, asked, COUNTED_PAGES)?,
        };
        let of = reply.items.len();
        if let View::Sample(seed) = &filter.view {
            reply.items = sample(reply.items, seed);
        }
        let content = timeline_page::content(&reply, of, &filter, shell.now);
        Ok(shell.page(Some(Section::Timeline), "Timeline", &content))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}

/// [`SAMPLE`] of the entries, in their order: those whose index comes first by its hash under the seed, so that nobody
/// picks them and everybody can pick them again.
fn sample(items: Vec<HistoryItem>, seed: &str) -> Vec<HistoryItem> {
    let lot = |item: &HistoryItem| Digest::of(format!("{}:{seed}", item.index).as_bytes()).to_string();
    let mut drawn: Vec<(String, HistoryItem)> = items.into_iter().map(|item| (lot(&item), item)).collect();
    drawn.sort_by(|(one, _), (other, _)| one.cmp(other));
    drawn.truncate(SAMPLE);
    let mut items: Vec<HistoryItem> = drawn.into_iter().map(|(_, item)| item).collect();
    items.sort_by_key(|item| std::cmp::Reverse(item.index));
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::UnixMillis;

    fn drawn(count: u64, seed: &str) -> Vec<u64> {
        let item = |index: u64| HistoryItem {
            index,
            time: UnixMillis(0),
            actor: "dana".to_owned(),
            event: "promotion.requested".to_owned(),
            summary: String::new(),
            suspect: None,
            entry: serde_json::Value::Null,
        };
        sample((0..count).rev().map(item).collect(), seed).iter().map(|item| item.index).collect()
    }

    #[test]
    fn a_sample_is_drawn_by_its_seed_alone() {
        let one = drawn(1_000, "2026-q4");
        assert_eq!(one.len(), SAMPLE);
        assert!(one.windows(2).all(|pair| pair[0] > pair[1]), "newest first, none twice: {one:?}");
        assert_eq!(one, drawn(1_000, "2026-q4"));
        assert_ne!(one, drawn(1_000, "2026-q3"));
        // It is no end of the selection, and what is fewer is drawn whole.
        assert!(one[0] - one[SAMPLE - 1] > 500, "{one:?}");
        assert_eq!(drawn(3, "x"), [2, 1, 0]);
    }
}
