//! What is printed: results on standard output, talk on standard error.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lockgate_api::Exit;
use serde::Serialize;

use crate::cli::Format;
use crate::failure::Failure;

/// Whether a result was printed: standard output carries one JSON document, not a second one about the failure.
static PRINTED: AtomicBool = AtomicBool::new(false);

/// Where and how a command prints.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Table or JSON.
    pub format: Format,
    /// Nothing but results and errors.
    pub quiet: bool,
    /// Whether standard error may carry colour.
    pub colour: bool,
}

impl Terminal {
    /// Prints a result line.
    ///
    /// # Errors
    /// When standard output is closed: a result that nobody got is no success.
    pub fn result(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        PRINTED.store(true, Ordering::Relaxed);
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", text.as_ref())
            .and_then(|()| out.flush())
            .map_err(|error| Failure::new(Exit::Failed, "OUTPUT_CLOSED", error.to_string()))
    }

    /// Prints raw bytes as the result.
    ///
    /// # Errors
    /// As [`Self::result`].
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        PRINTED.store(true, Ordering::Relaxed);
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)
            .and_then(|()| out.flush())
            .map_err(|error| Failure::new(Exit::Failed, "OUTPUT_CLOSED", error.to_string()))
    }

    /// Prints a value as JSON, or as text.
    ///
    /// # Errors
    /// As [`Self::result`].
    pub fn show<T: Serialize>(&self, value: &T, text: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.format {
            Format::Json => {
                let json = serde_json::to_string_pretty(value)
                    .map_err(|error| Failure::new(Exit::Bug, "OUTPUT_INVALID", error.to_string()))?;
                self.result(plain_json(&json))
            }
            // Whatever a command prints of what came from elsewhere, none of it steers the terminal.
            Format::Table => self.result(printable(text().trim_end())),
        }
    }

    /// Says something about what goes on.
    pub fn say(&self, text: impl AsRef<str>) {
        if !self.quiet {
            // Talk that nobody hears is no failure.
            let _ = writeln!(std::io::stderr(), "{}", printable(text.as_ref()));
        }
    }

    /// Says what was done where there is nothing else to print; programs get it as JSON.
    ///
    /// # Errors
    /// As [`Self::result`].
    pub fn done<T: Serialize>(&self, value: &T, text: impl AsRef<str>) -> Result<(), Failure> {
        self.say(text);
        match self.format {
            Format::Json => self.show(value, String::new),
            Format::Table => Ok(()),
        }
    }

    /// Reports a failure.
    pub fn failure(&self, failure: &Failure) {
        let (red, plain) = if self.colour { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
        let mut text = format!("{red}error{plain}[{}]: {}", printable(&failure.code), printable(&failure.message));
        if let Some(hint) = &failure.hint {
            text.push_str(&format!("\n  next  {}", printable(hint)));
        }
        let _ = writeln!(std::io::stderr(), "{text}");
        if self.format == Format::Json && !PRINTED.load(Ordering::Relaxed) {
            let json = serde_json::json!({ "error": {
                "code": failure.code, "message": failure.message, "hint": failure.hint, "exit": failure.exit.code(),
            } });
            let _ = writeln!(std::io::stdout(), "{}", plain_json(&json.to_string()));
        }
    }

    /// A progress bar with rate, on a terminal only.
    pub fn progress(&self, what: &str, total: u64, bytes: bool) -> ProgressBar {
        let shown = !self.quiet && self.format == Format::Table && std::io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let template = match bytes {
            true => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            false => "{msg} [{bar:30}] {pos}/{len} {per_sec} {eta}",
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(total), target).with_style(style.progress_chars("=> "));
        bar.set_message(what.to_owned());
        bar
    }

    /// Asks a yes-or-no question on the terminal; anything but `y` or `yes` is no.
    ///
    /// # Errors
    /// When there is no terminal to ask on.
    pub fn confirm(&self, question: &str) -> Result<bool, Failure> {
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage("CONFIRMATION_NEEDED", "this needs a yes, and there is no terminal to ask on")
                .hint("add --yes once you have read what is signed"));
        }
        let _ = write!(std::io::stderr(), "{question} [y/N] ");
        let _ = std::io::stderr().flush();
        let mut answer = String::new();
        std::io::stdin()
            .read_line(&mut answer)
            .map_err(|error| Failure::new(Exit::Failed, "INPUT_CLOSED", error.to_string()))?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

/// A table as text; cells cannot carry control characters.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|cell| cell.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    let lines: Vec<String> =
        table.lines().map(|line| line.trim_end().strip_prefix(' ').unwrap_or(line.trim_end()).to_owned()).collect();
    lines.join("\n")
}

/// Text from outside with its control characters escaped; line breaks stay.
pub fn printable(text: &str) -> String {
    text.split('\n').map(lockgate_model::text::visible).collect::<Vec<_>>().join("\n")
}

/// JSON in which the control characters that JSON lets stand in texts are escaped: some terminals obey those above 127
/// too.
fn plain_json(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut out, character| {
        match character.is_control() && character != '\n' {
            true => out.push_str(&format!("\\u{:04x}", u32::from(character))),
            false => out.push(character),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_cannot_steer_a_terminal_and_stays_what_it_is() {
        let value = serde_json::json!({ "text": "a\u{1b}[2J\u{9b}31m\u{7f}\n\tb" });
        let text = plain_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(text.chars().all(|character| character == '\n' || !character.is_control()), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn printing_twice_is_printing_once() {
        let text = "a\u{1b}[2J\u{202e}\n\\u{1b}";
        assert_eq!(printable(&printable(text)), printable(text));
    }
}
