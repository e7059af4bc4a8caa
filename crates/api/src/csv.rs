//! CSV: rows for spreadsheets (RFC 4180), in which no cell becomes a formula.

use lockgate_model::text::visible;

use crate::wire::HistoryReply;

/// What [`history`] says of each entry, in this order.
pub const HISTORY: [&str; 7] = ["entry", "time", "who", "event", "what", "suspect", "checkpoint"];

/// A cell in quotes; one that a spreadsheet would take for a formula begins with an apostrophe.
pub fn quoted(cell: &str) -> String {
    const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    let formula = cell.starts_with(['\t', '\r', '\n']) || cell.trim_start().starts_with(FORMULA);
    let guard = if formula { "'" } else { "" };
    format!("\"{guard}{}\"", cell.replace('"', "\"\""))
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
