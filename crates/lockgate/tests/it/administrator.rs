//! The administrator: root on the server, every row of the database, and the key that signs the log; but no person's
//! key.
//!
//! Each crime is committed on a copy of a real data directory, with the guards of the database removed. Then everything
//! is made to fit again (tree, tiles, streams, head) and signed anew with the log's own key. A verifier with a pinned
//! trust file refuses what comes of it, and an auditor names it.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_ledger::bundle::Bundle;
use lockgate_ledger::change::{recovery_bytes, rotation_bytes, standing_bytes};
use lockgate_ledger::governance::{ActivationDocument, ENROLMENT_NAMESPACE, POLICY_NAMESPACE, document_bytes};
use lockgate_ledger::{Leaf, TrustFile};
use lockgate_model::{Digest, EntryIndex, Limits, PersonId, PromotionId};
use lockgate_policy::PolicySet;
use lockgate_sign::note::{Note, NoteKeyKind, NoteSigner};
use lockgate_sign::ssh_signer::SshSigner as _;
use lockgate_tlog::checkpoint::Checkpoint;
use lockgate_tlog::cosignature::cosign;
use lockgate_tlog::hash::leaf_hash;
use lockgate_tlog::tree::Tree;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::forgery::forger::{Forger, History};
use crate::instance::{Instance, Ran, copy_dir, text};

