//! `freeze`, `unfreeze` and `break-glass`.

use clap::{Args, Subcommand};
use lockgate_model::{EnvName, ReleaseName, ServiceName, Span};

/// `freeze`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Freeze {
    /// What else there is about freezes.
    #[command(subcommand)]
    pub act: Option<FreezeAct>,
    /// Only this service [default: all]
    #[arg(long)]
    pub service: Option<ServiceName>,
    /// Only this environment [default: all]
    #[arg(long = "env", alias = "environment", value_name = "ENVIRONMENT")]
    pub environment: Option<EnvName>,
    /// Why
    #[arg(long)]
    pub reason: Option<String>,
    /// For how long, such as 2h [default: until it is lifted]
    #[arg(long = "until", value_name = "DURATION", value_parser = super::lasting, allow_hyphen_values = true)]
    pub lasts: Option<Span>,
    /// Let rollbacks through
    #[arg(long)]
    pub spare_rollbacks: bool,
    /// Do not ask; for scripts
    #[arg(long, short = 'y')]
    pub yes: bool,
}

/// What else there is about freezes.
#[derive(Debug, Clone, Subcommand)]
pub enum FreezeAct {
    /// What is frozen, by whom and why
    List {
        /// Also what is over
        #[arg(long)]
        all: bool,
    },
}

/// `unfreeze`.
#[derive(Debug, Clone, Args)]
pub struct Unfreeze {
    /// The entry that ordered it, as `freeze list` prints it
    #[arg(value_name = "ENTRY")]
    pub freeze: u64,
    /// Why
    #[arg(long)]
    pub reason: String,
    /// Do not ask; for scripts
    #[arg(long, short = 'y')]
    pub yes: bool,
}

/// `break-glass`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BreakGlass {
    /// What else there is about break-glass.
    #[command(subcommand)]
    pub act: Option<BreakGlassAct>,
    /// What to let past the gates, such as shop/web@1.4.2
    pub release: Option<ReleaseName>,
    /// Where to
    pub environment: Option<EnvName>,
    /// Why
    #[arg(long)]
    pub reason: Option<String>,
    /// The ticket or incident
    #[arg(long)]
    pub ticket: Option<String>,
    /// For how long; the policy set says how long at most
    #[arg(long = "expires", default_value = "4h", value_name = "DURATION", value_parser = super::lasting, allow_hyphen_values = true)]
    pub lasts: Span,
    /// Do not ask; for scripts
    #[arg(long, short = 'y')]
    pub yes: bool,
}

/// What else there is about break-glass.
#[derive(Debug, Clone, Subcommand)]
pub enum BreakGlassAct {
    /// Who let what past the gates, and whether it was reviewed
    List {
        /// Also what is over or reviewed
        #[arg(long)]
        all: bool,
    },
    /// Sign what somebody else opened
    Sign {
        /// The entry that opened it, as `break-glass list` prints it
        #[arg(value_name = "ENTRY")]
        break_glass: u64,
        /// Do not ask; for scripts
        #[arg(long, short = 'y')]
        yes: bool,
    },
    /// Review it, which ends the alarm; for somebody who did not sign it
    Review {
        /// The entry that opened it, as `break-glass list` prints it
        #[arg(value_name = "ENTRY")]
        break_glass: u64,
        /// What the review found
        #[arg(long)]
        finding: String,
        /// Do not ask; for scripts
        #[arg(long, short = 'y')]
        yes: bool,
    },
}
