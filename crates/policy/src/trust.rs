//! Trusted signers: the keys and identities that a policy set believes evidence from, and what for.

use std::collections::BTreeSet;
use std::fmt;

use lockgate_model::facts::{ARTIFACT_SIGNATURE, Claim};
use lockgate_model::{Digest, SignerName};
use lockgate_sign::{MinisignKey, PublicKey};
use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::DeValue;

use crate::error::PolicyError;
use crate::source::{SourceFile, TableEntry};
use crate::trusted_identity::{IdentityEntry, Proof, TrustedIdentity};

/// Someone whom the policy set trusts to sign evidence: a key, or an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedSigner {
    /// What policies call it.
    pub name: SignerName,
    /// By what it is known. A key of minisign signs artifacts alone, and has no root.
    pub proof: Proof,
    /// The digest of the trust root, in `roots/`, that its signatures are verified under; every identity has one. A key
    /// with a root counts only in a Sigstore bundle whose log that root names.
    pub root: Option<Digest>,
    /// The kinds of evidence that it is believed about.
    pub signs: BTreeSet<EvidenceKind>,
    /// The only builders whose provenance it may sign; empty when the gates say so alone.
    pub builder_ids: Vec<String>,
    /// Which SLSA build level these builders are believed to reach, from 1 to 3; none where it is left out.
    pub slsa_level: Option<u8>,
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
    /// Which known vulnerabilities matter, and which do not.
    Vex,
    /// How much of the source the tests ran.
    Coverage,
    /// How fast and how large it is.
    Performance,
    /// Whether someone else built the same bytes.
    Rebuild,
    /// A ticket of a change-management system.
    Change,
    /// How one named check came out.
    Check,
    /// Which secrets were found.
    Secrets,
    /// Which configuration it was made for.
    Configuration,
    /// Which feature flags are on.
    Flags,
    /// What someone else verified before.
    Summary,
    /// Who wrote, reviewed and merged the source.
    Source,
    /// A signature over the artifact itself, which says nothing but whose it is.
    Signature,
}

/// The predicate types of statements that are signatures over an artifact: as facts name a signature without a
/// statement, and as `cosign sign` writes one for an image.
const SIGNATURE_TYPES: [&str; 2] = [ARTIFACT_SIGNATURE, "https://sigstore.dev/cosign/sign/v1"];

impl EvidenceKind {
    /// The word that policies use; the same as of [`Claim::kind`], except for signatures, whose claims say nothing.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provenance => "provenance",
            Self::Sbom => "sbom",
            Self::Tests => "tests",
            Self::Vulnerabilities => "vulnerabilities",
            Self::StaticAnalysis => "static-analysis",
            Self::Vex => "vex",
            Self::Coverage => "coverage",
            Self::Performance => "performance",
            Self::Rebuild => "rebuild",
            Self::Change => "change",
            Self::Check => "check",
            Self::Secrets => "secrets",
            Self::Configuration => "configuration",
            Self::Flags => "flags",
            Self::Summary => "summary",
            Self::Source => "source",
            Self::Signature => "signature",
        }
    }

    /// The word for what a claim is evidence of: that of [`Claim::kind`], and `signature` for a signature over the
    /// artifact, whose claim says nothing.
    pub fn word_of(claim: &Claim) -> &'static str {
        match Self::Signature.is_of(claim) {
            true => Self::Signature.as_str(),
            false => claim.kind(),
        }
    }

    /// Whether a claim is of this kind.
    pub(crate) fn is_of(self, claim: &Claim) -> bool {
        match (self, claim) {
            (Self::Signature, Claim::Unknown { predicate_type }) => SIGNATURE_TYPES.contains(&predicate_type.as_str()),
            _ => claim.kind() == self.as_str(),
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
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    minisign: Option<String>,
    #[serde(default)]
    sigstore: Option<IdentityEntry>,
    #[serde(default)]
    root: Option<Digest>,
    signs: BTreeSet<EvidenceKind>,
    #[serde(default)]
    builder_ids: Vec<String>,
    #[serde(default)]
    slsa_level: Option<u8>,
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
                Err(more) => errors.extend(more),
                Ok(signer) => {
                    match signers.iter().find(|other| other.name == signer.name || other.proof.is_same(&signer.proof)) {
                        Some(other) if other.name == signer.name => {
                            errors.push(source.error(
                                Some(line),
                                format!("two signers are called `{}`", signer.name),
                                None,
                            ));
                        }
                        Some(other) => {
                            let message = format!(
                                "`{}` has the same key as `{}`: one key, or identity, is one signer",
                                signer.name, other.name
                            );
                            errors.push(source.error(Some(line), message, None));
                        }
                        None => signers.push(signer),
                    }
                }
            }
        }
        if errors.is_empty() { Ok(signers) } else { Err(errors) }
    }
}

