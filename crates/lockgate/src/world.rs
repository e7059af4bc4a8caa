//! The process's surroundings: read once, at the start, and handed inward.

use std::path::PathBuf;

use lockgate_api::wire::{Challenge, ChallengeRequest, ServerInfo, SessionReply, SessionRequest};
use lockgate_api::{Client, Exit};
use lockgate_engine::clock::{Clock, Entropy, EntropyError};
use lockgate_engine::session::{ChallengeDocument, NAMESPACE};
use lockgate_ledger::TrustFile;
use lockgate_ledger::governance::document_bytes;
use lockgate_model::{Limits, PersonId, UnixMillis};
use lockgate_sign::ssh_signer::SshSigner;
use serde::{Deserialize, Serialize};

use crate::cli::Global;
use crate::custody;
use crate::failure::Failure;
use crate::home::{Context, Home, TRUST_FILE, read_file, write_file};
use crate::keyring::{Keyring, known_names, sign};
use crate::rights;
use crate::serve::{is_begun, log_seed};
use crate::terminal::Terminal;

/// What to do when this home's own server does not answer.
const OWN_SERVER_HINT: &str = "`lockgate up` starts it again; `lockgate verify --bundle FILE` needs no server";

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the composition root is where the clock is read")]
    fn now(&self) -> UnixMillis {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The machine's random generator.
#[derive(Debug, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "the composition root is where randomness is read")]
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        aws_lc_rs::rand::fill(bytes).map_err(|_| EntropyError)
    }
}

/// What a command works with.
pub struct World {
    /// What the command line said.
    pub global: Global,
    /// The home directory.
    pub home: Home,
    /// Where results go.
    pub terminal: Terminal,
    /// Where keys are.
    pub keyring: Keyring,
    /// `$USER`.
    pub user: Option<String>,
}

/// A cached session; the token is a secret.
#[derive(Serialize, Deserialize)]
struct CachedSession {
    server: String,
    token: String,
    expires_at: UnixMillis,
}

/// A variable of the environment; one that is empty counts as absent.
#[expect(clippy::disallowed_methods, reason = "the composition root is where the environment is read")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether a text is the address of a server: a scheme, a name, maybe a port and a path.
fn check_url(text: &str) -> Result<(), Failure> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let (host, port) = match authority.strip_prefix('[') {
        Some(literal) => {
            let (host, after) = literal.split_once(']').unwrap_or_default();
            (host, if after.is_empty() { Some("80") } else { after.strip_prefix(':') })
        }
        None => authority.split_once(':').map_or((authority, Some("80")), |(host, port)| (host, Some(port))),
    };
    let named = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_' | ':');
    let good = !host.is_empty()
        && host.chars().all(named)
        && port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
        && text.chars().all(|character| character.is_ascii_graphic());
    match good {
        true => Ok(()),
        false => Err(Failure::usage("SERVER_URL", format!("`{text}` is no address of a server"))
            .hint("write it with its scheme, such as `http://127.0.0.1:7430` or `https://lockgate.example`")),
    }
}

fn server_unknown() -> Failure {
    Failure::usage("SERVER_UNKNOWN", "no server is known here")
        .hint("start one with `lockgate up`, or sign in to one with `lockgate login --server URL NAME`")
}

impl World {
    /// Reads the surroundings.
    ///
    /// # Errors
    /// When there is no home directory.
    pub fn new(global: Global) -> Result<Self, Failure> {
        let user_home = variable("HOME").map(PathBuf::from);
        let home = Home::find(global.home.clone(), user_home.clone())?;
        let colour = std::io::IsTerminal::is_terminal(&std::io::stderr())
            && variable("NO_COLOR").is_none()
            && variable("TERM").as_deref() != Some("dumb");
        let terminal = Terminal { format: global.output, quiet: global.quiet, colour };
        let keyring = Keyring {
            home: home.clone(),
            agent: variable("SSH_AUTH_SOCK").map(PathBuf::from),
            ssh_dir: user_home.map(|home| home.join(".ssh")),
        };
        Ok(Self { global, home, terminal, keyring, user: variable("USER") })
    }

    /// The time now.
    pub fn now(&self) -> UnixMillis {
        SystemClock.now()
    }

    /// Random hex, for idempotency keys.
    ///
    /// # Errors
    /// When the generator fails.
    pub fn random_hex(&self) -> Result<String, Failure> {
        let mut bytes = [0u8; 16];
        SystemEntropy
            .fill(&mut bytes)
            .map_err(|error| Failure::new(Exit::Unavailable, "RANDOM_FAILED", error.to_string()))?;
        Ok(lockgate_model::digest::hex(&bytes))
    }

    /// The context.
    ///
    /// # Errors
    /// When it does not parse.
    pub fn context(&self) -> Result<Context, Failure> {
        self.home.context()
    }

