-- Seals: what no entry proves carries a hash of its own row, so that damage is noticed when it is read.
-- A row that an earlier version wrote has none.

ALTER TABLE reply ADD COLUMN seal BLOB CHECK (seal IS NULL OR length(seal) = 32);
ALTER TABLE projection ADD COLUMN seal BLOB CHECK (seal IS NULL OR length(seal) = 32);
ALTER TABLE session ADD COLUMN seal BLOB CHECK (seal IS NULL OR length(seal) = 32);
