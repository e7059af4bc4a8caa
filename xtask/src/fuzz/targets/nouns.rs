//! The nouns of the model: JSON, canonical JSON, digests, names, times, versions.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use lockgate_model::facts::FeedKind;
use lockgate_model::json::{self, Numbers};
use lockgate_model::{
    ChangeId, Digest, EnvName, GateName, GroupName, Limits, PersonId, PromotionId, ReleaseName, RoleName, ServiceName,
    SignerName, Span, StreamName, UnixMillis, Version, canonical,
};
use serde_json::Value;

use super::Target;
use crate::failure::Result;
use crate::fuzz::outcome::Outcome;
use crate::fuzz::samples::{Samples, folder, texts};

/// Every target.
///
/// # Errors
/// When a sample cannot be read.
pub fn targets(samples: &Samples) -> Result<Vec<Target>> {
    let documents = [folder("crates/evidence/testdata", "json")?, samples.attacks(&["json", "canonical"])].concat();
    let names = |known: &[&str]| [texts(known), samples.attacks(&["name", "text", "digest"])].concat();
    let mut all = vec![
        Target::new("json", documents.clone(), |input| {
            let integers = json::read(input, &Limits::DEFAULT, Numbers::Integers);
            let any = json::read(input, &Limits::DEFAULT, Numbers::Any);
            let mut outcome = Outcome::of(&any);
            if integers.is_ok() && any.is_err() {
                outcome.broken = Some("what is read with integers alone is refused with any number".to_owned());
            }
            outcome
        }),
        Target::new("canonical", [documents, texts(&["{\"a\":[1,-2,null,true,\"\\u0001\"]}"])].concat(), |input| {
            let read = canonical::from_slice::<Value>(input, &Limits::DEFAULT);
            Outcome::spelled(input, &read, canonical::to_vec::<Value>)
        }),
    ];
    all.extend([
        text::<Digest>("digest", names(&["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"])),
        text::<ServiceName>("service-name", names(&["shop/web", "a"])),
        text::<EnvName>("environment-name", names(&["production"])),
        text::<PersonId>("person-id", names(&["dana", "ci"])),
        text::<GroupName>("group-name", names(&["approvers"])),
        text::<RoleName>("role-name", names(&["owner"])),
        text::<SignerName>("signer-name", names(&["scanner"])),
        text::<GateName>("gate-name", names(&["tests"])),
        text::<ReleaseName>("release-name", names(&["shop/web@1.4.2", "a@0.0.1-rc.1+b"])),
        text::<Version>("version", names(&["1.4.2", "1.0.0-alpha.1+build.5", "0.0.0"])),
        text::<StreamName>(
            "stream-name",
            names(&["governance", "promotions", "release:shop/web@1.4.2", "person:dana"]),
        ),
        text::<PromotionId>("promotion-id", names(&["P-1", "P-18446744073709551615"])),
        text::<ChangeId>("change-id", names(&["C-1"])),
        text::<UnixMillis>(
            "time",
            names(&["2026-11-20T10:00:00Z", "1970-01-01T00:00:00.123Z", "9999-12-31T23:59:59Z"]),
        ),
        text::<Span>("span", names(&["90d", "72h", "15m", "30s", "0s"])),
        text::<FeedKind>("feed-kind", names(&["kev", "epss"])),
    ]);
    Ok(all)
}

fn text<T>(name: &str, seeds: Vec<Vec<u8>>) -> Target
where
    T: FromStr + Debug + Display + 'static,
    T::Err: Debug + Display,
{
    Target::new(name, seeds, Outcome::text::<T>)
}
