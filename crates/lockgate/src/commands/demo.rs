//! Demo: the whole story by itself, on a throw-away instance, with this very binary as the artifact.
//!
//! Every step runs the real program as a process of its own, against a real server, with real keys, and is checked
//! against the exit code and the words that the story tells. Only two things have no command and are made here: a
//! software passkey, in the place of browser and device, and what a dishonest administrator does.

mod administrator;
mod exceptions;
mod interruption;
mod rules;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lockgate_api::Exit;
use lockgate_model::text::argument;
use lockgate_model::{PersonId, PromotionId};
use lockgate_sign::passkey::SoftPasskey;
use lockgate_sign::ssh::WebOrigin;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use self::interruption::Interruption;
use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::home::{Home, write_file};
use crate::world::World;

const LOCK: &str = include_str!("../../../../Cargo.lock");
const TESTS: &str = include_str!("../../../evidence/testdata/junit.xml");
const SCAN: &str = include_str!("../../../evidence/testdata/trivy.json");
const VULNERABLE_SCAN: &str = include_str!("../../../evidence/testdata/trivy-critical.json");
const SERVICE: &str = "lockgate/cli";
/// Where sam uses his passkey, and where he is lured to use it.
const PAGE: &str = "http://localhost:7430";
const OTHER_PAGE: &str = "https://lockgate.attacker.example";

/// `lockgate demo`: exit 0 only if each step came out as told.
///
/// # Errors
/// `DEMO_FAILED` with the step that did not, or where it was interrupted; `RUNTIME_FAILED` when the system lets nobody
/// listen for an interruption.
pub fn demo(world: &World, options: &cli::Demo) -> Outcome {
    let binary = own_binary()?;
    let interruption = Interruption::watch()?;
    let dir = std::env::temp_dir().join(format!("lockgate-demo-{}", world.random_hex()?));
    fs::create_dir_all(&dir).map_err(|error| Failure::file(&dir, &error))?;
    let story = Story { world, home: dir.join("home"), dir, binary, interruption };
    let told = story.tell().and_then(|()| if options.keep { story.stay() } else { Ok(()) });
    if !options.keep || told.is_err() {
        story.clear_away();
    }
    told?;
    world.terminal.say("\nEvery step came out as told.");
    Ok(Exit::Done)
}

fn own_binary() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::new(Exit::Failed, "DEMO_FAILED", format!("this program cannot find itself: {error}")))
}

struct Story<'a> {
    world: &'a World,
    dir: PathBuf,
    home: PathBuf,
    binary: PathBuf,
    interruption: Interruption,
}

