//! Requests: what the kill test and the bench ask of a server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_api::wire::{
    Acknowledged, ApprovalRequest, Approved, ArtifactRef, AttestRequest, Attested, Body, EvidenceBody, Logged,
    PromoteRequest, Promoted, PublishRequest, Published, SignableDocument, Stored, WithdrawRequest, Withdrawn,
};
use lockgate_api::{Client, ClientError};
use lockgate_model::facts::Verdict;
use lockgate_model::{Digest, PromotionId, ReleaseName};
use serde_json::{Value, json};

use crate::failure::Result;

/// A write that the ledger records.
#[derive(Debug, Clone)]
pub enum Request {
    /// Publish a release.
    Publish(PublishRequest),
    /// Record evidence about it.
    Attest(AttestRequest),
    /// Ask that it be let into an environment.
    Promote(PromoteRequest),
    /// Hand in a signed approval or rejection of a promotion.
    Approve(PromotionId, ApprovalRequest),
    /// Take a promotion back.
    Withdraw(PromotionId),
}

/// What the server answered; only what is compared or journaled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The receipt, if something had to be appended.
    pub logged: Option<Logged>,
    /// The digest of what was recorded: of the evidence, or of an approval's document.
    pub recorded: Option<Digest>,
    /// Every promotion and its status, on the way up.
    pub promotions: Vec<(PromotionId, String)>,
}

impl Reply {
    /// The last promotion, where it has been granted.
    pub fn granted(&self) -> Option<PromotionId> {
        self.last_with("granted")
    }

    /// The last promotion, where it has this status.
    pub fn last_with(&self, wanted: &str) -> Option<PromotionId> {
        self.promotions.last().filter(|(_, status)| status == wanted).map(|(promotion, _)| *promotion)
    }
}

impl Request {
    /// Publishes a release with one artifact that was uploaded before.
    pub fn publish(release: &ReleaseName, artifact: &Stored) -> Self {
        let artifact =
            ArtifactRef { digest: artifact.digest, name: "app.bin".to_owned(), size_bytes: artifact.size_bytes };
        Self::Publish(PublishRequest {
            release: release.clone(),
            artifacts: vec![artifact],
            source: None,
            notes: None,
            evidence: Vec::new(),
        })
    }

    /// Records a JUnit report about a release.
    pub fn attest(release: &ReleaseName, report: &str) -> Self {
        Self::attest_all(release, &[report])
    }

    /// Records a report about a release in whatever format it is.
    pub fn attest_any(release: &ReleaseName, report: &str) -> Self {
        Self::attest_as(release, &[report], None)
    }

    /// Records JUnit reports about a release.
    pub fn attest_all<R: AsRef<[u8]>>(release: &ReleaseName, reports: &[R]) -> Self {
        Self::attest_as(release, reports, Some("junit"))
    }

    fn attest_as<R: AsRef<[u8]>>(release: &ReleaseName, reports: &[R], format: Option<&str>) -> Self {
        let body = |report: &R| EvidenceBody {
            body: Body::Inline(STANDARD.encode(report)),
            signed: false,
            format: format.map(ToOwned::to_owned),
            expect: None,
        };
        Self::Attest(AttestRequest { release: release.clone(), evidence: reports.iter().map(body).collect() })
    }

    /// Asks that a release be let into dev.
    ///
    /// # Errors
    /// Never: `dev` is an environment name.
    pub fn promote(release: &ReleaseName) -> Result<Self> {
        Self::promote_to(release, "dev")
    }

    /// Asks that a release be let into an environment, and into those before it.
    ///
    /// # Errors
    /// When that is no environment's name.
    pub fn promote_to(release: &ReleaseName, environment: &str) -> Result<Self> {
        let reason = "measured by xtask".to_owned();
        Ok(Self::Promote(PromoteRequest { release: release.clone(), environment: environment.parse()?, reason }))
    }

