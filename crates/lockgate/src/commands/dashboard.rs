//! Dashboard: the session of the command line goes on in a browser.
//!
//! The server gives a one-time code, and the browser shows whose session it is before it goes on. The code stands behind
//! the `#` of an address, which is sent nowhere; and where a browser is opened from here, in a file that nobody else may
//! read and not in the arguments of a process, which everybody on the machine can.

use std::io::IsTerminal as _;
use std::process::{Command, Stdio};

use lockgate_api::Exit;
use lockgate_api::wire::{HandoverReply, HandoverRequest};

use crate::cli;
use crate::failure::Outcome;
use crate::home::write_file;
use crate::world::World;

/// What opens a file with the program that people chose for it.
const OPENER: &str = "xdg-open";
/// The file, in the home, that leads the browser on.
const PAGE: &str = "dashboard.html";

/// `lockgate dashboard`.
///
/// # Errors
/// When sign-in fails, or the server cannot be reached.
pub fn dashboard(world: &World, options: &cli::Dashboard) -> Outcome {
    let person = world.person()?;
    let client = world.signed_in_as(&person)?;
    let made: HandoverReply = client.post("/v1/handovers", &HandoverRequest {}, None)?;
    let url = format!("{}/sign-in#code={}", for_browsers(client.base()), made.code);
    let opened = !options.print && std::io::stdout().is_terminal() && open(world, &url)?;
    let shown = serde_json::json!({ "url": url, "person": person, "expires_at": made.expires_at, "opened": opened });
    world.terminal.show(&shown, || match opened {
        true => {
            format!("the dashboard opens in your browser, as {person}; `lockgate dashboard --print` prints its address")
        }
        false => url.clone(),
    })?;
    if !opened {
        world.terminal.say(format!("open this address as {person}, once, before {}", made.expires_at.rfc3339_secs()));
    }
    Ok(Exit::Done)
}

/// The server by its name where it is this machine: passkeys belong to names, and not to numbers.
fn for_browsers(base: &str) -> String {
    match base.strip_prefix("http://127.0.0.1").filter(|rest| rest.is_empty() || rest.starts_with(':')) {
        Some(rest) => format!("http://localhost{rest}"),
        None => base.to_owned(),
    }
}

/// Opens an address by way of a private file; `false` where nothing here can.
fn open(world: &World, url: &str) -> Result<bool, crate::failure::Failure> {
    let path = world.home.path().join(PAGE);
    write_file(&path, page(url).as_bytes(), 0o600)?;
    let mut command = Command::new(OPENER);
    command.arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.status().is_ok_and(|status| status.success()))
}

/// A page that leads on at once.
fn page(url: &str) -> String {
    let escaped = url.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Lockgate</title>\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta http-equiv=\"refresh\" content=\"0; url={escaped}\">\n<p><a href=\"{escaped}\">To the dashboard</a></p>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_called_by_its_name() {
        let check = |base: &str, wanted: &str| assert_eq!(for_browsers(base), wanted);
        check("http://127.0.0.1:7430", "http://localhost:7430");
        check("http://127.0.0.1", "http://localhost");
        check("http://127.0.0.100:7430", "http://127.0.0.100:7430");
        check("https://lockgate.example", "https://lockgate.example");
    }

    #[test]
    fn an_address_cannot_leave_its_attribute() {
        let text = page("http://x/\"><script>alert(1)</script>#code=a");
        assert!(!text.contains("<script") && text.contains("&quot;&gt;&lt;script&gt;"), "{text}");
    }
}
