//! Proof: a bundle of the newest grant that verifies, made by the server's own code on a copy.

use std::sync::Arc;

use lockgate_engine::bodies::StoreBodies;
use lockgate_engine::bundle::build;
use lockgate_engine::engine::Parts;
use lockgate_engine::{Engine, reader};
use lockgate_ledger::bodies::required;
use lockgate_ledger::bundle::{Bundle, Query, verify};
use lockgate_ledger::{Event, Manifest, TrustFile};
use lockgate_model::{Digest, EntryIndex, EnvName, Limits, ServiceName, UnixMillis};
use lockgate_store_local::practice::PracticeCopy;

use super::attack::Halt;
use super::survey::Survey;
use crate::failure::Failure;
use crate::home::Home;
use crate::serve::load_keys;
use crate::world::{SystemClock, SystemEntropy};

/// Where a bundle is shown that is for elsewhere, when the policy set has only one environment.
const ELSEWHERE: &str = "elsewhere";

/// A bundle, and what it proves.
#[derive(Debug)]
pub struct Proof {
    /// The bundle.
    pub bundle: Bundle,
    /// The artifact that it lets run.
    pub artifact: Digest,
    /// Of which service.
    pub service: ServiceName,
    /// Where.
    pub environment: EnvName,
    /// Another place.
    pub elsewhere: EnvName,
    /// When: the moment of the grant, so that its end does not matter.
    pub now: UnixMillis,
}

impl Proof {
    /// What somebody asks who has an artifact and wants to run it somewhere, at the moment of the grant.
    pub fn query<'a>(&'a self, artifact: Digest, environment: &'a EnvName) -> Query<'a> {
        Query { artifact, service: &self.service, environment, now: self.now }
    }
}

/// Opens the ledger on a copy of its own, as a server would, and makes bundles until one verifies. `is_home` where the
/// data is the home's own.
///
/// # Errors
/// `Skipped` where nothing was granted, `Lacking` without the server's keys or without a grant that verifies.
pub fn find(
    served: &PracticeCopy,
    home: &Home,
    is_home: bool,
    trust: &TrustFile,
    survey: &Survey,
) -> Result<Proof, Halt> {
    if survey.grants.is_empty() {
        return Err(Halt::Skipped("nothing was granted in this ledger yet".to_owned()));
    }
    let keys = load_keys(home).map_err(|failure| Halt::keyless(&failure.message, is_home))?;
    let store = served.open()?;
    let parts = Parts {
        store: Arc::new(store),
        keys,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        // Only a copy would be lost; what was asked of it fails then.
        on_fatal: Box::new(|_| {}),
    };
    let engine = Engine::open(parts).map_err(Failure::from)?;
    let mut why = String::new();
    for index in survey.grants.iter().rev() {
        match proof_of(&engine, trust, *index) {
            Ok(proof) => return Ok(proof),
            Err(reason) => why = reason,
        }
    }
    let why = format!("no recent grant of this ledger verifies by itself: {why}; see `lockgate verify`");
    Err(Halt::Lacking { what: "a grant that verifies", why })
}

fn proof_of(engine: &Engine, trust: &TrustFile, index: EntryIndex) -> Result<Proof, String> {
    let entry = reader::entry(engine.store(), index).map_err(|fault| fault.message)?;
    let Event::GrantIssued(grant) = entry.event else { return Err(format!("entry {index} is no grant")) };
    let bytes = build(engine, grant.promotion).map_err(|fault| fault.message)?;
    let bodies = StoreBodies(engine.store());
    let manifest = required(&bodies, &grant.manifest).map_err(|error| error.to_string())?;
    let manifest = Manifest::from_bytes(&manifest, &Limits::DEFAULT).map_err(|error| error.to_string())?;
    let artifact = manifest.artifacts.first().map(|artifact| artifact.digest);
    let artifact = artifact.ok_or_else(|| format!("{} has no artifact", grant.release))?;
    let policy = engine.governance().map_err(|fault| fault.message)?.policy.clone();
    let mut others = policy.environments().iter().map(|known| known.name.clone());
    let elsewhere = others.find(|name| *name != grant.environment);
    let elsewhere = elsewhere.map_or_else(|| ELSEWHERE.parse::<EnvName>().map_err(|error| error.to_string()), Ok)?;
    let bundle = Bundle::from_bytes(&bytes).map_err(|error| error.message)?;
    let proof = Proof {
        bundle,
        artifact,
        service: grant.release.service.clone(),
        environment: grant.environment.clone(),
        elsewhere,
        now: entry.time,
    };
    let verdict = verify(&bytes, trust, &proof.query(artifact, &grant.environment));
    match verdict {
        Ok(_) => Ok(proof),
        Err(refusal) => Err(format!("{}: {}", refusal.code, refusal.message)),
    }
}
