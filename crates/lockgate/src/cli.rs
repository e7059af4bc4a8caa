//! The command line.

mod access_log;
mod ci;
mod delegate;
mod drift;
mod drill;
mod emergency;
mod history;
mod keys;
mod metrics;
mod policy;
mod sign_in;
mod signature;
mod value;
pub mod waive;
mod whereabouts;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lockgate_model::{Digest, EnvName, PersonId, PromotionId, ReleaseName, ServiceName, Version};
use lockgate_policy::Permission;

pub use access_log::AccessLog;

pub use ci::{Ci, CiTrust, CiTrustAdd, CiTrustCommon};
pub use delegate::Delegate;
pub use drift::Drift;
pub use drill::Drill;
pub use emergency::{BreakGlass, BreakGlassAct, Freeze, FreezeAct, Unfreeze};
pub use history::{HISTORY_LIMIT, History, HistoryFilter};
pub use keys::{Change, Key, KeyLimits};
pub use metrics::Metrics;
pub use policy::{Backtest, Policy, SinceArg};
pub use sign_in::{FrontArgs, Identity, Session};
pub use signature::{Conformance, Signature, SignatureVerify};
use value::{count, lasting};
pub use waive::{Feed, Waive};
pub use whereabouts::{AuditCommand, AuditExport, Diff, ExportFormat, Where};

/// Promote artifacts with proof.
///
/// CI hands in a build with its evidence, policy decides what may rise, people approve with their own keys, and
/// everyone can verify it later without trusting the server.
#[derive(Debug, Parser)]
#[command(name = "lockgate", version, max_term_width = 110, disable_help_subcommand = true)]
pub struct Cli {
    /// What every command understands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Where data, keys and context live [default: ~/.lockgate]
    #[arg(long, global = true, env = "LOCKGATE_HOME", value_name = "DIR", hide_env_values = true)]
    pub home: Option<PathBuf>,
    /// The server's address, instead of the context's
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// Who acts, instead of the context's default
    #[arg(long = "as", global = true, value_name = "NAME")]
    pub person: Option<PersonId>,
    /// How results are printed
    #[arg(long, short = 'o', global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
    /// Print nothing but results and errors
    #[arg(long, short = 'q', global = true)]
    pub quiet: bool,
    /// Log more (-v, -vv)
    #[arg(long, short = 'v', global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a server here, with an embedded store, and make it ready to use
    Up(Up),
    /// Stop the server that `up --detach` started
    Down,
    /// Run the server in the foreground (what `up` starts)
    Serve(Serve),
    /// Write a starter policy set into a directory, to edit; starts nothing
    Init(Init),
    /// Play the whole story by itself on a throw-away instance
    Demo(Demo),
    /// Publish a release: upload its artifacts and hand in its evidence
    Push(Push),
    /// Hand in more evidence about a published release
    Attest(Attest),
    /// Ask that a release be let into an environment
    Promote(Promote),
    /// Approve a promotion with your own key
    Approve(Approve),
    /// Lend your right to approve to someone, for a while
    #[command(subcommand)]
    Delegate(Delegate),
    /// Reject a promotion with your own key; ends it
    Reject(Reject),
    /// Take your own promotion back
    Withdraw(Withdraw),
    /// Ask to go back to an earlier release
    Rollback(Promote),
    /// Explain a promotion: every gate, what it needs, what was found, who can fix it
    Why(Why),
    /// What runs where, and what waits
    Status(Status),
    /// What waits for your own approval or signature
    Inbox,
    /// Open the dashboard in a browser, signed in as you
    Dashboard(Dashboard),
    /// What changes between two releases, or between what two environments run
    Diff(Diff),
    /// Which releases a package, vulnerability, key, builder or digest is in, and where they run
    Where(Where),
    /// What is granted compared with what was reported to run; exit 3 where they differ
    Drift(Drift),
    /// How long promotions take, what they wait for, who approves, what fails
    Metrics(Metrics),
    /// What happened, newest first
    History(History),
    /// Verify that a file may run in an environment; needs no trust in the server
    Verify(Verify),
    /// Proof in one file
    #[command(subcommand)]
    Bundle(Bundle),
    /// Verify the whole ledger and run every decision again, offline
    Audit(Audit),
    /// Attack copies of the data on purpose, and say which check catches what
    Drill(Drill),
    /// Policy sets
    #[command(subcommand)]
    Policy(Policy),
    /// People's keys
    #[command(subcommand)]
    Key(Key),
    /// Countersign an enrolment request, which lets someone in, or a request to recover lost keys
    Invite(Invite),
    /// Changes of keys, people and policy that several people sign
    #[command(subcommand)]
    Change(Change),
    /// Ask for, or grant, an exception to one finding of one gate
    #[command(subcommand)]
    Waive(Waive),
    /// What the world knows of vulnerabilities: KEV and EPSS
    #[command(subcommand)]
    Feed(Feed),
    /// Stop a service, an environment or everything at once, also for grants in use
    Freeze(Freeze),
    /// Lift a freeze
    Unfreeze(Unfreeze),
    /// Let a release past the gates in an emergency: signed, for a while, and reviewed afterwards
    BreakGlass(BreakGlass),
    /// Who may do what, and who asked for what
    #[command(subcommand)]
    Access(Access),
    /// Pipelines: whose tokens count, and for which services
    #[command(subcommand)]
    Ci(Ci),
    /// Sign in with an SSH key, through the server's identity provider, or as a CI job
    Login(Login),
    /// End the session
    Logout,
    /// Sessions: which there are, and how to end them
    #[command(subcommand)]
    Session(Session),
    /// Accounts of identity providers that open sessions
    #[command(subcommand)]
    Identity(Identity),
    /// Who is signed in, and what they may do
    Whoami,
    /// What verifiers pin
    #[command(subcommand)]
    Trust(Trust),
    /// Signatures of other tools
    #[command(subcommand)]
    Signature(Signature),
    /// The protocol of Sigstore's conformance suite
    #[command(subcommand, hide = true)]
    Conformance(Conformance),
    /// Check this installation, end to end
    Doctor(Doctor),
    /// Explain a reason code, or list the exit codes
    Explain(Explain),
    /// Print shell completions
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write man pages
    Man {
        /// Where to
        dir: PathBuf,
    },
    /// Print the reference of every command
    #[command(hide = true)]
    HelpAll,
}

