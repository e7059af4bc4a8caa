//! The command line of `key` and `change`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lockgate_model::{ChangeId, EnvName, GroupName, PersonId, Span, UnixMillis};

/// `key`.
#[derive(Debug, Clone, Subcommand)]
pub enum Key {
    /// Everyone's keys
    List,
    /// Make an SSH key without a passphrase, for machines and trials
    Generate {
        /// Where to write it; the public half gets `.pub`
        file: PathBuf,
        /// Its comment
        #[arg(long, default_value = "lockgate")]
        comment: String,
    },
    /// Ask to be enrolled: writes a request that an owner countersigns with `invite`
    Enrol {
        /// Your name
        name: PersonId,
        /// Your groups
        #[arg(long = "group", required = true)]
        groups: Vec<GroupName>,
        /// For a CI identity or service
        #[arg(long)]
        machine: bool,
        /// Your SSH key [default: the agent's first key, else ~/.ssh/id_ed25519]
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// An end and a scope
        #[command(flatten)]
        limits: KeyLimits,
        /// Where to write the request [default: NAME.enrolment.json]
        #[arg(long, alias = "out", value_name = "FILE")]
        file: Option<PathBuf>,
        /// Vouch for the passkey that someone made on the server's page `/enrol`; with --file, write its request instead
        #[arg(long, value_name = "CODE", conflicts_with_all = ["machine", "key"])]
        passkey: Option<String>,
        /// Do not ask; for scripts
        #[arg(long, short = 'y', requires = "passkey")]
        yes: bool,
    },
    /// Add a further key to someone: signed by that key and by you
    Add {
        /// Whose
        name: PersonId,
        /// The further key
        #[arg(long, value_name = "FILE", required_unless_present = "passkey")]
        key: Option<PathBuf>,
        /// An end and a scope
        #[command(flatten)]
        limits: KeyLimits,
        /// The passkey that you made on the server's page `/enrol`
        #[arg(long, value_name = "CODE", conflicts_with = "key")]
        passkey: Option<String>,
        /// Do not ask; for scripts
        #[arg(long, short = 'y', requires = "passkey")]
        yes: bool,
    },
    /// Put a new key in the place of your own; both sign
    Rotate {
        /// The new key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// An end and a scope
        #[command(flatten)]
        limits: KeyLimits,
    },
    /// End a key that is no longer used; what it signed stays valid
    Retire {
        /// Whose
        name: PersonId,
        /// Its fingerprint
        #[arg(long, value_name = "SHA256:...")]
        fingerprint: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// Do not ask; for scripts
        #[arg(long, short = 'y')]
        yes: bool,
    },
    /// End a key that was in someone else's hands, and list what rested on it
    Compromised {
        /// Whose
        name: PersonId,
        /// Its fingerprint
        #[arg(long, value_name = "SHA256:...")]
        fingerprint: String,
        /// What it signed at this entry or later is void
        #[arg(long, value_name = "INDEX")]
        since: u64,
        /// Why
        #[arg(long)]
        reason: String,
        /// Do not ask; for scripts
        #[arg(long, short = 'y')]
        yes: bool,
    },
    /// Ask for a new key in the place of lost ones: writes a request that an owner countersigns with `invite`
    Recover {
        /// Your name
        name: PersonId,
        /// The new key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// An end and a scope
        #[command(flatten)]
        limits: KeyLimits,
        /// Why
        #[arg(long)]
        reason: String,
        /// Where to write the request [default: NAME.recovery.json]
        #[arg(long, alias = "out", value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Suspend someone: their signatures and sessions stop counting
    Suspend {
        /// Whom
        name: PersonId,
        /// Why
        #[arg(long)]
        reason: String,
        /// Do not ask; for scripts
        #[arg(long, short = 'y')]
        yes: bool,
    },
    /// Reinstate someone who is suspended, or whose enrolment is in doubt
    Reinstate {
        /// Whom
        name: PersonId,
        /// Why
        #[arg(long)]
        reason: String,
        /// Do not ask; for scripts
        #[arg(long, short = 'y')]
        yes: bool,
    },
    /// Print `allowed_signers` for `ssh-keygen -Y verify`: everyone's keys that count
    ExportAllowedSigners,
    /// The older name of `retire` and `compromised`
    #[command(hide = true)]
    Revoke {
        /// Whose
        name: PersonId,
        /// Its fingerprint
        #[arg(long, value_name = "SHA256:...")]
        fingerprint: String,
        /// Signatures recorded at this index or later do not count
        #[arg(long, value_name = "INDEX")]
        compromised_since: Option<u64>,
        /// Why
        #[arg(long)]
        reason: String,
        /// Do not ask; for scripts
        #[arg(long, short = 'y')]
        yes: bool,
    },
}

/// What limits a key.
#[derive(Debug, Clone, Default, Args)]
pub struct KeyLimits {
    /// After how long the key ends by itself, such as 365d
    #[arg(long, value_name = "DURATION", value_parser = super::lasting, allow_hyphen_values = true)]
    pub expires: Option<Span>,
    /// The only environment that the key signs for; may be given more than once
    #[arg(long = "only-for", value_name = "ENVIRONMENT")]
    pub only_for: Vec<EnvName>,
}

impl KeyLimits {
    /// Whether the key is not limited at all.
    pub fn is_empty(&self) -> bool {
        self.expires.is_none() && self.only_for.is_empty()
    }

    /// When the key ends, if it does.
    pub fn expires_at(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.expires.map(|span| now.plus(span))
    }
}

/// `change`.
#[derive(Debug, Clone, Subcommand)]
pub enum Change {
    /// Proposed changes, newest first
    List,
    /// What a change does, who has signed it, and the code of its document
    Show {
        /// The change
        #[arg(value_name = "C-N")]
        change: ChangeId,
    },
    /// Sign a change with your own key; the last signature makes it happen
    Sign {
        /// The change
        #[arg(value_name = "C-N")]
        change: ChangeId,
        /// Do not ask; for scripts
        #[arg(long, short = 'y')]
        yes: bool,
    },
    /// Reject a change, which ends it
    Reject {
        /// The change
        #[arg(value_name = "C-N")]
        change: ChangeId,
        /// Why
        #[arg(long)]
        reason: String,
    },
}
