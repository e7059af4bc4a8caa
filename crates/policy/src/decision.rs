//! Decisions: the outcome of a policy set on facts, gate by gate, as one canonical document.

use std::fmt;

use lockgate_model::{Digest, EntryIndex, EnvName, GateName, PromotionId, ReleaseName, UnixMillis, canonical};
use serde::{Deserialize, Serialize};

use crate::time_zone::Zone;

/// The outcome of every gate that applies to a promotion, and of all of them together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Always [`Decision::SCHEMA`].
    pub schema: String,
    /// What decided: [`Decision::ENGINE`], with the version of the time zone database where a gate looked at one.
    pub engine: String,
    /// The policy set.
    pub policy: Digest,
    /// The promotion.
    pub promotion: PromotionId,
    /// What is to be promoted.
    pub release: ReleaseName,
    /// The target.
    pub environment: EnvName,
    /// All gates together.
    pub outcome: Outcome,
    /// How many gates would have blocked, if they did not only warn.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub would_block: u64,
    /// The entry of the break-glass under which it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<EntryIndex>,
    /// Each gate, in the order of file and line; never empty.
    pub gates: Vec<GateResult>,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Decision {
    /// The schema that this version of Lockgate writes.
    pub const SCHEMA: &'static str = "https://lockgate.dev/decision/v1";
    /// The name and version of the rules by which gates are evaluated.
    pub const ENGINE: &'static str = "lockgate-decide/1";

    /// The engine of a decision for which a gate looked at the clocks of a time zone, such as
    /// `lockgate-decide/1+tzdb-2026a`: another version of the database may know other rules.
    pub fn zoned_engine() -> String {
        format!("{}+tzdb-{}", Self::ENGINE, Zone::database())
    }

    /// The same decision under the engine that a record names, where that one is this one with another version of the
    /// time zone database; otherwise unchanged.
    ///
    /// With it an old decision comes out with its old bytes for as long as the rules of its time zones, in the time it
    /// looked at, have stayed the same.
    #[must_use]
    pub fn under_engine(self, recorded: &str) -> Self {
        let family = format!("{}+tzdb-", Self::ENGINE);
        match self.engine.starts_with(&family) && recorded.starts_with(&family) {
            true => Self { engine: recorded.to_owned(), ..self },
            false => self,
        }
    }

    /// The canonical bytes (RFC 8785), which are what is stored, hashed and compared.
    pub fn to_bytes(&self) -> Vec<u8> {
        // INVARIANT (a decision has a canonical form): its only numbers are line numbers, far below 2^53. Were it
        // ever broken, the empty document would differ from every stored decision, and nothing would pass.
        canonical::to_vec(self).unwrap_or_default()
    }
}

/// All gates together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every gate passes, is waived, only warns, or is overridden by break-glass.
    Allow,
    /// A gate fails.
    Deny,
    /// No gate fails, but one waits for time or people.
    Pending,
}

impl Outcome {
    /// The word that documents use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Pending => "pending",
        }
    }

    /// Any fail denies, otherwise any pending waits; no gates at all deny, because nothing was demanded.
    pub fn of(gates: &[GateResult]) -> Self {
        let any = |outcome| gates.iter().any(|gate| gate.outcome == outcome);
        if gates.is_empty() || any(GateOutcome::Fail) {
            Self::Deny
        } else if any(GateOutcome::Pending) {
            Self::Pending
        } else {
            Self::Allow
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateResult {
    /// The gate; `policy` stands for the policy set itself.
    pub gate: GateName,
    /// Its kind.
    pub kind: String,
    /// What came of it.
    pub outcome: GateOutcome,
    /// Why, as a stable code of [`Reason`](crate::Reason).
    pub reason: String,
    /// Where the gate is written.
    pub rule: Rule,
    /// What it demands.
    pub needed: String,
    /// What there is.
    pub found: String,
    /// The evidence that it looked at, by digest, in ledger order per artifact.
    pub evidence: Vec<Digest>,
    /// Who can do something about it; empty when nothing is to be done.
    pub who: String,
    /// What to do, as a command where there is one; empty when nothing is to be done.
    pub fix: String,
    /// The controls of frameworks that the gate answers to, such as `SOC2 CC8.1`, in the policy author's words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<String>,
    /// From when on it blocks, where it was announced for a day that has not come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforced_from: Option<UnixMillis>,
}

/// What came of one gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateOutcome {
    /// What it demands is there.
    Pass,
    /// What it demands is not there.
    Fail,
    /// It waits for time or people.
    Pending,
    /// What it objects to has been waived.
    Waived,
    /// It objects, or waits, and does not block: it only warns, for now or altogether.
    Warn,
    /// It objects, or waits, and people let the release past it by break-glass.
    Overridden,
}

impl GateOutcome {
    /// The word that documents use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Pending => "pending",
            Self::Waived => "waived",
            Self::Warn => "warn",
            Self::Overridden => "overridden",
        }
    }
}

