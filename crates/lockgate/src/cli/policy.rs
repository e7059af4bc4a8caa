//! `policy`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use lockgate_model::{EntryIndex, PromotionId, Span};

/// `policy`.
#[derive(Debug, Clone, Subcommand)]
pub enum Policy {
    /// Load a policy set and name every problem, and what it probably does not mean
    Check {
        /// Its directory
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// Also compare the people it names with those who are enrolled
        #[arg(long)]
        enrolled: bool,
        /// Fail on warnings too
        #[arg(long)]
        strict: bool,
    },
    /// Run a policy set's own tests, and show which gates they cover
    Test {
        /// Its directory
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// Fail unless the tests see so many of the sides of every gate, in percent: passing and objecting
        #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u64).range(0..=100))]
        min_coverage: Option<u64>,
        /// Write the explanations of all tests to `tests/*.explain.txt`; without it, those that are there are compared
        #[arg(long)]
        update: bool,
    },
    /// Show the active policy set, or one in a directory
    Show {
        /// Its directory; the server's active set without it
        dir: Option<PathBuf>,
    },
    /// What changes between two policy sets, by meaning
    Diff {
        /// From: a directory, `active`, the digest of a set in the ledger, or the name of a starter set
        #[arg(value_name = "SET")]
        from: String,
        /// To: the same
        #[arg(value_name = "SET")]
        to: String,
        /// Also compare what everyone who is enrolled may do; implied where a set comes from the server
        #[arg(long)]
        enrolled: bool,
    },
    /// Explain a promotion as a tree: what every gate needed and found, and who can do what about it
    Explain {
        /// The promotion
        #[arg(value_name = "P-N")]
        promotion: PromotionId,
        /// How wide the terminal is [default: $COLUMNS, else 100]
        #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(40..=400))]
        width: Option<u16>,
    },
    /// Print the facts that the gates of a promotion saw, or that a policy test makes, as JSON
    Input {
        /// The promotion; without it, a policy test
        #[arg(value_name = "P-N", conflicts_with = "test")]
        promotion: Option<PromotionId>,
        /// The policy set whose test it is
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// The policy test, by its name [default: the first]
        #[arg(long, value_name = "NAME")]
        test: Option<String>,
    },
    /// Decide the whole history again under a policy set, on this machine, and list what would come out differently
    Backtest(Backtest),
    /// Sign a policy set and make it the active one
    Activate {
        /// Its directory
        dir: PathBuf,
        /// Why
        #[arg(long)]
        reason: String,
        /// The report of a backtest of it, which is signed with it
        #[arg(long, value_name = "FILE")]
        backtest: Option<PathBuf>,
        /// Do not ask; for scripts
        #[arg(long, short = 'y')]
        yes: bool,
    },
}

/// `policy backtest`.
#[derive(Debug, Clone, Args)]
pub struct Backtest {
    /// The directory of the proposed policy set
    pub dir: PathBuf,
    /// From where on: an entry, or how long ago, such as 30d [default: the first entry]
    #[arg(long, value_name = "ENTRY|DURATION")]
    pub since: Option<SinceArg>,
    /// Write the report, for `policy activate --backtest`
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Read this data directory, or a copy of it, instead of the server
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// What to trust [default: the home's trust.json]
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
}

/// From where on a backtest looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinceArg {
    /// From this entry on.
    Entry(EntryIndex),
    /// From so long ago on.
    Ago(Span),
}

impl FromStr for SinceArg {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(index) = text.parse::<u64>() {
            return Ok(Self::Entry(EntryIndex(index)));
        }
        text.parse::<Span>()
            .map(Self::Ago)
            .map_err(|_| "write the index of an entry, or a duration such as 30d".to_owned())
    }
}
