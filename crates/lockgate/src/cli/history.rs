//! `lockgate history`: which stream of the ledger, and which of its entries.

use clap::Args;
use lockgate_model::{Digest, EnvName, PersonId, PromotionId, ReleaseName, ServiceName};

/// How many entries a page has where nobody says.
pub const HISTORY_LIMIT: usize = 30;

/// `history`.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub struct HistoryFilter {
    /// Of one release
    #[arg(long, value_name = "SERVICE@VERSION")]
    pub release: Option<ReleaseName>,
    /// Of one promotion
    #[arg(long, value_name = "P-N")]
    pub promotion: Option<PromotionId>,
    /// Of one environment
    #[arg(long, alias = "environment", value_name = "ENVIRONMENT")]
    pub env: Option<EnvName>,
    /// Of one person or machine
    #[arg(id = "of-person", long = "person", value_name = "NAME")]
    pub person: Option<PersonId>,
    /// Of one service's releases
    #[arg(long)]
    pub service: Option<ServiceName>,
    /// Of one artifact
    #[arg(long, value_name = "DIGEST")]
    pub artifact: Option<Digest>,
    /// Of keys, people and policy
    #[arg(long)]
    pub governance: bool,
}

/// `history`: which entries of the stream.
#[derive(Debug, Clone, Args)]
pub struct HistoryOnly {
    /// Only such events: `approval.recorded`, or the first part of that
    #[arg(long, value_name = "NAME")]
    pub event: Option<String>,
    /// Only what came out so: allow, deny, pending, approve or reject
    #[arg(long, value_name = "WORD")]
    pub outcome: Option<String>,
    /// Only what this policy set decided, and its activation: its digest, or how that begins
    #[arg(long, value_name = "DIGEST")]
    pub policy: Option<String>,
    /// Only releases of this build: how its commit, its run or its builder begins
    #[arg(long, value_name = "COMMIT|RUN|BUILDER")]
    pub build: Option<String>,
    /// Only lines with these words
    #[arg(long, value_name = "WORDS")]
    pub text: Option<String>,
    /// From this day or moment on: YYYY-MM-DD, or RFC 3339
    #[arg(long, value_name = "DAY")]
    pub since: Option<String>,
    /// Until this day, with all of it, or before this moment
    #[arg(long, value_name = "DAY")]
    pub until: Option<String>,
}

impl HistoryFilter {
    /// The stream as an option of the command.
    pub fn pair(&self) -> Option<(&'static str, String)> {
        let named = |name, value: Option<String>| Some((name, value?));
        named("release", self.release.as_ref().map(ToString::to_string))
            .or_else(|| named("promotion", self.promotion.map(|promotion| promotion.to_string())))
            .or_else(|| named("env", self.env.as_ref().map(ToString::to_string)))
            .or_else(|| named("person", self.person.as_ref().map(ToString::to_string)))
            .or_else(|| named("service", self.service.as_ref().map(ToString::to_string)))
            .or_else(|| named("artifact", self.artifact.as_ref().map(ToString::to_string)))
    }
}

impl HistoryOnly {
    /// What is asked for, each with what the API calls it.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("event", &self.event),
            ("outcome", &self.outcome),
            ("policy", &self.policy),
            ("build", &self.build),
            ("text", &self.text),
            ("since", &self.since),
            ("until", &self.until),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

/// `history`.
#[derive(Debug, Clone, Args)]
pub struct History {
    /// Which stream; all of it by default
    #[command(flatten)]
    pub filter: HistoryFilter,
    /// And which of its entries
    #[command(flatten)]
    pub only: HistoryOnly,
    /// How many
    #[arg(long, default_value_t = HISTORY_LIMIT, value_parser = super::count)]
    pub limit: usize,
    /// Before this number, as `older` of the page before prints it: of all of it an entry's number, of one stream
    /// (--promotion, --env and the like) the place in that stream
    #[arg(long)]
    pub before: Option<u64>,
    /// Print it as CSV, for a spreadsheet, whatever `--output` says
    #[arg(long)]
    pub csv: bool,
}
