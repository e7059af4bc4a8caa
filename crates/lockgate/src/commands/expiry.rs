//! Expiry: which keys end soon, told at 90, 30, 14, 7, 3 and 1 days.

use lockgate_api::wire::{KeyRow, PersonRow};
use lockgate_model::{PersonId, UnixMillis};

/// At how many days before its end a key is warned about; the nearest stage that is reached counts.
pub const STAGES: [u64; 6] = [1, 3, 7, 14, 30, 90];
/// From how many days on the warning is a failure: whoever waits longer may stand without a key.
pub const RED_DAYS: u64 = 7;
/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// How near a key's end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// It has none, or it is far away.
    Far,
    /// It comes within this many days, one of [`STAGES`].
    Within(u64),
    /// It is past.
    Past,
}

/// How near an end is at a moment.
pub fn expiry(end: Option<UnixMillis>, now: UnixMillis) -> Expiry {
    let Some(end) = end else { return Expiry::Far };
    match end.0.checked_sub(now.0).filter(|left| *left > 0) {
        None => Expiry::Past,
        Some(left) => {
            let stage = STAGES.into_iter().find(|stage| left <= stage * DAY);
            stage.map_or(Expiry::Far, Expiry::Within)
        }
    }
}

/// A key that ends soon, or has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// How near the key's end is.
    pub expiry: Expiry,
    /// The person whose key it is.
    pub person: PersonId,
    /// In words, with what to do.
    pub text: String,
    /// What its owner pastes to mend it.
    pub fix: String,
}

/// The keys that count and end soon, or have ended by themselves, nearest first.
pub fn warnings(people: &[PersonRow], now: UnixMillis) -> Vec<Warning> {
    let active = people.iter().filter(|person| person.suspended_at.is_none());
    let keys = active.flat_map(|person| person.keys.iter().map(move |key| (person, key)));
    let mut ends: Vec<(UnixMillis, Warning)> = keys
        .filter(|(_, key)| key.invalid_from.is_none())
        .filter_map(|(person, key)| Some((key.expires_at?, warning(person, key, now)?)))
        .collect();
    ends.sort_by_key(|(end, _)| *end);
    ends.into_iter().map(|(_, warning)| warning).collect()
}

fn warning(person: &PersonRow, key: &KeyRow, now: UnixMillis) -> Option<Warning> {
    let end = key.expires_at?;
    let expiry = expiry(Some(end), now);
    let (name, fingerprint) = (&person.person, &key.fingerprint);
    let text = match expiry {
        Expiry::Far => return None,
        Expiry::Within(1) => {
            format!("the key {fingerprint} of {name} ends within a day, at {end}: lockgate key rotate")
        }
        Expiry::Within(days) => {
            format!("the key {fingerprint} of {name} ends within {days} days, at {end}: lockgate key rotate")
        }
        Expiry::Past => format!("the key {fingerprint} of {name} ended at {end}: lockgate key recover {name}"),
    };
    let new = format!("{name}-new.key");
    let fix = match expiry {
        Expiry::Past => {
            format!("lockgate key generate {new} && lockgate key recover {name} --key {new} --reason expired")
        }
        Expiry::Far | Expiry::Within(_) => {
            format!("lockgate key generate {new} && lockgate --as {name} key rotate --key {new}")
        }
    };
    Some(Warning { expiry, person: name.clone(), text, fix })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warns_at_each_stage_and_not_before() {
        let now = UnixMillis(1_800_000_000_000);
        let check = |left: u64, expected: Expiry| {
            assert_eq!(expiry(Some(UnixMillis(now.0 + left)), now), expected, "{left}");
        };
        check(91 * DAY, Expiry::Far);
        check(90 * DAY + 1, Expiry::Far);
        for (days, stage) in
            [(90, 90), (31, 90), (30, 30), (15, 30), (14, 14), (8, 14), (7, 7), (4, 7), (3, 3), (2, 3), (1, 1)]
        {
            check(days * DAY, Expiry::Within(stage));
        }
        check(1, Expiry::Within(1));
        check(0, Expiry::Past);
        assert_eq!(expiry(Some(UnixMillis(now.0 - 1)), now), Expiry::Past);
        assert_eq!(expiry(None, now), Expiry::Far);
    }

    #[test]
    fn ended_keys_and_suspended_people_are_not_warned_about() {
        let now = UnixMillis(1_800_000_000_000);
        let key = |end: Option<u64>, ended: Option<u64>| {
            serde_json::json!({
                "fingerprint": "SHA256:x", "key": "ssh-ed25519 x", "enrolled_at": 1, "invalid_from": ended, "expires_at": end,
            })
        };
        let soon = Some(now.0 + DAY);
        let rows = |suspended: Option<u64>| -> Vec<PersonRow> {
            let keys = [key(soon, None), key(soon, Some(9)), key(None, None), key(Some(now.0 - 1), None)];
            let row = serde_json::json!({
                "person": "sam", "subject": "person", "groups": [], "keys": keys, "suspended_at": suspended, "standing_at": 1,
            });
            vec![serde_json::from_value(row).unwrap()]
        };
        let stages: Vec<Expiry> = warnings(&rows(None), now).into_iter().map(|warning| warning.expiry).collect();
        assert_eq!(stages, [Expiry::Past, Expiry::Within(1)]);
        let fixes: Vec<String> = warnings(&rows(None), now).into_iter().map(|warning| warning.fix).collect();
        assert!(
            matches!(&fixes[..], [past, soon] if past.contains("key recover sam ") && soon.contains("key rotate "))
        );
        assert!(warnings(&rows(Some(7)), now).is_empty());
    }
}