/// `up`.
#[derive(Debug, Clone, Args)]
pub struct Up {
    /// Make two demo people, a CI identity and the starter policy set; loopback only
    #[arg(long)]
    pub demo: bool,
    /// Leave the server running in the background
    #[arg(long)]
    pub detach: bool,
    /// Where to listen [default: where it was told to the last time, else 127.0.0.1:7430]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// The first policy set: a starter set such as `starter` or `regulated`, or a directory
    #[arg(long, default_value = "starter", value_name = "NAME|DIR")]
    pub policy: String,
    /// Your name, as first owner [default: $USER]
    #[arg(long)]
    pub name: Option<PersonId>,
    /// Your SSH key [default: the agent's first key, else ~/.ssh/id_ed25519]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The log's origin: one DNS-shaped name, without path or port [default: made up]
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
    /// How people reach it
    #[command(flatten)]
    pub front: FrontArgs,
}

/// `serve`.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7430")]
    pub listen: String,
    /// The first policy set of a new ledger
    #[arg(long, default_value = "starter", value_name = "NAME|DIR")]
    pub policy: String,
    /// The origin of a new ledger
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
    /// Mark a new ledger as a demo
    #[arg(long)]
    pub demo: bool,
    /// How many requests a second each person or machine may make [default: 20000]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub signed_in_rate: Option<u32>,
    /// How many requests a second each address may make without a session [default: 200]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub anonymous_rate: Option<u32>,
    /// How people reach it
    #[command(flatten)]
    pub front: FrontArgs,
}