    /// A client that is not signed in.
    ///
    /// # Errors
    /// `SERVER_UNKNOWN` when nothing names a server, `SERVER_URL` for what is no address.
    pub fn client(&self) -> Result<Client, Failure> {
        let server = match &self.global.server {
            Some(server) => Some(server.clone()),
            None => self.context()?.server,
        };
        let server = server.ok_or_else(server_unknown)?;
        check_url(&server)?;
        let client = Client::new(&server, None);
        Ok(match self.is_own_server(&server) {
            true => client.when_unreachable(OWN_SERVER_HINT),
            false => client,
        })
    }

    /// Whether this home holds the ledger of the server at an address, so that `lockgate up` here would start that one and
    /// no other.
    fn is_own_server(&self, server: &str) -> bool {
        let known = || self.context().is_ok_and(|context| context.server.as_deref() == Some(server));
        matches!(is_begun(&self.home), Ok(true))
            && known()
            && log_seed(&self.home).is_ok_and(|(origin, _)| self.check_ledger(&origin).is_ok())
    }

    /// Who acts: `--as`, else the context's default.
    ///
    /// # Errors
    /// `SIGN_IN_NEEDED` when nothing says who; `SERVER_UNKNOWN` when nothing says where either.
    pub fn person(&self) -> Result<PersonId, Failure> {
        if let Some(person) = &self.global.person {
            return Ok(person.clone());
        }
        let context = self.context()?;
        match (context.person, self.global.server.is_some() || context.server.is_some()) {
            (Some(person), _) => Ok(person),
            (None, true) => Err(Failure::new(Exit::NotPermitted, "SIGN_IN_NEEDED", "nobody is signed in here")
                .hint("sign in with `lockgate login NAME`, or say who with --as NAME")),
            // Signing in is not the next step where there is nothing to sign in to.
            (None, false) => Err(server_unknown()),
        }
    }

    /// A client signed in as whoever acts.
    ///
    /// # Errors
    /// As [`Self::client`] and [`Self::person`], or when sign-in fails.
    pub fn signed_in(&self) -> Result<Client, Failure> {
        self.signed_in_as(&self.person()?)
    }