/// What is done, the reason for which it is refused offline, what the audit says, and how it is done.
type Crime = (&'static str, &'static str, &'static str, fn(&Administrator, &Copied));

const CRIMES: [Crime; 13] = [
    ("a row edited: another reason under sam's approval", "APPROVAL_TARGET", "APPROVAL_TARGET", row_edited),
    ("a document edited under its own name", "DIGEST_MISMATCH", "DIGEST_MISMATCH", document_edited),
    ("the approval removed, and pending made allow", "REPLAY_DECISION", "REPLAY_DECISION", approval_removed),
    ("an approval in sam's name, by the administrator's key", "KEY_UNKNOWN", "KEY_UNKNOWN", |own, copy| {
        copy.edit(own, |history| own.forger.approve(history, "sam"));
    }),
    (
        "an approval inserted, with what sam signed for something else",
        "SIGNATURE_INVALID",
        "SIGNATURE_INVALID",
        approval_borrowed,
    ),
    ("a person enrolled, vouched for in sam's name", "KEY_UNKNOWN", "KEY_UNKNOWN", |own, copy| {
        copy.edit(own, |history| {
            own.forger.invite(history);
            own.forger.approve(history, "mallory");
        });
    }),
    ("sam's key rotated to the administrator's", "KEY_UNKNOWN", "KEY_UNKNOWN", key_rotated),
    ("sam's keys recovered, by someone who may not", "NOT_PERMITTED", "NOT_PERMITTED", keys_recovered),
    ("the first policy set swapped for one that asks nobody", "GENESIS_MISMATCH", "GENESIS_MISMATCH", first_policy),
    ("another policy set activated in sam's name", "KEY_UNKNOWN", "KEY_UNKNOWN", policy_activated),
    ("dana suspended in sam's name", "KEY_UNKNOWN", "KEY_UNKNOWN", |own, copy| {
        own.change_standing(copy, "person.suspended", "dana");
    }),
    ("zoe reinstated in sam's name", "KEY_UNKNOWN", "KEY_UNKNOWN", |own, copy| {
        own.change_standing(copy, "person.reinstated", "zoe");
    }),
    ("rolled back to before the request, and asked anew", "ANCHOR_UNPROVEN", "HISTORY_CHANGED", asked_anew),
];

#[test]
fn the_administrator_forges_nothing() {
    let own = Administrator::new();
    own.checks_itself();
    let mut wrong = Vec::new();
    for (number, (what, offline, audited, commit)) in CRIMES.into_iter().enumerate() {
        let copy = own.copy(&format!("crime{number}"));
        commit(&own, &copy);
        copy.sign_again(&own);
        match own.forger.verdict(&copy.bundle(&own), &own.forger.trust) {
            Err((found, _)) if found == offline => {}
            Err((found, message)) => wrong.push(format!("{what}: wanted {offline}, got {found}: {message}")),
            Ok(()) => wrong.push(format!("{what}: ACCEPTED, wanted {offline}")),
        }
        let ran = own.audit(copy);
        let named = ran.stdout.lines().any(|line| line.trim_start().starts_with(&format!("x {audited} ")));
        if ran.code != 9 || !named {
            wrong.push(format!("{what}: the audit does not say {audited}: {ran}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), CRIMES.len(), wrong.join("\n"));
    println!("{} crimes of an administrator: each refused offline, each named by the audit", CRIMES.len());
}

/// A rolled-back database holds nothing but what people signed, so nothing in it gives it away: what does is somebody
/// who has seen more. That is a witness whom the trust file names, or a checkpoint that somebody kept.
#[test]
fn a_rolled_back_database_is_refused_where_somebody_has_seen_more() {
    let own = Administrator::new();
    let witness = NoteSigner::from_seed("witness.example", NoteKeyKind::CosignatureEd25519, &[5; 32]).unwrap();
    let log = own.forger.trust.policy().unwrap().logs()[0].vkey.to_string();
    let tlog_policy = format!("log {log}\nwitness elsewhere {}\nquorum elsewhere\n", witness.vkey());
    let witnessed = TrustFile { tlog_policy, ..own.forger.trust.clone() };

    // Control: the whole ledger, which the witness has seen, is accepted.
    let whole = own.copy("whole");
    whole.sign_again(&own);
    let mut bundle = whole.bundle(&own);
    let mut note = Note::parse(bundle.checkpoint.as_bytes(), &Limits::DEFAULT).unwrap();
    let head = Checkpoint::parse_body(&note.text).unwrap();
    note.signatures.push(cosign(&witness, &head, 1_767_225_600));
    bundle.checkpoint = note.to_text();
    assert_eq!(own.forger.verdict(&bundle, &witnessed), Ok(()));

    // The suspension of zoe is gone, and the log key has signed the shorter ledger.
    let back = own.copy("back");
    back.edit(&own, |history| {
        let suspended = history.last("person.suspended");
        history.leaves.truncate(suspended);
        history.show_all();
    });
    back.sign_again(&own);
    let bundle = back.bundle(&own);
    assert_eq!(own.forger.verdict(&bundle, &witnessed).unwrap_err().0, "WITNESS_QUORUM");
    // Without a witness it is what SECURITY.md says: P-3 is granted there too, as sam has signed it.
    assert_eq!(own.forger.verdict(&bundle, &own.forger.trust), Ok(()));
    let kept = own.instance.file("kept").display().to_string();
    own.instance.write("kept", own.forger.checkpoint(head.size, head.root));
    let back = back.close().display().to_string();
    let audit = ["audit", "--data", &back, "--trust", &own.trust, "--checkpoint", &kept];
    own.laptop.run(&audit).refused(9, "AUDIT_FAILED").says("ROLLBACK_DETECTED");
}

/// An intruder on a server that has granted `P-3` and suspended zoe, and an auditor's laptop that remembers nothing.
struct Administrator {
    instance: Instance,
    laptop: Instance,
    forger: Forger,
    /// The trust file that was pinned.
    trust: String,
    /// How many entries there were before anyone asked for a promotion.
    older: usize,
    /// The data directory as it was then, after the suspension.
    data: PathBuf,
}

impl Administrator {
    fn new() -> Self {
        let instance = Instance::demo();
        instance.push("1.4.2", "trivy.json").exits(0);
        let older = usize::try_from(instance.entries()).unwrap();
        instance.promote("1.4.2").exits(5);
        instance.run(&["approve", "P-3", "--as", "sam", "--yes"]).exits(0);
        instance.enrol_approver("zoe");
        instance.run(&["key", "suspend", "zoe", "--reason", "has left", "--yes", "--as", "sam"]).exits(0);
        instance.stop();
        let data = instance.file("data-of-that-day");
        copy_dir(&instance.home().join("data"), &data);
        instance.start(&[]).exits(0);
        let forger = Forger::break_in(&instance);
        let trust = instance.home().join("trust.json").display().to_string();
        Self { instance, laptop: Instance::new(), forger, trust, older, data }
    }

    /// Nothing is refused because the intruder is clumsy: what is signed again unchanged is accepted, and is sound.
    fn checks_itself(&self) {
        let copy = self.copy("unchanged");
        assert!(copy.leaves() == self.forger.honest.leaves, "the copy is the ledger of that day");
        copy.sign_again(self);
        assert!(copy.leaves() == self.forger.honest.leaves, "signing again changes no entry");
        assert_eq!(self.forger.verdict(&copy.bundle(self), &self.forger.trust), Ok(()));
        self.audit(copy).exits(0).says("is sound").says("as pinned in the trust file");
    }

    fn copy(&self, name: &str) -> Copied {
        Copied::of(&self.data, self.instance.file(name))
    }

    fn audit(&self, copy: Copied) -> Ran {
        let data = copy.close().display().to_string();
        self.laptop.run(&["audit", "--data", &data, "--trust", &self.trust])
    }

    /// Suspends or reinstates someone at the end of the ledger, as if sam had signed it.
    fn change_standing(&self, copy: &Copied, event: &str, name: &str) {
        let person: PersonId = name.parse().unwrap();
        copy.edit(self, |history| {
            let about = |at: &usize| {
                let entry = history.entry(*at);
                let kind = entry["event"]["type"].as_str().unwrap_or_default();
                ["person.enrolled", "person.suspended"].contains(&kind) && entry["event"]["body"]["person"] == name
            };
            let end = history.leaves.len();
            let previous_at = (0..end).rev().find(about).unwrap() as u64;
            let suspended = event == "person.suspended";
            let (index, reason) = (EntryIndex(previous_at), "as agreed");
            let document = standing_bytes(&self.forger.origin, &person, suspended, index, reason).unwrap();
            let body = json!({
                "person": name,
                "previous_at": previous_at,
                "reason": reason,
                "by": "sam",
                "signature": self.forger.sign(ENROLMENT_NAMESPACE, &document),
            });
            insert(history, end, event, body);
        });
    }
}

/// Puts an event by sam before the entry at `at`.
fn insert(history: &mut History, at: usize, event: &str, body: Value) {
    let mut entry = history.entry(2);
    assert_eq!(entry["actor"]["id"], "sam");
    entry["time"] = time_before(history, at);
    entry["event"] = json!({ "type": event, "body": body });
    history.insert(at, &entry);
}

/// The time of the entry before the one at `at`: an entry; leaves of attestations have none.
fn time_before(history: &History, at: usize) -> Value {
    let mut times = (0..at).rev().map(|before| history.entry(before)["time"].clone());
    times.find(Value::is_number).unwrap()
}

/// A copy of a data directory without the guards of its database.
struct Copied {
    dir: PathBuf,
    connection: Connection,
}

impl Copied {
    fn of(data: &Path, dir: PathBuf) -> Self {
        copy_dir(data, &dir);
        let connection = Connection::open(dir.join("ledger.db")).unwrap();
        let names: Vec<String> = {
            let mut select = connection.prepare("SELECT name FROM sqlite_master WHERE type = 'trigger'").unwrap();
            select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        assert!(names.len() > 5, "the database has guards");
        names.iter().for_each(|name| connection.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
        Self { dir, connection }
    }

    /// Writes everything to the disk, and gives the directory.
    fn close(self) -> PathBuf {
        drop(self.connection);
        self.dir
    }

    fn leaves(&self) -> Vec<Vec<u8>> {
        let mut select = self.connection.prepare("SELECT bytes FROM entry ORDER BY idx").unwrap();
        select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// The documents under the names that they have.
    fn documents(&self) -> Vec<(Digest, Vec<u8>)> {
        let mut select = self.connection.prepare("SELECT digest, bytes FROM document").unwrap();
        let rows = select.query_map([], |row| Ok((row.get::<_, [u8; 32]>(0)?, row.get(1)?))).unwrap();
        rows.map(|row| row.map(|(digest, bytes)| (Digest::from_bytes(digest), bytes)).unwrap()).collect()
    }

    /// What the database says, about `P-3`; evidence lies beside it.
    fn history(&self, own: &Administrator) -> History {
        let leaves = self.leaves();
        let mut bodies = own.forger.honest.bodies.clone();
        self.documents().into_iter().for_each(|(_, bytes)| {
            bodies.insert(bytes);
        });
        History { shown: (0..leaves.len()).collect(), leaves, bodies, promotion: PromotionId(3) }
    }

    /// Edits what the database says, and makes links, facts and decisions fit.
    fn edit(&self, own: &Administrator, change: impl FnOnce(&mut History)) {
        let mut history = self.history(own);
        change(&mut history);
        history.settle();
        self.write(own, &history);
    }

    /// Writes entries, streams, tiles, head and documents, and signs the head.
    fn write(&self, own: &Administrator, history: &History) {
        let tables = "DELETE FROM entry; DELETE FROM tile; DELETE FROM stream_entry; DELETE FROM stream;";
        self.connection.execute_batch(&format!("BEGIN; {tables}")).unwrap();
        let mut tree = Tree::empty();
        for (index, leaf) in (0_i64..).zip(&history.leaves) {
            tree.append(leaf_hash(leaf));
            self.put("INSERT INTO entry (idx, bytes) VALUES (?1, ?2)", params![index, leaf]);
            self.put_streams(index, leaf);
        }
        for tile in tree.take_tiles() {
            let index = i64::try_from(tile.index).unwrap();
            self.put(
                "INSERT INTO tile (level, idx, hashes) VALUES (?1, ?2, ?3)",
                params![tile.level, index, tile.hashes],
            );
        }
        let (size, root) = (tree.size(), tree.root());
        self.put(
            "UPDATE head SET size = ?1, root = ?2",
            params![i64::try_from(size.0).unwrap(), root.as_bytes().as_slice()],
        );
        self.put("UPDATE checkpoint SET note = ?1", params![own.forger.checkpoint(size, root).into_bytes()]);
        for (digest, bytes) in history.bodies.iter() {
            let digest = digest.as_bytes().as_slice();
            self.put("INSERT OR IGNORE INTO document (digest, bytes) VALUES (?1, ?2)", params![digest, bytes]);
        }
        self.connection.execute_batch("COMMIT").unwrap();
    }

    fn put_streams(&self, index: i64, leaf: &[u8]) {
        let Ok(Leaf::Entry(entry)) = Leaf::decode(leaf, &Limits::DEFAULT) else { return };
        for link in &entry.streams {
            let (name, seq) = (link.stream.as_str(), i64::try_from(link.seq).unwrap());
            let head = "INSERT INTO stream (name, seq, idx) VALUES (?1, ?2, ?3)
                        ON CONFLICT (name) DO UPDATE SET seq = excluded.seq, idx = excluded.idx";
            self.put(head, params![name, seq, index]);
            let place = "INSERT OR REPLACE INTO stream_entry (stream_id, seq, idx)
                         SELECT id, ?2, ?3 FROM stream WHERE name = ?1";
            self.put(place, params![name, seq, index]);
        }
    }

    fn put(&self, statement: &str, values: impl rusqlite::Params) {
        self.connection.prepare_cached(statement).unwrap().execute(values).unwrap();
    }

    /// Makes tree, tiles and streams those of the rows, and signs the head with the log's own key.
    fn sign_again(&self, own: &Administrator) {
        self.write(own, &self.history(own));
    }

    /// A bundle of what the database holds, documents under the names that they have there.
    fn bundle(&self, own: &Administrator) -> Bundle {
        let mut bundle = own.forger.bundle(&self.history(own));
        for (digest, bytes) in self.documents() {
            bundle.bodies.insert(digest, STANDARD.encode(bytes));
        }
        bundle
    }
}

fn row_edited(_: &Administrator, copy: &Copied) {
    let changed = copy.connection.execute(
        "UPDATE entry SET bytes = CAST(replace(CAST(bytes AS TEXT), 'weekly release', 'secret release') AS BLOB)
         WHERE instr(CAST(bytes AS TEXT), 'promotion.requested') AND instr(CAST(bytes AS TEXT), '\"P-3\"')",
        [],
    );
    assert_eq!(changed.unwrap(), 1);
}

fn document_edited(own: &Administrator, copy: &Copied) {
    let policy: Digest = text(&own.forger.honest.entry(0)["event"]["body"]["policy"]).parse().unwrap();
    let changed = copy.connection.execute(
        "UPDATE document SET bytes = CAST(replace(CAST(bytes AS TEXT), 'at_least = 1', 'at_least = 0') AS BLOB)
         WHERE digest = ?1",
        [policy.as_bytes().as_slice()],
    );
    assert_eq!(changed.unwrap(), 1);
}

/// The decision says `allow` all the same, on documents that say what the rules make of it.
fn approval_removed(own: &Administrator, copy: &Copied) {
    copy.edit(own, |history| {
        let approval = history.last("approval.recorded");
        history.remove(approval);
    });
}

/// Beside sam's own approval stands another one, under the signature by which sam proved the key at the enrolment.
fn approval_borrowed(own: &Administrator, copy: &Copied) {
    copy.edit(own, |history| {
        let proof = history.entry(1)["event"]["body"]["proof"].clone();
        let at = history.last("approval.recorded");
        let mut entry = history.entry(at);
        entry["event"]["body"]["signature"] = proof;
        history.insert(at + 1, &entry);
    });
}

fn key_rotated(own: &Administrator, copy: &Copied) {
    let (forger, sam): (&Forger, PersonId) = (&own.forger, "sam".parse().unwrap());
    copy.edit(own, |history| {
        let key = forger.own.public_key();
        let replaces = text(&history.entry(history.last("approval.recorded"))["event"]["body"]["key"]);
        let document = rotation_bytes(&forger.origin, &sam, key, &replaces, None, &[]).unwrap();
        let signature = forger.sign(ENROLMENT_NAMESPACE, &document);
        let body =
            json!({ "person": "sam", "key": key, "proof": signature, "replaces": replaces, "signature": signature });
        insert(history, 2, "key.rotated", body);
        forger.approve(history, "sam");
    });
}

fn keys_recovered(own: &Administrator, copy: &Copied) {
    let (forger, sam): (&Forger, PersonId) = (&own.forger, "sam".parse().unwrap());
    copy.edit(own, |history| {
        let key = forger.own.public_key();
        let document = recovery_bytes(&forger.origin, &sam, key, "lost", None, &[]).unwrap();
        let signature = forger.sign(ENROLMENT_NAMESPACE, &document);
        let body = json!({
            "person": "sam",
            "key": key,
            "proof": signature,
            "reason": "lost",
            "by": "dana",
            "signature": signature,
        });
        insert(history, 4, "key.recovered", body);
        forger.approve(history, "sam");
    });
}

/// A policy set that asks nobody.
fn lax_policy() -> PolicySet {
    let mut files = PolicySet::starter("starter").unwrap();
    files.retain(|path, _| path != "gates/approvals.toml" && !path.starts_with("tests/"));
    PolicySet::from_files(files).unwrap()
}

fn first_policy(own: &Administrator, copy: &Copied) {
    copy.edit(own, |history| {
        let policy = history.bodies.insert(lax_policy().document());
        history.edit(0, |entry| entry["event"]["body"]["policy"] = json!(policy));
    });
}

fn policy_activated(own: &Administrator, copy: &Copied) {
    copy.edit(own, |history| {
        let policy = history.bodies.insert(lax_policy().document());
        let previous: Digest = text(&history.entry(0)["event"]["body"]["policy"]).parse().unwrap();
        let document = ActivationDocument {
            schema: "https://lockgate.dev/policy-activation/v1",
            ledger: &own.forger.origin,
            policy,
            previous,
            previous_at: EntryIndex(0),
            reason: "lighter gates",
            backtest: None,
        };
        let body = json!({
            "policy": policy,
            "previous": previous,
            "previous_at": 0,
            "reason": "lighter gates",
            "by": "sam",
            "signature": own.forger.sign(POLICY_NAMESPACE, &document_bytes(&document).unwrap()),
        });
        insert(history, 4, "policy.activated", body);
        let approval = history.last("approval.recorded");
        history.remove(approval);
    });
}

/// Everything after the publication is taken back, and happens again after one more entry, up to the grant.
fn asked_anew(own: &Administrator, copy: &Copied) {
    copy.edit(own, |history| {
        let granted = history.last("grant.issued");
        history.leaves.truncate(granted + 1);
        history.show_all();
        let evidence = history.last("evidence.recorded");
        assert!(evidence < own.older, "evidence came before the request");
        let mut again = history.entry(evidence);
        again["time"] = time_before(history, own.older);
        history.insert(own.older, &again);
    });
}