/// `init`.
#[derive(Debug, Clone, Args)]
pub struct Init {
    /// Where to write the policy set
    #[arg(default_value = "policy")]
    pub dir: PathBuf,
    /// Which starter policy set
    #[arg(long, default_value = "starter")]
    pub starter: String,
    /// Write nothing; list the starter policy sets
    #[arg(long)]
    pub list: bool,
}

/// `demo`.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// Leave the instance running afterwards
    #[arg(long)]
    pub keep: bool,
}

/// Evidence.
#[derive(Debug, Clone, Default, Args)]
pub struct EvidenceArgs {
    /// A test report (JUnit XML)
    #[arg(long, value_name = "FILE")]
    pub tests: Vec<PathBuf>,
    /// A bill of materials (CycloneDX or SPDX JSON)
    #[arg(long, value_name = "FILE")]
    pub sbom: Vec<PathBuf>,
    /// A vulnerability scan (Trivy, Grype or OSV JSON)
    #[arg(long, value_name = "FILE")]
    pub scan: Vec<PathBuf>,
    /// Static analysis results (SARIF 2.1.0)
    #[arg(long, value_name = "FILE")]
    pub sarif: Vec<PathBuf>,
    /// Any other report that is read, such as VEX, coverage, performance or a change ticket: docs/evidence.md
    #[arg(long, value_name = "[FORMAT=]FILE")]
    pub report: Vec<PathBuf>,
    /// Provenance signed by the builder (DSSE envelope or Sigstore bundle, or many of them)
    #[arg(long, value_name = "FILE")]
    pub provenance: Vec<PathBuf>,
    /// Any other signed statement or signature (DSSE, Sigstore bundle, .intoto.jsonl, cosign, GitHub, npm, PyPI, minisign)
    #[arg(long, value_name = "FILE")]
    pub attestation: Vec<PathBuf>,
}

/// `push`.
#[derive(Debug, Clone, Args)]
pub struct Push {
    /// The artifacts
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What is released
    #[arg(long)]
    pub service: ServiceName,
    /// Its version
    #[arg(long = "version", value_name = "VERSION")]
    pub release_version: Version,
    /// Evidence
    #[command(flatten)]
    pub evidence: EvidenceArgs,
    /// Release notes
    #[arg(long, value_name = "FILE")]
    pub notes: Option<PathBuf>,
    /// Where it was built from
    #[arg(long, value_name = "URL", requires = "source_commit")]
    pub source_repository: Option<String>,
    /// The full commit id
    #[arg(long, value_name = "COMMIT", requires = "source_repository")]
    pub source_commit: Option<String>,
    /// Refuse a file that has another digest (one file only)
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<Digest>,
}

/// `attest`.
#[derive(Debug, Clone, Args)]
pub struct Attest {
    /// The release
    #[arg(value_name = "SERVICE@VERSION")]
    pub release: ReleaseName,
    /// Evidence
    #[command(flatten)]
    pub evidence: EvidenceArgs,
}

/// `promote` and `rollback`.
#[derive(Debug, Clone, Args)]
pub struct Promote {
    /// The release
    #[arg(value_name = "SERVICE@VERSION")]
    pub release: ReleaseName,
    /// The environment
    #[arg(long, value_name = "ENVIRONMENT")]
    pub to: EnvName,
    /// Why
    #[arg(long)]
    pub reason: String,
}

