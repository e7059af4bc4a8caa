//! `waive` and `feed`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Args, Subcommand};
use lockgate_model::facts::FeedKind;
use lockgate_model::{Digest, EnvName, GateName, ReleaseName, ServiceName, Span};

/// `waive`.
#[derive(Debug, Clone, Subcommand)]
pub enum Waive {
    /// Ask for a waiver, by your signature; another person grants it
    Request(Box<WaiverRequest>),
    /// Grant a waiver that someone else asked for
    Grant {
        /// The entry that asked for it, as `waive list` prints it, or the file that was handed over
        #[arg(value_name = "ENTRY|FILE")]
        request: String,
        /// Do not ask; for scripts
        #[arg(long, short = 'y')]
        yes: bool,
    },
    /// What was asked for and granted, and what ends soon
    List {
        /// Also those that are over or revoked
        #[arg(long)]
        all: bool,
    },
    /// End a waiver, or a request for one, before its time
    #[command(arg(accepted_yes()))]
    Revoke {
        /// Its entry, as `waive list` prints it
        #[arg(value_name = "ENTRY")]
        waiver: u64,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// `--yes` of a command that never asks: it is taken, as by the commands that do, and changes nothing.
fn accepted_yes() -> Arg {
    Arg::new("yes").long("yes").short('y').action(ArgAction::SetTrue).hide(true)
}

/// `waive request`.
#[derive(Debug, Clone, Args)]
pub struct WaiverRequest {
    /// The gate
    #[arg(long)]
    pub gate: GateName,
    /// The finding: a CVE, a licence, a result, a name; never a whole gate
    #[arg(long)]
    pub finding: String,
    /// The only release
    #[arg(long, value_name = "SERVICE@VERSION")]
    pub release: Option<ReleaseName>,
    /// The service, where it is not for one release
    #[arg(long, required_unless_present = "release", conflicts_with = "release")]
    pub service: Option<ServiceName>,
    /// The only artifact
    #[arg(long, value_name = "DIGEST")]
    pub artifact: Option<Digest>,
    /// The environment
    #[arg(long, alias = "environment", value_name = "ENVIRONMENT")]
    pub env: EnvName,
    /// Why
    #[arg(long)]
    pub reason: String,
    /// Where it is followed up
    #[arg(long)]
    pub ticket: Option<String>,
    /// For how long
    #[arg(long = "for", default_value = "30d", value_name = "DURATION", value_parser = super::lasting, allow_hyphen_values = true)]
    pub lasts: Span,
    /// Write the signed request to a file, and hand that over, instead of recording it
    #[arg(long, alias = "out", value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// `feed`.
#[derive(Debug, Clone, Subcommand)]
pub enum Feed {
    /// Record a snapshot; decisions use the newest one, and name it
    Update {
        /// Which feed: `kev` or `epss`
        #[arg(long)]
        kind: FeedKind,
        /// The snapshot as its maker publishes it: KEV in JSON, EPSS in CSV, decompressed
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Recorded snapshots, newest first
    List {
        /// Also those that a newer one has replaced
        #[arg(long)]
        all: bool,
    },
}
