//! `lockgate drift`.

use clap::Args;
use lockgate_model::{EnvName, Span};

use super::value::lasting;

/// `drift`.
#[derive(Debug, Clone, Args)]
pub struct Drift {
    /// Services whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
    /// One environment only
    #[arg(long, alias = "environment", value_name = "ENVIRONMENT")]
    pub env: Option<EnvName>,
    /// What stands like this only
    #[arg(long, value_parser = ["in-step", "other-release", "no-grant", "not-running", "not-reported", "report-old"])]
    pub state: Option<String>,
    /// After how many days a report is old, such as 7d
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = lasting)]
    pub old: Span,
}
