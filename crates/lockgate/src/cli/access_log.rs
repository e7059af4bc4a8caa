//! What `access log` understands.

use clap::Args;
use lockgate_ledger::access_log::AccessOutcome;
use lockgate_model::UnixMillis;

/// `access log`.
#[derive(Debug, Clone, Args)]
pub struct AccessLog {
    /// Of one person or machine; `-` for requests without a session
    #[arg(long = "person", value_name = "NAME")]
    pub principal: Option<String>,
    /// Of one action, such as `promotions.approve`; `promotions.` stands for all that begin with it
    #[arg(long)]
    pub action: Option<String>,
    /// With one outcome: allowed, refused or failed
    #[arg(long)]
    pub outcome: Option<AccessOutcome>,
    /// Not before, such as 2026-11-21T09:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<UnixMillis>,
    /// Not after
    #[arg(long, value_name = "TIME")]
    pub until: Option<UnixMillis>,
    /// How many
    #[arg(long, default_value = "30", value_parser = super::count)]
    pub limit: usize,
    /// Before this index, as printed by the page before
    #[arg(long)]
    pub before: Option<u64>,
}