    /// A client signed in as one person: with the cached session, else with their key.
    ///
    /// # Errors
    /// When sign-in fails.
    pub fn signed_in_as(&self, person: &PersonId) -> Result<Client, Failure> {
        let mut client = self.client()?;
        let cached = std::fs::read(self.home.session(person))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<CachedSession>(&bytes).ok());
        if let Some(session) =
            cached.filter(|session| session.server == client.base() && session.expires_at > self.now())
        {
            client.sign_in_with(session.token);
            // A session that the server has ended is noticed here, and renewed below.
            if client.get::<lockgate_api::wire::Whoami>("/v1/whoami").is_ok() {
                return Ok(client);
            }
            client = self.client()?;
        }
        self.sign_in_by_key(&mut client, person, None)?;
        Ok(client)
    }

    /// Signs in with the key that somebody named, else with the one that is known here, else with the first of the
    /// agent's keys that is enrolled; which one that is, is remembered.
    ///
    /// # Errors
    /// `SIGN_IN_FAILED` with the keys that were tried, or what a key says.
    pub fn sign_in_by_key(
        &self,
        client: &mut Client,
        person: &PersonId,
        named: Option<&std::path::Path>,
    ) -> Result<(SessionReply, Box<dyn SshSigner>), Failure> {
        let mut context = self.context()?;
        let candidates = self.keyring.candidates(&context, person, named)?;
        let several = candidates.len() > 1;
        let mut tried = Vec::new();
        for signer in candidates {
            match self.sign_in(client, person, signer.as_ref()) {
                Ok(session) => {
                    if several {
                        context.keys.insert(person.clone(), self.keyring.entry(None, signer.public_key()));
                        self.home.write_context(&context)?;
                    }
                    return Ok((session, signer));
                }
                // An agent that will not sign with one of its keys may well do so with the next.
                Err(failure) if failure.code == "SIGN_IN_FAILED" || (several && failure.code == "SIGNING_FAILED") => {
                    tried.push(signer.public_key().fingerprint());
                }
                Err(failure) => return Err(failure),
            }
        }
        let known = match context.keys.contains_key(person) {
            true => String::new(),
            false => known_names(&context).map(|names| format!("; known here: {names}")).unwrap_or_default(),
        };
        Err(Failure::new(
            Exit::NotPermitted,
            "SIGN_IN_FAILED",
            format!("sign-in as `{person}` failed; tried {}", tried.join(", ")),
        )
        .hint(format!(
            "choose an enrolled key: `lockgate login {person} --key FILE`, or FILE.pub for one of the agent's{known}"
        )))
    }

    /// Signs in with a key and keeps the session.
    ///
    /// # Errors
    /// `SIGN_IN_FAILED`.
    pub fn sign_in(
        &self,
        client: &mut Client,
        person: &PersonId,
        signer: &dyn SshSigner,
    ) -> Result<SessionReply, Failure> {
        let challenge: Challenge = client.post("/v1/challenges", &ChallengeRequest { person: person.clone() }, None)?;
        self.check_ledger(&challenge.ledger)?;
        let document = document_bytes(&ChallengeDocument::new(&challenge.ledger, person, &challenge.challenge))?;
        let signature = sign(signer, NAMESPACE, &document)?;
        let request = SessionRequest { person: person.clone(), challenge: challenge.challenge, signature };
        let session: SessionReply = client.post("/v1/sessions", &request, None)?;
        client.sign_in_with(session.token.clone());
        self.keep_session(client.base(), person, &session.token, session.expires_at)?;
        Ok(session)
    }

    /// Keeps a session for the commands that follow.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep_session(
        &self,
        server: &str,
        person: &PersonId,
        token: &str,
        expires_at: UnixMillis,
    ) -> Result<(), Failure> {
        let cached = CachedSession { server: server.to_owned(), token: token.to_owned(), expires_at };
        let bytes = serde_json::to_vec(&cached)
            .map_err(|error| Failure::new(Exit::Bug, "OUTPUT_INVALID", error.to_string()))?;
        write_file(&self.home.session(person), &bytes, 0o600)
    }

    /// The server must be the one whose ledger is pinned here: a signature for another ledger is worth nothing there,
    /// and is not made.
    ///
    /// # Errors
    /// `LEDGER_UNKNOWN`.
    pub fn check_ledger(&self, ledger: &str) -> Result<(), Failure> {
        // Before anything is pinned there is nothing to compare with; a pinned file that does not read is an error.
        if !rights::is_there(self.home.path(), &self.home.trust())? {
            return Ok(());
        }
        let trust = self.trust(None)?;
        let pinned = trust.policy()?.logs().iter().any(|log| log.vkey.name() == ledger);
        match pinned {
            true => Ok(()),
            false => Err(Failure::usage(
                "LEDGER_UNKNOWN",
                format!("the server speaks for the ledger `{ledger}`, which is not the pinned one"),
            )
            .hint("name the right server with --server, or use another --home for another ledger")),
        }
    }

    /// Where what is trusted stands: the file that was named, or the one in the directory of `trust export` that was
    /// named, else the home's.
    pub fn trust_path(&self, named: Option<&std::path::Path>) -> PathBuf {
        match named {
            Some(folder) if folder.is_dir() => folder.join(TRUST_FILE),
            Some(file) => file.to_owned(),
            None => self.home.trust(),
        }
    }

    /// What to trust: the file that was named, else the home's; not one that everybody may write or replace
    /// (attack A-106 of `tests/attacks`).
    ///
    /// # Errors
    /// `TRUST_MISSING`, `TRUST_WRITABLE`, or what the file says.
    pub fn trust(&self, named: Option<&std::path::Path>) -> Result<TrustFile, Failure> {
        let path = self.trust_path(named);
        if !rights::is_there(self.home.path(), &path)? {
            return Err(Failure::usage("TRUST_MISSING", format!("there is no trust file at {}", path.display()))
                .hint("get it over a channel you trust and name it with --trust, or pin a server's own statement with `lockgate trust pin`"));
        }
        if let Some(remark) = custody::check(&path)? {
            self.terminal.say(format!("note: {remark}"));
        }
        rights::check(self.home.path(), &path, rights::READ)?;
        let bytes = read_file(&path, Limits::DEFAULT.note_bytes as u64)?;
        TrustFile::from_bytes(&bytes).map_err(|error| {
            Failure::from(error).or_hint(format!(
                "{} is damaged, or no trust file: get it again over a channel you trust, or `lockgate trust pin`",
                path.display()
            ))
        })
    }

    /// What the server says of itself.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub fn server_info(&self) -> Result<ServerInfo, Failure> {
        Ok(self.client()?.get("/v1/server")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_servers_have_a_scheme_and_a_name() {
        let check = |text: &str, good: bool| assert_eq!(check_url(text).is_ok(), good, "{text}");
        for text in ["http://127.0.0.1:7430", "https://lockgate.example/", "http://[::1]:7430", "http://localhost"] {
            check(text, true);
        }
        for text in ["", "nonsense", "localhost:7430", "ftp://x", "http://", "http://x:y", "http://x:0", "http://a b"] {
            check(text, false);
        }
        assert_eq!(check_url("nonsense").unwrap_err().code, "SERVER_URL");
    }
}
