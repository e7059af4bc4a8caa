//! Change tickets (`https://lockgate.dev/change/v1`): a ticket as it stood when it was handed in.

use lockgate_model::facts::{ChangeState, ChangeTicket};
use serde_json::Value;

use crate::error::{EvidenceError, excerpt};
use crate::own;

const STATES: [ChangeState; 7] = [
    ChangeState::Draft,
    ChangeState::Requested,
    ChangeState::Approved,
    ChangeState::Implementing,
    ChangeState::Completed,
    ChangeState::Rejected,
    ChangeState::Cancelled,
];

/// Reads a document.
///
/// # Errors
/// `REPORT_VERSION`, `EVIDENCE_MALFORMED`, `EVIDENCE_TIME`.
pub(crate) fn read(value: &Value) -> Result<ChangeTicket, EvidenceError> {
    let root = own::open(value, own::CHANGE, &["system", "id", "url", "state", "approved_by", "window"])?;
    let word = root.required_text("state")?;
    let Some(state) = STATES.into_iter().find(|state| state.as_str() == word) else {
        let words: Vec<&str> = STATES.iter().map(|state| state.as_str()).collect();
        return Err(root.fault_at("state", &format!("is `{}`: use one of {}", excerpt(word), words.join(", "))));
    };
    let (mut opens_at, mut closes_at) = (None, None);
    if let Some(window) = root.object("window")? {
        window.only(&["start", "end"])?;
        closes_at = window.end_of("start", "end")?;
        opens_at = window.moment("start")?;
    }
    Ok(ChangeTicket {
        system: root.required_label("system")?.to_owned(),
        id: root.required_label("id")?.to_owned(),
        url: root.label("url")?.map(str::to_owned),
        state,
        approved_by: root.labels("approved_by")?,
        opens_at,
        closes_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> Value {
        json!({
            "schema": "https://lockgate.dev/change/v1", "system": "servicedesk", "id": "CHG0042",
            "url": "https://tickets.example/CHG0042", "state": "approved", "approved_by": ["kim"],
            "window": {"start": "2026-11-20T10:00:00Z", "end": "2026-11-20T12:00:00Z"},
        })
    }

    #[test]
    fn reads_a_ticket() {
        let claim = read(&sample()).unwrap();
        assert_eq!((claim.id.as_str(), claim.state), ("CHG0042", ChangeState::Approved));
        assert!(claim.opens_at < claim.closes_at);
        for state in STATES {
            let mut value = sample();
            value["state"] = json!(state.as_str());
            assert_eq!(read(&value).unwrap().state, state);
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let check = |key: &str, bad: Value, code: &str| {
            let mut value = sample();
            value[key] = bad;
            assert_eq!(read(&value).unwrap_err().code, code, "{value}");
        };
        check("state", json!("Approved"), "EVIDENCE_MALFORMED");
        check("state", json!("open"), "EVIDENCE_MALFORMED");
        check("state", json!(null), "EVIDENCE_MALFORMED");
        check("id", json!(42), "EVIDENCE_MALFORMED");
        check("system", json!(""), "EVIDENCE_MALFORMED");
        check("approved_by", json!("kim"), "EVIDENCE_MALFORMED");
        check("approved_by", json!([1]), "EVIDENCE_MALFORMED");
        check("approved", json!(true), "EVIDENCE_MALFORMED");
        check("window", json!({"start": "2026-11-20T12:00:00Z", "end": "2026-11-20T10:00:00Z"}), "EVIDENCE_TIME");
        check("window", json!({"from": "2026-11-20T12:00:00Z"}), "EVIDENCE_MALFORMED");
        check("window", json!({"start": "soon"}), "EVIDENCE_TIME");
    }
}
