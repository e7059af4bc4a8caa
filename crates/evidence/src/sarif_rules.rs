//! The rules of a SARIF run, and which of them a result names (sections 3.19, 3.27.5 to 3.27.7 and 3.52).

use std::collections::BTreeMap;

use lockgate_model::facts::AnalysisLevel;

use crate::document::Object;
use crate::error::{EvidenceError, excerpt};

/// How bad a result is (section 3.27.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Not a problem.
    None,
    Note,
    Warning,
    Error,
}

impl Level {
    /// The level as a result that counts has it.
    pub(crate) fn counted(self) -> Option<AnalysisLevel> {
        match self {
            Self::None => None,
            Self::Note => Some(AnalysisLevel::Note),
            Self::Warning => Some(AnalysisLevel::Warning),
            Self::Error => Some(AnalysisLevel::Error),
        }
    }
}

/// The `level` of a result or of a rule's configuration.
///
/// # Errors
/// `EVIDENCE_MALFORMED` when it is none of the four words.
pub(crate) fn own_level(holder: &Object<'_>) -> Result<Option<Level>, EvidenceError> {
    match holder.text("level")? {
        None => Ok(None),
        Some("none") => Ok(Some(Level::None)),
        Some("note") => Ok(Some(Level::Note)),
        Some("warning") => Ok(Some(Level::Warning)),
        Some("error") => Ok(Some(Level::Error)),
        Some(other) => Err(holder.fault_at("level", &format!("is `{}`, which is no level", excerpt(other)))),
    }
}

/// The default levels of the rules of one tool component, by position and by id.
#[derive(Debug, Default)]
pub(crate) struct Component {
    levels: Vec<Option<Level>>,
    ids: Vec<Option<String>>,
    by_id: BTreeMap<String, usize>,
}

impl Component {
    /// Adds the next rule.
    ///
    /// # Errors
    /// `EVIDENCE_MALFORMED`, `DUPLICATE_KEY`.
    pub(crate) fn add(&mut self, rule: &Object<'_>) -> Result<(), EvidenceError> {
        let level = match rule.object("defaultConfiguration")? {
            Some(configuration) => own_level(&configuration)?,
            None => None,
        };
        let id = rule.text("id")?.map(str::to_owned);
        if let Some(id) = &id {
            self.by_id.entry(id.clone()).or_insert(self.levels.len());
        }
        self.ids.push(id);
        self.levels.push(level);
        Ok(())
    }

    /// Finds a rule by id; `CA1000/1` is a case of rule `CA1000` (section 3.27.5).
    fn position(&self, id: &str) -> Option<usize> {
        let mut id = id;
        loop {
            if let Some(position) = self.by_id.get(id) {
                return Some(*position);
            }
            id = id.rsplit_once('/')?.0;
        }
    }
}

/// How a result names its rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RuleRef {
    /// In which extension; none for the driver.
    extension: Option<usize>,
    position: Option<usize>,
    id: Option<String>,
}

impl RuleRef {
    /// Reads `ruleId`, `ruleIndex` and `rule`.
    ///
    /// # Errors
    /// `EVIDENCE_MALFORMED`, `DUPLICATE_KEY`.
    pub(crate) fn of(result: &Object<'_>) -> Result<Self, EvidenceError> {
        let mut extension = None;
        let mut position = result.position("ruleIndex")?;
        let mut id = result.text("ruleId")?.map(str::to_owned);
        if let Some(reference) = result.object("rule")? {
            if let Some(named) = reference.object("toolComponent")? {
                extension = named.position("index")?;
            }
            position = reference.position("index")?.or(position);
            id = reference.text("id")?.map(str::to_owned).or(id);
        }
        Ok(Self { extension, position, id })
    }

    fn component<'a>(
        &self,
        driver: &'a Component,
        extensions: &'a BTreeMap<usize, Component>,
    ) -> Option<&'a Component> {
        match self.extension {
            Some(extension) => extensions.get(&extension),
            None => Some(driver),
        }
    }

    /// The default level of the rule, by index first and by id next. A rule that cannot be found has none.
    pub(crate) fn level(&self, driver: &Component, extensions: &BTreeMap<usize, Component>) -> Option<Level> {
        let component = self.component(driver, extensions);
        if let (Some(component), Some(at)) = (component, self.position)
            && let Some(level) = component.levels.get(at)
        {
            return *level;
        }
        let id = self.id.as_deref()?;
        let mut all = component.into_iter().chain([driver]).chain(extensions.values());
        all.find_map(|candidate| Some(candidate.levels.get(candidate.position(id)?).copied().flatten()))?
    }

    /// The rule's id: as the result has it, or else as the rule has it.
    pub(crate) fn id<'a>(
        &'a self,
        driver: &'a Component,
        extensions: &'a BTreeMap<usize, Component>,
    ) -> Option<&'a str> {
        let by_position = || self.component(driver, extensions)?.ids.get(self.position?)?.as_deref();
        self.id.as_deref().or_else(by_position)
    }
}