    /// Sends it under an idempotency key.
    ///
    /// # Errors
    /// What the client says.
    pub fn send(&self, client: &Client, key: &str) -> std::result::Result<Reply, ClientError> {
        match self {
            Self::Publish(request) => {
                let reply: Acknowledged<Published> = client.post("/v1/releases", request, Some(key))?;
                Ok(Reply { logged: reply.logged, recorded: None, promotions: Vec::new() })
            }
            Self::Attest(request) => {
                let reply: Acknowledged<Attested> = client.post("/v1/evidence", request, Some(key))?;
                let recorded = reply.result.evidence.first().map(|row| row.digest);
                Ok(Reply { logged: reply.logged, recorded, promotions: Vec::new() })
            }
            Self::Promote(request) => {
                let reply: Acknowledged<Promoted> = client.post("/v1/promotions", request, Some(key))?;
                let promotions = reply.result.promotions.into_iter().map(|row| (row.promotion, row.status)).collect();
                Ok(Reply { logged: reply.logged, recorded: None, promotions })
            }
            Self::Approve(promotion, request) => {
                let path = format!("/v1/promotions/{promotion}/approvals");
                let reply: Acknowledged<Approved> = client.post(&path, request, Some(key))?;
                let promotions = vec![(reply.result.promotion, reply.result.status)];
                Ok(Reply { logged: reply.logged, recorded: Some(reply.result.document), promotions })
            }
            Self::Withdraw(promotion) => {
                let path = format!("/v1/promotions/{promotion}/withdrawal");
                let request = WithdrawRequest { reason: "raced by xtask".to_owned() };
                let reply: Acknowledged<Withdrawn> = client.post(&path, &request, Some(key))?;
                let promotions = vec![(reply.result.promotion, reply.result.status)];
                Ok(Reply { logged: reply.logged, recorded: None, promotions })
            }
        }
    }
}

/// Uploads bytes under their digest.
///
/// # Errors
/// What the client says.
pub fn upload(client: &Client, bytes: &[u8]) -> std::result::Result<Stored, ClientError> {
    let digest = Digest::of(bytes);
    let mut reader = bytes;
    client.upload(&mut reader, bytes.len() as u64, Some(&digest))
}

/// What somebody would sign to approve or reject a promotion.
///
/// # Errors
/// What the client says.
pub fn approval_document(
    client: &Client,
    promotion: PromotionId,
    verdict: Verdict,
) -> std::result::Result<SignableDocument, ClientError> {
    let verdict = match verdict {
        Verdict::Approve => "approve",
        Verdict::Reject => "reject",
    };
    client.get(&format!("/v1/promotions/{promotion}/document?verdict={verdict}"))
}

/// A small JUnit report of one passed test; another name makes it another report.
pub fn junit(name: &str) -> String {
    format!(
        "<testsuites><testsuite name=\"xtask\"><testcase classname=\"xtask\" name=\"{name}\" time=\"0.001\"/>\
         </testsuite></testsuites>"
    )
}

/// A CycloneDX SBOM of one component, for one release.
pub fn sbom(release: &ReleaseName) -> String {
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "component": { "type": "application", "name": release.to_string() } },
        "components": [{ "type": "library", "name": "a", "version": "1.0.0", "purl": "pkg:cargo/a@1.0.0" }],
    });
    document.to_string()
}

/// A Trivy report for one release, which looked at one target and found nothing.
pub fn scan(release: &ReleaseName) -> String {
    trivy(release, &[])
}

/// A Trivy report for one release, which found something critical that an upgrade would mend.
pub fn critical_scan(release: &ReleaseName) -> String {
    let finding = json!({
        "VulnerabilityID": "CVE-2099-10001",
        "PkgName": "a",
        "InstalledVersion": "1.0.0",
        "FixedVersion": "1.0.1",
        "Status": "fixed",
        "Severity": "CRITICAL",
    });
    trivy(release, &[finding])
}

fn trivy(release: &ReleaseName, findings: &[Value]) -> String {
    let document = json!({
        "SchemaVersion": 2,
        "Trivy": { "Version": "0.74.0" },
        "ArtifactName": release.to_string(),
        "ArtifactType": "filesystem",
        "Results": [{ "Target": "Cargo.lock", "Class": "lang-pkgs", "Type": "cargo", "Vulnerabilities": findings }],
    });
    document.to_string()
}