impl fmt::Display for GateOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where something is written in a policy set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The file, relative to the policy set's directory.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::Limits;

    fn gate(outcome: GateOutcome) -> GateResult {
        GateResult {
            gate: "g".parse().unwrap(),
            kind: "tests".to_owned(),
            outcome,
            reason: "SATISFIED".to_owned(),
            rule: Rule { file: "gates/a.toml".to_owned(), line: 3 },
            needed: String::new(),
            found: String::new(),
            evidence: vec![Digest::of(b"e")],
            who: String::new(),
            fix: String::new(),
            controls: Vec::new(),
            enforced_from: None,
        }
    }

    #[test]
    fn any_fail_denies_and_nothing_denies() {
        use GateOutcome::{Fail, Overridden, Pass, Pending, Waived, Warn};
        let check = |outcomes: &[GateOutcome], expected: Outcome| {
            let gates: Vec<GateResult> = outcomes.iter().copied().map(gate).collect();
            assert_eq!(Outcome::of(&gates), expected, "{outcomes:?}");
        };
        check(&[], Outcome::Deny);
        check(&[Pass, Waived], Outcome::Allow);
        check(&[Pass, Warn], Outcome::Allow);
        check(&[Pass, Overridden], Outcome::Allow);
        check(&[Overridden, Fail], Outcome::Deny);
        check(&[Warn, Pending], Outcome::Pending);
        check(&[Warn, Fail], Outcome::Deny);
        check(&[Pass, Pending], Outcome::Pending);
        check(&[Pending, Fail, Pass], Outcome::Deny);
        check(&[Fail, Pending], Outcome::Deny);
    }

    #[test]
    fn bytes_read_back() {
        let decision = Decision {
            schema: Decision::SCHEMA.to_owned(),
            engine: Decision::ENGINE.to_owned(),
            policy: Digest::of(b"p"),
            promotion: PromotionId(3),
            release: "shop/web@1.4.2".parse().unwrap(),
            environment: "production".parse().unwrap(),
            outcome: Outcome::Pending,
            would_block: 0,
            break_glass: None,
            gates: vec![gate(GateOutcome::Pending)],
        };
        let bytes = decision.to_bytes();
        assert_eq!(canonical::from_slice::<Decision>(&bytes, &Limits::DEFAULT).unwrap(), decision);
        // What is not there leaves no trace, so that decisions from before it was there keep their bytes.
        let text = String::from_utf8(bytes).unwrap();
        for field in ["would_block", "break_glass", "controls", "enforced_from"] {
            assert!(!text.contains(field), "{text}");
        }
        let zoned = Decision { engine: Decision::zoned_engine(), ..decision.clone() };
        let recorded = format!("{}+tzdb-1999z", Decision::ENGINE);
        assert_eq!(zoned.clone().under_engine(&recorded).engine, recorded);
        assert_eq!(zoned.clone().under_engine("lockgate-decide/9").engine, zoned.engine);
        assert_eq!(decision.clone().under_engine(&recorded).engine, decision.engine);
    }
}
