//! Trusted signers: the keys that a policy set believes evidence from, and what for.

use std::collections::BTreeSet;
use std::fmt;

use lockgate_model::SignerName;
use lockgate_sign::public_key::PublicKey;
use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::DeValue;

use crate::error::PolicyError;
use crate::source::{SourceFile, TableEntry};

/// A key that the policy set trusts to sign evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedSigner {
    /// What policies call it.
    pub name: SignerName,
    /// The public key.
    pub key: PublicKey,
    /// The kinds of evidence that it is believed about.
    pub signs: BTreeSet<EvidenceKind>,
    /// The only builders whose provenance it may sign; empty when the gates say so alone.
    pub builder_ids: Vec<String>,
}

/// A kind of evidence that gates count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceKind {
    /// How and from what the artifact was built.
    Provenance,
    /// What the artifact contains.
    Sbom,
    /// Which tests ran.
    Tests,
    /// Which known vulnerabilities it has.
    Vulnerabilities,
    /// What static analysis found.
    StaticAnalysis,
}

impl EvidenceKind {
    /// The word that policies use; the same as of [`Claim::kind`](lockgate_model::facts::Claim::kind).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provenance => "provenance",
            Self::Sbom => "sbom",
            Self::Tests => "tests",
            Self::Vulnerabilities => "vulnerabilities",
            Self::StaticAnalysis => "static-analysis",
        }
    }
}

impl fmt::Display for EvidenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignerEntry {
    name: SignerName,
    key: String,
    signs: BTreeSet<EvidenceKind>,
    #[serde(default)]
    builder_ids: Vec<String>,
}

impl TrustedSigner {
    /// The file that signers are read from.
    pub(crate) const FILE: &'static str = "trust.toml";

    /// Reads all signers, in the order in which they are written.
    pub(crate) fn read(source: SourceFile<'_>) -> Result<Vec<Self>, Vec<PolicyError>> {
        let mut signers: Vec<Self> = Vec::new();
        let mut errors = Vec::new();
        for entry in source.tables("signer")? {
            let line = entry.line;
            match read_signer(source, entry) {
                Err(error) => errors.push(error),
                Ok(signer) => match signers.iter().find(|other| other.name == signer.name || other.key == signer.key) {
                    Some(other) if other.name == signer.name => {
                        errors.push(source.error(
                            Some(line),
                            format!("two signers are called `{}`", signer.name),
                            None,
                        ));
                    }
                    Some(other) => {
                        let message =
                            format!("`{}` has the same key as `{}`: one key is one signer", signer.name, other.name);
                        errors.push(source.error(Some(line), message, None));
                    }
                    None => signers.push(signer),
                },
            }
        }
        if errors.is_empty() { Ok(signers) } else { Err(errors) }
    }
}

fn read_signer<'a>(source: SourceFile<'a>, entry: TableEntry<'a>) -> Result<TrustedSigner, PolicyError> {
    let line = Some(entry.line);
    let value = Spanned::new(entry.span, DeValue::Table(entry.table));
    let SignerEntry { name, key, signs, builder_ids } = source.read_value(value, &[])?;
    let key = PublicKey::from_pem(&key).map_err(|error| {
        let hint = "write the key as one PEM block `PUBLIC KEY`, as `openssl pkey -pubout` prints it".to_owned();
        source.error(line, format!("the key of `{name}` cannot be read: {error}"), Some(hint))
    })?;
    if signs.is_empty() {
        let message =
            format!("`{name}` signs nothing: name the kinds of evidence in `signs`, such as [\"provenance\"]");
        return Err(source.error(line, message, None));
    }
    Ok(TrustedSigner { name, key, signs, builder_ids })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{OTHER_PEM, PEM};

    fn signer(name: &str, pem: &str) -> String {
        format!("[[signer]]\nname = \"{name}\"\nkey = \"\"\"\n{pem}\"\"\"\nsigns = [\"provenance\"]\n")
    }

    fn read(text: &str) -> Result<Vec<TrustedSigner>, Vec<PolicyError>> {
        TrustedSigner::read(SourceFile { path: TrustedSigner::FILE, text })
    }

    #[test]
    fn reads_signers_in_order() {
        let signers = read(&format!("{}{}", signer("ci", PEM), signer("audit", OTHER_PEM))).unwrap();
        assert_eq!(signers.iter().map(|signer| signer.name.as_str()).collect::<Vec<_>>(), ["ci", "audit"]);
        assert!(read("# nobody yet\n").unwrap().is_empty());
    }

    #[test]
    fn refuses_doubtful_signers() {
        let check = |text: &str, part: &str| {
            let errors = read(text).unwrap_err();
            assert!(errors[0].message.contains(part), "{errors:?}");
        };
        check(&format!("{}{}", signer("ci", PEM), signer("ci", OTHER_PEM)), "two signers");
        check(&format!("{}{}", signer("ci", PEM), signer("audit", PEM)), "same key");
        check(&signer("ci", "not a key\n"), "cannot be read");
        check(&signer("ci", PEM).replace("[\"provenance\"]", "[]"), "signs nothing");
        check(&signer("ci", PEM).replace("\"provenance\"", "\"provenence\""), "unknown variant");
        check(&signer("ci", PEM).replace("signs", "sings"), "unknown field");
    }
}
