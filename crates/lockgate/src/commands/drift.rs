//! Drift: what is granted, compared with what was reported to run.

use lockgate_api::Exit;
use lockgate_api::client::query_value;
use lockgate_api::wire::{DriftReply, DriftRow};

use crate::cli;
use crate::failure::Outcome;
use crate::terminal::table;
use crate::world::World;

/// `lockgate drift`: denied where what was reported differs from what is granted.
///
/// # Errors
/// `ENVIRONMENT_UNKNOWN`, when sign-in fails, or the server cannot be reached.
pub fn drift(world: &World, options: &cli::Drift) -> Outcome {
    let client = world.signed_in()?;
    let mut query = format!("/v1/drift?days={}", options.old.days().max(1));
    let environment = options.env.as_ref().map(ToString::to_string);
    for (name, value) in [("q", &options.text), ("environment", &environment), ("state", &options.state)] {
        if let Some(value) = value {
            query.push_str(&format!("&{name}={}", query_value(value)));
        }
    }
    let mut reply: DriftReply = client.get(&query)?;
    while let Some(after) = reply.next.take() {
        let page: DriftReply = client.get(&format!("{query}&after={}", query_value(after.as_str())))?;
        reply.rows.extend(page.rows);
        reply.next = page.next;
    }
    world.terminal.show(&reply, || shown(&reply.rows))?;
    Ok(ends(&reply.rows))
}

/// Nothing that differs is done; whatever was not reported is not known to differ.
fn ends(rows: &[DriftRow]) -> Exit {
    match rows.iter().any(|row| row.drift) {
        true => Exit::Denied,
        false => Exit::Done,
    }
}

fn shown(rows: &[DriftRow]) -> String {
    if rows.is_empty() {
        return "nothing that fits is granted, and nothing was reported\n  next  lockgate status".to_owned();
    }
    let lines = rows.iter().map(|row| {
        let granted =
            row.granted.as_ref().map(|granted| format!("{} ({})", granted.release.version, granted.promotion));
        let reported = row.reported.as_ref().map(|report| {
            let runs = if report.outcome == "fail" { "not " } else { "" };
            format!("{runs}{} at {} by {}", report.release.version, report.at.rfc3339_secs(), report.by)
        });
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        vec![
            row.service.to_string(),
            row.environment.to_string(),
            row.state.clone(),
            or_none(granted),
            or_none(reported),
            row.fix.clone().unwrap_or_default(),
        ]
    });
    table(&["service", "environment", "state", "granted", "reported", "next"], lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: &str, drift: bool) -> DriftRow {
        DriftRow {
            service: "shop/web".parse().unwrap(),
            environment: "production".parse().unwrap(),
            state: state.to_owned(),
            drift,
            granted: None,
            reported: None,
            fix: Some("lockgate promote shop/web@1.4.2 --to production --reason REASON".to_owned()),
        }
    }

    #[test]
    fn only_what_differs_is_denied() {
        assert_eq!(ends(&[]), Exit::Done);
        assert_eq!(ends(&[row("in-step", false), row("not-reported", false)]), Exit::Done);
        assert_eq!(ends(&[row("in-step", false), row("no-grant", true)]), Exit::Denied);
    }

    #[test]
    fn a_line_says_what_to_do() {
        let text = shown(&[row("no-grant", true)]);
        for wanted in ["shop/web", "production", "no-grant", "lockgate promote shop/web@1.4.2"] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(shown(&[]).contains("nothing"));
    }
}