fn read_signer<'a>(source: SourceFile<'a>, entry: TableEntry<'a>) -> Result<TrustedSigner, Vec<PolicyError>> {
    let line = Some(entry.line);
    let value = Spanned::new(entry.span, DeValue::Table(entry.table));
    let SignerEntry { name, key, minisign, sigstore, root, signs, builder_ids, slsa_level } =
        source.read_value(value, &[])?;
    let proof = match (key, minisign, sigstore) {
        (Some(key), None, None) => Proof::Key(PublicKey::from_pem(&key).map_err(|error| {
            let hint = "write the key as one PEM block `PUBLIC KEY`, as `openssl pkey -pubout` prints it".to_owned();
            vec![source.error(line, format!("the key of `{name}` cannot be read: {error}"), Some(hint))]
        })?),
        (None, Some(key), None) => {
            Proof::Minisign(MinisignKey::parse(&key).map_err(|error| {
                vec![source.error(line, format!("the key of `{name}` cannot be read: {error}"), None)]
            })?)
        }
        (None, None, Some(identity)) => Proof::Identity(
            TrustedIdentity::read(identity)
                .map_err(|message| vec![source.error(line, format!("the identity of `{name}`: {message}"), None)])?,
        ),
        _ => {
            let message =
                format!("`{name}` needs either `key`, `minisign` or `[signer.sigstore]`, and only one of them");
            return Err(vec![source.error(line, message, None)]);
        }
    };
    if matches!(proof, Proof::Identity(_)) && root.is_none() {
        let message =
            format!("`{name}` has no `root`: an identity counts only under a trust root that is named by digest");
        let hint = "`lockgate signature root public-good` writes one for `roots/`, and prints its digest".to_owned();
        return Err(vec![source.error(line, message, Some(hint))]);
    }
    let only_signatures = signs.iter().all(|kind| *kind == EvidenceKind::Signature);
    let is_plain = root.is_none() && builder_ids.is_empty() && slsa_level.is_none();
    if matches!(proof, Proof::Minisign(_)) && !(only_signatures && is_plain) {
        let message = format!("`{name}` is a key of minisign, which signs artifacts and nothing else");
        let hint = "write `signs = [\"signature\"]`, and neither `root`, `builder_ids` nor `slsa_level`".to_owned();
        return Err(vec![source.error(line, message, Some(hint))]);
    }
    if signs.is_empty() {
        let message =
            format!("`{name}` signs nothing: name the kinds of evidence in `signs`, such as [\"provenance\"]");
        return Err(vec![source.error(line, message, None)]);
    }
    if slsa_level.is_some_and(|level| !(1..=3).contains(&level)) {
        let message = format!("`slsa_level` of `{name}` is not a build level: write 1, 2 or 3 (SLSA 1.2, build track)");
        return Err(vec![source.error(line, message, None)]);
    }
    Ok(TrustedSigner { name, proof, root, signs, builder_ids, slsa_level })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{MINISIGN, OTHER_PEM, PEM};

    fn signer(name: &str, pem: &str) -> String {
        format!("[[signer]]\nname = \"{name}\"\nkey = \"\"\"\n{pem}\"\"\"\nsigns = [\"provenance\"]\n")
    }

    fn read(text: &str) -> Result<Vec<TrustedSigner>, Vec<PolicyError>> {
        TrustedSigner::read(SourceFile { path: TrustedSigner::FILE, text })
    }

    #[test]
    fn a_signature_is_told_by_its_predicate_type() {
        let check = |kind: EvidenceKind, predicate_type: &str, expected: bool| {
            let claim = Claim::Unknown { predicate_type: predicate_type.to_owned() };
            assert_eq!(kind.is_of(&claim), expected, "{kind} {predicate_type}");
            if kind == EvidenceKind::Signature {
                let word = if expected { "signature" } else { "unknown" };
                assert_eq!(EvidenceKind::word_of(&claim), word, "{predicate_type}");
            }
        };
        check(EvidenceKind::Signature, ARTIFACT_SIGNATURE, true);
        check(EvidenceKind::Signature, "https://sigstore.dev/cosign/sign/v1", true);
        check(EvidenceKind::Signature, "https://sigstore.dev/cosign/sign/v1/", false);
        check(EvidenceKind::Signature, "https://slsa.dev/provenance/v1", false);
        check(EvidenceKind::Provenance, ARTIFACT_SIGNATURE, false);
        assert!(EvidenceKind::Sbom.is_of(&Claim::Sbom(crate::sample::sbom())));
        assert_eq!(EvidenceKind::word_of(&Claim::Sbom(crate::sample::sbom())), "sbom");
        assert!(!EvidenceKind::Signature.is_of(&Claim::Sbom(crate::sample::sbom())));
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
        let identity = "[[signer]]\nname = \"ci\"\nsigns = [\"provenance\"]\n\
            root = \"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n\
            [signer.sigstore]\nissuer = \"https://token.ci.example\"\nidentity = \"https://ci.example/acme/shop@*\"\n";
        assert!(matches!(read(identity).unwrap()[0].proof, Proof::Identity(_)));
        check(&identity.replace("root = ", "# "), "no `root`");
        check(&identity.replace("acme/shop@*", "*"), "too many");
        check(&identity.replace("[signer.sigstore]", "key = \"x\"\n[signer.sigstore]"), "either `key`");
        check("[[signer]]\nname = \"ci\"\nsigns = [\"provenance\"]\n", "either `key`");
        let minisign = format!("[[signer]]\nname = \"boxes\"\nminisign = \"{MINISIGN}\"\nsigns = [\"signature\"]\n");
        assert!(matches!(read(&minisign).unwrap()[0].proof, Proof::Minisign(_)));
        check(&minisign.replace("RWR", "RWX"), "cannot be read");
        check(&minisign.replace("[\"signature\"]", "[\"signature\", \"sbom\"]"), "signs artifacts and nothing else");
        check(&format!("{minisign}slsa_level = 1\n"), "signs artifacts and nothing else");
        check(&format!("{minisign}key = \"x\"\n"), "either `key`");
        check(&format!("{minisign}{}", minisign.replace("boxes", "other")), "same key");
        // The same key in another form is the same signer: what it signed in one way is never taken for the other.
        let pem = MinisignKey::parse(MINISIGN).unwrap().key().to_pem();
        check(&format!("{minisign}{}", signer("ci", &pem)), "same key");
        check(&format!("{}slsa_level = 4\n", signer("ci", PEM)), "not a build level");
    }
}
