//! CI identity: pipelines exchange their tokens, owners say which pipelines count.

use axum::response::Response;
use lockgate_api::wire::{CiIssuer, CiTokenReply, CiTokenRequest, CiTrustEnd, CiTrustRequest, CiTrustRow};
use lockgate_engine::authorise::may_see_service;
use lockgate_engine::{Engine, Fault, ci};
use lockgate_ledger::ci_trust::{CiProvider, CiTrusted, CiUntrusted};
use lockgate_model::{EntryIndex, Limits, PersonId};

use super::{heavy, write};
use crate::call::Call;
use crate::reply;

fn provider(issuer: CiIssuer) -> CiProvider {
    match issuer {
        CiIssuer::Github => CiProvider::Github,
        CiIssuer::Gitlab => CiProvider::Gitlab,
        CiIssuer::Oidc => CiProvider::Oidc,
    }
}

fn shown(provider: CiProvider) -> CiIssuer {
    match provider {
        CiProvider::Github => CiIssuer::Github,
        CiProvider::Gitlab => CiIssuer::Gitlab,
        CiProvider::Oidc => CiIssuer::Oidc,
    }
}

/// `POST /v1/ci/tokens`.
pub async fn exchange(call: Call) -> Result<Response, Fault> {
    let request: CiTokenRequest = call.body()?;
    let app = call.app.clone();
    let exchanged = heavy(move || ci::exchange(&app.engine, &app.issuers, &request.token)).await?;
    reply::json(&CiTokenReply {
        access_token: exchanged.token,
        expires_in: ci::TTL.secs(),
        expires_at: exchanged.expires,
        machine: exchanged.machine,
        services: exchanged.services,
    })
}

/// `GET /v1/ci/trusts`.
pub async fn trusts(call: Call) -> Result<Response, Fault> {
    reply::json(&trusts_reply(call.engine(), &call.person()?)?)
}

/// Which pipelines count, as far as somebody may know of their services: what the API gives, and what the page shows.
pub fn trusts_reply(engine: &Engine, reader: &PersonId) -> Result<Vec<CiTrustRow>, Fault> {
    let governance = engine.governance()?;
    let row = |(index, trust): (EntryIndex, &CiTrusted)| CiTrustRow {
        trust: index.0,
        provider: shown(trust.provider),
        machine: trust.machine.clone(),
        issuer: trust.issuer.clone(),
        audience: trust.audience.clone(),
        claims: trust.claims.clone(),
        services: trust.services.clone(),
        jwks_url: trust.jwks_url.clone(),
        by: trust.by.clone(),
    };
    let mut rows: Vec<CiTrustRow> = governance.ci_trusts().map(row).collect();
    for row in &mut rows {
        row.services.retain(|service| may_see_service(&governance, reader, service));
    }
    // A trust without a service that the reader may know of does not exist for them.
    rows.retain(|row| !row.services.is_empty());
    Ok(rows)
}

/// `POST /v1/ci/trusts`.
pub async fn trust(call: Call) -> Result<Response, Fault> {
    let request: CiTrustRequest = call.body()?;
    let event = CiTrusted {
        provider: provider(request.provider),
        machine: request.machine,
        groups: request.groups,
        issuer: request.issuer,
        audience: request.audience,
        claims: request.claims,
        services: request.services,
        jwks_url: request.jwks_url,
        nonce: request.nonce,
        by: request.by,
        signature: request.signature,
        countersigned: Vec::new(),
    };
    write(&call, ci::trust(&call.person()?, event)?).await
}

/// `POST /v1/ci/trusts/removals`.
pub async fn untrust(call: Call) -> Result<Response, Fault> {
    let request: CiTrustEnd = call.body()?;
    if request.reason.trim().is_empty() || request.reason.len() > Limits::DEFAULT.text_bytes {
        return Err(Fault::invalid(
            "REASON_MISSING",
            format!("a reason is needed, of at most {} bytes", Limits::DEFAULT.text_bytes),
        ));
    }
    let event = CiUntrusted {
        trust: EntryIndex(request.trust),
        reason: request.reason,
        by: request.by,
        signature: request.signature,
    };
    write(&call, ci::untrust(&call.person()?, event)?).await
}
