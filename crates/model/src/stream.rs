//! Streams: the named chains that make a slice of history provably complete.

use std::fmt;
use std::str::FromStr;

use crate::{Digest, EnvName, PersonId, PromotionId, ReleaseName, ServiceName};

/// The name of one chain of entries; each entry of it points at the one before.
///
/// `governance` (keys, people, policy), `promotions` (every request, in order), `release:<service>@<version>`,
/// `promotion:<P-n>`, `artifact:<digest>`, `service:<service>`, `environment:<name>`,
/// `running:<environment>/<service>` (grants and their ends), `person:<id>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(String);

/// Why a text is not a stream name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a stream")]
pub struct StreamNameError(String);

impl StreamName {
    /// Keys, people, machines, policy sets.
    pub fn governance() -> Self {
        Self("governance".to_owned())
    }
    /// Every promotion request; the n-th entry names `P-n`.
    pub fn promotions() -> Self {
        Self("promotions".to_owned())
    }
    /// Everything about one release.
    pub fn release(release: &ReleaseName) -> Self {
        Self(format!("release:{release}"))
    }
    /// Everything about one promotion.
    pub fn promotion(promotion: PromotionId) -> Self {
        Self(format!("promotion:{promotion}"))
    }
    /// The releases that contain one artifact, and the evidence about it.
    pub fn artifact(artifact: &Digest) -> Self {
        Self(format!("artifact:{artifact}"))
    }
    /// The releases of one service.
    pub fn service(service: &ServiceName) -> Self {
        Self(format!("service:{service}"))
    }
    /// Decisions and grants for one environment.
    pub fn environment(environment: &EnvName) -> Self {
        Self(format!("environment:{environment}"))
    }
    /// The grants of one service in one environment: the newest is what runs.
    pub fn running(environment: &EnvName, service: &ServiceName) -> Self {
        Self(format!("running:{environment}/{service}"))
    }
    /// What one person or machine did.
    pub fn person(person: &PersonId) -> Self {
        Self(format!("person:{person}"))
    }
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for StreamName {
    type Err = StreamNameError;
    fn from_str(text: &str) -> Result<Self, StreamNameError> {
        let error = || StreamNameError(text.chars().take(160).collect());
        let fits = match text.split_once(':') {
            None => matches!(text, "governance" | "promotions"),
            Some(("release", rest)) => rest.parse::<ReleaseName>().is_ok(),
            Some(("promotion", rest)) => rest.parse::<PromotionId>().is_ok(),
            Some(("artifact", rest)) => rest.parse::<Digest>().is_ok(),
            Some(("service", rest)) => rest.parse::<ServiceName>().is_ok(),
            Some(("environment", rest)) => rest.parse::<EnvName>().is_ok(),
            Some(("person", rest)) => rest.parse::<PersonId>().is_ok(),
            Some(("running", rest)) => rest
                .split_once('/')
                .is_some_and(|(env, service)| env.parse::<EnvName>().is_ok() && service.parse::<ServiceName>().is_ok()),
            Some(_) => false,
        };
        match fits {
            true => Ok(Self(text.to_owned())),
            false => Err(error()),
        }
    }
}

crate::text_form!(StreamName);
