//! Promote, roll back, withdraw.

use lockgate_api::Exit;
use lockgate_api::wire::{
    Acknowledged, PromoteRequest, Promoted, PromotedRow, PromotionReply, WithdrawRequest, Withdrawn,
};

use crate::cli;
use crate::commands::why::{blocking, outcome_exit};
use crate::failure::{Failure, Outcome};
use crate::receipts::logged_line;
use crate::world::World;

/// `lockgate promote`.
///
/// # Errors
/// What the server refuses; a denial or a wait is a result with its own exit code.
pub fn promote(world: &World, options: &cli::Promote) -> Outcome {
    ask(world, options, "/v1/promotions")
}

/// `lockgate rollback`.
///
/// # Errors
/// As [`promote`].
pub fn rollback(world: &World, options: &cli::Promote) -> Outcome {
    ask(world, options, "/v1/rollbacks")
}

fn ask(world: &World, options: &cli::Promote, route: &str) -> Outcome {
    let client = world.signed_in()?;
    let request = PromoteRequest {
        release: options.release.clone(),
        environment: options.to.clone(),
        reason: options.reason.clone(),
    };
    let reply: Acknowledged<Promoted> = client.post(route, &request, Some(&world.random_hex()?))?;
    // Kept before anything else is asked, and told after what was done.
    let kept = world.keep_receipt(reply.logged.as_ref());
    let last = reply
        .result
        .promotions
        .last()
        .ok_or_else(|| Failure::new(Exit::Failed, "SERVER_PROTOCOL", "the server answered without a promotion"))?;
    let explained: PromotionReply = client.get(&format!("/v1/promotions/{}", last.promotion))?;
    let shown = serde_json::json!({ "promotions": reply.result.promotions, "logged": reply.logged, "why": explained });
    world.terminal.show(&shown, || {
        let line = |row: &PromotedRow| {
            format!(
                "{:<6} {} into {}: {}{}\n",
                row.promotion,
                options.release,
                row.environment,
                row.status,
                if row.repeated { " (asked before)" } else { "" }
            )
        };
        let mut text: String = reply.result.promotions.iter().map(line).collect();
        text.push_str(&blocking(&explained));
        text.push_str(&logged_line(reply.logged.as_ref()));
        text
    })?;
    kept?;
    // Reaching an earlier environment is not what was asked for.
    match last.environment == options.to {
        true => Ok(outcome_exit(&last.status)),
        false => Ok(match outcome_exit(&last.status) {
            Exit::Done => Exit::Pending,
            other => other,
        }),
    }
}

/// `lockgate withdraw`.
///
/// # Errors
/// What the server refuses.
pub fn withdraw(world: &World, options: &cli::Withdraw) -> Outcome {
    let client = world.signed_in()?;
    let path = format!("/v1/promotions/{}/withdrawal", options.promotion);
    let reply: Acknowledged<Withdrawn> =
        client.post(&path, &WithdrawRequest { reason: options.reason.clone() }, Some(&world.random_hex()?))?;
    world.acknowledged(&reply, || {
        format!("{} is {}\n{}", reply.result.promotion, reply.result.status, logged_line(reply.logged.as_ref()))
    })?;
    Ok(Exit::Done)
}