/// `approve`.
#[derive(Debug, Clone, Args)]
pub struct Approve {
    /// The promotion
    #[arg(value_name = "P-N")]
    pub promotion: PromotionId,
    /// Your own words, signed with it
    #[arg(long)]
    pub comment: Option<String>,
    /// Open the evidence first, piece by piece; what you opened is signed with it
    #[arg(long)]
    pub open: bool,
    /// Take your own approval back, as long as nothing was granted
    #[arg(long, conflicts_with = "open")]
    pub withdraw: bool,
    /// Do not ask; for scripts
    #[arg(long, short = 'y')]
    pub yes: bool,
    /// Your SSH key, instead of the context's
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// `reject`.
#[derive(Debug, Clone, Args)]
pub struct Reject {
    /// The promotion
    #[arg(value_name = "P-N")]
    pub promotion: PromotionId,
    /// Your own words, signed with it
    #[arg(long)]
    pub comment: Option<String>,
    /// Open the evidence first, piece by piece; what you opened is signed with it
    #[arg(long)]
    pub open: bool,
    /// Refused: a rejection is final
    #[arg(long, hide = true)]
    pub withdraw: bool,
    /// Do not ask; for scripts
    #[arg(long, short = 'y')]
    pub yes: bool,
    /// Your SSH key, instead of the context's
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// `withdraw`.
#[derive(Debug, Clone, Args)]
pub struct Withdraw {
    /// The promotion
    #[arg(value_name = "P-N")]
    pub promotion: PromotionId,
    /// Why
    #[arg(long, default_value = "")]
    pub reason: String,
}

/// `why`.
#[derive(Debug, Clone, Args)]
pub struct Why {
    /// The promotion
    #[arg(value_name = "P-N")]
    pub promotion: PromotionId,
}

/// `status`.
#[derive(Debug, Clone, Args)]
pub struct Status {
    /// One service only
    pub service: Option<ServiceName>,
    /// How fast people approve, and whose requests, instead
    #[arg(long, conflicts_with = "service")]
    pub approvers: bool,
}

/// `dashboard`.
#[derive(Debug, Clone, Args)]
pub struct Dashboard {
    /// Print the address and open nothing; it can be used once, within a minute
    #[arg(long)]
    pub print: bool,
}

/// `verify`.
#[derive(Debug, Clone, Args)]
pub struct Verify {
    /// The file
    pub file: PathBuf,
    /// What it is supposed to be
    #[arg(long)]
    pub service: ServiceName,
    /// Where it is supposed to run
    #[arg(long, alias = "environment", value_name = "ENVIRONMENT")]
    pub env: EnvName,
    /// Verify offline, with this bundle
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// What to trust [default: the home's trust.json]
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
}

/// `bundle`.
#[derive(Debug, Clone, Subcommand)]
pub enum Bundle {
    /// Fetch the bundle of a promotion
    Get {
        /// The promotion
        #[arg(value_name = "P-N")]
        promotion: PromotionId,
        /// Where to write it; `-` for standard output
        #[arg(long, aliases = ["out", "to"], value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Verify a bundle and show what it proves
    Show {
        /// The bundle
        file: PathBuf,
        /// What to trust
        #[arg(long, value_name = "FILE")]
        trust: Option<PathBuf>,
    },
    /// Verify a bundle and write one HTML file that shows it, and verifies it again wherever it is opened, offline
    View {
        /// The bundle
        file: PathBuf,
        /// Where to write it
        #[arg(long, aliases = ["file", "to"], value_name = "FILE", default_value = "viewer.html")]
        out: PathBuf,
        /// What to trust
        #[arg(long, value_name = "FILE")]
        trust: Option<PathBuf>,
    },
    /// Verify a bundle and write its parts in formats that other tools read
    Extract {
        /// The bundle
        file: PathBuf,
        /// Where to
        #[arg(long, alias = "out", value_name = "DIR")]
        to: PathBuf,
        /// What to trust
        #[arg(long, value_name = "FILE")]
        trust: Option<PathBuf>,
    },
}

/// `doctor`.
#[derive(Debug, Clone, Args)]
pub struct Doctor {
    /// Make the index behind `lockgate where` and the other projections again from the ledger, instead; the server must
    /// not run
    #[arg(long)]
    pub rebuild: bool,
    /// After a failed flush, such as of a full disk, read and verify everything, write the database into a new file and
    /// let a server start again, instead; for a disk that was full and is well: one that fails otherwise wants a restart
    /// of the host, or another disk
    #[arg(long, conflicts_with = "rebuild")]
    pub recheck: bool,
}

/// `audit`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Audit {
    /// What else to do with what was audited
    #[command(subcommand)]
    pub command: Option<AuditCommand>,
    /// The data directory, or a copy of it [default: the home's]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// What to trust [default: the home's trust.json]
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
    /// A checkpoint that someone kept
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Vec<PathBuf>,
}

/// `invite`.
#[derive(Debug, Clone, Args)]
pub struct Invite {
    /// The request that `key enrol` or `key recover` wrote
    pub request: PathBuf,
    /// Do not ask; for scripts
    #[arg(long, short = 'y')]
    pub yes: bool,
}

/// `access`.
#[derive(Debug, Clone, Subcommand)]
pub enum Access {
    /// What someone may do, where, and by which line of the policy set
    Show {
        /// Who; you, without it
        name: Option<PersonId>,
    },
    /// Who has a permission
    Who {
        /// The permission, such as approve
        permission: Permission,
        /// For this service
        #[arg(long)]
        service: Option<ServiceName>,
        /// In this environment
        #[arg(long = "env", alias = "environment", value_name = "ENVIRONMENT")]
        environment: Option<EnvName>,
    },
    /// Who may do what, and what has lain idle for 90 days
    Review {
        /// Sign what is shown, and log that it was reviewed
        #[arg(long)]
        sign: bool,
        /// Do not ask; for scripts
        #[arg(long, short = 'y', requires = "sign")]
        yes: bool,
    },
    /// Who asked for what, and what came of it, newest first
    Log(AccessLog),
    /// Write the whole access log to a file, one entry a line, and its signed checkpoint beside it
    Export {
        /// Where to write it; the checkpoint gets `.checkpoint`
        file: PathBuf,
    },
    /// Verify an export of the access log; needs no server
    Verify {
        /// What `access export` wrote
        file: PathBuf,
        /// What to trust [default: the home's trust.json]
        #[arg(long, value_name = "FILE")]
        trust: Option<PathBuf>,
    },
}

/// `login`.
#[derive(Debug, Clone, Args)]
pub struct Login {
    /// Who
    #[arg(required_unless_present_any = ["ci", "oidc"])]
    pub name: Option<PersonId>,
    /// Sign in through the server's identity provider: prints an address to open in a browser on this machine
    #[arg(long, conflicts_with_all = ["ci", "key"])]
    pub oidc: bool,
    /// Sign in with a key, then bind an account of the identity provider to yourself, for `--oidc` from then on
    #[arg(long, conflicts_with_all = ["ci", "oidc"])]
    pub bind_oidc: bool,
    /// In a CI job: exchange the token that the CI system issued to it
    #[arg(long, conflicts_with_all = ["name", "key"])]
    pub ci: bool,
    /// The audience to ask the CI system for [default: the ledger's origin]
    #[arg(long, requires = "ci")]
    pub audience: Option<String>,
    /// The SSH key [default: the context's, else the agent's first key, else ~/.ssh/id_ed25519]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// `trust`.
#[derive(Debug, Clone, Subcommand)]
pub enum Trust {
    /// Write what verifiers and other tools pin: trust.json, trusted_root.json, PEM key, allowed_signers, tlog-policy
    Export {
        /// Where to
        #[arg(long, alias = "out", value_name = "DIR")]
        to: PathBuf,
    },
    /// Pin what a server states, after you have compared it over another channel
    Pin {
        /// A trust file; the server's own statement without it
        file: Option<PathBuf>,
        /// Put it in the place of another ledger's, which is trusted here no longer
        #[arg(long)]
        replace: bool,
        /// Do not ask; for scripts
        #[arg(long, short = 'y')]
        yes: bool,
    },
}

/// `explain`.
#[derive(Debug, Clone, Args)]
pub struct Explain {
    /// A reason code, or `exit-codes`
    pub code: String,
}
