//! Remains: a directory as a disk may hold it after the power was cut at a line of a history.
//!
//! What a flush covered is there. Of the rest each sector holds what it held at some moment since, each name what it stood
//! for at some moment since, and a file has one of the lengths that it had since.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::history::{Base, Change, History, Id, ROOT, Step};
use crate::failure::{During as _, Result};
use crate::random::Random;

/// What a flush promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// As POSIX has it: a flushed file is there once its name is, and a name once its directory is flushed.
    Strict,
    /// As file systems with a journal do it: names change on the disk in the order in which they were changed, and a
    /// flush of anything takes all earlier ones with it.
    Ordered,
    /// Nothing, and nothing else is on the disk either: what a loss looks like.
    Nothing,
}

/// Where the power is cut, and what becomes of the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The first line that no longer happened.
    pub line: usize,
    /// What a flush promises.
    pub reading: Reading,
    /// What the choices follow from.
    pub seed: u64,
}

/// The sizes of what is written whole.
const SECTORS: [u64; 2] = [512, 4096];
/// How many of a hundred unflushed things reach the disk as they were last.
const SHARES: [u64; 5] = [0, 10, 50, 90, 100];

impl Cut {
    /// Makes the directory; says how many changes are missing or torn in it.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn make(&self, history: &History, to: &Path) -> Result<usize> {
        let mut random = Random::new(self.seed);
        let happened: Vec<&Step> = history.steps.iter().filter(|step| step.begin < self.line).collect();
        let flushed = self.flushed(&happened);
        let mut names = BTreeMap::new();
        for (id, object) in history.objects.iter().enumerate() {
            if let Base::Directory(base) = object {
                names.insert(id, base.clone());
            }
        }
        let mut maker = Maker { history, contents: BTreeMap::new(), names, random: &mut random, missing: 0 };
        maker.rename(self, &happened, &flushed);
        for step in happened {
            if matches!(step.change, Change::Write(..) | Change::Resize(_)) {
                let durable = flushed.covers(step);
                maker.contents.entry(step.object).or_default().push((step, durable));
            }
        }
        maker.put(self, ROOT, to)?;
        Ok(maker.missing)
    }

    fn flushed(&self, happened: &[&Step]) -> Flushed {
        let mut flushed = Flushed::default();
        // A flush that had not returned promises nothing.
        let done = happened.iter().filter(|step| step.change == Change::Flush && step.end < self.line);
        for step in done.filter(|_| self.reading != Reading::Nothing) {
            let last = flushed.objects.entry(step.object).or_default();
            *last = (*last).max(step.begin);
            flushed.any = flushed.any.max(step.begin);
        }
        flushed
    }
}

/// The lines on which the last finished flushes began.
#[derive(Debug, Default)]
struct Flushed {
    objects: BTreeMap<Id, usize>,
    any: usize,
}

impl Flushed {
    /// Whether a change had ended before a flush of its object began.
    fn covers(&self, step: &Step) -> bool {
        self.objects.get(&step.object).is_some_and(|begin| step.end < *begin)
    }
}

struct Maker<'a> {
    history: &'a History,
    /// The changes of each file, and whether they were flushed.
    contents: BTreeMap<Id, Vec<(&'a Step, bool)>>,
    /// The names that are on the disk.
    names: BTreeMap<Id, BTreeMap<String, Id>>,
    random: &'a mut Random,
    missing: usize,
}

