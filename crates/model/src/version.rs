//! Versions and releases.

use std::fmt;
use std::str::FromStr;

use crate::name::{NameError, ServiceName};

/// A semantic version (semver.org 2.0.0) without build metadata: two versions that differ only there would be
/// one precedence with two names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(semver::Version);

/// Why a text is not a version or a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Not `MAJOR.MINOR.PATCH[-pre]`.
    #[error("`{0}` is not a version: write MAJOR.MINOR.PATCH, such as 1.4.2 or 2.0.0-rc.1, without `v` and `+build`")]
    NotSemver(String),
    /// No `@` between service and version.
    #[error("`{0}` is not a release: write service@version, such as shop/web@1.4.2")]
    NotRelease(String),
    /// The part before `@` is not a service name.
    #[error(transparent)]
    Service(#[from] NameError),
}

impl Version {
    /// Whether this is a pre-release such as `2.0.0-rc.1`.
    pub fn is_prerelease(&self) -> bool {
        !self.0.pre.is_empty()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Version {
    type Err = VersionError;
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError::NotSemver(text.chars().take(96).collect());
        let version = semver::Version::parse(text).map_err(|_| error())?;
        match text.len() <= 64 && version.build.is_empty() {
            true => Ok(Self(version)),
            false => Err(error()),
        }
    }
}

crate::text_form!(Version);

/// The name of a release, written `service@version`. The same name never names other bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseName {
    /// What is released.
    pub service: ServiceName,
    /// Its version.
    pub version: Version,
}

impl fmt::Display for ReleaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.service, self.version)
    }
}
impl fmt::Debug for ReleaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for ReleaseName {
    type Err = VersionError;
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError::NotRelease(text.chars().take(160).collect());
        let (service, version) = text.split_once('@').ok_or_else(error)?;
        Ok(Self { service: service.parse()?, version: version.parse()? })
    }
}

crate::text_form!(ReleaseName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_as_semver_and_refuses_the_rest() {
        let parse = |text: &str| text.parse::<Version>();
        assert!(parse("1.10.0").unwrap() > parse("1.9.9").unwrap());
        assert!(parse("2.0.0-rc.1").unwrap() < parse("2.0.0").unwrap());
        assert!(parse("2.0.0-rc.1").unwrap().is_prerelease());
        for bad in ["1.0", "v1.0.0", "1.0.0+build", "01.0.0", "", "1.0.0 ", "latest"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!("shop/web@1.4.2".parse::<ReleaseName>().unwrap().to_string(), "shop/web@1.4.2");
        assert!("shop/web".parse::<ReleaseName>().is_err());
    }
}