impl Story<'_> {
    fn tell(&self) -> Result<(), Failure> {
        self.prepare()?;
        self.promote_with_two_people()?;
        let began = self.world.now();
        self.stop_what_is_vulnerable()?;
        // Long enough for the steps that need it, however slow this machine is, and not much longer.
        let took = self.world.now().0.saturating_sub(began.0) / 1000;
        let waiver = self.waive_for_a_moment(5 + 4 * took)?;
        self.catch_tampering()?;
        self.approve_with_a_passkey()?;
        self.outlive_the_waiver(waiver)?;
        self.roll_back()?;
        let coveted = self.freeze_production()?;
        self.change_the_rules()?;
        self.find_what_runs()?;
        self.attack_copies()?;
        self.verify_without_the_server()?;
        self.catch_an_edited_row()?;
        self.catch_the_administrator(&coveted)
    }

    fn stay(&self) -> Result<(), Failure> {
        self.step(
            "The instance stays, for you to look around.",
            &["up", "--demo", "--detach", "--listen", "127.0.0.1:0"],
            Exit::Done,
            "",
        )?;
        self.world
            .terminal
            .say(format!("  next  LOCKGATE_HOME={} lockgate status", argument(&self.home.to_string_lossy())));
        Ok(())
    }

    /// Stops the server and removes the directory, with every key that is in it.
    fn clear_away(&self) {
        // It runs only when the story broke off; a refusal then says that it does not.
        let _ = self.command(&["down"]).output();
        // A throw-away directory that cannot be removed is no failure of the story.
        let _ = fs::remove_dir_all(&self.dir);
    }

    fn prepare(&self) -> Result<(), Failure> {
        for (name, text) in [("junit.xml", TESTS), ("scan.json", SCAN), ("scan-vulnerable.json", VULNERABLE_SCAN)] {
            write_file(&self.dir.join(name), text.as_bytes(), 0o644)?;
        }
        write_file(&self.dir.join("sbom.cdx.json"), own_sbom()?.as_bytes(), 0o644)?;
        fs::copy(&self.binary, self.dir.join("lockgate")).map_err(|error| Failure::file(&self.binary, &error))?;
        for version in ["second", "third"] {
            // Another build of the same program: the same bytes with a trailing mark.
            let mut bytes = fs::read(&self.binary).map_err(|error| Failure::file(&self.binary, &error))?;
            bytes.extend_from_slice(version.as_bytes());
            write_file(&self.dir.join(format!("lockgate-{version}")), &bytes, 0o755)?;
        }
        self.make_passkey()?;
        self.step(
            "A server of its own, with two people who have real SSH keys.",
            &["up", "--demo", "--detach", "--listen", "127.0.0.1:0"],
            Exit::Done,
            "lockgate is up",
        )
    }

    /// A passkey in software, and the same as it answers on a page of someone else's.
    fn make_passkey(&self) -> Result<(), Failure> {
        let origin = |text: &str| text.parse::<WebOrigin>().map_err(failed);
        let passkey = SoftPasskey::generate(&origin(PAGE)?).map_err(failed)?;
        write_file(&self.dir.join("sam.passkey.json"), passkey.to_json().map_err(failed)?.as_bytes(), 0o600)?;
        let lured = passkey.at(origin(OTHER_PAGE)?).to_json().map_err(failed)?;
        write_file(&self.dir.join("lured.passkey.json"), lured.as_bytes(), 0o600)
    }

    fn push(&self, what: &str, file: &str, version: &str, scan: &str) -> Result<(), Failure> {
        self.step(
            what,
            &[
                "push",
                file,
                "--service",
                SERVICE,
                "--version",
                version,
                "--tests",
                "junit.xml",
                "--sbom",
                "sbom.cdx.json",
                "--scan",
                scan,
            ],
            Exit::Done,
            "is published",
        )
    }

    fn promote_with_two_people(&self) -> Result<(), Failure> {
        self.push(
            "CI hands in this very program, with its real dependency list as SBOM.",
            "lockgate",
            "1.0.0",
            "scan.json",
        )?;
        self.step(
            "dana asks for production; development and staging pass on the way, production waits for a second person.",
            &["promote", "lockgate/cli@1.0.0", "--to", "production", "--reason", "first release"],
            Exit::Pending,
            "P-3",
        )?;
        self.step(
            "dana tries to approve what she asked for herself, and is refused.",
            &["approve", "P-3", "--as", "dana", "--yes"],
            Exit::Denied,
            "SOD_SELF",
        )?;
        self.step(
            "sam sees the exact document and signs it with his own key.",
            &["approve", "P-3", "--as", "sam", "--yes"],
            Exit::Done,
            "granted",
        )?;
        self.step(
            "A deployer checks the file: signatures, proofs, and the decision run again.",
            &["verify", "lockgate", "--service", SERVICE, "--env", "production"],
            Exit::Done,
            "VERIFIED",
        )
    }

    fn stop_what_is_vulnerable(&self) -> Result<(), Failure> {
        self.push(
            "The next build has a known critical vulnerability.",
            "lockgate-second",
            "1.1.0",
            "scan-vulnerable.json",
        )?;
        self.step(
            "Policy stops it, and says what to upgrade.",
            &["promote", "lockgate/cli@1.1.0", "--to", "production", "--reason", "new feature"],
            Exit::Denied,
            "denied",
        )
    }

    fn catch_tampering(&self) -> Result<(), Failure> {
        let mut bytes = fs::read(self.dir.join("lockgate")).map_err(|error| Failure::file(&self.dir, &error))?;
        if let Some(byte) = bytes.get_mut(4096) {
            *byte ^= 1;
        }
        write_file(&self.dir.join("lockgate-tampered"), &bytes, 0o755)?;
        self.step(
            "Someone flips one bit of the file on its way.",
            &["verify", "lockgate-tampered", "--service", SERVICE, "--env", "production"],
            Exit::Denied,
            "DIGEST_NOT_GRANTED",
        )
    }

    fn approve_with_a_passkey(&self) -> Result<(), Failure> {
        self.step(
            "sam adds a passkey. Software stands in for browser and device here; his SSH key vouches for it.",
            &["key", "add", "sam", "--key", "sam.passkey.json", "--as", "sam"],
            Exit::Done,
            "",
        )?;
        self.push("A mended build follows.", "lockgate-third", "1.2.0", "scan.json")?;
        self.step(
            "It asks for production,",
            &["promote", "lockgate/cli@1.2.0", "--to", "production", "--reason", "mended"],
            Exit::Pending,
            "pending",
        )?;
        let promotion = self.open_promotion("1.2.0")?;
        let approve = |key| ["approve", promotion.as_str(), "--as", "sam", "--key", key, "--yes"];
        self.step(
            "A page of someone else's asks the passkey for it: the page is part of what is signed, and is refused.",
            &approve("lured.passkey.json"),
            Exit::Denied,
            "WEBAUTHN_ORIGIN",
        )?;
        self.step(
            "On the right page, sam lets it in with the passkey.",
            &approve("sam.passkey.json"),
            Exit::Done,
            "granted",
        )?;
        self.step(
            "To every verifier it is an SSH signature that says more: which page, user present, user verified.",
            &["verify", "lockgate-third", "--service", SERVICE, "--env", "production"],
            Exit::Done,
            "(passkey at http://localhost:7430: user present, user verified)",
        )
    }

    fn roll_back(&self) -> Result<(), Failure> {
        self.step(
            "The first build has been replaced: it may not be deployed any more.",
            &["verify", "lockgate", "--service", SERVICE, "--env", "production"],
            Exit::Denied,
            "GRANT_SUPERSEDED",
        )?;
        self.step(
            "Something is wrong at night. Going back is a decision of its own,",
            &["rollback", "lockgate/cli@1.0.0", "--to", "production", "--reason", "errors since 1.2.0"],
            Exit::Pending,
            "pending",
        )?;
        let promotion = self.open_promotion("1.0.0")?;
        self.step("with its own approval.", &["approve", &promotion, "--as", "sam", "--yes"], Exit::Done, "granted")?;
        self.step(
            "The proof of it goes into one file.",
            &["bundle", "get", &promotion, "--file", "proof.lockgate"],
            Exit::Done,
            "proves",
        )
    }

    fn attack_copies(&self) -> Result<(), Failure> {
        self.brief_step(
            "sam attacks copies of the data on purpose: rows, keys, checkpoints, bundles. The server goes on meanwhile.",
            &["drill", "--as", "sam", "--record"],
            "were caught, 0 were skipped",
            |line| ["approval-", "old-copy", "checkpoint-", "  "].iter().any(|begin| line.starts_with(begin)),
        )
    }

    fn verify_without_the_server(&self) -> Result<(), Failure> {
        self.step("The server stops.", &["down"], Exit::Done, "stopped")?;
        self.step(
            "The proof still verifies.",
            &["verify", "lockgate", "--service", SERVICE, "--env", "production", "--bundle", "proof.lockgate"],
            Exit::Done,
            "VERIFIED",
        )?;
        self.step(
            "An auditor re-verifies everything and runs every decision again.",
            &["audit"],
            Exit::Done,
            "is sound",
        )?;
        self.step(
            "and writes down, by control, what was decided under it and on what grounds.",
            &["audit", "export", "--format", "json", "--out", "controls.json"],
            Exit::Done,
            "controls.json",
        )
    }

    fn catch_an_edited_row(&self) -> Result<(), Failure> {
        let copy = self.dir.join("edited");
        copy_dir(&self.home.join("data"), &copy)?;
        let database = copy.join("ledger.db");
        let mut bytes = fs::read(&database).map_err(|error| Failure::file(&database, &error))?;
        let edited = replace_all(&mut bytes, b"errors since 1.2.0", b"errors since 1.9.9");
        if edited == 0 {
            return Err(Failure::new(
                Exit::Failed,
                "DEMO_FAILED",
                "the row to be edited was not found in the database",
            ));
        }
        write_file(&database, &bytes, 0o600)?;
        let copy = copy.display().to_string();
        self.step(
            "An administrator edits one row of the database, in a copy.",
            &["audit", "--data", &copy],
            Exit::Integrity,
            "NOT SOUND",
        )
    }

    /// The administrator has everything but a person's key: the data, and the key that signs the log.
    fn catch_the_administrator(&self, coveted: &str) -> Result<(), Failure> {
        let data = self.dir.join("forged");
        copy_dir(&self.home.join("data"), &data)?;
        self.world.terminal.say(format!(
            "\nNow they do it properly, in another copy: an approval of {coveted} in sam's name, an `allow` and a \
             grant are appended, the tree goes on, and the server's own log key signs the new head."
        ));
        let home = Home::find(Some(self.home.clone()), None)?;
        let promotion: PromotionId = coveted.parse().map_err(failed)?;
        let sam: PersonId = "sam".parse().map_err(failed)?;
        let bundle = administrator::forge(&home, &data, promotion, &sam)?;
        write_file(&self.dir.join("forged.lockgate"), &bundle, 0o644)?;
        self.world.terminal.say(format!("  forged.lockgate says that {coveted} is granted: {} bytes", bundle.len()));
        self.step(
            "The log's signature and every proof are good. The approval is not sam's, and that is all it takes.",
            &["verify", "lockgate-third", "--service", SERVICE, "--env", "production", "--bundle", "forged.lockgate"],
            Exit::Denied,
            "KEY_UNKNOWN",
        )?;
        self.step(
            "The audit names the entry.",
            &["audit", "--data", &data.display().to_string()],
            Exit::Integrity,
            "KEY_UNKNOWN",
        )
    }

    fn open_promotion(&self, version: &str) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Status {
            open: Vec<Open>,
        }
        #[derive(Deserialize)]
        struct Open {
            promotion: String,
            release: String,
        }
        let status: Status = self.json(&["status"])?;
        let name = format!("{SERVICE}@{version}");
        status
            .open
            .into_iter()
            .rev()
            .find(|open| open.release == name)
            .map(|open| open.promotion)
            .ok_or_else(|| Failure::new(Exit::Failed, "DEMO_FAILED", format!("no promotion of {name} is open")))
    }

    /// What a command prints for programs.
    fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T, Failure> {
        let output = self.output(&[&["--output", "json"][..], arguments].concat())?;
        serde_json::from_slice(&output.stdout).map_err(failed)
    }

    fn output(&self, arguments: &[&str]) -> Result<Output, Failure> {
        self.interruption.check()?;
        self.command(arguments).output().map_err(|error| Failure::file(&self.binary, &error))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env("LOCKGATE_HOME", &self.home)
            // What a step leaves among temporary files goes with the story.
            .env("TMPDIR", &self.dir)
            .env_remove("SSH_AUTH_SOCK")
            .current_dir(&self.dir)
            // Ctrl-C is for the story, which ends between two steps: a server that just starts would be lost from sight.
            .process_group(0);
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<(Option<i32>, String), Failure> {
        let output = self.output(arguments)?;
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Ok((output.status.code(), text))
    }

    /// Runs one step and holds it against what the story says.
    fn step(&self, told: &str, arguments: &[&str], exit: Exit, words: &str) -> Result<(), Failure> {
        self.play(told, arguments, (exit, words), |_| true)
    }

    /// The same of a step that succeeds and prints more than anybody wants to read here.
    fn brief_step(
        &self,
        told: &str,
        arguments: &[&str],
        words: &str,
        is_shown: fn(&str) -> bool,
    ) -> Result<(), Failure> {
        self.play(told, arguments, (Exit::Done, words), is_shown)
    }

    fn play(
        &self,
        told: &str,
        arguments: &[&str],
        (exit, words): (Exit, &str),
        is_shown: fn(&str) -> bool,
    ) -> Result<(), Failure> {
        self.world.terminal.say(format!("\n{told}"));
        let shown: Vec<String> = arguments
            .iter()
            .map(|argument| if argument.contains(' ') { format!("{argument:?}") } else { (*argument).to_owned() })
            .collect();
        self.world.terminal.say(format!("$ lockgate {}", shown.join(" ")));
        let (code, text) = self.run(arguments)?;
        let is_told = code == Some(i32::from(exit.code())) && text.contains(words);
        let mut left_out = 0;
        for line in text.trim_end().lines() {
            // A step that broke is shown as a whole.
            match is_shown(line) || !is_told {
                true => self.world.terminal.say(format!("  {line}")),
                false => left_out += 1,
            }
        }
        if left_out > 0 {
            self.world.terminal.say(format!("  ({left_out} more lines)"));
        }
        self.world.terminal.say(format!("  [exit {}: {}]", exit.code(), exit.meaning()));
        match is_told {
            true => Ok(()),
            false => Err(Failure::new(
                Exit::Failed,
                "DEMO_FAILED",
                format!("this step ended with {code:?} instead of {} and `{words}`", exit.code()),
            )),
        }
    }
}

