//! Signatures of other tools.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lockgate_model::Digest;

/// `signature`.
#[derive(Debug, Clone, Subcommand)]
pub enum Signature {
    /// Verify a signature that another tool made: Sigstore bundle, cosign, GitHub, npm, PyPI, DSSE, minisign, OpenPGP
    Verify(SignatureVerify),
    /// Write the trust root of an instance of Sigstore as this version knows it, and its digest, to be pinned
    Root {
        /// `public-good` or `github`
        instance: String,
        /// Where to, such as policy/roots/public-good.json [default: standard output]
        #[arg(long, alias = "out", value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

/// `signature verify`.
#[derive(Debug, Clone, Args)]
pub struct SignatureVerify {
    /// The signed file
    #[arg(value_name = "FILE", required_unless_present = "digest", conflicts_with = "digest")]
    pub file: Option<PathBuf>,
    /// The digest of the signed file, instead of the file
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<Digest>,
    /// The signature, as its tool wrote it
    #[arg(long, value_name = "FILE")]
    pub signature: PathBuf,
    /// Whom the certificate has to name
    #[arg(long, value_name = "NAME", requires = "issuer")]
    pub identity: Option<String>,
    /// Who has to have vouched for that name
    #[arg(long, value_name = "URL", requires = "identity")]
    pub issuer: Option<String>,
    /// The public key that has to have signed (PEM, or of minisign)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["identity", "keyring"])]
    pub key: Option<PathBuf>,
    /// The OpenPGP keys of which one has to have signed; needs `gpgv`
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    pub keyring: Option<PathBuf>,
    /// A trust root: `public-good`, `github`, or a trusted_root.json
    #[arg(long, value_name = "NAME|FILE", default_value = "public-good")]
    pub trust_root: String,
    /// Accept a bundle that no transparency log proves
    #[arg(long)]
    pub without_log: bool,
}

/// `conformance`: the protocol of Sigstore's conformance suite for clients.
#[derive(Debug, Clone, Subcommand)]
pub enum Conformance {
    /// Verify a bundle
    VerifyBundle {
        /// The bundle
        #[arg(long, value_name = "FILE")]
        bundle: PathBuf,
        /// Whom the certificate has to name
        #[arg(long, value_name = "NAME", requires = "certificate_oidc_issuer", required_unless_present = "key")]
        certificate_identity: Option<String>,
        /// Who has to have vouched for that name
        #[arg(long, value_name = "URL", requires = "certificate_identity")]
        certificate_oidc_issuer: Option<String>,
        /// The public key, instead of an identity
        #[arg(long, value_name = "FILE", conflicts_with = "certificate_identity")]
        key: Option<PathBuf>,
        /// Use the staging instance, whose trust root this version does not hold
        #[arg(long)]
        staging: bool,
        /// A trust root, instead of the public instance's
        #[arg(long, value_name = "FILE")]
        trusted_root: Option<PathBuf>,
        /// The file, or `sha256:` and its digest
        #[arg(value_name = "FILE|DIGEST")]
        artifact: String,
    },
    /// Verify a detached signature with its certificate; without a log entry it proves no time, and is refused
    Verify {
        /// The signature
        #[arg(long, value_name = "FILE")]
        signature: PathBuf,
        /// The certificate
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
        /// Whom the certificate has to name
        #[arg(long, value_name = "NAME")]
        certificate_identity: String,
        /// Who has to have vouched for that name
        #[arg(long, value_name = "URL")]
        certificate_oidc_issuer: String,
        /// Use the staging instance
        #[arg(long)]
        staging: bool,
        /// A trust root, instead of the public instance's
        #[arg(long, value_name = "FILE")]
        trusted_root: Option<PathBuf>,
        /// The file
        #[arg(value_name = "FILE")]
        artifact: PathBuf,
    },
}
