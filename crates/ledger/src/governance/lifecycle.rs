//! The life of a key and of a person's standing: enrolled, rotated, ended, recovered, suspended, reinstated.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::facts::SubjectKind;
use lockgate_model::{EntryIndex, PersonId};
use lockgate_policy::Permission;

use super::{ENROLMENT_NAMESPACE, Governance, Key, Person, Signed, Suspension, Vouched, Vouching};
use crate::change::{KeyRecovered, KeyRotated, StandingChanged};
use crate::entry::{KeyRevoked, PersonEnrolled};
use crate::state::ApplyError;

impl Governance {
    /// Adds a person whose enrolment was verified.
    pub(super) fn insert_person(
        &mut self,
        event: &PersonEnrolled,
        index: EntryIndex,
        vouched: Option<(usize, Vec<Signed>)>,
    ) {
        let key = Key::new(&event.key, index).limited(event.expires_at, &event.environments);
        if let Some((quorum, signed)) = vouched {
            self.vouch_key("person.enrolled", &event.person, &key, index, quorum, signed);
        }
        let person = Person {
            kind: event.subject,
            groups: event.groups.clone(),
            keys: vec![key],
            suspensions: Vec::new(),
            standing_at: index,
        };
        self.people.insert(event.person.clone(), person);
    }

    /// Applies `key.revoked`: with `compromised_since`, what the key signed from there on is void, and so is every key
    /// that was enrolled by it since.
    ///
    /// # Errors
    /// [`ApplyError`] naming what is wrong, such as `QUORUM_GOVERNANCE`, or `REVOCATION_UNDERCUT` when the key that
    /// signs it would fall with it; nothing changes then.
    pub fn revoke_key(&mut self, event: &KeyRevoked, index: EntryIndex) -> Result<(), ApplyError> {
        let demand = event.demand(self.origin())?;
        let (signed, quorum) = match &demand {
            Some(demand) => {
                let signed = self.verify_signers(demand, index)?;
                self.known_key(&event.person, &event.key)?;
                let quorum = self.check_quorum(demand, &signed)?;
                (signed, quorum)
            }
            None => (vec![self.verify_own(event, index)?], 1),
        };
        let mut next = self.clone();
        let key = next.known_key_mut(&event.person, &event.key)?;
        match event.compromised_since {
            Some(since) => key.compromise(since, index),
            None => key.retire(index),
        }
        if event.compromised_since.is_some() {
            next.cascade(index);
            next.check_undercut(event, &signed)?;
            self.check_left_in_charge(&next, &event.person)?;
        }
        next.settle(demand.as_ref(), index);
        let what = Vouched::End { person: event.person.clone(), key: event.key.clone() };
        next.vouchings.push(Vouching { index, event: "key.revoked", quorum, signed, what });
        *self = next;
        Ok(())
    }

    /// People end keys of their own by themselves.
    fn verify_own(&self, event: &KeyRevoked, index: EntryIndex) -> Result<Signed, ApplyError> {
        if !event.countersigned.is_empty() {
            return Err(ApplyError::new(
                "SPONSOR_INVALID",
                "nobody countersigns the end of somebody's own key".to_owned(),
            ));
        }
        let document = event.document(self.origin())?;
        let key = self.verify_signature(&event.by, &event.signature, ENROLMENT_NAMESPACE, &document, index)?;
        // A key that is for some environments alone ends no wider one, and nothing that rests on it.
        let ended = self.known_key(&event.person, &event.key)?;
        self.check_within(&event.by, &key, &ended.environments)?;
        Ok(Signed { person: event.by.clone(), key })
    }

    /// Marks every key suspect whose enrolment does not rest on enough good signatures any more, and then those that
    /// these keys enrolled. Each vouching is looked at once, and once more for each of its signers that falls: whoever
    /// rotates a key often makes a long chain, and must not make work that grows faster than it.
    fn cascade(&mut self, by: EntryIndex) {
        let mut vouched: BTreeMap<(PersonId, String), Vec<Vouching>> = BTreeMap::new();
        let mut rests_on: BTreeMap<(PersonId, String), Vec<(PersonId, String)>> = BTreeMap::new();
        for vouching in &self.vouchings {
            if let Vouched::Key { person, key } = &vouching.what {
                let name = (person.clone(), key.clone());
                for signed in &vouching.signed {
                    rests_on.entry((signed.person.clone(), signed.key.clone())).or_default().push(name.clone());
                }
                vouched.entry(name).or_default().push(vouching.clone());
            }
        }
        // Nobody vouched for the first owner but the one-time code, so that key is not looked at.
        let mut left: Vec<(PersonId, String)> = vouched.keys().cloned().collect();
        while let Some(name) = left.pop() {
            if vouched.get(&name).is_none_or(|vouchings| vouchings.iter().any(|vouching| self.stands(vouching))) {
                continue;
            }
            if let Ok(key) = self.known_key_mut(&name.0, &name.1)
                && key.suspect.is_none()
            {
                key.suspect = Some(by);
                left.extend(rests_on.get(&name).into_iter().flatten().cloned());
            }
        }
    }

