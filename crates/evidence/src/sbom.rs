//! Bills of materials, whichever format they came in.

use std::collections::BTreeMap;

use lockgate_model::Limits;
use lockgate_model::facts::{Completeness, LicenceUse, Sbom, VexStatement};

use crate::error::EvidenceError;

/// How many unpinned components are named.
const UNPINNED_NAMES: usize = 20;

/// One component of a bill of materials.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Component {
    /// Its name, with the group or scope in front where there is one, joined by `/`.
    pub name: String,
    /// Its version, where the document gives one.
    pub version: Option<String>,
    /// Its package URL, where the document gives one.
    pub purl: Option<String>,
    /// Its licence as an SPDX expression, where the document gives one.
    pub licence: Option<String>,
}

impl Component {
    /// Whether its version says exactly which one it is; see [`is_pinned`].
    pub fn is_pinned(&self) -> bool {
        self.version.as_deref().is_some_and(is_pinned)
    }

    fn label(&self) -> String {
        match &self.version {
            Some(version) => format!("{} {version}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Whether a version names one version: not a range, not a moving name such as `latest`, not a snapshot.
pub fn is_pinned(version: &str) -> bool {
    let version = version.trim();
    let lower = version.to_ascii_lowercase();
    let is_moving =
        matches!(lower.as_str(), "" | "latest" | "stable" | "main" | "master" | "head" | "x" | "noassertion")
            || lower.ends_with("-snapshot")
            || lower.ends_with(".x");
    let is_range = version.starts_with(['^', '~', '<', '>', '[', '(', '!'])
        || version.starts_with("vers:")
        || version.contains(['*', ',', '|'])
        || version.contains(char::is_whitespace);
    !is_moving && !is_range
}

/// A bill of materials that has been read in full.
#[derive(Debug)]
pub(crate) struct Bom {
    format: &'static str,
    spec_version: String,
    completeness: Completeness,
    components: Vec<Component>,
    without_identifier: u64,
    vex: Vec<VexStatement>,
}

impl Bom {
    /// Starts an empty one of a format and version.
    pub(crate) fn new(format: &'static str, spec_version: &str) -> Self {
        Self {
            format,
            spec_version: spec_version.to_owned(),
            completeness: Completeness::Unstated,
            components: Vec::new(),
            without_identifier: 0,
            vex: Vec::new(),
        }
    }

    /// Adds one component; `cpe` is the other identifier that counts beside the package URL.
    ///
    /// # Errors
    /// `TOO_MANY_COMPONENTS`.
    pub(crate) fn add(
        &mut self,
        component: Component,
        cpe: Option<&str>,
        limits: &Limits,
    ) -> Result<(), EvidenceError> {
        check_count(self.components.len(), limits)?;
        if component.purl.is_none() && cpe.is_none() {
            self.without_identifier += 1;
        }
        self.components.push(component);
        Ok(())
    }

    /// How many components were added.
    pub(crate) fn len(&self) -> usize {
        self.components.len()
    }

    /// The component that was added at a position.
    pub(crate) fn component(&self, position: usize) -> Option<&Component> {
        self.components.get(position)
    }

    /// Records the version of the format, which may stand behind the components.
    pub(crate) fn set_spec_version(&mut self, spec_version: &str) {
        spec_version.clone_into(&mut self.spec_version);
    }

    /// Records what the document says of its own completeness.
    pub(crate) fn set_completeness(&mut self, completeness: Completeness) {
        self.completeness = completeness;
    }

    /// Records what the document says of known vulnerabilities.
    pub(crate) fn set_vex(&mut self, vex: Vec<VexStatement>) {
        self.vex = vex;
    }

    /// The counts that decisions use.
    pub(crate) fn claim(&self) -> Sbom {
        let without_version = self.components.iter().filter(|component| component.version.is_none()).count();
        let unpinned = || self.components.iter().filter(|component| !component.is_pinned());
        let without_licence = self.components.iter().filter(|component| component.licence.is_none()).count();
        Sbom {
            format: self.format.to_owned(),
            spec_version: self.spec_version.clone(),
            components: count(self.components.len()),
            without_version: count(without_version),
            without_identifier: self.without_identifier,
            completeness: self.completeness,
            unpinned: Some(count(unpinned().count())),
            unpinned_names: unpinned().take(UNPINNED_NAMES).map(Component::label).collect(),
            without_licence: Some(count(without_licence)),
            licences: self.licences(),
            vex: self.vex.clone(),
        }
    }

    fn licences(&self) -> Vec<LicenceUse> {
        let mut uses: BTreeMap<&str, LicenceUse> = BTreeMap::new();
        for component in &self.components {
            let Some(expression) = component.licence.as_deref() else { continue };
            let entry = uses.entry(expression).or_insert_with(|| LicenceUse {
                expression: expression.to_owned(),
                components: 0,
                names: Vec::new(),
            });
            entry.components += 1;
            if entry.names.len() < LicenceUse::NAMES {
                entry.names.push(component.label());
            }
        }
        uses.into_values().collect()
    }

    /// The components, in the document's order.
    pub(crate) fn into_components(self) -> Vec<Component> {
        self.components
    }
}

/// Refuses one component more than `limits.components_per_sbom`.
///
/// # Errors
/// `TOO_MANY_COMPONENTS`.
pub(crate) fn check_count(so_far: usize, limits: &Limits) -> Result<(), EvidenceError> {
    match so_far < limits.components_per_sbom {
        true => Ok(()),
        false => Err(EvidenceError::new(
            "TOO_MANY_COMPONENTS",
            format!("more than {} components in one bill of materials", limits.components_per_sbom),
        )),
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// A package URL, or none for a text that is not one.
pub(crate) fn purl(text: &str) -> Option<String> {
    text.strip_prefix("pkg:").filter(|rest| rest.contains('/')).map(|_| text.to_owned())
}

/// A CPE of either binding (`cpe:/a:...` or `cpe:2.3:...`), or none for a text that is not one.
pub(crate) fn cpe(text: &str) -> Option<&str> {
    Some(text).filter(|text| text.starts_with("cpe:/") || text.starts_with("cpe:2.3:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_moving_names_pin_nothing() {
        for pinned in ["1.2.3", "v1", "1.2.3-rc.1+build", "1:2.3~rc1-1ubuntu2", "20261121", "0.0.0-2026-abc", "=1.2"] {
            assert!(is_pinned(pinned), "{pinned}");
        }
        for open in
            ["", " ", "^1.2", "~1.2", ">=1", "1.*", "1.x", "latest", "1.0-SNAPSHOT", "[1.0,2.0)", "1 - 2", "a||b"]
        {
            assert!(!is_pinned(open), "{open}");
        }
    }

    #[test]
    fn licences_are_counted_once_each() {
        let mut bom = Bom::new("cyclonedx", "1.6");
        for (name, licence) in [("a", Some("MIT")), ("b", None), ("c", Some("ISC")), ("d", Some("MIT"))] {
            let component =
                Component { name: name.to_owned(), licence: licence.map(str::to_owned), ..Component::default() };
            bom.add(component, None, &Limits::DEFAULT).unwrap();
        }
        let claim = bom.claim();
        let rows: Vec<(&str, u64, usize)> =
            claim.licences.iter().map(|one| (one.expression.as_str(), one.components, one.names.len())).collect();
        assert_eq!(rows, [("ISC", 1, 1), ("MIT", 2, 2)]);
        assert_eq!((claim.without_licence, claim.unpinned), (Some(1), Some(4)));
    }
}
