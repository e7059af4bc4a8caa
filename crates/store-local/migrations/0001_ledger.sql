-- The first schema: ledger, streams, tiles, documents, replies, projections and sessions.
-- Applied migrations are never edited; a change is a new file.

PRAGMA application_id = 1279413076;

CREATE TABLE entry (
  idx INTEGER PRIMARY KEY CHECK (idx >= 0),
  bytes BLOB NOT NULL CHECK (length(bytes) BETWEEN 1 AND 65535),
  leaf_hash BLOB NOT NULL CHECK (length(leaf_hash) = 32)
) STRICT;

-- INVARIANT (ledger only grows): also a REPLACE, which removes a row without a delete trigger, stops here.
CREATE TRIGGER entry_follows BEFORE INSERT ON entry
WHEN new.idx IS NOT (SELECT coalesce(max(idx) + 1, 0) FROM entry)
BEGIN SELECT raise(ABORT, 'entries follow each other without a gap'); END;
CREATE TRIGGER entry_stands BEFORE UPDATE ON entry
BEGIN SELECT raise(ABORT, 'an entry is never changed'); END;
CREATE TRIGGER entry_stays BEFORE DELETE ON entry
BEGIN SELECT raise(ABORT, 'an entry is never removed'); END;

CREATE TABLE stream (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  seq INTEGER NOT NULL CHECK (seq >= 0),
  idx INTEGER NOT NULL CHECK (idx >= 0)
) STRICT;

CREATE TABLE stream_entry (
  stream_id INTEGER NOT NULL,
  seq INTEGER NOT NULL CHECK (seq >= 0),
  idx INTEGER NOT NULL CHECK (idx >= 0),
  PRIMARY KEY (stream_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER stream_entry_stands BEFORE UPDATE ON stream_entry
BEGIN SELECT raise(ABORT, 'a stream is never renumbered'); END;
CREATE TRIGGER stream_entry_stays BEFORE DELETE ON stream_entry
BEGIN SELECT raise(ABORT, 'a stream never loses an entry'); END;

CREATE TABLE tile (
  level INTEGER NOT NULL CHECK (level BETWEEN 0 AND 7),
  idx INTEGER NOT NULL CHECK (idx >= 0),
  hashes BLOB NOT NULL CHECK (length(hashes) BETWEEN 32 AND 8192 AND length(hashes) % 32 = 0),
  PRIMARY KEY (level, idx)
) STRICT, WITHOUT ROWID;

-- INVARIANT (full tiles stand): new content extends the old, and a full tile has no room for more.
CREATE TRIGGER tile_extends_on_insert BEFORE INSERT ON tile
WHEN EXISTS (
  SELECT 1 FROM tile AS held
  WHERE held.level = new.level AND held.idx = new.idx
    AND substr(new.hashes, 1, length(held.hashes)) IS NOT held.hashes
)
BEGIN SELECT raise(ABORT, 'a tile only grows at its end'); END;
CREATE TRIGGER tile_extends BEFORE UPDATE ON tile
WHEN new.level IS NOT old.level OR new.idx IS NOT old.idx
  OR substr(new.hashes, 1, length(old.hashes)) IS NOT old.hashes
BEGIN SELECT raise(ABORT, 'a tile only grows at its end'); END;
CREATE TRIGGER tile_stays BEFORE DELETE ON tile
BEGIN SELECT raise(ABORT, 'a tile is never removed'); END;

CREATE TABLE head (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  size INTEGER NOT NULL CHECK (size >= 0),
  root BLOB NOT NULL CHECK (length(root) = 32)
) STRICT;

-- The root of an empty tree is the SHA-256 of nothing (RFC 6962, section 2.1).
INSERT INTO head (one, size, root)
VALUES (1, 0, x'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');

CREATE TRIGGER head_grows BEFORE UPDATE ON head
WHEN new.size < old.size OR (new.size = old.size AND new.root IS NOT old.root)
BEGIN SELECT raise(ABORT, 'the ledger only grows'); END;
CREATE TRIGGER head_stands BEFORE INSERT ON head
BEGIN SELECT raise(ABORT, 'there is one head'); END;
CREATE TRIGGER head_stays BEFORE DELETE ON head
BEGIN SELECT raise(ABORT, 'the head is never removed'); END;

CREATE TABLE checkpoint (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  note BLOB NOT NULL
) STRICT;

CREATE TABLE document (
  digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
  bytes BLOB NOT NULL
) STRICT;

-- INVARIANT (documents stand).
CREATE TRIGGER document_is_new BEFORE INSERT ON document
WHEN EXISTS (SELECT 1 FROM document AS held WHERE held.digest = new.digest AND held.bytes IS NOT new.bytes)
BEGIN SELECT raise(ABORT, 'a document is never changed'); END;
CREATE TRIGGER document_stands BEFORE UPDATE ON document
BEGIN SELECT raise(ABORT, 'a document is never changed'); END;
CREATE TRIGGER document_stays BEFORE DELETE ON document
BEGIN SELECT raise(ABORT, 'a document is never removed'); END;

CREATE TABLE reply (
  key TEXT NOT NULL PRIMARY KEY,
  request BLOB NOT NULL CHECK (length(request) = 32),
  body BLOB NOT NULL,
  at INTEGER NOT NULL
) STRICT;
CREATE INDEX reply_at ON reply (at);

CREATE TABLE projection (
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
  token_hash BLOB NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
  subject TEXT NOT NULL,
  created INTEGER NOT NULL,
  last_used INTEGER NOT NULL,
  expires INTEGER NOT NULL
) STRICT;
CREATE INDEX session_subject ON session (subject);
CREATE INDEX session_expires ON session (expires);
