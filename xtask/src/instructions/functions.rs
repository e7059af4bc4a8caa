//! Functions: what is counted, and on what.

use std::hint::black_box;
use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use lockgate_evidence::{Format, read};
use lockgate_ledger::state::Slice;
use lockgate_ledger::{BodyMap, Entry, Leaf, State, TrustFile, bundle};
use lockgate_model::json::{self, Numbers};
use lockgate_model::{Digest, EntryIndex, Limits, TreeSize, canonical};
use lockgate_policy::decide;
use lockgate_sign::dsse::{Envelope, Signature, pae};
use lockgate_sign::public_key::PublicKey;
use lockgate_sign::ssh::SshSignature;
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};
use lockgate_tlog::proof::verify_inclusion;
use lockgate_tlog::{Tree, leaf_hash, node_hash};

use super::samples::Samples;
use crate::bench;
use crate::failure::{During as _, Failure, Result};
use crate::random::Random;

/// How deep the tree of the inclusion proof is: a million entries.
const LEVELS: u32 = 20;
/// How many entries are appended to a tree in one call, and how long each is, in bytes.
const APPENDED: u64 = 1000;
const ENTRY_BYTES: usize = 300;
/// How long the payload of the envelope and the signed message are, in bytes.
const PAYLOAD_BYTES: usize = 2048;
/// What the envelope holds.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// What the SSH signature is for.
const NAMESPACE: &str = "instructions@lockgate.dev";

/// One call.
type Step = Box<dyn Fn() -> Result<()>>;

/// What is counted.
pub struct Function {
    /// Its name in the table.
    pub name: &'static str,
    /// How many calls are counted.
    pub times: u64,
    prepare: fn(&Samples) -> Result<Step>,
}

/// All of them, in the order of the rooms.
pub static FUNCTIONS: [Function; 10] = [
    Function { name: "canonical-json", times: 10, prepare: canonical_json },
    Function { name: "json-read", times: 10, prepare: json_read },
    Function { name: "dsse-verify-ed25519", times: 20, prepare: dsse_verify },
    Function { name: "sshsig-verify-ed25519", times: 20, prepare: sshsig_verify },
    Function { name: "inclusion-proof", times: 100, prepare: inclusion_proof },
    Function { name: "tile-append-1000", times: 5, prepare: tile_append },
    Function { name: "cyclonedx-read", times: 5, prepare: cyclonedx_read },
    Function { name: "decide-20-gates", times: 10, prepare: decide_gates },
    Function { name: "state-apply-ledger", times: 5, prepare: state_apply },
    Function { name: "bundle-verify", times: 5, prepare: bundle_verify },
];

/// Calls a function so many times.
///
/// # Errors
/// When there is none of that name, or a call fails.
pub fn call(name: &str, times: u64, samples: &Path) -> Result<()> {
    let found = FUNCTIONS.iter().find(|function| function.name == name);
    let function = found.ok_or_else(|| Failure::new(format!("there is no function `{name}`")))?;
    let step = (function.prepare)(&Samples::read(samples)?)?;
    for _ in 0..times {
        step().during(name)?;
    }
    Ok(())
}

fn canonical_json(_: &Samples) -> Result<Step> {
    let value = serde_json::to_value(bench::facts()?)?;
    Ok(Box::new(move || -> Result<()> {
        black_box(canonical::to_vec(black_box(&value))?);
        Ok(())
    }))
}

fn json_read(samples: &Samples) -> Result<Step> {
    let bytes = samples.sbom.decode()?;
    Ok(Box::new(move || -> Result<()> {
        black_box(json::read(black_box(&bytes), &Limits::DEFAULT, Numbers::Any)?);
        Ok(())
    }))
}

/// Reading included: what is verified is what came over the network.
fn dsse_verify(_: &Samples) -> Result<Step> {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32])?;
    let public: &[u8] = pair.public_key().as_ref();
    let key = PublicKey::from_ed25519(<[u8; 32]>::try_from(public)?);
    let payload = Random::new(4).bytes(PAYLOAD_BYTES);
    let sig = pair.try_sign(&pae(PAYLOAD_TYPE, &payload))?.as_ref().to_vec();
    let signatures = vec![Signature { keyid: String::new(), sig }];
    let bytes = Envelope { payload, payload_type: PAYLOAD_TYPE.to_owned(), signatures }.to_json();
    let keys = [key];
    Ok(Box::new(move || -> Result<()> {
        let envelope = Envelope::parse(black_box(&bytes), &Limits::DEFAULT)?;
        match envelope.verify(&keys).len() {
            1 => Ok(()),
            _ => Err(Failure::new("the envelope does not verify")),
        }
    }))
}

