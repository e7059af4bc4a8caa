//! Drills in the ledger: somebody attacked a copy of it on purpose, and this is what was noticed.
//!
//! The entry is small and stands in its author's stream alone, so that bundles do not grow with the number of drills.
//! It says what somebody reported: no decision rests on it, and whoever doubts it runs the drill again.

use serde::{Deserialize, Serialize};

use lockgate_model::{Digest, Limits, PersonId, TreeSize, UnixMillis, canonical};
use lockgate_policy::Permission;

use crate::governance::Governance;
use crate::state::ApplyError;

/// How many bytes the name of the program has at most.
const TOOL_BYTES: usize = 128;
/// How many attacks a report lists at most.
const ATTACKS: usize = 1000;

/// Body of `drill.recorded`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillRecorded {
    /// The digest of the report.
    pub report: Digest,
    /// How many attacks were made; at least one.
    pub tried: u64,
    /// How many of these were noticed.
    pub caught: u64,
    /// How many were not made, because the ledger had nothing to attack in that way.
    pub skipped: u64,
    /// How many entries the copy had.
    pub entries: TreeSize,
    /// When the drill began, by the clock of the machine that ran it.
    pub ran_at: UnixMillis,
    /// The program that ran it.
    pub tool: String,
}

/// What a drill did and what came of it, in canonical JSON; a body of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillReport {
    /// Always [`DrillReport::SCHEMA`].
    pub schema: String,
    /// The ledger's origin.
    pub ledger: String,
    /// How many entries the copy had.
    pub entries: TreeSize,
    /// Their root.
    pub root: Digest,
    /// When it began, by the clock of the machine that ran it.
    pub ran_at: UnixMillis,
    /// How long it took, copies and all, in milliseconds.
    pub took_ms: u64,
    /// The program that ran it.
    pub tool: String,
    /// The attacks, in the order in which they were made.
    pub attacks: Vec<DrillAttack>,
}

/// One attack on a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillAttack {
    /// Its name.
    pub name: String,
    /// What was done; why nothing was, where it was skipped.
    pub did: String,
    /// What came of it.
    pub outcome: DrillOutcome,
    /// What was run on it: `audit`, `start` or `verify`; absent where it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// The reason code that came first; only where it was caught.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The other reason codes that came of it, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// What the check said; only where it was caught.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long the check took, in milliseconds; absent where it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
}

/// What came of an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrillOutcome {
    /// A check noticed it.
    Caught,
    /// No check did.
    Missed,
    /// There was nothing to attack in that way; it counts for nothing.
    Skipped,
}

impl DrillReport {
    /// The schema that this version knows.
    pub const SCHEMA: &'static str = "https://lockgate.dev/drill-report/v1";

    /// The canonical bytes.
    ///
    /// # Errors
    /// `DRILL_INVALID` when there is no canonical form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ApplyError> {
        canonical::to_vec(self).map_err(|error| invalid(error.to_string()))
    }

    /// Reads a report; any other spelling of the same report is refused.
    ///
    /// # Errors
    /// `DRILL_INVALID`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ApplyError> {
        let report: Self = canonical::from_slice(bytes, &Limits::DEFAULT)
            .map_err(|error| invalid(format!("not the report of a drill: {error}")))?;
        if report.schema != Self::SCHEMA {
            return Err(invalid("the schema of the report is not known".to_owned()));
        }
        // An optional field that is written though it says nothing would be a second spelling of one report.
        if report.to_bytes()? != bytes {
            return Err(invalid("the report writes an empty field".to_owned()));
        }
        if report.attacks.len() > ATTACKS {
            return Err(invalid(format!("a report lists at most {ATTACKS} attacks")));
        }
        let said = |attack: &DrillAttack| (attack.outcome == DrillOutcome::Caught) == attack.code.is_some();
        match report.attacks.iter().find(|attack| !said(attack)) {
            None => Ok(report),
            Some(attack) => Err(invalid(format!(
                "the attack `{}` does not say what caught it, or says so without being caught",
                attack.name.escape_debug()
            ))),
        }
    }

    /// How many attacks came out in one way.
    pub fn count(&self, outcome: DrillOutcome) -> u64 {
        self.attacks.iter().filter(|attack| attack.outcome == outcome).count() as u64
    }

    /// How many attacks were made.
    pub fn tried(&self) -> u64 {
        self.count(DrillOutcome::Caught) + self.count(DrillOutcome::Missed)
    }

    /// What is recorded of it, under the digest of its bytes.
    pub fn event(&self, report: Digest) -> DrillRecorded {
        DrillRecorded {
            report,
            tried: self.tried(),
            caught: self.count(DrillOutcome::Caught),
            skipped: self.count(DrillOutcome::Skipped),
            entries: self.entries,
            ran_at: self.ran_at,
            tool: self.tool.clone(),
        }
    }
}

