//! What is stored beside the entries: checkpoint, older heads, tiles and streams, compared with what the entries give.

use lockgate_model::{EntryIndex, Limits, StreamName, TreeSize};
use lockgate_sign::note::Note;
use lockgate_tlog::checkpoint::Checkpoint;

use super::{Anchor, Audit, AuditSource, PAGE};
use crate::entry::StreamPosition;

impl<S: AuditSource> Audit<'_, S> {
    /// The stored checkpoint is an anchor like any other; its signature is checked at the end, when the key is known.
    pub(super) fn check_stored_checkpoint(&mut self) {
        let Ok(Some(bytes)) = &self.checkpoint else { return };
        let body = Note::parse(bytes, &Limits::DEFAULT).ok().and_then(|note| Checkpoint::parse_body(&note.text).ok());
        match body {
            Some(checkpoint) => {
                self.anchors.push(Anchor {
                    source: "the stored checkpoint".to_owned(),
                    size: checkpoint.size,
                    root: checkpoint.root,
                });
            }
            None => self.problem("CHECKPOINT_INVALID", None, "the stored checkpoint does not parse".to_owned()),
        }
    }

    pub(super) fn check_anchors(&mut self) {
        let size = TreeSize(self.report.entries);
        if !self.anchors.iter().any(|anchor| anchor.size == size) {
            return;
        }
        let root = self.tree.root();
        let reached: Vec<Anchor> = self.anchors.iter().filter(|anchor| anchor.size == size).cloned().collect();
        self.anchors.retain(|anchor| anchor.size != size);
        for anchor in reached {
            match anchor.root == root {
                true => self.report.anchors += 1,
                false => self.problem(
                    "HISTORY_CHANGED",
                    None,
                    format!("{} kept another root for the first {size} entries", anchor.source),
                ),
            }
        }
    }

    pub(super) fn check_tiles(&mut self) {
        for tile in self.tree.take_tiles() {
            match self.source.tile(tile.level, tile.index) {
                Ok(Some(stored)) if stored.starts_with(&tile.hashes) => {}
                Ok(_) => self.problem(
                    "TILE_MISMATCH",
                    None,
                    format!("tile {} of level {} is not what the entries give", tile.index, tile.level),
                ),
                Err(error) => self.problem("TILE_UNREADABLE", None, error),
            }
        }
    }

    pub(super) fn check_streams(&mut self) {
        for (stream, expected) in std::mem::take(&mut self.streams) {
            let stored = match self.source.stream(&stream, 0, expected.len() + 1) {
                Ok(stored) => stored,
                Err(error) => return self.problem("STREAM_UNREADABLE", None, error),
            };
            // What was appended since the audit began is no part of it.
            let newer = |(_, index): &(u64, EntryIndex)| index.0 >= self.size.0;
            let same = stored.len() >= expected.len()
                && stored.iter().skip(expected.len()).all(newer)
                && stored
                    .iter()
                    .zip(&expected)
                    .enumerate()
                    .all(|(at, ((seq, index), expected))| *seq == at as u64 && index == expected);
            if !same {
                self.problem(
                    "STREAM_INDEX_MISMATCH",
                    None,
                    format!("the index of `{stream}` is not what the entries give"),
                );
            }
        }
    }

    /// Whether a stored head is its stream's newest entry.
    fn is_newest(&self, head: &StreamPosition) -> bool {
        let StreamPosition { stream, seq, index } = head;
        // What was appended since the audit began is no part of it; its index is all there is to compare with.
        if index.0 >= self.size.0 {
            return self.source.stream(stream, *seq, 1).is_ok_and(|stored| stored == [(*seq, *index)]);
        }
        let entries = self.streams.get(stream);
        entries.is_some_and(|entries| entries.last() == Some(index) && entries.len() as u64 == seq.saturating_add(1))
    }

    /// No stored stream is without entries, and each has its newest one stored as its head.
    pub(super) fn check_stream_heads(&mut self) {
        let mut after: Option<StreamName> = None;
        loop {
            let page = match self.source.stream_heads(after.as_ref(), PAGE) {
                Ok(page) => page,
                Err(error) => return self.problem("STREAM_UNREADABLE", None, error),
            };
            for head in &page {
                if self.is_newest(head) {
                    continue;
                }
                let stream = &head.stream;
                let message = match self.streams.contains_key(stream) {
                    true => format!("the newest entry of `{stream}` is another than its stored head"),
                    false => format!("no entry stands in the stored stream `{stream}`"),
                };
                self.problem("STREAM_INDEX_MISMATCH", None, message);
            }
            after = page.last().map(|head| head.stream.clone());
            if page.len() < PAGE {
                return;
            }
        }
    }
}
