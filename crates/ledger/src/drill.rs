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
    /// How many attacks were tried; at least one. One that could not be made counts as tried.
    pub tried: u64,
    /// How many of these were noticed, each for one of its own reasons.
    pub caught: u64,
    /// How many were not tried, because there was nothing to attack, or nothing to attack it with.
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
    /// What was done; why nothing was, where it was skipped or could not be made.
    pub did: String,
    /// What came of it.
    pub outcome: DrillOutcome,
    /// The reason codes that count as noticing it; any of them will do. Absent in reports from before they were named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wanted: Vec<String>,
    /// What was missing, though it should be there; only where it was skipped for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacks: Option<String>,
    /// What was run on it: `audit`, `start` or `verify`; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// The first of the wanted reason codes that came of it; where it was missed, a code that came and is not wanted;
    /// where it failed, why. Absent where nothing was said, and where it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The other reason codes that came of it, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// What the check said with `code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long the check took, in milliseconds; absent where none was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
}

/// What came of an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrillOutcome {
    /// A check noticed it, for one of the wanted reasons.
    Caught,
    /// No check did, or only for other reasons: what should have noticed it may be gone.
    Missed,
    /// There was nothing to attack in that way, or nothing to attack it with.
    Skipped,
    /// It could not be made, or not be looked at: neither caught nor missed.
    Failed,
}

impl DrillAttack {
    /// Whether one of the wanted reason codes came of it.
    pub fn is_wanted(&self) -> bool {
        self.code.iter().chain(&self.also).any(|code| self.wanted.contains(code))
    }

    /// Whether what it says fits what came of it. Reports from before wanted codes were named have none.
    fn fits(&self) -> bool {
        let known = !self.wanted.is_empty();
        let said = match self.outcome {
            DrillOutcome::Caught => self.code.is_some() && (!known || self.is_wanted()),
            DrillOutcome::Missed => self.code.is_none() || (known && !self.is_wanted()),
            DrillOutcome::Skipped => self.code.is_none(),
            DrillOutcome::Failed => self.code.is_some(),
        };
        said && (self.lacks.is_none() || self.outcome == DrillOutcome::Skipped)
    }
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
        match report.attacks.iter().find(|attack| !attack.fits()) {
            None => Ok(report),
            Some(attack) => Err(invalid(format!(
                "what the attack `{}` says does not fit what came of it",
                attack.name.escape_debug()
            ))),
        }
    }

    /// How many attacks came out in one way.
    pub fn count(&self, outcome: DrillOutcome) -> u64 {
        self.attacks.iter().filter(|attack| attack.outcome == outcome).count() as u64
    }

    /// How many attacks were tried: all that were not skipped.
    pub fn tried(&self) -> u64 {
        self.attacks.iter().filter(|attack| attack.outcome != DrillOutcome::Skipped).count() as u64
    }

    /// How many were skipped for lack of something that should be there.
    pub fn lacking(&self) -> u64 {
        self.attacks.iter().filter(|attack| attack.lacks.is_some()).count() as u64
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
        let says = matches!(outcome, DrillOutcome::Caught | DrillOutcome::Failed);
        DrillAttack {
            name: "log-truncated".to_owned(),
            did: "the last entry was removed".to_owned(),
            outcome,
            wanted: Vec::new(),
            lacks: None,
            check: Some("audit".to_owned()),
            code: says.then(|| "ROLLBACK_DETECTED".to_owned()),
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
        use DrillOutcome::{Caught, Failed, Missed, Skipped};
        let mut report = report(&[Caught, Skipped, Caught, Missed, Failed, Skipped]);
        let event = report.event(Digest::of(b"report"));
        assert_eq!((event.tried, event.caught, event.skipped, event.entries), (4, 2, 2, TreeSize(9)));
        assert_eq!(report.lacking(), 0);
        report.attacks[1].lacks = Some("a key".to_owned());
        assert_eq!(report.lacking(), 1);
    }

    /// What notices an attack for another reason than its own may hide that its own is gone.
    #[test]
    fn an_attack_is_caught_by_its_own_codes_and_missed_by_others() {
        let check = |outcome: DrillOutcome, codes: &[&str], is_fit: bool| {
            let mut codes = codes.iter().map(|code| (*code).to_owned());
            let mut report = report(&[outcome]);
            report.attacks[0].wanted = vec!["KEY_UNKNOWN".to_owned(), "KEY_REVOKED".to_owned()];
            report.attacks[0].code = codes.next();
            report.attacks[0].also = codes.collect();
            let read = DrillReport::from_bytes(&report.to_bytes().unwrap());
            assert_eq!(read.is_ok(), is_fit, "{read:?}");
        };
        check(DrillOutcome::Caught, &["KEY_REVOKED"], true);
        check(DrillOutcome::Caught, &["ROOT_MISMATCH", "KEY_UNKNOWN"], true);
        check(DrillOutcome::Caught, &["ROOT_MISMATCH"], false);
        check(DrillOutcome::Caught, &[], false);
        check(DrillOutcome::Missed, &[], true);
        check(DrillOutcome::Missed, &["ROOT_MISMATCH", "TILE_MISMATCH"], true);
        check(DrillOutcome::Missed, &["ROOT_MISMATCH", "KEY_UNKNOWN"], false);
        check(DrillOutcome::Skipped, &[], true);
        check(DrillOutcome::Skipped, &["KEY_UNKNOWN"], false);
        check(DrillOutcome::Failed, &["DISK_FULL"], true);
        check(DrillOutcome::Failed, &[], false);
    }

    #[test]
    fn a_report_is_read_in_one_spelling_and_says_what_caught_what() {
        use DrillOutcome::{Caught, Failed, Missed, Skipped};
        let good = report(&[Caught, Missed, Skipped, Failed]);
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
        check(|bad| bad.attacks[3].code = None);
        check(|bad| bad.attacks[0].lacks = Some("a key".to_owned()));
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
            [],
            null,
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
