//! The workspace: where it is, what is in it, and how its programs are built and run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::failure::{During as _, Failure, Result};

/// What `cargo metadata --no-deps` says; only what is used here.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// The packages of the workspace.
    pub packages: Vec<Package>,
    /// Where builds go.
    pub target_directory: PathBuf,
}

/// One package of the workspace.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its manifest.
    pub manifest_path: PathBuf,
    /// What it names as dependencies.
    pub dependencies: Vec<Dependency>,
}

/// One dependency of a package.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// Its name.
    pub name: String,
    /// `dev` or `build`; absent for a normal one.
    pub kind: Option<String>,
}

/// How the product is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Fast to build.
    Dev,
    /// Fast to run.
    Release,
}

/// The workspace's root directory.
pub fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// The folder of other projects' test vectors, where `LOCKGATE_VECTORS` points, or beside the checkout; none where there
/// is no such folder.
#[expect(clippy::disallowed_methods, reason = "vectors are found through the environment, as by the tests")]
pub fn vectors() -> Option<PathBuf> {
    let folder = match std::env::var("LOCKGATE_VECTORS") {
        Ok(folder) => PathBuf::from(folder),
        Err(_) => root().join("../shared/vectors"),
    };
    Some(folder).filter(|folder| folder.is_dir())
}

/// Reads the workspace's metadata.
///
/// # Errors
/// When `cargo metadata` fails, or says something else than expected.
pub fn metadata() -> Result<Metadata> {
    let bytes = output("cargo", &["metadata", "--no-deps", "--format-version", "1"])?;
    serde_json::from_slice(&bytes).during("read the output of `cargo metadata`")
}

/// Where builds go.
///
/// # Errors
/// As [`metadata`].
pub fn target_directory() -> Result<PathBuf> {
    Ok(metadata()?.target_directory)
}

/// Builds the `lockgate` binary and says where it is.
///
/// # Errors
/// When the build fails.
pub fn build_lockgate(profile: Profile) -> Result<PathBuf> {
    let (extra, folder) = match profile {
        Profile::Dev => (None, "debug"),
        Profile::Release => (Some("--release"), "release"),
    };
    let mut arguments = vec!["build", "-q", "-p", "lockgate"];
    arguments.extend(extra);
    run("cargo", &arguments)?;
    Ok(target_directory()?.join(folder).join("lockgate"))
}

/// Runs a program in the root directory, with its output on the console.
///
/// # Errors
/// When it does not start, or does not exit with 0.
pub fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let status = Command::new(program).args(arguments).current_dir(root()).status();
    let status = status.during(format!("start `{program}`"))?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::new(format!("`{program} {}` ended with {status}", arguments.join(" ")))),
    }
}

/// Runs a program in the root directory and returns what it prints; its errors go to the console.
///
/// # Errors
/// When it does not start, or does not exit with 0.
pub fn output(program: &str, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(program).args(arguments).current_dir(root()).stderr(Stdio::inherit()).output();
    let output = output.during(format!("start `{program}`"))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(Failure::new(format!("`{program} {}` ended with {}", arguments.join(" "), output.status))),
    }
}

/// Reads a text file of the workspace; `path` is relative to its root.
///
/// # Errors
/// When it cannot be read, or is not UTF-8.
pub fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(root().join(path)).during(format!("read `{path}`"))
}

/// Writes a text file of the workspace; `path` is relative to its root.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &str, text: &str) -> Result<()> {
    let file = root().join(path);
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent).during(format!("make the folder of `{path}`"))?;
    }
    std::fs::write(&file, text).during(format!("write `{path}`"))
}
