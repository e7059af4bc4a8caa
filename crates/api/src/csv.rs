//! CSV: rows for spreadsheets (RFC 4180), in which no cell becomes a formula.

use lockgate_model::text::visible;

use crate::wire::HistoryReply;

/// What [`history`] says of each entry, in this order.
pub const HISTORY: [&str; 7] = ["entry", "time", "who", "event", "what", "suspect", "checkpoint"];

/// What begins a formula.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
/// What ends a cell for a spreadsheet that is set to another separator, and so takes quotes for text.
const SEPARATORS: [char; 4] = [';', '\t', '\r', '\n'];

/// A cell in quotes, with an apostrophe before whatever a spreadsheet would take for a formula: at the beginning, and,
/// for those that take `;` or a tab for the separator, after each of these and after the end of a line.
///
/// Text with such an apostrophe is not byte for byte what was said: for that, there is the same as JSON.
pub fn quoted(cell: &str) -> String {
    // Quotes that are taken for quotes once more hide nothing.
    let hides = |one: char| one.is_whitespace() || one == '"';
    let is_formula = |text: &str| text.trim_start_matches(hides).starts_with(FORMULA);
    let mut text = String::with_capacity(cell.len());
    if is_formula(cell) || cell.starts_with(['\t', '\r', '\n']) {
        text.push('\'');
    }
    for (at, piece) in cell.split_inclusive(SEPARATORS).enumerate() {
        if at > 0 && is_formula(piece) {
            text.push('\'');
        }
        text.push_str(piece);
    }
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Cells as one line, with its end.
pub fn row<T: AsRef<str>>(cells: &[T]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| quoted(cell.as_ref())).collect();
    format!("{}\r\n", cells.join(","))
}

/// Entries, newest first, under the names of [`HISTORY`]; `checkpoint` is empty for what no checkpoint covers yet.
///
/// A last row without a number says where to go on, if that is not all there is: a table that was cut says so.
pub fn history(reply: &HistoryReply) -> String {
    let mut text = row(&HISTORY);
    for item in &reply.items {
        let covered = item.index < reply.checkpoint_size;
        text.push_str(&row(&[
            item.index.to_string(),
            item.time.to_string(),
            visible(&item.actor),
            visible(&item.event),
            visible(&item.summary),
            item.suspect.as_deref().map(visible).unwrap_or_default(),
            if covered { reply.checkpoint_size.to_string() } else { String::new() },
        ]));
    }
    if let Some(next) = reply.next {
        let more = format!("this is not all: ask again with before={next}");
        text.push_str(&row(&["", "", "", "", more.as_str(), "", ""]));
    }
    text
}

#[cfg(test)]
mod tests {
    use lockgate_model::UnixMillis;
    use serde_json::Value;

    use super::*;
    use crate::wire::HistoryItem;

    #[test]
    fn cells_stay_cells() {
        let check = |cell: &str, wanted: &str| assert_eq!(quoted(cell), wanted);
        check("a,b", "\"a,b\"");
        check("say \"x\"\nthen", "\"say \"\"x\"\"\nthen\"");
        check("=1+1", "\"'=1+1\"");
        check("+1", "\"'+1\"");
        check("-1", "\"'-1\"");
        check("@x", "\"'@x\"");
        check("\tx", "\"'\tx\"");
        check(" =1", "\"' =1\"");
        check("＝1", "\"'＝1\"");
        check("1-1", "\"1-1\"");
        check("", "\"\"");
        // For a spreadsheet whose separator is another one.
        check("a;=1", "\"a;'=1\"");
        check("a;b; +1;-2", "\"a;b;' +1;'-2\"");
        check("a\t@x", "\"a\t'@x\"");
        check("a\n=1\r\n=2", "\"a\n'=1\r\n'=2\"");
        check("a;\t=1", "\"a;\t'=1\"");
        check("a;\"=1\"", "\"a;'\"\"=1\"\"\"");
        check("\"=1", "\"'\"\"=1\"");
        check("a;＝1", "\"a;'＝1\"");
        // What is no formula stays as it was.
        check("CVE-1; CVE-2;", "\"CVE-1; CVE-2;\"");
        check("a; b=1", "\"a; b=1\"");
        check("a;'=1", "\"a;'=1\"");
    }

    #[test]
    fn a_history_that_was_cut_says_so_and_nothing_in_it_is_a_formula() {
        let item = |index: u64, summary: &str| HistoryItem {
            index,
            time: UnixMillis(0),
            actor: "dana".to_owned(),
            event: "promotion.requested".to_owned(),
            summary: summary.to_owned(),
            suspect: None,
            entry: Value::Null,
        };
        let reply = HistoryReply {
            items: vec![item(9, "=HYPERLINK(\"x\")"), item(8, "two\nlines\u{202e}")],
            next: Some(8),
            scanned_to: None,
            checkpoint_size: 9,
        };
        let text = history(&reply);
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert_eq!(lines[0], "\"entry\",\"time\",\"who\",\"event\",\"what\",\"suspect\",\"checkpoint\"");
        // The newest entry is in no checkpoint yet.
        assert!(lines[1].starts_with("\"9\",") && lines[1].ends_with(",\"\",\"\""), "{text}");
        assert!(lines[1].contains("\"'=HYPERLINK(\"\"x\"\")\""), "{text}");
        assert!(lines[2].contains("two\\u{a}lines\\u{202e}") && lines[2].ends_with(",\"9\""), "{text}");
        assert!(lines[3].contains("before=8"), "{text}");
        assert_eq!(history(&HistoryReply { next: None, ..reply }).lines().count(), 3);
    }
}
