//! Cases: what is tried, each with the faults of its plays.
//!
//! A case is a place at its first passes; the commit of the request that asks for an event, which fails or is the last
//! thing that the server does; or a place on the way of a start that follows on a kill, and is killed itself.

use lockgate_failpoint::{POINTS, Point, When};

use super::story::{DAYS, RARE, Story};
use super::victim::Fault;

/// The places around the one call that keeps a batch.
const BEFORE_COMMIT: &str = "transaction.before-commit";
const COMMITTED: &str = "transaction.committed";
/// What a start passes beside the places that are passed by starts alone: it copies the write-ahead log, removes the
/// sessions that are over, and stores the head that it has signed again.
const STARTING: [&str; 6] =
    ["wal.before-copy", "wal.copied", BEFORE_COMMIT, COMMITTED, "checkpoint.before-save", "checkpoint.saved"];

/// What a kill in a request has left for the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Part of a blob.
    Bytes,
    /// A durable batch under a head that nobody has signed.
    Batch,
}

impl Left {
    const ALL: [Self; 2] = [Self::Bytes, Self::Batch];

    fn place(self) -> &'static str {
        match self {
            Self::Bytes => "blob.written",
            Self::Batch => "sequencer.committed",
        }
    }

    fn kill(self) -> Fault {
        let kill = Fault::kill(self.place(), 1);
        match self {
            Self::Bytes => kill,
            Self::Batch => kill.behind("promotion.requested"),
        }
    }
}

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub enum Case {
    /// A place at its first passes.
    Place(&'static Point),
    /// The commit of the request that asks for an event.
    Commit {
        /// The story that asks for it.
        story: &'static Story,
        /// The event.
        event: &'static str,
    },
    /// A kill in a request, and another one in the start that follows.
    Recovery {
        /// What the first kill has left.
        left: Left,
        /// Where the start is killed.
        place: &'static Point,
    },
}

/// The faults of one play, each for one start of the server.
pub type Faults = Vec<Fault>;

impl Case {
    /// Every case, in order.
    pub fn all() -> Vec<Self> {
        let mut all: Vec<Self> = POINTS.iter().map(Self::Place).collect();
        let daily = DAYS.events();
        let rare: Vec<&'static str> = RARE.events().into_iter().filter(|event| !daily.contains(event)).collect();
        all.extend(daily.into_iter().map(|event| Self::Commit { story: &DAYS, event }));
        all.extend(rare.into_iter().map(|event| Self::Commit { story: &RARE, event }));
        for left in Left::ALL {
            let on_the_way = |point: &&Point| point.when == When::Start || STARTING.contains(&point.name);
            all.extend(POINTS.iter().filter(on_the_way).map(|place| Self::Recovery { left, place }));
        }
        all
    }

    /// Its name: of the place, of the event after `commit/`, or of both places with a `+` between them.
    pub fn name(&self) -> String {
        match self {
            Self::Place(point) => point.name.to_owned(),
            Self::Commit { event, .. } => format!("commit/{event}"),
            Self::Recovery { left, place } => format!("{}+{}", left.place(), place.name),
        }
    }

    /// When its fault comes about, in a word.
    pub fn when(&self) -> &'static str {
        match self {
            Self::Place(point) => point.when.as_str(),
            Self::Commit { .. } => "commit",
            Self::Recovery { .. } => "recovery",
        }
    }

    /// What it leaves behind, in words.
    pub fn says(&self) -> &'static str {
        match self {
            Self::Place(point) => point.says,
            Self::Commit { .. } => "nothing of the request, or all of it, and nobody who was told",
            Self::Recovery { .. } => "what a kill in a request and a kill in the next start leave together",
        }
    }

    /// The story that it is played in.
    pub fn story(&self) -> &'static Story {
        match self {
            Self::Commit { story, .. } => story,
            Self::Place(_) | Self::Recovery { .. } => &DAYS,
        }
    }

    /// The faults of each of its plays, with the pass that each is about; `passes` is how often a story passes a place,
    /// of which the first `most` are tried.
    pub fn plays(&self, passes: u64, most: u64) -> Vec<(u64, Faults)> {
        match self {
            Self::Place(point) => {
                let kill = |nth| (nth, vec![Fault::kill(point.name, nth)]);
                let kills = (1..=most.min(passes)).map(kill);
                kills.chain(point.fails.then(|| (1, vec![Fault::error(point.name, 1)]))).collect()
            }
            Self::Commit { event, .. } => {
                // Refused; lost; kept, and the process stops because it cannot know that.
                let refused = Fault::error(BEFORE_COMMIT, 1).behind(event);
                let lost = Fault::kill(BEFORE_COMMIT, 1).behind(event);
                let kept = Fault::error(COMMITTED, 1).behind(event);
                [refused, lost, kept].into_iter().map(|fault| (1, vec![fault])).collect()
            }
            Self::Recovery { left, place } => vec![(1, vec![left.kill(), Fault::kill(place.name, 1)])],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own_and_plays() {
        let all = Case::all();
        let names: BTreeSet<String> = all.iter().map(Case::name).collect();
        assert_eq!(names.len(), all.len());
        for name in ["start.begun", "commit/policy.activated", "commit/key.rotated", "blob.written+store.locked"] {
            assert!(names.contains(name), "{name}");
        }
        assert!(all.iter().all(|case| !case.plays(3, 3).is_empty()));
        assert!(STARTING.iter().all(|name| names.contains(&format!("sequencer.committed+{name}"))));
    }

    #[track_caller]
    fn check(name: &str, variables: &[&[&str]]) {
        let case = Case::all().into_iter().find(|case| case.name() == name).unwrap();
        let told = |faults: Faults| faults.into_iter().map(|fault| fault.variable).collect::<Vec<String>>();
        let found: Vec<Vec<String>> = case.plays(2, 3).into_iter().map(|(_, faults)| told(faults)).collect();
        assert_eq!(found, variables);
    }

    #[test]
    fn a_case_says_what_the_server_is_told() {
        check("blob.linked", &[&["blob.linked:kill@1"], &["blob.linked:kill@2"]]);
        let staging: [&[&str]; 3] = [&["blob.staging:kill@1"], &["blob.staging:kill@2"], &["blob.staging:error@1"]];
        check("blob.staging", &staging);
        check(
            "commit/feed.recorded",
            &[
                &["transaction.before-commit:error@1/feed.recorded"],
                &["transaction.before-commit:kill@1/feed.recorded"],
                &["transaction.committed:error@1/feed.recorded"],
            ],
        );
        check(
            "sequencer.committed+open.head-signed",
            &[&["sequencer.committed:kill@1/promotion.requested", "open.head-signed:kill@1"]],
        );
    }
}
