//! One promotion.

use axum::http::StatusCode;
use axum::response::Response;
use lockgate_api::wire::PromotionReply;
use lockgate_engine::authorise::may_read;
use lockgate_engine::whereabouts::manifest;
use lockgate_engine::{Engine, Fault};
use lockgate_ledger::Manifest;
use lockgate_model::{PersonId, PromotionId, ReleaseName};
use lockgate_policy::Object;
use lockgate_web::promotion::background::{self, Against};
use lockgate_web::{Section, promotion as promotion_page};

use super::{rights, shell};
use crate::call::Call;
use crate::handlers::pages::page;
use crate::handlers::promotions::promotion_reply;
use crate::handlers::whole;

/// `GET /promotions/{id}`.
pub async fn promotion(call: Call) -> Result<Response, Fault> {
    let (id, person): (PromotionId, PersonId) = (call.part("id")?, call.person()?);
    let app = call.app.clone();
    let text = whole::checked(&call, move || {
        let shell = shell(&app, &person)?;
        let reply = promotion_reply(&app.engine, &person, id)?;
        let rights = rights(&app.engine, &person, &reply.release.service, &reply.environment)?;
        let governance = app.engine.governance()?;
        let gates = governance.policy.gates().iter().filter(|gate| gate.kind.can_be_waived());
        let waivable = gates.map(|gate| gate.name.to_string()).collect();
        let content = promotion_page::content(&reply, &waivable, &rights, &person, shell.now);
        let against = against(&app.engine, &person, &reply)?;
        let content = background::below(&content, &reply, against.as_ref(), shell.now);
        Ok(shell.page(
            Some(Section::Pipeline),
            &format!("{id}: {} into {}", reply.release, reply.environment),
            &content,
        ))
    })
    .await?;
    Ok(page(StatusCode::OK, text))
}

/// What an open promotion would replace, where that is another release; what was decided replaces nothing any more.
/// Whoever may read of the target, and not of the service, goes without.
///
/// Read from the two manifests alone: the page is looked at often, and evidence takes long to read. The comparison of
/// all of it has a page of its own. Where a manifest cannot be read, the page does without as well.
fn against(engine: &Engine, person: &PersonId, reply: &PromotionReply) -> Result<Option<Against>, Fault> {
    let is_open = matches!(reply.status.as_str(), "pending" | "denied");
    let governance = engine.governance()?;
    let is_readable = may_read(&governance, person, Object::Service(&reply.release.service));
    let replaced = reply.running.as_ref().map(|running| &running.release);
    let Some(replaced) = replaced.filter(|running| is_open && is_readable && **running != reply.release) else {
        return Ok(None);
    };
    let read = |release: &ReleaseName| manifest(engine.store(), release).ok().flatten();
    Ok(read(replaced).zip(read(&reply.release)).map(|(old, new)| replacing(&old, &new)))
}

fn replacing(old: &Manifest, new: &Manifest) -> Against {
    let commit = |manifest: &Manifest| manifest.source.as_ref().map(|source| source.commit.clone());
    let size_bytes = |manifest: &Manifest| {
        manifest.artifacts.iter().fold(0_u64, |sum, artifact| sum.saturating_add(artifact.size_bytes))
    };
    Against {
        release: old.release.clone(),
        commits: (commit(old), commit(new)),
        size_bytes: (size_bytes(old), size_bytes(new)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::Digest;
    use lockgate_model::facts::{Artifact, Source};

    #[test]
    fn manifests_tell_sources_and_sizes() {
        let manifest = |version: &str, commit: Option<&str>, sizes: &[u64]| {
            let artifact = |size: &u64| Artifact {
                digest: Digest::of(&size.to_le_bytes()),
                name: "app".to_owned(),
                size_bytes: *size,
            };
            let repository = "https://git.example/a".to_owned();
            let source = |commit: &str| Source { repository: repository.clone(), commit: commit.to_owned() };
            Manifest {
                schema: Manifest::SCHEMA.to_owned(),
                release: format!("shop/web@{version}").parse().unwrap(),
                artifacts: sizes.iter().map(artifact).collect(),
                source: commit.map(source),
                notes: None,
            }
        };
        let told = replacing(&manifest("1.0.0", None, &[1, 2]), &manifest("1.1.0", Some("c0ffee"), &[u64::MAX, 5]));
        assert_eq!(told.release.to_string(), "shop/web@1.0.0");
        assert_eq!(told.commits, (None, Some("c0ffee".to_owned())));
        assert_eq!(told.size_bytes, (3, u64::MAX));
    }
}
