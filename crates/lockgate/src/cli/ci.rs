//! What `ci` understands.

use clap::{Args, Subcommand};
use lockgate_model::{GroupName, PersonId, ServiceName};

/// `ci`.
#[derive(Debug, Clone, Subcommand)]
pub enum Ci {
    /// Which pipelines count, and for which services
    #[command(subcommand)]
    Trust(CiTrust),
}

/// `ci trust`.
#[derive(Debug, Clone, Subcommand)]
pub enum CiTrust {
    /// Trust pipelines, by a signature of yours
    #[command(subcommand)]
    Add(Box<CiTrustAdd>),
    /// Every trust that counts
    List,
    /// End a trust; tokens that came of it stop counting at once
    Remove {
        /// The entry that recorded it, as `list` shows it
        trust: u64,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// `ci trust add`.
#[derive(Debug, Clone, Subcommand)]
pub enum CiTrustAdd {
    /// GitHub Actions, by the numeric ids of owner and repository
    Github {
        /// The owner's numeric id (`gh api users/OWNER --jq .id`)
        #[arg(long, value_name = "NUMBER", value_parser = numeric_id)]
        owner_id: u64,
        /// The repository's numeric id (`gh api repos/OWNER/NAME --jq .id`)
        #[arg(long, value_name = "NUMBER", value_parser = numeric_id)]
        repository_id: u64,
        /// Only jobs of this GitHub environment
        #[arg(long, alias = "env", value_name = "NAME")]
        environment: Option<String>,
        /// Only jobs of this ref, such as refs/heads/main
        #[arg(long = "ref", value_name = "REF")]
        git_ref: Option<String>,
        /// Only jobs of this workflow file at this ref, such as octo/web/.github/workflows/release.yml@refs/heads/main
        #[arg(long, value_name = "REF")]
        workflow_ref: Option<String>,
        /// The issuer, for GitHub Enterprise Server
        #[arg(long, value_name = "URL", default_value = lockgate_ledger::ci_trust::GITHUB_ISSUER)]
        issuer: String,
        /// What every trust says
        #[command(flatten)]
        common: CiTrustCommon,
    },
    /// GitLab CI, by the numeric ids of namespace and project
    Gitlab {
        /// The namespace's numeric id
        #[arg(long, value_name = "NUMBER", value_parser = numeric_id)]
        namespace_id: u64,
        /// The project's numeric id
        #[arg(long, value_name = "NUMBER", value_parser = numeric_id)]
        project_id: u64,
        /// Only jobs of this GitLab environment
        #[arg(long, alias = "env", value_name = "NAME")]
        environment: Option<String>,
        /// Only jobs of this branch or tag, such as main
        #[arg(long = "ref", value_name = "REF")]
        git_ref: Option<String>,
        /// Only jobs of protected branches and tags
        #[arg(long)]
        protected: bool,
        /// The issuer, for a GitLab of your own
        #[arg(long, value_name = "URL", default_value = lockgate_ledger::ci_trust::GITLAB_ISSUER)]
        issuer: String,
        /// What every trust says
        #[command(flatten)]
        common: CiTrustCommon,
    },
    /// Any other issuer of OpenID Connect tokens, by claims of your choice
    Oidc {
        /// The issuer, byte for byte as in `iss`
        #[arg(long, value_name = "URL")]
        issuer: String,
        /// What a claim must be, exactly; may be given several times
        #[arg(long = "claim", value_name = "NAME=VALUE", required = true, value_parser = claim)]
        claims: Vec<(String, String)>,
        /// What every trust says
        #[command(flatten)]
        common: CiTrustCommon,
    },
}

/// What every trust says.
#[derive(Debug, Clone, Args)]
pub struct CiTrustCommon {
    /// A service that such pipelines may act on; may be given several times
    #[arg(long = "service", value_name = "SERVICE", required = true)]
    pub services: Vec<ServiceName>,
    /// The machine that they act as; it comes into being with its first trust
    #[arg(long, value_name = "NAME")]
    pub machine: PersonId,
    /// A group of the machine [default: those that it has, else `ci`]
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<GroupName>,
    /// The only audience that counts [default: the ledger's origin]
    #[arg(long)]
    pub audience: Option<String>,
    /// Where the issuer's keys are [default: where its discovery document says]
    #[arg(long, value_name = "URL")]
    pub jwks_url: Option<String>,
    /// Do not ask; for scripts
    #[arg(long, short = 'y')]
    pub yes: bool,
}

fn numeric_id(text: &str) -> Result<u64, String> {
    match text.parse::<u64>() {
        Ok(id) if id > 0 && id.to_string() == text => Ok(id),
        _ => Err("write the numeric id; names can be given to others, and `--help` says where ids are".to_owned()),
    }
}

fn claim(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| "write NAME=VALUE, such as project=web".to_owned())?;
    Ok((name.to_owned(), value.to_owned()))
}
