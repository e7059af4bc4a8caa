//! `lockgate drill`.

use std::path::PathBuf;

use clap::Args;

/// `drill`.
#[derive(Debug, Clone, Args)]
pub struct Drill {
    /// The data directory, whether a server runs on it or not [default: the home's]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// What to trust [default: the home's trust.json]
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
    /// This attack alone; can be given several times
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Skip up to so many attacks for lack of something that should be here [default: 0]
    #[arg(long, value_name = "NUMBER")]
    pub allow_skips: Option<u64>,
    /// Attack nothing; list the attacks
    #[arg(long)]
    pub list: bool,
    /// Work in this new directory, and leave the damaged copies there
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Write the report here, in JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Record the result in the ledger, also of --data [default: where a server is known]
    #[arg(long, conflicts_with = "no_record")]
    pub record: bool,
    /// Do not record the result in the ledger
    #[arg(long)]
    pub no_record: bool,
}
