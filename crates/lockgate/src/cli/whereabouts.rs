//! `lockgate where`, `lockgate diff` and `lockgate audit export`: finding, comparing, telling by control.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use lockgate_model::{EnvName, UnixMillis};

/// `where`.
#[derive(Debug, Clone, Args)]
pub struct Where {
    /// What: pkg:TYPE/NAME[@VERSION] (`*` at the end for all that start so), cve:ID, key:FINGERPRINT or key:NAME,
    /// builder:ID, sha256:HEX
    pub query: String,
    /// What ran at that time, instead of what runs now (RFC 3339, such as 2026-11-21T09:00:00Z)
    #[arg(long, value_name = "TIME")]
    pub at: Option<UnixMillis>,
    /// Only what runs, or ran then, in this environment
    #[arg(long = "env", alias = "environment", value_name = "ENVIRONMENT")]
    pub environment: Option<EnvName>,
    /// How many rows
    #[arg(long, default_value = "200", value_parser = super::count)]
    pub limit: usize,
}

/// `diff`.
#[derive(Debug, Clone, Args)]
pub struct Diff {
    /// From this release; or, with --from and --to, the service
    #[arg(value_name = "SERVICE@VERSION|SERVICE")]
    pub first: String,
    /// To this release
    #[arg(value_name = "SERVICE@VERSION", required_unless_present = "from")]
    pub second: Option<String>,
    /// From what runs in this environment
    #[arg(long, value_name = "ENVIRONMENT", requires = "to", conflicts_with = "second")]
    pub from: Option<EnvName>,
    /// To what runs in this environment
    #[arg(long, value_name = "ENVIRONMENT", requires = "from")]
    pub to: Option<EnvName>,
    /// Tell the gates that come out differently there [default: the last one where
    /// the first release runs; of --from and --to the later one]
    #[arg(long = "env", alias = "environment", value_name = "ENVIRONMENT")]
    pub environment: Option<EnvName>,
    /// Print it as Markdown, for a change ticket, whatever `--output` says
    #[arg(long)]
    pub markdown: bool,
}

/// `audit`.
#[derive(Debug, Clone, Subcommand)]
pub enum AuditCommand {
    /// Audit, and write what was decided under each control: gates, outcomes, evidence, approvers, waivers
    Export(AuditExport),
}

/// `audit export`.
#[derive(Debug, Clone, Args)]
pub struct AuditExport {
    /// The data directory, or a copy of it [default: the home's]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// What to trust [default: the home's trust.json]
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
    /// A checkpoint that someone kept
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Vec<PathBuf>,
    /// In which form
    #[arg(long, value_enum, default_value_t = ExportFormat::Json)]
    pub format: ExportFormat,
    /// Only this control, by its name in the policy set or its id in a catalogue
    #[arg(long)]
    pub control: Option<String>,
    /// Only decisions from then on (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub since: Option<UnixMillis>,
    /// Where to write it [default: standard output]
    #[arg(long, alias = "file", value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// In which form an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// OSCAL assessment results in JSON.
    Oscal,
    /// One line a gate of a decision.
    Csv,
    /// Everything, for programs.
    Json,
}
