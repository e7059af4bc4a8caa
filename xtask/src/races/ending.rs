//! Endings: many clients approve, reject and take back one promotion at the same moment.
//!
//! Whatever the order, one of them ends it. All others have to be told that it is over, or, under the key of the one that
//! did, the same once more; and what it has become is what that one did.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Barrier;
use std::thread;

use lockgate_api::{Client, ClientError};
use lockgate_model::PromotionId;
use lockgate_model::facts::Verdict;

use super::people::People;
use crate::failure::{During as _, Failure, Result};
use crate::random::Random;
use crate::requests::Request;

/// How many clients end the same promotion.
const CLIENTS: u64 = 64;
/// How many keys the clients of one act share with each other, beside those that are their own.
const SHARED: u64 = 3;
/// Of a hundred clients, how many use a key that others use.
const SHARERS: u64 = 40;
/// What somebody is told who comes too late.
const OVER: &str = "PROMOTION_CLOSED";

/// What ends a promotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// The approval that it waited for.
    Approve,
    /// A rejection.
    Reject,
    /// Its requester takes it back.
    Withdraw,
}

impl Act {
    const ALL: [Self; 3] = [Self::Approve, Self::Reject, Self::Withdraw];

    /// What the promotion is afterwards.
    const fn status(self) -> &'static str {
        match self {
            Self::Approve => "granted",
            Self::Reject => "rejected",
            Self::Withdraw => "withdrawn",
        }
    }
}

/// What one client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// It is done, at this entry, and the promotion is this now.
    Done { entry: u64, repeated: bool, status: String },
    /// It is refused with this reason.
    Refused(String),
}

/// What one client did under which key.
#[derive(Debug, Clone)]
struct Tried {
    /// What it tried.
    act: Act,
    /// Its idempotency key.
    key: String,
    /// What it was told.
    told: Told,
}

/// How the rounds ended.
#[derive(Debug, Default)]
pub struct Endings {
    rounds: u64,
    by: [u64; Act::ALL.len()],
    repeated: u64,
    refused: u64,
}

impl fmt::Display for Endings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, by: [approved, rejected, withdrawn], repeated, refused } = self;
        write!(
            f,
            "{rounds} promotions, each ended by {CLIENTS} clients at once: {approved} approved, {rejected} rejected, \
             {withdrawn} withdrawn, each once; {repeated} were told so again, {refused} that it was over"
        )
    }
}

/// Lets so many promotions be ended by many at once.
///
/// # Errors
/// When one is ended twice or not at all, or somebody is told what cannot be.
pub fn race(people: &People, rounds: u64, random: &mut Random) -> Result<Endings> {
    let mut endings = Endings { rounds, ..Endings::default() };
    for round in 0..rounds {
        let promotion = people.ask(&format!("race/ending@1.0.{round}").parse()?)?;
        let tried = end(people, promotion, round, random)?;
        let now = people.look(promotion)?;
        let act = judge(&tried, &now.status).during(format!("the end of {promotion}"))?;
        let signed = usize::from(act != Act::Withdraw);
        if now.approvals.len() != signed {
            let found = now.approvals.len();
            return Err(Failure::new(format!("{promotion} is {} by {found} signatures", now.status)));
        }
        for (count, one) in endings.by.iter_mut().zip(Act::ALL) {
            *count += u64::from(one == act);
        }
        let refused = tried.iter().filter(|one| matches!(one.told, Told::Refused(_))).count() as u64;
        endings.refused += refused;
        endings.repeated += CLIENTS - refused - 1;
    }
    Ok(endings)
}

fn end(people: &People, promotion: PromotionId, round: u64, random: &mut Random) -> Result<Vec<Tried>> {
    let approval = people.sign(promotion, Verdict::Approve)?;
    let rejection = people.sign(promotion, Verdict::Reject)?;
    let start = Barrier::new(usize::try_from(CLIENTS)?);
    let start = &start;
    // An approval takes longest, as its gates are decided: in some rounds it has fewer rivals, or none.
    let acts = match round % 4 {
        0 => &Act::ALL[..],
        1 => &[Act::Approve, Act::Reject],
        2 => &[Act::Approve, Act::Withdraw],
        _ => &[Act::Approve],
    };
    thread::scope(|scope| {
        let all = acts.iter().cycle().zip(0..CLIENTS).map(|(act, number)| {
            let act = *act;
            let key = match random.between(1, 100) <= SHARERS {
                true => format!("end-{round}-{act:?}-{}", random.between(1, SHARED)),
                false => format!("end-{round}-own-{number}"),
            };
            let (client, request) = match act {
                Act::Approve => (&people.approver, Request::Approve(promotion, approval.clone())),
                Act::Reject => (&people.approver, Request::Approve(promotion, rejection.clone())),
                Act::Withdraw => (&people.requester, Request::Withdraw(promotion)),
            };
            scope.spawn(move || {
                start.wait();
                tell(act, key, &request, client)
            })
        });
        let all: Vec<_> = all.collect();
        all.into_iter().map(|one| one.join().unwrap_or_else(|_| Err(Failure::new("a client panicked")))).collect()
    })
}

