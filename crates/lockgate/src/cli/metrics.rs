//! `lockgate metrics`.

use clap::Args;
use lockgate_model::Span;

/// `metrics`.
#[derive(Debug, Clone, Args)]
pub struct Metrics {
    /// How far back, such as 30d
    #[arg(long, value_name = "DURATION", default_value = "90d")]
    pub since: Span,
}
