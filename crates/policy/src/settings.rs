//! Settings: what `policy.toml` says about the policy set as a whole.

use lockgate_model::{EnvName, ServiceName, Span, UnixMillis};
use serde::Deserialize;

use crate::break_glass::BreakGlassRules;
use crate::error::PolicyError;
use crate::governance::GovernanceRules;
use crate::passkeys::PasskeyRules;
use crate::sign_in::SignIn;
use crate::source::SourceFile;
use crate::waivers::WaiverRules;

/// What `policy.toml` says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What people call the policy set.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Who verifies, as a URI, for verification summaries (SLSA VSA v1, `verifier.id`).
    pub verifier_id: String,
    /// What a verification summary is about (SLSA VSA v1, `resourceUri`), with `{service}` and `{environment}`.
    pub resource_uri: String,
    /// How long an approval counts.
    pub approval_ttl: Span,
    /// How long a promotion may wait before it ends undecided.
    pub promotion_ttl: Span,
    /// What signatures by passkeys need; absent in sets that leave it at its defaults.
    #[serde(default)]
    pub passkeys: PasskeyRules,
    /// What the sessions of people need; absent in sets that leave it at its defaults.
    #[serde(default, rename = "sign-in")]
    pub sign_in: SignIn,
    /// How many people a change of keys or policy takes; absent in sets that leave it at its default.
    #[serde(default)]
    pub governance: GovernanceRules,
    /// For how long a break-glass may last; absent in sets that leave it at its default.
    #[serde(default, rename = "break-glass")]
    pub break_glass: BreakGlassRules,
    /// What waivers need; absent in sets that leave it at what the ledger demands of every waiver.
    #[serde(default)]
    pub waivers: Option<WaiverRules>,
    /// When the policy set is over: from then on everything is denied. It never is where this is left out.
    #[serde(default, deserialize_with = "crate::moment::optional")]
    pub expires_at: Option<UnixMillis>,
    /// For how long before that every decision warns.
    #[serde(default = "a_month")]
    pub expiry_warning: Span,
}

const fn a_month() -> Span {
    Span::from_secs(30 * 86_400)
}

impl Settings {
    /// The file that settings are read from.
    pub(crate) const FILE: &'static str = "policy.toml";

    /// The resource URI of one service in one environment.
    pub fn resource_for(&self, service: &ServiceName, environment: &EnvName) -> String {
        // Names hold no braces, so the first replacement cannot make a placeholder for the second.
        self.resource_uri.replace("{service}", service.as_str()).replace("{environment}", environment.as_str())
    }

    pub(crate) fn read(source: SourceFile<'_>) -> Result<Self, Vec<PolicyError>> {
        let settings: Self = source.read()?;
        let errors: Vec<PolicyError> = settings
            .problems()
            .into_iter()
            .map(|(key, message)| source.error(source.line_of(key), message.to_owned(), None))
            .collect();
        if errors.is_empty() { Ok(settings) } else { Err(errors) }
    }

    fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let template = self.resource_uri.replace("{service}", "s").replace("{environment}", "e");
        let complete = self.resource_uri.contains("{service}") && self.resource_uri.contains("{environment}");
        let checks = [
            (self.name.trim().is_empty(), "name", "`name` is empty: say what people call this policy set"),
            (
                !is_uri(&self.verifier_id),
                "verifier_id",
                "`verifier_id` is not a URI: write one such as `https://lockgate.example/verifier/v1`",
            ),
            (
                !complete,
                "resource_uri",
                "`resource_uri` has to contain `{service}` and `{environment}`, or two places would share a name",
            ),
            (
                !is_uri(&template),
                "resource_uri",
                "`resource_uri` is not a URI with `{service}` and `{environment}` as its only placeholders",
            ),
            (self.approval_ttl.is_zero(), "approval_ttl", "`approval_ttl` is zero: no approval would ever count"),
            (
                self.promotion_ttl.is_zero(),
                "promotion_ttl",
                "`promotion_ttl` is zero: every promotion would end at once",
            ),
            (
                self.passkeys.allows_no_origin(),
                "origins",
                "`origins` of `[passkeys]` is empty: no passkey would ever count; leave it out to allow every origin of \
                 the RP id",
            ),
            (
                self.governance.is_out_of_range(),
                "quorum",
                "`quorum` of `[governance]` is not between 1 and 16: nobody would have to sign, or nobody could",
            ),
            (
                self.waivers.as_ref().is_some_and(WaiverRules::is_out_of_range),
                "max_days",
                "`max_days` of `[waivers]` is not between 1 and 90: no waiver would count, or one would never end",
            ),
            (
                self.break_glass.is_out_of_range(),
                "max",
                "`max` of `[break-glass]` is zero or more than 24h: an emergency ends, or it is the new normal",
            ),
        ];
        checks.into_iter().filter(|(wrong, ..)| *wrong).map(|(_, key, message)| (key, message)).collect()
    }
}

/// Whether a text has the shape `scheme:rest` (RFC 3986, section 3), without white space, braces or quotes.
fn is_uri(text: &str) -> bool {
    let plain =
        text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'{' | b'}' | b'"' | b'<' | b'>' | b'\\' | b'`'));
    let scheme = text.split_once(':').filter(|(_, rest)| !rest.is_empty()).map(|(scheme, _)| scheme);
    plain
        && scheme.is_some_and(|scheme| {
            scheme.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
name = "shop"
description = "what the shop demands"
verifier_id = "https://lockgate.example/verifier/v1"
resource_uri = "https://lockgate.example/{environment}/{service}"
approval_ttl = "72h"
promotion_ttl = "30d"
"#;

    #[test]
    fn reads_and_fills_the_template() {
        let settings = Settings::read(SourceFile { path: Settings::FILE, text: GOOD }).unwrap();
        let uri = settings.resource_for(&"shop/web".parse().unwrap(), &"prod".parse().unwrap());
        assert_eq!(uri, "https://lockgate.example/prod/shop/web");
    }

    #[test]
    fn refuses_what_cannot_work() {
        let check = |from: &str, to: &str, line: Option<usize>| {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD);
            let errors = Settings::read(SourceFile { path: Settings::FILE, text: &text }).unwrap_err();
            assert_eq!(errors.first().and_then(|error| error.line), line, "{errors:?}");
        };
        check("\"shop\"", "\" \"", Some(2));
        check("https://lockgate.example/verifier", "lockgate", Some(4));
        check("{service}", "service", Some(5));
        check("{service}", "{service}/{other}", Some(5));
        check("72h", "0h", Some(6));
        check("30d", "a month", Some(7));
        check("promotion_ttl", "promotion_til", Some(7));
        check("\"30d\"", "\"30d\"\n[passkeys]\nsynced = false\norigins = []", Some(10));
        check("\"30d\"", "\"30d\"\n[passkeys]\nuv = true", Some(9));
        check("promotion_ttl = \"30d\"", "promotion_ttl = \"30d\"\n[governance]\nquorum = 0", Some(9));
        check("promotion_ttl = \"30d\"", "promotion_ttl = \"30d\"\n[waivers]\nmax_days = 91", Some(9));
        check("promotion_ttl = \"30d\"", "promotion_ttl = \"30d\"\nexpires_at = \"never\"", Some(8));
    }
}