impl<'a> Maker<'a> {
    /// Settles which names are on the disk.
    fn rename(&mut self, cut: &Cut, happened: &[&'a Step], flushed: &Flushed) {
        let is_durable = |step: &Step| match cut.reading {
            Reading::Strict | Reading::Nothing => flushed.covers(step),
            Reading::Ordered => step.end < flushed.any,
        };
        let renames = happened.iter().filter(|step| matches!(step.change, Change::Names(_)));
        let share = self.share(cut);
        let open = renames.clone().filter(|step| !is_durable(step)).count();
        // In order, a first part of them is there.
        let mut in_order = if cut.reading == Reading::Ordered { self.random.between(0, open as u64) } else { 0 };
        let mut stopped = BTreeSet::new();
        for step in renames {
            let Change::Names(changes) = &step.change else { continue };
            let keys: Vec<(Id, String)> = changes.iter().map(|(name, _)| (step.object, name.clone())).collect();
            let is_there = match cut.reading {
                _ if is_durable(step) => true,
                Reading::Ordered => {
                    let is_there = in_order > 0;
                    in_order = in_order.saturating_sub(1);
                    is_there
                }
                // A name that was left behind does not catch up.
                Reading::Strict => {
                    !keys.iter().any(|key| stopped.contains(key)) && self.random.between(1, 100) <= share
                }
                Reading::Nothing => false,
            };
            if !is_there {
                stopped.extend(keys);
                self.missing += 1;
                continue;
            }
            let names = self.names.entry(step.object).or_default();
            for (name, object) in changes {
                match object {
                    Some(object) => names.insert(name.clone(), *object),
                    None => names.remove(name),
                };
            }
        }
    }

    fn share(&mut self, cut: &Cut) -> u64 {
        let chosen = self.random.between(0, SHARES.len() as u64 - 1);
        let share = usize::try_from(chosen).ok().and_then(|chosen| SHARES.get(chosen)).copied();
        if cut.reading == Reading::Nothing { 0 } else { share.unwrap_or_default() }
    }

    /// Writes a directory and all below it.
    fn put(&mut self, cut: &Cut, directory: Id, to: &Path) -> Result<()> {
        let history = self.history;
        fs::create_dir_all(to).during(format!("make `{}`", to.display()))?;
        for (name, id) in self.names.get(&directory).cloned().unwrap_or_default() {
            let to = to.join(name);
            let base = match history.objects.get(id) {
                None | Some(Base::Directory(_)) => {
                    self.put(cut, id, &to)?;
                    continue;
                }
                Some(Base::NewFile) => None,
                Some(Base::File(path)) => Some(path),
            };
            let before = match base {
                Some(path) => fs::read(path).during(format!("read `{}`", path.display()))?,
                None => Vec::new(),
            };
            let changes = self.contents.get(&id).cloned().unwrap_or_default();
            let bytes = self.content(cut, before, &changes);
            fs::write(&to, bytes).during(format!("write `{}`", to.display()))?;
            let mode = match base {
                Some(path) => fs::metadata(path).during(format!("inspect `{}`", path.display()))?.permissions(),
                None => fs::Permissions::from_mode(0o600),
            };
            fs::set_permissions(&to, mode).during(format!("seal `{}`", to.display()))?;
        }
        Ok(())
    }

    /// The bytes of a file.
    fn content(&mut self, cut: &Cut, mut bytes: Vec<u8>, changes: &[(&Step, bool)]) -> Vec<u8> {
        for (step, _) in changes.iter().filter(|(_, durable)| *durable) {
            apply(&mut bytes, &step.change);
        }
        let open: Vec<&Change> = changes.iter().filter(|(_, durable)| !durable).map(|(step, _)| &step.change).collect();
        if open.is_empty() {
            return bytes;
        }
        let resizes = open.iter().filter(|change| matches!(change, Change::Resize(_))).count() as u64;
        // Behind a length that did not reach the disk lies nothing that did.
        let mut resizes_left = if cut.reading == Reading::Nothing { 0 } else { self.random.between(0, resizes) };
        let share = self.share(cut);
        let sector = if self.random.between(0, 1) == 0 { SECTORS.first() } else { SECTORS.last() };
        let sector = sector.copied().unwrap_or(1);
        let mut versions = self.versions(cut, &open, share, sector);
        let mut lengths = vec![bytes.len()];
        for (number, change) in open.iter().enumerate() {
            match change {
                Change::Write(place, data) => {
                    let is_torn = write_sectors(&mut bytes, *place, data, sector, &mut versions);
                    self.missing += usize::from(is_torn);
                    lengths.push(bytes.len());
                }
                _ if resizes_left > 0 => {
                    resizes_left -= 1;
                    apply(&mut bytes, change);
                    lengths = vec![bytes.len()];
                }
                _ => {
                    self.missing += open.len() - number;
                    break;
                }
            }
        }
        let last = lengths.len().saturating_sub(1) as u64;
        let chosen = match cut.reading {
            Reading::Nothing => 0,
            _ if share == 100 => last,
            _ => self.random.between(0, last),
        };
        let length = usize::try_from(chosen).ok().and_then(|chosen| lengths.get(chosen)).copied();
        let length = length.unwrap_or_default();
        self.missing += usize::from(length < bytes.len());
        bytes.truncate(length);
        bytes
    }

    /// How many of the writes of each sector reach the disk: the first so many.
    fn versions(&mut self, cut: &Cut, open: &[&Change], share: u64, sector: u64) -> BTreeMap<u64, u64> {
        let mut versions: BTreeMap<u64, u64> = BTreeMap::new();
        for change in open {
            if let Change::Write(place, data) = change {
                for number in sectors(*place, data, sector) {
                    *versions.entry(number).or_default() += 1;
                }
            }
        }
        for count in versions.values_mut() {
            let all = cut.reading != Reading::Nothing && self.random.between(1, 100) <= share;
            if !all {
                let most = if cut.reading == Reading::Nothing { 0 } else { count.saturating_sub(1) };
                *count = self.random.between(0, most);
            }
        }
        versions
    }
}

/// The numbers of the sectors that a write touches.
fn sectors(place: u64, data: &[u8], sector: u64) -> std::ops::Range<u64> {
    place / sector..(place + data.len() as u64).div_ceil(sector)
}

/// Makes a whole change.
fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(place, data) => {
            let mut all = BTreeMap::from([(0, 1)]);
            // One sector that is as large as the file can be.
            write_sectors(bytes, *place, data, u64::MAX, &mut all);
        }
        Change::Resize(length) => bytes.resize(usize::try_from(*length).unwrap_or(usize::MAX), 0),
        Change::Names(_) | Change::Flush => {}
    }
}

