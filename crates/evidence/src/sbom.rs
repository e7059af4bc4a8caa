//! Bills of materials, whichever format they came in.

use lockgate_model::Limits;
use lockgate_model::facts::{Completeness, Sbom};

use crate::error::EvidenceError;

/// One component of a bill of materials.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Component {
    /// Its name, with the group or scope in front where there is one, joined by `/`.
    pub name: String,
    /// Its version, where the document gives one.
    pub version: Option<String>,
    /// Its package URL, where the document gives one.
    pub purl: Option<String>,
}

/// A bill of materials that has been read in full.
#[derive(Debug)]
pub(crate) struct Bom {
    format: &'static str,
    spec_version: String,
    completeness: Completeness,
    components: Vec<Component>,
    without_identifier: u64,
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
        if self.components.len() >= limits.components_per_sbom {
            return Err(EvidenceError::new(
                "TOO_MANY_COMPONENTS",
                format!("more than {} components in one bill of materials", limits.components_per_sbom),
            ));
        }
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

    /// Records what the document says of its own completeness.
    pub(crate) fn set_completeness(&mut self, completeness: Completeness) {
        self.completeness = completeness;
    }

    /// The counts that decisions use.
    pub(crate) fn claim(&self) -> Sbom {
        let without_version = self.components.iter().filter(|component| component.version.is_none()).count();
        Sbom {
            format: self.format.to_owned(),
            spec_version: self.spec_version.clone(),
            components: u64::try_from(self.components.len()).unwrap_or(u64::MAX),
            without_version: u64::try_from(without_version).unwrap_or(u64::MAX),
            without_identifier: self.without_identifier,
            completeness: self.completeness,
        }
    }

    /// The components, in the document's order.
    pub(crate) fn into_components(self) -> Vec<Component> {
        self.components
    }
}

/// A package URL, or none for a text that is not one.
pub(crate) fn purl(text: &str) -> Option<String> {
    text.strip_prefix("pkg:").filter(|rest| rest.contains('/')).map(|_| text.to_owned())
}

/// A CPE of either binding (`cpe:/a:...` or `cpe:2.3:...`), or none for a text that is not one.
pub(crate) fn cpe(text: &str) -> Option<&str> {
    Some(text).filter(|text| text.starts_with("cpe:/") || text.starts_with("cpe:2.3:"))
}
