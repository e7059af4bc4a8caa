//! Feature flags (`https://lockgate.dev/flags/v1`): which are on, and for how many.

use std::collections::BTreeSet;

use lockgate_model::Limits;
use lockgate_model::facts::{Flag, Flags};
use serde_json::Value;

use crate::document::Object;
use crate::error::{EvidenceError, excerpt};
use crate::own;

/// All of it, in basis points.
const WHOLE: u64 = 10_000;

/// Reads a document; an empty list says that there are no flags.
///
/// # Errors
/// `REPORT_VERSION`, `EVIDENCE_MALFORMED`, `EVIDENCE_TIME`, `TOO_MANY_FINDINGS`.
pub(crate) fn read(value: &Value, limits: &Limits) -> Result<Flags, EvidenceError> {
    let root = own::open(value, own::FLAGS, &["system", "environment", "flags", "taken_at"])?;
    let list = root.required_list("flags")?;
    if list.len() > limits.findings_per_report {
        return Err(EvidenceError::new(
            "TOO_MANY_FINDINGS",
            format!("more than {} flags in one report", limits.findings_per_report),
        ));
    }
    let mut flags = Vec::new();
    for item in list.objects() {
        flags.push(flag(&item?)?);
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = flags.iter().find(|flag| !seen.insert(flag.name.as_str())) {
        return Err(root.fault_at("flags", &format!("names `{}` twice", excerpt(&twice.name))));
    }
    Ok(Flags {
        system: root.label("system")?.map(str::to_owned),
        environment: root.label("environment")?.map(str::to_owned),
        flags,
        taken_at: root.moment("taken_at")?,
    })
}

fn flag(item: &Object<'_>) -> Result<Flag, EvidenceError> {
    item.only(&["name", "enabled", "rollout_basis_points"])?;
    let Some(enabled) = item.flag("enabled")? else { return Err(item.fault("has no `enabled`")) };
    let rollout_basis_points = item.count("rollout_basis_points")?;
    match rollout_basis_points {
        Some(share) if share > WHOLE => {
            Err(item.fault_at("rollout_basis_points", &format!("must be at most {WHOLE}, which is everyone")))
        }
        Some(share) if share > 0 && !enabled => {
            Err(item.fault_at("rollout_basis_points", "contradicts `enabled`: what is off is on for nobody"))
        }
        _ => Ok(Flag { name: item.required_label("name")?.to_owned(), enabled, rollout_basis_points }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn code(flags: Value) -> &'static str {
        read(&json!({"flags": flags}), &Limits::DEFAULT).unwrap_err().code
    }

    #[test]
    fn reads_states() {
        let value = json!({"flags": [{"name": "new-cart", "enabled": true, "rollout_basis_points": 2500}, {"name": "old", "enabled": false}]});
        let claim = read(&value, &Limits::DEFAULT).unwrap();
        assert_eq!(claim.flag("new-cart").unwrap().rollout_basis_points, Some(2500));
        assert!(!claim.flag("old").unwrap().enabled);
        assert_eq!(claim.flag("Old"), None);
        assert!(read(&json!({"flags": []}), &Limits::DEFAULT).unwrap().flags.is_empty());
    }

    #[test]
    fn refuses_contradictions() {
        for bad in [
            json!(null),
            json!({}),
            json!([{"name": "a"}]),
            json!([{"enabled": true}]),
            json!([{"name": "a", "enabled": "on"}]),
            json!([{"name": "a", "enabled": true, "rollout_basis_points": 10_001}]),
            json!([{"name": "a", "enabled": true, "rollout_basis_points": 0.5}]),
            json!([{"name": "a", "enabled": false, "rollout_basis_points": 1}]),
            json!([{"name": "a", "enabled": true}, {"name": "a", "enabled": false}]),
            json!([{"name": "a", "enabled": true, "rollout": 1}]),
        ] {
            assert_eq!(code(bad.clone()), "EVIDENCE_MALFORMED", "{bad}");
        }
        let few = Limits { findings_per_report: 0, ..Limits::DEFAULT };
        assert_eq!(read(&json!({"flags": [{}]}), &few).unwrap_err().code, "TOO_MANY_FINDINGS");
    }
}
