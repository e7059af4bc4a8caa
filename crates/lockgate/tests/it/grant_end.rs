//! A grant is good until its end, and not at it, whatever else a bundle proves.

use std::fs;

use lockgate_ledger::bundle::{self, Query, Verified};
use lockgate_model::{Digest, EnvName, ServiceName, UnixMillis};

use crate::instance::{Instance, artifact};

#[test]
fn a_grant_is_good_until_its_end() {
    let lockgate = Instance::granted();
    lockgate.run(&["bundle", "get", "P-3", "--file", "p3.lockgate"]).exits(0);
    let bytes = fs::read(lockgate.file("p3.lockgate")).unwrap();
    let trust = lockgate.trust();
    let (service, environment): (ServiceName, EnvName) = ("shop/web".parse().unwrap(), "production".parse().unwrap());
    let verify = |now: UnixMillis| -> Result<Verified, &'static str> {
        let artifact = Digest::of(&artifact("1.4.2"));
        let query = Query { artifact, service: &service, environment: &environment, now };
        bundle::verify(&bytes, &trust, &query).map_err(|refusal| refusal.code)
    };
    let newest = lockgate.json(&["history", "--limit", "1"], 0);
    let now = UnixMillis(newest["items"][0]["time"].as_u64().unwrap());
    let end = verify(now).unwrap().grant.unwrap().event.not_after;
    assert!(now < end);
    assert!(verify(UnixMillis(end.0 - 1)).is_ok());
    assert_eq!(verify(end).unwrap_err(), "GRANT_EXPIRED");
}