    /// A revocation must not take the weight from the keys that sign it; a key may well report itself.
    fn check_undercut(&self, event: &KeyRevoked, signed: &[Signed]) -> Result<(), ApplyError> {
        let undercut = signed.iter().find(|signed| {
            signed.key != event.key && self.key(&signed.person, &signed.key).is_none_or(|key| key.suspect.is_some())
        });
        match undercut {
            None => Ok(()),
            Some(signed) => Err(ApplyError::new(
                "REVOCATION_UNDERCUT",
                format!(
                    "the key {} of `{}` signs this, but was itself enrolled by the key that it ends; name a later entry, \
                     or let someone sign for whom that key did not vouch",
                    signed.key, signed.person
                ),
            )),
        }
    }

    /// A report must not leave fewer others in charge than it takes to vouch for anybody anew, where there were as many:
    /// else whoever held one early key could close the governance of the whole ledger for ever.
    fn check_left_in_charge(&self, next: &Self, reported: &PersonId) -> Result<(), ApplyError> {
        let quorum = usize::try_from(self.policy.settings().governance.quorum).unwrap_or(usize::MAX);
        let needed = self.others_in_charge(reported).min(quorum);
        match next.others_in_charge(reported) >= needed {
            true => Ok(()),
            false => Err(ApplyError::new(
                "REVOCATION_UNDERCUT",
                "it would make so many owners' keys suspect that those who are left could not vouch for anybody; name a \
                 later entry, retire the key, or suspend first whom nobody else vouches for"
                    .to_owned(),
            )),
        }
    }

    /// How many people besides one can sign changes of keys now.
    fn others_in_charge(&self, one: &PersonId) -> usize {
        let aliases = self.policy.aliases();
        let usable = |key: &Key| key.is_good() && key.environments.is_empty() && !key.expired_at(self.time);
        let able = self.people.iter().filter(|(id, person)| {
            aliases.person(id) != aliases.person(one)
                && person.kind == SubjectKind::Person
                && self.may(id, Permission::Keys)
                && person.keys.iter().any(usable)
        });
        able.map(|(id, _)| aliases.person(id)).collect::<BTreeSet<_>>().len()
    }

    /// Applies `key.rotated`: the new key is enrolled and the old one retired, by both of them.
    ///
    /// # Errors
    /// [`ApplyError`] naming what is wrong; nothing changes then.
    pub fn rotate_key(&mut self, event: &KeyRotated, index: EntryIndex) -> Result<(), ApplyError> {
        self.refuse_bound_key(&event.key)?;
        let document = event.document(self.origin())?;
        self.prove_possession(&event.key, &event.proof, &document)?;
        let by = self.verify_signature(&event.person, &event.signature, ENROLMENT_NAMESPACE, &document, index)?;
        if by != event.replaces {
            return Err(ApplyError::new(
                "KEY_MISMATCH",
                "a rotation is signed by the key that it replaces, and by no other".to_owned(),
            ));
        }
        self.check_within(&event.person, &by, &event.environments)?;
        let key = Key::new(&event.key, index).limited(event.expires_at, &event.environments);
        let signed = vec![Signed { person: event.person.clone(), key: by }];
        self.vouch_key("key.rotated", &event.person, &key, index, 1, signed);
        self.known_key_mut(&event.person, &event.replaces)?.retire(index);
        if let Some(person) = self.people.get_mut(&event.person) {
            person.keys.push(key);
        }
        Ok(())
    }

    /// Applies `key.recovered`: others vouch for a new key, and every earlier key of the person ends.
    ///
    /// # Errors
    /// [`ApplyError`] naming what is wrong; nothing changes then.
    pub fn recover_key(&mut self, event: &KeyRecovered, index: EntryIndex) -> Result<(), ApplyError> {
        if !self.people.contains_key(&event.person) {
            return Err(ApplyError::new("PERSON_UNKNOWN", format!("`{}` is not enrolled", event.person)));
        }
        self.refuse_bound_key(&event.key)?;
        let demand = event.demand(self.origin())?;
        self.prove_possession(&event.key, &event.proof, &demand.document)?;
        let (quorum, signed) = self.check_demand(&demand, index)?;
        self.settle(Some(&demand), index);
        let key = Key::new(&event.key, index).limited(event.expires_at, &event.environments);
        self.vouch_key("key.recovered", &event.person, &key, index, quorum, signed);
        if let Some(person) = self.people.get_mut(&event.person) {
            person.keys.iter_mut().for_each(|earlier| earlier.retire(index));
            person.keys.push(key);
        }
        Ok(())
    }

