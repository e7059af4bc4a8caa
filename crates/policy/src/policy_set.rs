//! Policy sets: a directory of TOML files, checked as a whole and named by one digest.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::facts::FeedKind;
use lockgate_model::json::{self, Numbers};
use lockgate_model::{
    Digest, EnvName, GateName, GroupName, Limits, RoleName, ServiceName, SignerName, Span, UnixMillis, canonical,
};
use serde::{Deserialize, Serialize};

use crate::access::{self, Holder, Object};
use crate::alias::Aliases;
use crate::binding::Binding;
use crate::check;
use crate::environment::Environment;
use crate::error::PolicyError;
use crate::explain::Reason;
use crate::gate::Gate;
use crate::lint;
use crate::pattern::Pattern;
use crate::people::{Group, People};
use crate::permission::Permission;
use crate::policy_test::PolicyTest;
use crate::rego::{self, Modules};
use crate::settings::Settings;
use crate::source::SourceFile;
use crate::starter;
use crate::suggestion::did_you_mean;
use crate::trust::TrustedSigner;
use crate::waivers::lasts_longer;
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
    people: People,
    aliases: Aliases,
    signers: Vec<TrustedSigner>,
    roots: BTreeMap<Digest, String>,
    modules: Modules,
    gates: Vec<Gate>,
    tests: Vec<PolicyTest>,
    own_name: GateName,
    expiry_line: usize,
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
        let set = Self::from_files(document.files)?;
        match set.document == bytes {
            true => Ok(set),
            false => Err(whole("the document is spelled in another way than it is written".to_owned())),
        }
    }

    /// The files of a policy set to start with, by one of the names in [`STARTERS`](crate::STARTERS).
    pub fn starter(name: &str) -> Option<BTreeMap<String, String>> {
        starter::files(name)
    }

    fn read(files: BTreeMap<String, String>) -> Result<Self, Vec<PolicyError>> {
        let mut errors = Vec::new();
        let expiry_line = source(&files, Settings::FILE).and_then(|file| file.line_of("expires_at")).unwrap_or(1);
        let settings = keep(&mut errors, required(&files, Settings::FILE).and_then(Settings::read));
        let environments = keep(&mut errors, required(&files, Environment::FILE).and_then(Environment::read));
        let people = keep(&mut errors, required(&files, Group::FILE).and_then(People::read));
        let aliases = match source(&files, Aliases::FILE) {
            Some(file) => keep(&mut errors, Aliases::read(file)),
            None => Some(Aliases::default()),
        };
        let signers = match source(&files, TrustedSigner::FILE) {
            Some(file) => keep(&mut errors, TrustedSigner::read(file)),
            None => Some(Vec::new()),
        };
        let roots = keep(&mut errors, trust_roots(&files, signers.as_deref().unwrap_or_default())).unwrap_or_default();
        let modules = keep(&mut errors, Modules::read(&files)).unwrap_or_default();
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
        match (settings, environments, people, aliases.zip(signers), own_name, bytes) {
            (
                Some(settings),
                Some(environments),
                Some(people),
                Some((aliases, signers)),
                Some(own_name),
                Some(document),
            ) if errors.is_empty() => {
                let digest = Digest::of(&document);
                Ok(Self {
                    document,
                    digest,
                    settings,
                    environments,
                    people,
                    aliases,
                    signers,
                    roots,
                    modules,
                    gates,
                    tests,
                    own_name,
                    expiry_line,
                })
            }
            _ => Err(errors),
        }
    }

    /// The canonical document (RFC 8785) of all files.
    pub fn document(&self) -> Vec<u8> {
        self.document.clone()
    }

    /// Its files, by path relative to its directory.
    pub fn files(&self) -> BTreeMap<String, String> {
        lint::files(self)
    }

    /// The digest of [`Self::document`], which names the policy set.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What `policy.toml` says.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The line of `policy.toml` that says when the policy set ends, from 1.
    pub(crate) fn expiry_line(&self) -> usize {
        self.expiry_line
    }

    /// Whether a gate for this service and environment compares with what runs, so that facts need the evidence of it.
    pub fn compares_with_running(&self, environment: &EnvName, service: &ServiceName) -> bool {
        self.gates_for(environment, service).iter().any(|gate| gate.kind.compares_with_running())
    }

    /// The feeds that gates for this service and environment ask, so that facts need their newest snapshots.
    pub fn feeds_for(&self, environment: &EnvName, service: &ServiceName) -> BTreeSet<FeedKind> {
        let waivers_end = self.waivers_end_with_kev();
        self.gates_for(environment, service).iter().flat_map(|gate| gate.kind.feeds(waivers_end)).collect()
    }

    fn waivers_end_with_kev(&self) -> bool {
        self.settings.waivers.as_ref().is_some_and(|rules| rules.end_on_kev)
    }

    /// Why a waiver of a gate does not count although it was granted and has not ended: the reason code of the gate that
    /// says so. `exploited` says that what it is for is known to be exploited.
    pub fn waiver_void(
        &self,
        gate: &GateName,
        granted_at: UnixMillis,
        expires_at: UnixMillis,
        exploited: bool,
    ) -> Option<&'static str> {
        let gate = self.gates.iter().find(|known| known.name == *gate)?;
        let rules = self.settings.waivers.as_ref();
        if exploited && gate.kind.ends_waivers_with_kev(self.waivers_end_with_kev()) {
            return Some(Reason::WaiverEndedKev.as_str());
        }
        let too_long = rules.is_some_and(|rules| lasts_longer(rules.max_days, granted_at, expires_at));
        too_long.then_some(Reason::WaiverTooLong.as_str())
    }

    /// For how long back gates for this service and environment ask for what other services were let in there, so that
    /// facts need it; `None` where none asks.
    pub fn neighbours_since(&self, environment: &EnvName, service: &ServiceName) -> Option<Span> {
        self.gates_for(environment, service).iter().filter_map(|gate| gate.kind.neighbours_since()).max()
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

    /// All trust roots of `roots/`, by digest, as their files hold them.
    pub fn roots(&self) -> &BTreeMap<Digest, String> {
        &self.roots
    }

    /// The modules of custom gates.
    pub(crate) fn modules(&self) -> &Modules {
        &self.modules
    }

    /// All groups, by name.
    pub fn groups(&self) -> &BTreeMap<GroupName, Group> {
        &self.people.groups
    }

    /// Which names and accounts are one person's.
    pub fn aliases(&self) -> &Aliases {
        &self.aliases
    }

    /// Who holds which role where, in the order of lines.
    pub fn bindings(&self) -> &[Binding] {
        &self.people.bindings
    }

    /// All roles, by name.
    pub fn roles(&self) -> impl Iterator<Item = &RoleName> {
        self.people.roles.keys()
    }

    /// Whether the members of a group may do something in at least one place.
    pub(crate) fn group_may(&self, name: &GroupName, permission: Permission) -> bool {
        self.bindings()
            .iter()
            .any(|binding| binding.covers(permission, Object::Anywhere) && binding.groups.contains(name))
    }

    /// One group.
    pub fn group(&self, name: &GroupName) -> Option<&Group> {
        self.people.groups.get(name)
    }

    /// What the members of some groups may do everywhere; groups that the policy set does not define permit nothing.
    /// What somebody may do in one place is for [`allows`](crate::allows) to say.
    pub fn permissions_of(&self, groups: &[GroupName]) -> BTreeSet<Permission> {
        let held =
            |binding: &&Binding| !binding.is_scoped() && binding.groups.iter().any(|group| groups.contains(group));
        self.bindings().iter().filter(held).flat_map(|binding| binding.permissions.iter().copied()).collect()
    }

    /// The groups whose members may do something in at least one place.
    pub fn who_may(&self, permission: Permission) -> Vec<GroupName> {
        self.groups().keys().filter(|name| self.group_may(name, permission)).cloned().collect()
    }

    /// Says who may do something in at least one place, as a sentence needs it.
    pub(crate) fn groups_text(&self, permission: Permission) -> String {
        self.holders_text(permission, Object::Anywhere)
    }

    /// Says who may do something to an object, as a sentence needs it.
    pub(crate) fn holders_text(&self, permission: Permission, object: Object<'_>) -> String {
        let holders = access::who_may(self, permission, object);
        let groups: Vec<&GroupName> = holders
            .iter()
            .filter_map(|holder| match holder {
                Holder::Group(group) => Some(group),
                Holder::People(_) => None,
            })
            .collect();
        let people: Vec<&Pattern> = holders
            .iter()
            .filter_map(|holder| match holder {
                Holder::People(pattern) => Some(pattern),
                Holder::Group(_) => None,
            })
            .collect();
        let groups = match groups.as_slice() {
            [] => None,
            [group] => Some(format!("group {group}")),
            groups => Some(format!("groups {}", wording::all_of(groups))),
        };
        match (groups, people.is_empty()) {
            (Some(groups), true) => groups,
            (Some(groups), false) => format!("{groups}, and {}", wording::all_of(&people)),
            (None, false) => wording::all_of(&people),
            (None, true) => format!("nobody: no group has the permission `{permission}`"),
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

/// The trust roots by digest; every root that a signer names has to be there.
fn trust_roots(
    files: &BTreeMap<String, String>,
    signers: &[TrustedSigner],
) -> Result<BTreeMap<Digest, String>, Vec<PolicyError>> {
    let mut roots = BTreeMap::new();
    let mut errors = Vec::new();
    for file in sources(files, ROOTS) {
        match json::read(file.text.as_bytes(), &Limits::DEFAULT, Numbers::Any) {
            Ok(_) => {
                roots.insert(Digest::of(file.text.as_bytes()), file.text.to_owned());
            }
            Err(error) => errors.push(file.error(None, format!("the trust root does not read: {error}"), None)),
        }
    }
    for signer in signers {
        if let Some(root) = signer.root.filter(|root| !roots.contains_key(root)) {
            errors.push(PolicyError {
                file: TrustedSigner::FILE.to_owned(),
                line: None,
                message: format!(
                    "`{}` names the trust root {root}, and no file of `roots/` has this digest",
                    signer.name
                ),
                hint: Some("put the trust root there unchanged; `sha256sum` shows its digest".to_owned()),
            });
        }
    }
    if errors.is_empty() { Ok(roots) } else { Err(errors) }
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
                "unknown file: a policy set holds {}, `gates/<name>.toml`, `tests/<name>.toml`, `rego/<name>.rego` and \
                 `roots/<name>.json`",
                FILES.join(", ")
            ),
            hint: path_hint(path),
        })
        .collect()
}

/// The folder of pinned trust roots.
const ROOTS: &str = "roots/";
const FILES: [&str; 5] = [Settings::FILE, Environment::FILE, Group::FILE, TrustedSigner::FILE, Aliases::FILE];

fn is_known(path: &str) -> bool {
    let in_folder = |folder: &str, suffix: &str| {
        let name = path.strip_prefix(folder).and_then(|rest| rest.strip_suffix(suffix));
        name.is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        })
    };
    FILES.contains(&path)
        || in_folder("gates/", ".toml")
        || in_folder("tests/", ".toml")
        || in_folder(ROOTS, ".json")
        || in_folder(rego::FOLDER, ".rego")
}

fn path_hint(path: &str) -> Option<String> {
    match path.split_once('/') {
        None => did_you_mean(path, FILES),
        Some((folder, _)) => did_you_mean(folder, ["gates", "tests", "roots", "rego"]),
    }
}

#[cfg(test)]
#[path = "policy_set_tests.rs"]
mod tests;
