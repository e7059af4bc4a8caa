//! Sign-in through an identity provider: the part that runs on the person's own machine.
//!
//! The browser goes to the server, the server sends it to the identity provider, and it comes back to a port of this
//! machine with a code (RFC 8252, section 7.3). The code alone is worth nothing: only this process knows what its
//! challenge is the hash of.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lockgate_api::client::query_value;
use lockgate_api::wire::{
    AccountReply, Acknowledged, Changed, IdentityBinding, IdentityEnd, IdentityRow, OidcCode, ServerInfo, SessionReply,
};
use lockgate_api::{Client, Exit};
use lockgate_engine::clock::Entropy as _;
use lockgate_ledger::governance::document_bytes;
use lockgate_ledger::identity::{BindingDocument, IDENTITY_NAMESPACE, Identity, UnbindingDocument};
use lockgate_model::text::visible;
use lockgate_model::{Digest, EntryIndex, PersonId};

use crate::cli;
use crate::commands::seen::check_past;
use crate::failure::{Failure, Outcome};
use crate::keyring::sign;
use crate::terminal::table;
use crate::world::{SystemEntropy, World};

/// How long the person has to sign in.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a connection to the port may take to say what it wants.
const REQUEST: Duration = Duration::from_secs(5);
/// The longest request line that is read.
const LINE_MAX_BYTES: u64 = 4096;

/// Ends at once where the server has no identity provider: nobody waits for a browser that is sent nowhere.
///
/// # Errors
/// `OIDC_OFF`.
fn check_on(client: &Client) -> Result<(), Failure> {
    match client.get::<ServerInfo>("/v1/server")?.oidc {
        true => Ok(()),
        false => Err(Failure::new(Exit::NotFound, "OIDC_OFF", "this server has no identity provider").hint(
            "sign in with a key: `lockgate login NAME`; who runs the server starts it with --oidc-issuer and --oidc-client-id",
        )),
    }
}

/// `lockgate login --oidc`: gives the session.
///
/// # Errors
/// `OIDC_OFF`, `OIDC_FAILED`, `IDENTITY_UNBOUND`, `SIGN_IN_TIMEOUT`.
pub fn sign_in(world: &World, client: &mut Client) -> Result<SessionReply, Failure> {
    check_on(client)?;
    let code = through_browser(world, client)?;
    let session: SessionReply = client.post("/v1/oidc/sessions", &code, None)?;
    client.sign_in_with(session.token.clone());
    world.keep_session(client.base(), &session.person, &session.token, session.expires_at)?;
    Ok(session)
}

/// `lockgate login --bind-oidc`: `client` is signed in with a key of `person`.
///
/// # Errors
/// As [`sign_in`], or when the key does not sign, or the account is somebody else's.
pub fn bind(
    world: &World,
    client: &Client,
    person: &PersonId,
    signer: &dyn lockgate_sign::ssh_signer::SshSigner,
) -> Outcome {
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    check_on(client)?;
    let code = through_browser(world, client)?;
    let account: AccountReply = client.post("/v1/oidc/accounts", &code, None)?;
    // A binding of the same account that was ended is named, so that what is signed binds it this once.
    let rows = rows_of(client, None)?;
    let known = rows.iter().find(|row| row.issuer == account.issuer && row.subject == account.subject);
    let ended = known.and_then(|row| row.unbound_at).map(EntryIndex);
    ended.map(|entry| check_past(world, client, entry)).transpose()?;
    let again = ended.map(|entry| format!("\n  again      after entry {entry}, which ended the last binding"));
    // Whoever meant another account sees it here, and in the ledger; what the provider calls it comes from outside.
    world.terminal.say(format!(
        "You sign that this account is yours:\n  account    {}\n  at         {}\n  ledger     {}{}",
        visible(&account.subject),
        visible(&account.issuer),
        info.origin,
        again.unwrap_or_default()
    ));
    let document = BindingDocument::new(&info.origin, person, &account.issuer, &account.subject).after(ended);
    let request = IdentityBinding {
        person: person.clone(),
        after: ended.map(|entry| entry.0),
        signature: sign(signer, IDENTITY_NAMESPACE, &document_bytes(&document)?)?,
        issuer: account.issuer,
        subject: account.subject,
    };
    let reply: Acknowledged<Changed> = client.post("/v1/identities", &request, Some(&world.random_hex()?))?;
    world.acknowledged(&reply, || {
        format!(
            "the account {} at {} is bound to {person}; sign in with `lockgate login --oidc`",
            request.subject, request.issuer
        )
    })?;
    Ok(Exit::Done)
}

/// `lockgate identity`.
///
/// # Errors
/// What the key or the server refuses.
pub fn identity(world: &World, options: &cli::Identity) -> Outcome {
    match options {
        cli::Identity::List { of } => list(world, of.as_ref()),
        cli::Identity::Unbind { issuer, subject, of, reason } => unbind(world, issuer, subject, of.as_ref(), reason),
    }
}

fn rows_of(client: &Client, of: Option<&PersonId>) -> Result<Vec<IdentityRow>, Failure> {
    let query = of.map(|person| format!("?person={}", query_value(person.as_str()))).unwrap_or_default();
    Ok(client.get(&format!("/v1/identities{query}"))?)
}

