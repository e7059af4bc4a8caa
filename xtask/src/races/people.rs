//! People: who asks for promotions into production here, and who approves them.

use std::path::Path;

use lockgate_api::Client;
use lockgate_api::wire::{ApprovalRequest, PromotionReply};
use lockgate_model::facts::Verdict;
use lockgate_model::{PromotionId, ReleaseName};

use crate::failure::{Failure, Result};
use crate::identity::{self, Identity};
use crate::requests::{Request, approval_document, junit, sbom, scan, upload};

/// Two of the demo's people, signed in.
pub struct People {
    /// Who publishes a release, asks for its promotion, and may take that back.
    pub requester: Client,
    /// Who approves or rejects it.
    pub approver: Client,
    key: Identity,
}

impl People {
    /// Signs both in.
    ///
    /// # Errors
    /// When there is no such key, or the server refuses.
    pub fn sign_in(url: &str, home: &Path) -> Result<Self> {
        let [_, developer] = identity::NAMES;
        let key = Identity::load(home, identity::APPROVER)?;
        let approver = identity::client_as(url, home, identity::APPROVER)?;
        Ok(Self { requester: identity::client_as(url, home, developer)?, approver, key })
    }

    /// A release whose promotion into production waits for an approval alone.
    ///
    /// # Errors
    /// When it does not.
    pub fn ask(&self, release: &ReleaseName) -> Result<PromotionId> {
        let stored = upload(&self.requester, release.to_string().as_bytes())?;
        Request::publish(release, &stored).send(&self.requester, &format!("publish-{release}"))?;
        for (number, report) in [junit(&release.to_string()), sbom(release), scan(release)].iter().enumerate() {
            Request::attest_any(release, report).send(&self.requester, &format!("attest-{release}-{number}"))?;
        }
        let request = Request::promote_to(release, "production")?;
        let reply = request.send(&self.requester, &format!("promote-{release}"))?;
        reply.last_with("pending").ok_or_else(|| Failure::new(format!("{release} does not wait: {reply:?}")))
    }

    /// What the approver hands in, as the promotion stands now.
    ///
    /// # Errors
    /// When the server offers nothing to sign.
    pub fn sign(&self, promotion: PromotionId, verdict: Verdict) -> Result<ApprovalRequest> {
        self.key.approve(approval_document(&self.approver, promotion, verdict)?)
    }

    /// What has become of a promotion.
    ///
    /// # Errors
    /// When the server does not say.
    pub fn look(&self, promotion: PromotionId) -> Result<PromotionReply> {
        Ok(self.requester.get(&format!("/v1/promotions/{promotion}"))?)
    }
}