fn tell(act: Act, key: String, request: &Request, client: &Client) -> Result<Tried> {
    let told = match request.send(client, &key) {
        Ok(reply) => match (reply.logged, reply.promotions.into_iter().next_back()) {
            (Some(logged), Some((_, status))) => Told::Done { entry: logged.index, repeated: logged.repeated, status },
            _ => return Err(Failure::new(format!("`{key}` was acknowledged without an entry"))),
        },
        Err(ClientError::Problem(problem)) => Told::Refused(problem.code.to_string()),
        Err(error) => return Err(Failure::new(format!("`{key}` was not answered: {error}"))),
    };
    Ok(Tried { act, key, told })
}

/// Who ended it, where what all were told fits some order in which they came.
fn judge(tried: &[Tried], status: &str) -> Result<Act> {
    let firsts: Vec<(&Tried, u64)> = tried
        .iter()
        .filter_map(|one| match &one.told {
            Told::Done { entry, repeated: false, .. } => Some((one, *entry)),
            Told::Done { .. } | Told::Refused(_) => None,
        })
        .collect();
    let &[(first, at)] = firsts.as_slice() else {
        return Err(Failure::new(format!("{} clients ended it: {firsts:?}", firsts.len())));
    };
    if first.act.status() != status {
        return Err(Failure::new(format!("it is {status}, and ended by {first:?}")));
    }
    let unfit = tried.iter().find(|one| match &one.told {
        Told::Done { entry, status, .. } => *entry != at || one.key != first.key || status != first.act.status(),
        // Under the key of the one that did it everybody is told what it was told.
        Told::Refused(code) => one.key == first.key || code != OVER,
    });
    match unfit {
        None => Ok(first.act),
        Some(one) => {
            let codes: BTreeSet<_> = tried.iter().map(|one| format!("{:?}", one.told)).collect();
            Err(Failure::new(format!("after {first:?} nobody is told {one:?}; all that was told: {codes:?}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(act: Act, key: &str, told: Told) -> Tried {
        Tried { act, key: key.to_owned(), told }
    }

    fn done(entry: u64, repeated: bool, status: &str) -> Told {
        Told::Done { entry, repeated, status: status.to_owned() }
    }

    fn over() -> Told {
        Told::Refused(OVER.to_owned())
    }

    #[test]
    fn one_client_ends_it_and_all_others_are_told() {
        let told = [
            tried(Act::Reject, "a", over()),
            tried(Act::Approve, "b", done(7, true, "granted")),
            tried(Act::Approve, "b", done(7, false, "granted")),
            tried(Act::Approve, "c", over()),
        ];
        assert_eq!(judge(&told, "granted").unwrap(), Act::Approve);
        assert!(judge(&told, "rejected").is_err());
    }

    #[test]
    fn what_no_order_tells_is_found() {
        let won = tried(Act::Approve, "b", done(7, false, "granted"));
        let wrong = [
            tried(Act::Reject, "a", done(8, false, "rejected")),
            tried(Act::Reject, "a", done(7, true, "granted")),
            tried(Act::Approve, "b", done(8, true, "granted")),
            tried(Act::Approve, "b", done(7, true, "pending")),
            tried(Act::Approve, "b", over()),
            tried(Act::Withdraw, "c", Told::Refused("STORE_FAILED".to_owned())),
            tried(Act::Approve, "c", Told::Refused("APPROVAL_STALE".to_owned())),
        ];
        for one in wrong {
            assert!(judge(&[won.clone(), one.clone()], "granted").is_err(), "{one:?}");
        }
        assert!(judge(&[tried(Act::Reject, "a", over())], "pending").is_err());
    }
}