/// Writes those sectors of which a version is left, and makes the file as long as if all were written; whether any
/// sector was left out.
fn write_sectors(bytes: &mut Vec<u8>, place: u64, data: &[u8], sector: u64, versions: &mut BTreeMap<u64, u64>) -> bool {
    let end = usize::try_from(place).unwrap_or(usize::MAX).saturating_add(data.len());
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    let mut is_torn = false;
    let mut rest = data;
    let mut at = place;
    while !rest.is_empty() {
        let number = at / sector;
        let room = usize::try_from((number.saturating_add(1)).saturating_mul(sector) - at).unwrap_or(usize::MAX);
        let (piece, after) = rest.split_at_checked(room).unwrap_or((rest, Default::default()));
        let left = versions.entry(number).or_default();
        if *left > 0 {
            *left -= 1;
            let from = usize::try_from(at).unwrap_or(usize::MAX);
            let target = bytes.get_mut(from..).and_then(|tail| tail.get_mut(..piece.len()));
            if let Some(target) = target {
                target.copy_from_slice(piece);
            }
        } else {
            is_torn = true;
        }
        at += piece.len() as u64;
        rest = after;
    }
    is_torn
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    /// `a` is written, flushed, and written again; `b` is made, flushed, and its directory is not.
    fn history(old: &Path) -> History {
        let objects =
            vec![Base::Directory(BTreeMap::from([("a".to_owned(), 1)])), Base::File(old.to_owned()), Base::NewFile];
        let changes = [
            (1, Change::Write(0, vec![1; 9000])),
            (1, Change::Flush),
            (1, Change::Write(4096, vec![2; 4096])),
            (0, Change::Names(vec![("b".to_owned(), Some(2))])),
            (2, Change::Write(0, vec![3; 10])),
            (2, Change::Flush),
            (0, Change::Flush),
        ];
        let steps = changes.into_iter().enumerate();
        let steps = steps.map(|(line, (object, change))| Step { begin: line, end: line, object, change }).collect();
        History { objects, steps, sent: Vec::new(), lines: 7 }
    }

    /// All that a disk held after many cuts at a line: `a`, and `b` where it is.
    fn held(name: &str, line: usize, reading: Reading) -> BTreeSet<(Vec<u8>, Option<Vec<u8>>)> {
        let scratch = Scratch::new(&format!("remains-test-{name}")).unwrap();
        let old = scratch.path().join("old");
        fs::write(&old, "old").unwrap();
        let history = history(&old);
        let make = |seed: u64| {
            let to = scratch.path().join(seed.to_string());
            Cut { line, reading, seed }.make(&history, &to).unwrap();
            (fs::read(to.join("a")).unwrap(), fs::read(to.join("b")).ok())
        };
        (0..60).map(make).collect()
    }

    #[test]
    fn what_was_flushed_is_there_and_the_rest_may_be() {
        let flushed = vec![1_u8; 9000];
        let whole: Vec<u8> = [vec![1_u8; 4096], vec![2_u8; 4096], vec![1_u8; 808]].concat();
        assert_eq!(held("flushed", 2, Reading::Strict), BTreeSet::from([(flushed.clone(), None)]));
        let torn = held("torn", 3, Reading::Strict);
        assert!(torn.contains(&(flushed, None)) && torn.contains(&(whole, None)) && torn.len() > 2);
        // Sectors stay whole.
        let is_whole =
            |bytes: &[u8]| bytes.chunks(512).all(|sector| sector.iter().all(|byte| Some(byte) == sector.first()));
        assert!(torn.iter().all(|(a, _)| a.len() == 9000 && is_whole(a)));
    }

    #[test]
    fn a_file_is_flushed_without_its_name_by_the_strict_reading_only() {
        let names = |name: &str, line, reading| -> BTreeSet<Option<Vec<u8>>> {
            held(name, line, reading).into_iter().map(|(_, b)| b).collect()
        };
        let there = Some(vec![3_u8; 10]);
        assert_eq!(names("strict", 6, Reading::Strict), BTreeSet::from([None, there.clone()]));
        assert_eq!(names("ordered", 6, Reading::Ordered), BTreeSet::from([there.clone()]));
        assert_eq!(names("directory", 7, Reading::Strict), BTreeSet::from([there]));
        assert_eq!(names("nothing", 7, Reading::Nothing), BTreeSet::from([None]));
    }

    #[test]
    fn what_was_never_flushed_may_be_missing() {
        let found = held("unflushed", 1, Reading::Strict);
        assert!(found.iter().any(|(a, _)| a.starts_with(b"old")), "nothing was ever missing");
        assert_eq!(held("none", 7, Reading::Nothing), BTreeSet::from([(b"old".to_vec(), None)]));
    }
}
