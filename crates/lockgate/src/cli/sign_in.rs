//! The command line of `session` and `identity`, and of how people reach a server.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use lockgate_model::PersonId;

/// `session`.
#[derive(Debug, Clone, Subcommand)]
pub enum Session {
    /// Your sessions that were used since the server started
    List {
        /// Someone else's; takes the permission to manage keys
        #[arg(long = "person", value_name = "NAME")]
        of: Option<PersonId>,
    },
    /// End a session, or all of them
    End {
        /// Which, as `session list` shows it
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        id: Option<String>,
        /// Every one, this one included
        #[arg(long)]
        all: bool,
        /// Someone else's; takes the permission to manage keys
        #[arg(long = "person", value_name = "NAME")]
        of: Option<PersonId>,
    },
}

/// `identity`.
#[derive(Debug, Clone, Subcommand)]
pub enum Identity {
    /// The accounts of identity providers that are bound to you; `login --bind-oidc` binds one
    List {
        /// Someone else's; takes the permission to manage keys
        #[arg(long = "person", value_name = "NAME")]
        of: Option<PersonId>,
    },
    /// End a binding, signed with your own key: its sessions end with it
    Unbind {
        /// The issuer
        #[arg(long)]
        issuer: String,
        /// The account
        #[arg(long)]
        subject: String,
        /// Whose; someone else's takes the permission to manage keys [default: yours]
        #[arg(long = "person", value_name = "NAME")]
        of: Option<PersonId>,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// How people reach a server, and through whom they may sign in.
#[derive(Debug, Clone, Default, Args)]
pub struct FrontArgs {
    /// Where people reach the server, where that is not the address it listens on
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// One more name that requests may be for; others are refused
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<String>,
    /// A token issuer or identity provider whose name leads to this machine, such as one beside the server; no other that
    /// does is asked
    #[arg(long, value_name = "NAME")]
    pub local_issuer: Vec<String>,
    /// Let people sign in through this identity provider (OpenID Connect)
    #[arg(long, value_name = "URL", requires = "oidc_client_id")]
    pub oidc_issuer: Option<String>,
    /// What the identity provider calls this server
    #[arg(long, value_name = "ID", requires = "oidc_issuer")]
    pub oidc_client_id: Option<String>,
    /// A file with the secret that the identity provider gave this server; none for a public client
    #[arg(long, value_name = "FILE", requires = "oidc_issuer")]
    pub oidc_client_secret_file: Option<PathBuf>,
    /// A value of `amr` that stands for a second factor [default: mfa]
    #[arg(long, value_name = "VALUE", requires = "oidc_issuer")]
    pub oidc_mfa_amr: Vec<String>,
    /// A value of `acr` that stands for a second factor
    #[arg(long, value_name = "VALUE", requires = "oidc_issuer")]
    pub oidc_mfa_acr: Vec<String>,
}

impl FrontArgs {
    /// The same as a command line, for the server that `up` starts.
    pub fn to_arguments(&self) -> Vec<OsString> {
        let secret = self.oidc_client_secret_file.as_ref().map(|path| path.clone().into_os_string());
        let one = |value: &Option<String>| value.clone().map(OsString::from).into_iter().collect();
        let many = |values: &[String]| values.iter().map(OsString::from).collect();
        let flags: [(&str, Vec<OsString>); 8] = [
            ("--url", one(&self.url)),
            ("--allow-host", many(&self.allow_host)),
            ("--local-issuer", many(&self.local_issuer)),
            ("--oidc-issuer", one(&self.oidc_issuer)),
            ("--oidc-client-id", one(&self.oidc_client_id)),
            ("--oidc-client-secret-file", secret.into_iter().collect()),
            ("--oidc-mfa-amr", many(&self.oidc_mfa_amr)),
            ("--oidc-mfa-acr", many(&self.oidc_mfa_acr)),
        ];
        let flag = |(name, values): (&str, Vec<OsString>)| {
            let name = OsString::from(name);
            values.into_iter().flat_map(move |value| [name.clone(), value])
        };
        flags.into_iter().flat_map(flag).collect()
    }
}