fn copy_dir(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::create_dir_all(to).map_err(|error| Failure::file(to, &error))?;
    for entry in fs::read_dir(from).map_err(|error| Failure::file(from, &error))? {
        let entry = entry.map_err(|error| Failure::file(from, &error))?;
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_dir(&entry.path(), &target)?,
            false => copy_file(&entry.path(), &target)?,
        }
    }
    Ok(())
}

/// Blobs are never written again, and nobody may: a link is as good as a copy of them, and takes no time.
fn copy_file(from: &Path, to: &Path) -> Result<(), Failure> {
    let fail = |error: std::io::Error| Failure::file(from, &error);
    let stands = fs::metadata(from).map_err(fail)?.permissions().readonly();
    if stands && fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to).map(drop).map_err(fail)
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, "DEMO_FAILED", error.to_string())
}

fn replace_all(bytes: &mut [u8], from: &[u8], to: &[u8]) -> usize {
    let mut count = 0;
    let last = bytes.len().saturating_sub(from.len());
    for at in 0..=last {
        if let Some(window) = bytes.get_mut(at..at + from.len())
            && window == from
            && to.len() == from.len()
        {
            window.copy_from_slice(to);
            count += 1;
        }
    }
    count
}

/// This program's dependencies as they were locked when it was built, as CycloneDX 1.6.
fn own_sbom() -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    let lock: Lock = toml::from_str(LOCK).map_err(|error| Failure::new(Exit::Bug, "DEMO_FAILED", error.to_string()))?;
    let components: Vec<_> = lock.package.iter().map(|package| {
        let purl = format!("pkg:cargo/{}@{}", package.name, package.version);
        json!({ "type": "library", "name": package.name, "version": package.version, "purl": purl, "bom-ref": purl })
    }).collect();
    Ok(json!({ "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components }).to_string())
}