    /// Applies `person.suspended`: from here on their signatures and sessions do not count.
    ///
    /// # Errors
    /// [`ApplyError`] naming what is wrong; nothing changes then.
    pub fn suspend(&mut self, event: &StandingChanged, index: EntryIndex) -> Result<(), ApplyError> {
        self.change_standing(event, index, true)
    }

    /// Applies `person.reinstated`: they count again, and the key that others let in last is vouched for anew where it
    /// had become suspect. What that key had let in comes back with it; what only a void signature had added does not.
    ///
    /// # Errors
    /// [`ApplyError`] naming what is wrong; nothing changes then.
    pub fn reinstate(&mut self, event: &StandingChanged, index: EntryIndex) -> Result<(), ApplyError> {
        self.change_standing(event, index, false)
    }

    fn change_standing(
        &mut self,
        event: &StandingChanged,
        index: EntryIndex,
        suspended: bool,
    ) -> Result<(), ApplyError> {
        let Some(person) = self.people.get(&event.person) else {
            return Err(ApplyError::new("PERSON_UNKNOWN", format!("`{}` is not enrolled", event.person)));
        };
        if event.previous_at != person.standing_at {
            return Err(ApplyError::new(
                "STANDING_STALE",
                format!("the standing of `{}` has changed since this was signed", event.person),
            ));
        }
        let doubtful = person.keys.iter().any(|key| key.suspect.is_some());
        let pointless = match suspended {
            true => person.is_suspended(),
            false => !person.is_suspended() && !doubtful,
        };
        if pointless {
            let word = if suspended { "suspended already" } else { "neither suspended nor in doubt" };
            return Err(ApplyError::new("STANDING_SAME", format!("`{}` is {word}", event.person)));
        }
        let demand = event.demand(self.origin(), suspended)?;
        let (quorum, signed) = self.check_demand(&demand, index)?;
        self.settle(Some(&demand), index);
        if suspended {
            self.begin_suspension(&event.person, index);
        } else {
            self.end_suspension(&event.person, index, quorum, &signed);
        }
        let name = if suspended { "person.suspended" } else { "person.reinstated" };
        let what = Vouched::Standing { person: event.person.clone() };
        self.vouchings.push(Vouching { index, event: name, quorum, signed, what });
        Ok(())
    }

    fn begin_suspension(&mut self, id: &PersonId, index: EntryIndex) {
        if let Some(person) = self.people.get_mut(id) {
            person.suspensions.push(Suspension { from: index, until: None });
            person.standing_at = index;
        }
    }

    fn end_suspension(&mut self, id: &PersonId, index: EntryIndex, quorum: usize, signed: &[Signed]) {
        let Some(person) = self.people.get_mut(id) else { return };
        if let Some(last) = person.suspensions.last_mut().filter(|last| last.until.is_none()) {
            last.until = Some(index);
        }
        person.standing_at = index;
        if let Some(key) = self.let_in_last(id).filter(|key| key.suspect.is_some()).cloned() {
            self.vouch_key("person.reinstated", id, &key, index, quorum, signed.to_vec());
            self.clear(id, &key.fingerprint);
        }
        loop {
            let standing = self.standing_again(id);
            if standing.is_empty() {
                return;
            }
            for fingerprint in standing {
                self.clear(id, &fingerprint);
            }
        }
    }

    /// The key by which others let somebody in last: enrolled or recovered.
    fn let_in_last(&self, id: &PersonId) -> Option<&Key> {
        let by_others = |event: &str| matches!(event, "person.enrolled" | "key.recovered");
        self.vouchings.iter().rev().find_map(|vouching| match &vouching.what {
            Vouched::Key { person, key } if person == id && by_others(vouching.event) => self.key(person, key),
            _ => None,
        })
    }

    /// The suspect keys of somebody whose enrolment rests on enough good signatures again.
    fn standing_again(&self, id: &PersonId) -> Vec<String> {
        let keys = self.people.get(id).map(|person| person.keys.as_slice()).unwrap_or_default();
        let stands = |key: &&Key| {
            let what = Vouched::Key { person: id.clone(), key: key.fingerprint.clone() };
            self.vouchings.iter().any(|vouching| vouching.what == what && self.stands(vouching))
        };
        let suspect = keys.iter().filter(|key| key.suspect.is_some());
        suspect.filter(stands).map(|key| key.fingerprint.clone()).collect()
    }

    fn clear(&mut self, id: &PersonId, fingerprint: &str) {
        if let Ok(key) = self.known_key_mut(id, fingerprint) {
            key.suspect = None;
        }
    }

    fn known_key_mut(&mut self, person: &PersonId, fingerprint: &str) -> Result<&mut Key, ApplyError> {
        self.people
            .get_mut(person)
            .and_then(|record| record.keys.iter_mut().find(|key| key.fingerprint == fingerprint))
            .ok_or_else(|| ApplyError::new("KEY_UNKNOWN", format!("`{person}` has no key {fingerprint}")))
    }
}
