//! Policy sets: a directory of TOML files, checked as a whole and named by one digest.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::{Digest, EnvName, GateName, GroupName, Limits, ServiceName, SignerName, canonical};
use serde::{Deserialize, Serialize};

use crate::check;
use crate::environment::Environment;
use crate::error::PolicyError;
use crate::gate::Gate;
use crate::people::Group;
use crate::permission::Permission;
use crate::policy_test::PolicyTest;
use crate::settings::Settings;
use crate::source::SourceFile;
use crate::starter;
use crate::suggestion::did_you_mean;
use crate::trust::TrustedSigner;
use crate::wording;

/// The name that stands for the policy set itself in a decision, and so for no gate.
pub(crate) const OWN_NAME: &str = "policy";

/// Everything that a policy set says, read and checked.
///
/// INVARIANT (a policy set is consistent): every environment, group, role and signer that is named is defined, and
/// every gate can be satisfied by something. What is not, is refused at load.
#[derive(Debug, Clone)]
pub struct PolicySet {
    document: Vec<u8>,
    digest: Digest,
    settings: Settings,
    environments: Vec<Environment>,
    groups: BTreeMap<GroupName, Group>,
    signers: Vec<TrustedSigner>,
    gates: Vec<Gate>,
    tests: Vec<PolicyTest>,
    own_name: GateName,
}

/// The one document that all files of a policy set make.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: String,
    files: BTreeMap<String, String>,
}

/// The schema of a policy set's document.
const SCHEMA: &str = "https://lockgate.dev/policy-set/v1";
/// The file that mistakes of the document as a whole are reported for.
const WHOLE: &str = "policy set";

impl PolicySet {
    /// Reads a policy set from its files: paths relative to its directory and joined by `/`, with their texts.
    ///
    /// # Errors
    /// Every [`PolicyError`] of the files, or of how they fit together.
    pub fn from_files(files: BTreeMap<String, String>) -> Result<Self, Vec<PolicyError>> {
        let errors = file_problems(&files);
        if !errors.is_empty() {
            return Err(errors);
        }
        let set = Self::read(files)?;
        let errors = check::problems(&set);
        if errors.is_empty() { Ok(set) } else { Err(errors) }
    }

    /// Reads a policy set from the canonical document that [`Self::document`] makes.
    ///
    /// # Errors
    /// As [`Self::from_files`], and when the document is not canonical or of another schema.
    pub fn from_document(bytes: &[u8]) -> Result<Self, Vec<PolicyError>> {
        let whole = |message| vec![PolicyError { file: WHOLE.to_owned(), line: None, message, hint: None }];
        let document: Document =
            canonical::from_slice(bytes, &Limits::DEFAULT).map_err(|error| whole(error.to_string()))?;
        if document.schema != SCHEMA {
            let found = wording::shown(&document.schema);
            return Err(whole(format!("the schema `{found}` is not known: this version reads `{SCHEMA}`")));
        }
        Self::from_files(document.files)
    }

    /// The files of a policy set to start with, by one of the names in [`STARTERS`](crate::STARTERS).
    pub fn starter(name: &str) -> Option<BTreeMap<String, String>> {
        starter::files(name)
    }

    fn read(files: BTreeMap<String, String>) -> Result<Self, Vec<PolicyError>> {
        let mut errors = Vec::new();
        let settings = keep(&mut errors, required(&files, Settings::FILE).and_then(Settings::read));
        let environments = keep(&mut errors, required(&files, Environment::FILE).and_then(Environment::read));
        let groups = keep(&mut errors, required(&files, Group::FILE).and_then(Group::read));
        let signers = match source(&files, TrustedSigner::FILE) {
            Some(file) => keep(&mut errors, TrustedSigner::read(file)),
            None => Some(Vec::new()),
        };
        let mut gates = Vec::new();
        for file in sources(&files, "gates/") {
            gates.extend(keep(&mut errors, Gate::read_file(file)).unwrap_or_default());
        }
        let mut tests = Vec::new();
        for file in sources(&files, "tests/") {
            tests.extend(keep(&mut errors, PolicyTest::read_file(file)).unwrap_or_default());
        }
        let whole = |message| vec![PolicyError { file: WHOLE.to_owned(), line: None, message, hint: None }];
        let own_name = keep(&mut errors, OWN_NAME.parse::<GateName>().map_err(|error| whole(error.to_string())));
        let document = Document { schema: SCHEMA.to_owned(), files };
        let bytes = keep(&mut errors, canonical::to_vec(&document).map_err(|error| whole(error.to_string())));
        match (settings, environments, groups, signers, own_name, bytes) {
            (Some(settings), Some(environments), Some(groups), Some(signers), Some(own_name), Some(document))
                if errors.is_empty() =>
            {
                let digest = Digest::of(&document);
                Ok(Self { document, digest, settings, environments, groups, signers, gates, tests, own_name })
            }
            _ => Err(errors),
        }
    }

    /// The canonical document (RFC 8785) of all files.
    pub fn document(&self) -> Vec<u8> {
        self.document.clone()
    }

    /// The digest of [`Self::document`], which names the policy set.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What `policy.toml` says.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All environments, each after those that it comes after.
    pub fn environments(&self) -> &[Environment] {
        &self.environments
    }

    /// One environment.
    pub fn environment(&self, name: &EnvName) -> Option<&Environment> {
        self.environments.iter().find(|environment| environment.name == *name)
    }

