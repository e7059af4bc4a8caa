//! Turns: a scan that finds something arrives at the same moment as the approval that a promotion waits for.
//!
//! Whatever the order, nothing is granted on evidence that was not looked at: the approval counts where it stands before
//! the scan in the ledger, and nowhere else.

use std::fmt;
use std::sync::Barrier;
use std::thread;

use lockgate_api::{Client, ClientError};
use lockgate_model::facts::Verdict;

use super::people::People;
use crate::failure::{During as _, Failure, Result};
use crate::random::Random;
use crate::requests::{Reply, Request, critical_scan};

/// By how many short calls the scan may be ahead of the approval; the approval, which takes longer, may be by four times as many.
const HEAD_START: u64 = 4;

/// How the rounds ended.
#[derive(Debug, Default)]
pub struct Turns {
    granted: u64,
    refused: u64,
    denied: u64,
}

impl fmt::Display for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { granted, refused, denied } = self;
        let rounds = granted + refused + denied;
        write!(
            f,
            "{rounds} promotions approved while a critical finding arrived: {granted} granted before it, {refused} \
             approvals refused and {denied} recorded after it without a grant"
        )
    }
}

/// What the approver was told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Recorded { entry: u64, status: String },
    Refused(String),
}

/// Lets evidence turn so many times.
///
/// # Errors
/// When something was granted that must not be, or somebody is told what cannot be.
pub fn race(people: &People, rounds: u64, random: &mut Random) -> Result<Turns> {
    let mut turns = Turns::default();
    for round in 0..rounds {
        let release = format!("race/turning@1.0.{round}").parse()?;
        let promotion = people.ask(&release)?;
        let approval = Request::Approve(promotion, people.sign(promotion, Verdict::Approve)?);
        let scan = Request::attest_any(&release, &critical_scan(&release));
        let start = Barrier::new(2);
        let (before_approval, before_scan) = (random.between(0, HEAD_START), random.between(0, 4 * HEAD_START));
        let (told, scanned) = thread::scope(|scope| {
            let approving = scope.spawn(|| {
                start.wait();
                wait(&people.approver, before_approval)?;
                tell(approval.send(&people.approver, &format!("approve-turn-{round}")))
            });
            start.wait();
            let scanned = wait(&people.requester, before_scan)
                .and_then(|()| Ok(scan.send(&people.requester, &format!("scan-turn-{round}"))?));
            (approving.join().unwrap_or_else(|_| Err(Failure::new("the approver panicked"))), scanned)
        });
        let (told, scanned) = (told?, scanned?.logged.map(|logged| logged.index));
        let at = scanned.ok_or_else(|| Failure::new("the scan was recorded without an entry"))?;
        let now = people.look(promotion)?;
        turns.count(&told, at, &now.status).during(format!("{promotion}, whose scan stands at {at}"))?;
    }
    Ok(turns)
}

/// Lets a moment pass that is as long as so many calls of the same server.
fn wait(client: &Client, calls: u64) -> Result<()> {
    (0..calls).try_for_each(|_| client.get_bytes("/healthz").map(|_| ()).during("ask for health"))
}

fn tell(outcome: std::result::Result<Reply, ClientError>) -> Result<Told> {
    match outcome {
        Ok(reply) => match (reply.logged, reply.promotions.into_iter().next_back()) {
            (Some(logged), Some((_, status))) => Ok(Told::Recorded { entry: logged.index, status }),
            _ => Err(Failure::new("the approval was acknowledged without an entry")),
        },
        Err(ClientError::Problem(problem)) => Ok(Told::Refused(problem.code.to_string())),
        Err(error) => Err(Failure::new(format!("the approval was not answered: {error}"))),
    }
}

impl Turns {
    fn count(&mut self, told: &Told, scan: u64, status: &str) -> Result<()> {
        let count = match (told, status) {
            (Told::Recorded { entry, status: told }, "granted") if *entry < scan && told == "granted" => {
                &mut self.granted
            }
            (Told::Recorded { entry, status: told }, "denied") if *entry > scan && told == "denied" => &mut self.denied,
            (Told::Refused(code), "denied") if code == "APPROVAL_STALE" => &mut self.refused,
            _ => return Err(Failure::new(format!("it is {status}, and the approver was told {told:?}"))),
        };
        *count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_counts_before_the_scan_alone() {
        let recorded = |entry, status: &str| Told::Recorded { entry, status: status.to_owned() };
        let refused = |code: &str| Told::Refused(code.to_owned());
        let fits = |told: &Told, status: &str| Turns::default().count(told, 7, status).is_ok();
        assert!(fits(&recorded(6, "granted"), "granted"));
        assert!(fits(&recorded(8, "denied"), "denied"));
        assert!(fits(&refused("APPROVAL_STALE"), "denied"));
        assert!(!fits(&recorded(8, "granted"), "granted"));
        assert!(!fits(&recorded(6, "granted"), "denied"));
        assert!(!fits(&recorded(8, "denied"), "granted"));
        assert!(!fits(&refused("APPROVAL_STALE"), "granted"));
        assert!(!fits(&refused("STORE_FAILED"), "denied"));
    }
}