impl Governance {
    /// Checks `drill.recorded`, recorded by `by`. It changes nothing.
    ///
    /// # Errors
    /// `NOT_PERMITTED`, or `DRILL_INVALID` when its numbers do not fit each other or the program has no usable name.
    pub fn check_drill(&self, event: &DrillRecorded, by: &PersonId) -> Result<(), ApplyError> {
        if !self.may(by, Permission::Audit) {
            return Err(ApplyError::new(
                "NOT_PERMITTED",
                format!("`{by}` has no role with the permission `{}`", Permission::Audit),
            ));
        }
        if event.tried == 0 || event.caught > event.tried {
            return Err(invalid(format!(
                "a drill makes an attack, and catches no more than it makes: {} of {}",
                event.caught, event.tried
            )));
        }
        let tool = &event.tool;
        match tool.is_empty() || tool.len() > TOOL_BYTES || tool.chars().any(char::is_control) {
            false => Ok(()),
            true => Err(invalid(format!("the name of the program is not 1 to {TOOL_BYTES} bytes of plain text"))),
        }
    }
}

fn invalid(message: String) -> ApplyError {
    ApplyError::new("DRILL_INVALID", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attack(outcome: DrillOutcome) -> DrillAttack {
        let is_caught = outcome == DrillOutcome::Caught;
        DrillAttack {
            name: "log-truncated".to_owned(),
            did: "the last entry was removed".to_owned(),
            outcome,
            check: Some("audit".to_owned()),
            code: is_caught.then(|| "ROLLBACK_DETECTED".to_owned()),
            also: Vec::new(),
            message: None,
            took_ms: Some(3),
        }
    }

    fn report(outcomes: &[DrillOutcome]) -> DrillReport {
        DrillReport {
            schema: DrillReport::SCHEMA.to_owned(),
            ledger: "log1.test.example".to_owned(),
            entries: TreeSize(9),
            root: Digest::of(b"root"),
            ran_at: UnixMillis(5),
            took_ms: 70,
            tool: "lockgate/0.1.0".to_owned(),
            attacks: outcomes.iter().map(|outcome| attack(*outcome)).collect(),
        }
    }

    #[test]
    fn what_is_recorded_counts_what_is_reported() {
        use DrillOutcome::{Caught, Missed, Skipped};
        let event = report(&[Caught, Skipped, Caught, Missed]).event(Digest::of(b"report"));
        assert_eq!((event.tried, event.caught, event.skipped, event.entries), (3, 2, 1, TreeSize(9)));
    }

    #[test]
    fn a_report_is_read_in_one_spelling_and_says_what_caught_what() {
        let good = report(&[DrillOutcome::Caught, DrillOutcome::Missed, DrillOutcome::Skipped]);
        let bytes = good.to_bytes().unwrap();
        assert_eq!(DrillReport::from_bytes(&bytes).unwrap(), good);
        let check = |change: fn(&mut DrillReport)| {
            let mut bad = good.clone();
            change(&mut bad);
            assert_eq!(DrillReport::from_bytes(&bad.to_bytes().unwrap()).unwrap_err().code, "DRILL_INVALID");
        };
        check(|bad| bad.schema.push('2'));
        check(|bad| bad.attacks[0].code = None);
        check(|bad| bad.attacks[1].code = Some("ROOT_MISMATCH".to_owned()));
        check(|bad| bad.attacks = vec![bad.attacks[2].clone(); ATTACKS + 1]);
        let text = String::from_utf8(bytes.clone()).unwrap();
        let empty = text.replacen("\"check\"", "\"also\":[],\"check\"", 1);
        assert_ne!(empty, text);
        assert_eq!(DrillReport::from_bytes(empty.as_bytes()).unwrap_err().code, "DRILL_INVALID");
        let mut listed: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        listed["attacks"][0] = serde_json::json!([
            "log-truncated",
            "the last entry was removed",
            "caught",
            "audit",
            "ROLLBACK_DETECTED",
            [],
            null,
            3
        ]);
        let error = DrillReport::from_bytes(&canonical::to_vec(&listed).unwrap()).unwrap_err();
        assert!(error.code == "DRILL_INVALID" && error.message.contains("sequence"), "{error:?}");
        let mut spaced = bytes;
        spaced.push(b'\n');
        assert_eq!(DrillReport::from_bytes(&spaced).unwrap_err().code, "DRILL_INVALID");
    }
}