    /// All environments that a release passes on its way into one, in order, and that one last; empty if it is unknown.
    pub fn path_to(&self, name: &EnvName) -> Vec<EnvName> {
        let mut passed: BTreeSet<&EnvName> = BTreeSet::from([name]);
        let mut path = Vec::new();
        for environment in self.environments.iter().rev() {
            if passed.contains(&environment.name) {
                passed.extend(&environment.after);
                path.push(environment.name.clone());
            }
        }
        path.reverse();
        path
    }

    /// The groups that answer for an environment; none if it is unknown.
    pub fn owners_of(&self, name: &EnvName) -> &[GroupName] {
        self.environment(name).map(|environment| environment.owners.as_slice()).unwrap_or_default()
    }

    /// All gates, in the order of file and line.
    pub fn gates(&self) -> &[Gate] {
        &self.gates
    }

    /// The gates that apply to a service in an environment, in the order of file and line.
    pub fn gates_for(&self, environment: &EnvName, service: &ServiceName) -> Vec<&Gate> {
        self.gates.iter().filter(|gate| gate.applies_to(environment, service)).collect()
    }

    /// All trusted signers, as written.
    pub fn signers(&self) -> &[TrustedSigner] {
        &self.signers
    }

    /// One trusted signer.
    pub fn signer(&self, name: &SignerName) -> Option<&TrustedSigner> {
        self.signers.iter().find(|signer| signer.name == *name)
    }

    /// All groups, by name.
    pub fn groups(&self) -> &BTreeMap<GroupName, Group> {
        &self.groups
    }

    /// One group.
    pub fn group(&self, name: &GroupName) -> Option<&Group> {
        self.groups.get(name)
    }

    /// What the members of some groups may do; groups that the policy set does not define permit nothing.
    pub fn permissions_of(&self, groups: &[GroupName]) -> BTreeSet<Permission> {
        let defined = groups.iter().filter_map(|name| self.group(name));
        defined.flat_map(|group| group.permissions.iter().copied()).collect()
    }

    /// The groups whose members may do something.
    pub fn who_may(&self, permission: Permission) -> Vec<GroupName> {
        let may = self.groups.values().filter(|group| group.permissions.contains(&permission));
        may.map(|group| group.name.clone()).collect()
    }

    /// Says which groups may do something, as a sentence needs it.
    pub(crate) fn groups_text(&self, permission: Permission) -> String {
        match self.who_may(permission).as_slice() {
            [] => format!("nobody: no group has the permission `{permission}`"),
            [group] => format!("group {group}"),
            groups => format!("groups {}", wording::all_of(groups)),
        }
    }

    /// All policy tests, in the order of file and line.
    pub fn tests(&self) -> &[PolicyTest] {
        &self.tests
    }

    /// The name that stands for the policy set itself in a decision.
    pub(crate) fn own_name(&self) -> &GateName {
        &self.own_name
    }
}

/// Keeps what was read, or its mistakes.
fn keep<T>(errors: &mut Vec<PolicyError>, read: Result<T, Vec<PolicyError>>) -> Option<T> {
    read.map_err(|found| errors.extend(found)).ok()
}

fn source<'a>(files: &'a BTreeMap<String, String>, path: &str) -> Option<SourceFile<'a>> {
    files.get_key_value(path).map(|(path, text)| SourceFile { path, text })
}

fn sources<'a>(files: &'a BTreeMap<String, String>, folder: &str) -> impl Iterator<Item = SourceFile<'a>> {
    files.iter().filter(move |(path, _)| path.starts_with(folder)).map(|(path, text)| SourceFile { path, text })
}

fn required<'a>(files: &'a BTreeMap<String, String>, path: &str) -> Result<SourceFile<'a>, Vec<PolicyError>> {
    source(files, path).ok_or_else(|| {
        let message = "is missing: every policy set needs it".to_owned();
        vec![PolicyError { file: path.to_owned(), line: None, message, hint: None }]
    })
}

/// What is wrong with the files before any of them is read: their sizes and their names.
fn file_problems(files: &BTreeMap<String, String>) -> Vec<PolicyError> {
    let allowed = Limits::DEFAULT.policy_bytes;
    let size = files.iter().fold(0usize, |sum, (path, text)| sum.saturating_add(path.len()).saturating_add(text.len()));
    if size > allowed {
        let message = format!("{size} bytes in all files together, of at most {allowed}");
        return vec![PolicyError { file: WHOLE.to_owned(), line: None, message, hint: None }];
    }
    let unknown = files.keys().filter(|path| !is_known(path));
    unknown
        .map(|path| PolicyError {
            file: wording::shown(path),
            line: None,
            message: format!(
                "unknown file: a policy set holds {}, `gates/<name>.toml` and `tests/<name>.toml`",
                FILES.join(", ")
            ),
            hint: path_hint(path),
        })
        .collect()
}

const FILES: [&str; 4] = [Settings::FILE, Environment::FILE, Group::FILE, TrustedSigner::FILE];

fn is_known(path: &str) -> bool {
    let in_folder = |folder: &str| {
        let name = path.strip_prefix(folder).and_then(|rest| rest.strip_suffix(".toml"));
        name.is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        })
    };
    FILES.contains(&path) || in_folder("gates/") || in_folder("tests/")
}

fn path_hint(path: &str) -> Option<String> {
    match path.split_once('/') {
        None => did_you_mean(path, FILES),
        Some((folder, _)) => did_you_mean(folder, ["gates", "tests"]),
    }
}

#[cfg(test)]
#[path = "policy_set_tests.rs"]
mod tests;