/// Reading included.
fn sshsig_verify(_: &Samples) -> Result<Step> {
    let signer = FileSigner::ed25519_from_seed(&[5; 32], "instructions")?;
    let message = Random::new(6).bytes(PAYLOAD_BYTES);
    let armored = signer.sign(NAMESPACE, &message)?.to_armored();
    let key = signer.public_key().clone();
    Ok(Box::new(move || -> Result<()> {
        SshSignature::parse_armored(black_box(&armored))?.verify(&message, NAMESPACE, &key)?;
        Ok(())
    }))
}

fn inclusion_proof(_: &Samples) -> Result<Step> {
    let leaf = leaf_hash(b"an entry");
    let path: Vec<Digest> = (0..LEVELS).map(|level| Digest::of(&level.to_be_bytes())).collect();
    // The first entry of a full tree: every other half stands to the right.
    let root = path.iter().fold(leaf, |hash, sibling| node_hash(&hash, sibling));
    let size = TreeSize(1 << LEVELS);
    Ok(Box::new(move || -> Result<()> {
        verify_inclusion(EntryIndex(0), size, black_box(&leaf), black_box(&path), &root)?;
        Ok(())
    }))
}

/// Leaf hashes, nodes, and the tiles that have to be written.
fn tile_append(_: &Samples) -> Result<Step> {
    let entries: Vec<Vec<u8>> = (0..APPENDED).map(|number| Random::new(number).bytes(ENTRY_BYTES)).collect();
    Ok(Box::new(move || -> Result<()> {
        let mut tree = Tree::empty();
        for entry in black_box(&entries) {
            tree.append(leaf_hash(entry));
        }
        black_box((tree.root(), tree.take_tiles()));
        Ok(())
    }))
}

fn cyclonedx_read(samples: &Samples) -> Result<Step> {
    let bytes = samples.sbom.decode()?;
    Ok(Box::new(move || -> Result<()> {
        black_box(read(Format::CycloneDx, black_box(&bytes), &Limits::DEFAULT)?);
        Ok(())
    }))
}

fn decide_gates(_: &Samples) -> Result<Step> {
    let (policy, facts) = (bench::policy()?, bench::facts()?);
    Ok(Box::new(move || -> Result<()> {
        black_box(decide(&policy, black_box(&facts)));
        Ok(())
    }))
}

/// Every entry of the small ledger, with each signature in it; entries are decoded before.
fn state_apply(samples: &Samples) -> Result<Step> {
    let mut bodies = BodyMap::default();
    for body in &samples.bodies {
        bodies.insert(body.decode()?);
    }
    let mut entries: Vec<(EntryIndex, Entry)> = Vec::new();
    for (index, bytes) in (0..).map(EntryIndex).zip(&samples.entries) {
        if let Leaf::Entry(entry) = Leaf::decode(&bytes.decode()?, &Limits::DEFAULT)? {
            entries.push((index, *entry));
        }
    }
    Ok(Box::new(move || -> Result<()> {
        let mut state = State::default();
        for (index, entry) in &entries {
            state.apply(*index, entry, &bodies, Slice::Whole)?;
        }
        black_box(state);
        Ok(())
    }))
}

/// What `lockgate verify --bundle` does, without its questions about one file.
fn bundle_verify(samples: &Samples) -> Result<Step> {
    let bytes = samples.bundle.decode()?;
    let trust = TrustFile::from_bytes(&samples.trust.decode()?)?;
    Ok(Box::new(move || -> Result<()> {
        let mut checks = Vec::new();
        black_box(bundle::open(black_box(&bytes), &trust, &mut checks)?);
        Ok(())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instructions::samples;
    use crate::scratch::Scratch;

    #[test]
    fn every_function_does_its_work() {
        let scratch = Scratch::new("instructions-test").unwrap();
        let file = scratch.path().join("samples.json");
        samples::write(scratch.path(), &file).unwrap();
        for function in &FUNCTIONS {
            call(function.name, 2, &file).unwrap();
        }
        assert!(call("nothing", 1, &file).is_err());
    }
}
