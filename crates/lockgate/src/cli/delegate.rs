//! `delegate`.

use clap::Subcommand;
use lockgate_model::{EnvName, GroupName, PersonId, ServiceName, Span};

/// `delegate`.
#[derive(Debug, Clone, Subcommand)]
pub enum Delegate {
    /// Lend someone your right to approve, for a while
    Add {
        /// Who may approve instead of you
        name: PersonId,
        /// Which of your groups [default: all]
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<GroupName>,
        /// For which environments [default: all]
        #[arg(long = "env", alias = "environment", value_name = "ENVIRONMENT")]
        environments: Vec<EnvName>,
        /// For which services [default: all]
        #[arg(long = "service", value_name = "SERVICE")]
        services: Vec<ServiceName>,
        /// For how long, at most 30d
        #[arg(long = "for", default_value = "7d", value_name = "DURATION", value_parser = super::lasting, allow_hyphen_values = true)]
        lasts: Span,
        /// Why
        #[arg(long)]
        reason: String,
        /// Do not ask; for scripts
        #[arg(long, short = 'y')]
        yes: bool,
    },
    /// Who has lent whom the right to approve
    List {
        /// Also those that are over
        #[arg(long)]
        all: bool,
    },
    /// End a delegation before its time: one that you gave or got, or, with the right to manage keys, any
    End {
        /// The entry that granted it, as `delegate list` prints it
        #[arg(value_name = "ENTRY")]
        delegation: u64,
        /// Why
        #[arg(long)]
        reason: String,
    },
}
