//! What is printed: results on standard output, talk on standard error.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lockgate_api::Exit;
use lockgate_model::text::visible;
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
            Format::Json => self.json(value),
            // Whatever a command prints of what came from elsewhere, none of it steers the terminal.
            Format::Table => self.result(printable(text().trim_end())),
        }
    }

    /// Prints a value as JSON, whatever the form of output.
    ///
    /// # Errors
    /// As [`Self::result`].
    pub fn json<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        let json = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::new(Exit::Bug, "OUTPUT_INVALID", error.to_string()))?;
        self.result(plain_json(&json))
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
        let mut text = format!("{red}error{plain}[{}]: {}", printable(&failure.code), continued(&failure.message));
        if let Some(hint) = &failure.hint {
            text.push_str(&format!("\n  next  {}", continued(hint)));
        }
        let _ = writeln!(std::io::stderr(), "{text}");
        if self.format == Format::Json && !PRINTED.load(Ordering::Relaxed) {
            let json = serde_json::json!({ "error": failure.to_json() });
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
///
/// A cell may have several lines, but for the first of a row: no text in it begins what looks like another row. What
/// somebody else wrote goes through [`visible`] first.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|cell| cell.to_uppercase()));
    for row in rows {
        let cell = |(at, cell): (usize, &String)| if at == 0 { visible(cell) } else { printable(cell) };
        table.add_row(row.iter().enumerate().map(cell));
    }
    let lines: Vec<String> =
        table.lines().map(|line| line.trim_end().strip_prefix(' ').unwrap_or(line.trim_end()).to_owned()).collect();
    lines.join("\n")
}

/// A number with the word for one, or for any other number.
pub fn counted(number: u64, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

/// A field in a line of its own: its name, and its value with line breaks and control characters escaped.
///
/// INVARIANT (a field is one line): nothing that somebody wrote into a value looks like another field, or like none. What
/// people sign after reading it, and whatever lists field by field what others wrote, is made of these.
pub fn field(name: &str, value: impl Display) -> String {
    format!("  {name:<10} {}", visible(&value.to_string()))
}

/// Several fields, each as [`field`] has it.
pub fn fields(rows: &[(&str, &dyn Display)]) -> String {
    rows.iter().map(|(name, value)| field(name, value)).collect::<Vec<_>>().join("\n")
}

/// Text from outside with its control characters escaped; line breaks stay, as whole documents need them. A value among
/// others is a [`field`].
pub fn printable(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// The same where only the first line may begin at the margin: no line of a message is taken for another message.
fn continued(text: &str) -> String {
    let mut lines = printable(text).split('\n').map(str::to_owned).collect::<Vec<_>>();
    for line in lines.iter_mut().skip(1).filter(|line| !line.starts_with(' ')) {
        line.insert_str(0, "  ");
    }
    lines.join("\n")
}

/// JSON in which the control characters that JSON lets stand in texts are escaped: some terminals obey those above 127
/// too.
pub fn plain_json(json: &str) -> String {
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
        assert_eq!(printable(&field("a", text)), field("a", text));
    }

    #[test]
    fn a_field_is_one_line_whatever_its_value_is() {
        let check = |value: &str, expected: &str| assert_eq!(field("reason", value), expected);
        check("it is never called", "  reason     it is never called");
        check("", "  reason     ");
        check("a\n  until      2099", "  reason     a\\u{a}  until      2099");
        check("a\r\u{2028}\u{85}\u{b}b", "  reason     a\\u{d}\\u{2028}\\u{85}\\u{b}b");
        let text = fields(&[("finding", &"CVE-1\n\n"), ("entry", &7), ("reason", &"x\n  finding    CVE-2")]);
        let lines: Vec<&str> = text.lines().collect();
        let expected = ["  finding    CVE-1\\u{a}\\u{a}", "  entry      7", "  reason     x\\u{a}  finding    CVE-2"];
        assert_eq!(lines, expected);
    }

    #[test]
    fn no_cell_begins_a_row() {
        let text = table(&["entry", "what"], [vec!["7\n8".to_owned(), "asked\n8  granted".to_owned()]]);
        assert!(!text.lines().any(|line| line.starts_with('8')), "{text}");
        assert!(text.contains("7\\u{a}8"), "{text}");
    }
}