fn list(world: &World, of: Option<&PersonId>) -> Outcome {
    let rows = rows_of(&world.signed_in()?, of)?;
    world.terminal.show(&rows, || {
        let cells = rows.iter().map(|row| {
            let state = row.unbound_at.map_or("bound".to_owned(), |at| format!("ended at entry {at}"));
            vec![row.issuer.clone(), row.subject.clone(), row.key.clone(), format!("entry {}", row.bound_at), state]
        });
        table(&["issuer", "subject", "key", "bound", "state"], cells)
    })?;
    Ok(Exit::Done)
}

fn unbind(world: &World, issuer: &str, subject: &str, of: Option<&PersonId>, reason: &str) -> Outcome {
    let by = world.person()?;
    let client = world.signed_in_as(&by)?;
    let person = of.unwrap_or(&by).clone();
    let bound = rows_of(&client, of)?
        .into_iter()
        .find(|row| row.issuer == issuer && row.subject == subject && row.unbound_at.is_none())
        .ok_or_else(|| {
            Failure::new(Exit::NotFound, "IDENTITY_UNKNOWN", format!("`{person}` has no such account bound"))
        })?;
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let identity = Identity {
        person: person.clone(),
        issuer: bound.issuer,
        subject: bound.subject,
        key: bound.key,
        bound_at: EntryIndex(bound.bound_at),
        unbound_at: None,
    };
    let document = document_bytes(&UnbindingDocument::new(&info.origin, &identity, reason))?;
    let signer = world.keyring.signer(&world.context()?, &by, None)?;
    let request = IdentityEnd {
        person,
        issuer: identity.issuer.clone(),
        subject: identity.subject.clone(),
        reason: reason.to_owned(),
        signature: sign(signer.as_ref(), IDENTITY_NAMESPACE, &document)?,
        by,
    };
    let reply: Acknowledged<Changed> = client.post("/v1/identities/ends", &request, Some(&world.random_hex()?))?;
    world.acknowledged(&reply, || {
        format!("the account {} at {} is not bound to {} any more", request.subject, request.issuer, request.person)
    })?;
    Ok(Exit::Done)
}

/// Prints where the browser has to go, and waits until it comes back.
fn through_browser(world: &World, client: &Client) -> Result<OidcCode, Failure> {
    let listen = |error: std::io::Error| {
        Failure::new(Exit::Failed, "LISTEN_FAILED", format!("no port of this machine can be listened on: {error}"))
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(listen)?;
    let port = listener.local_addr().map_err(listen)?.port();
    let mut bytes = [0u8; 32];
    SystemEntropy
        .fill(&mut bytes)
        .map_err(|error| Failure::new(Exit::Unavailable, "RANDOM_FAILED", error.to_string()))?;
    let verifier = URL_SAFE_NO_PAD.encode(bytes);
    let challenge = URL_SAFE_NO_PAD.encode(Digest::of(verifier.as_bytes()).as_bytes());
    let address = format!("{}/v1/oidc/start?cli_port={port}&cli_challenge={challenge}", client.base());
    world.terminal.say(format!("open this address in a browser on this machine:\n  {address}"));
    let (sender, receiver) = channel();
    // The thread waits for connections as long as the process lives, which is not long.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Some(code) = serve(stream) {
                // Nobody waits any more once the time is over.
                let _ = sender.send(code);
                return;
            }
        }
    });
    let code = receiver.recv_timeout(PATIENCE).map_err(|_| {
        Failure::new(Exit::NotPermitted, "SIGN_IN_TIMEOUT", "nobody signed in within ten minutes")
            .hint("run the command again, and open the address that it prints")
    })?;
    Ok(OidcCode { code, verifier })
}

/// Answers one connection; gives the code, if that is what it brought.
fn serve(mut stream: TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(REQUEST)).ok()?;
    let mut line = String::new();
    let reader = std::io::Read::take(stream.try_clone().ok()?, LINE_MAX_BYTES);
    BufReader::new(reader).read_line(&mut line).ok()?;
    let code = code_of(&line);
    let (status, text) = match code {
        Some(_) => ("200 OK", "You can close this page and go back to the command line."),
        None => ("404 Not Found", "There is nothing here."),
    };
    let page = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Referrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    // The page is a courtesy; the code is what counts.
    let _ = stream.write_all(page.as_bytes());
    code
}

/// The code in the request line that the server's redirect leads to.
fn code_of(line: &str) -> Option<String> {
    let code = line.strip_prefix("GET /?code=")?.split(' ').next()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (!code.is_empty() && code.len() <= 128 && code.bytes().all(plain)).then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_redirect_brings_a_code() {
        assert_eq!(code_of("GET /?code=abc-_1 HTTP/1.1\r\n").as_deref(), Some("abc-_1"));
        for line in
            ["", "GET / HTTP/1.1", "POST /?code=abc HTTP/1.1", "GET /?code= HTTP/1.1", "GET /?code=a%20 HTTP/1.1"]
        {
            assert_eq!(code_of(line), None, "{line}");
        }
    }
}
