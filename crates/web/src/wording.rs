//! Wording: how pages write times, digests, sizes and outcomes.

use lockgate_model::facts::PromotionKind;
use lockgate_model::{Digest, UnixMillis};
use maud::{Markup, html};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A span as people say it: `3 min`, `5 h`, `2 d`.
pub fn span(millis: u64) -> String {
    match millis {
        0..MINUTE => "now".to_owned(),
        MINUTE..HOUR => format!("{} min", millis / MINUTE),
        HOUR..DAY => format!("{} h", millis / HOUR),
        _ => format!("{} d", millis / DAY),
    }
}

/// A span that ends, with its smaller unit too: `5 min`, `2 h 5 min`, `3 d 4 h`; what is shorter is a minute.
fn left(millis: u64) -> String {
    let millis = millis.max(MINUTE);
    let rest = match millis {
        0..HOUR => 0,
        HOUR..DAY => millis % HOUR,
        _ => millis % DAY / HOUR * HOUR,
    };
    if rest < MINUTE { span(millis) } else { format!("{} {}", span(millis), span(rest)) }
}

/// How long ago something was, with the exact time for whoever points at it; `times.js` keeps it so, in the same words.
pub fn ago(time: UnixMillis, now: UnixMillis) -> Markup {
    let passed = now.0.saturating_sub(time.0);
    let exact = time.rfc3339_secs();
    let text = if passed < MINUTE { "just now".to_owned() } else { format!("{} ago", span(passed)) };
    html! { time datetime=(exact) title=(exact) data-ago=(time.0) { (text) } }
}

/// When something will be, with the exact time for whoever points at it; `times.js` counts it down, in the same words.
pub fn until(time: UnixMillis, now: UnixMillis) -> Markup {
    let exact = time.rfc3339_secs();
    let text = match time.0.checked_sub(now.0) {
        Some(millis) if millis > 0 => format!("in {}", left(millis)),
        _ => "over".to_owned(),
    };
    html! { time datetime=(exact) title=(exact) data-until=(time.0) { (text) } }
}

/// A moment in UTC, to the second.
pub fn exact(time: UnixMillis) -> Markup {
    html! { time datetime=(time.rfc3339_secs()) { (utc(time)) } }
}

/// A moment by the clock of whoever looks, which `times.js` knows; in UTC, and said so, where no script runs.
pub fn local(time: UnixMillis) -> Markup {
    html! { time datetime=(time.rfc3339_secs()) data-local=(time.0) { (utc(time)) } }
}

fn utc(time: UnixMillis) -> String {
    time.rfc3339_secs().replace('T', " ").replace('Z', " UTC")
}

/// A digest by its first characters, as a button that copies all of it; for links there is [`digest_in_link`].
pub fn digest(digest: &Digest) -> Markup {
    let whole = digest.to_string();
    html! {
        button.digest type="button" data-copy=(whole) title=(whole) {
            code { (beginning(&whole)) } " " span.quiet { "copy" }
        }
    }
}

/// A digest by its first characters, whole for whoever points at it.
pub fn digest_in_link(digest: &Digest) -> Markup {
    let whole = digest.to_string();
    html! { code title=(whole) { (beginning(&whole)) } }
}

fn beginning(digest: &str) -> String {
    let short: String = digest.chars().take("sha256:".len() + 12).collect();
    format!("{short}…")
}

/// A size in bytes, as people say it.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut tenths = u128::from(bytes) * 10 / 1024;
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS.get(unit).copied().unwrap_or("TiB"))
}

/// The word for one, or for any other number.
pub fn plural<'a>(count: u64, one: &'a str, more: &'a str) -> &'a str {
    if count == 1 { one } else { more }
}

/// An outcome or a standing as an icon and its word; colour only repeats what they say.
pub fn outcome(word: &str) -> Markup {
    let (icon, class) = match word {
        "pass" | "allow" | "granted" | "applied" | "approve" | "ok" => ("✓", "good"),
        "fail" | "deny" | "denied" | "rejected" | "reject" | "alarm" => ("✗", "bad"),
        "pending" | "waiting" | "open" | "defer" => ("…", "wait"),
        "waived" | "warn" | "expired" | "superseded" => ("!", "warn"),
        _ => ("·", "plain"),
    };
    html! { span class={ "state " (class) } { span.icon aria-hidden="true" { (icon) } " " (word) } }
}

/// The word for going forward or back.
pub fn promotion_kind(kind: PromotionKind) -> &'static str {
    match kind {
        PromotionKind::Promotion => "promotion",
        PromotionKind::Rollback => "rollback",
    }
}

/// Text without characters that could make it look like other text.
pub fn visible(text: &str) -> String {
    lockgate_model::text::visible(text)
}

/// A command with a button that copies it.
pub fn command(id: &str, text: &str) -> Markup {
    html! {
        div.command {
            code id=(id) { (text) }
            button.plain.copy type="button" data-copies=(id) aria-label={ "Copy as CLI: " (text) } { "Copy as CLI" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_sizes_and_times_read_well() {
        let check = |millis: u64, expected: &str| assert_eq!(span(millis), expected);
        check(59_999, "now");
        check(60_000, "1 min");
        check(3_600_000, "1 h");
        check(172_800_000, "2 d");
        let check = |bytes: u64, expected: &str| assert_eq!(size(bytes), expected);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1536, "1.5 KiB");
        check(5 * 1024 * 1024, "5.0 MiB");
        check(u64::MAX, "16777215.9 TiB");
        let text = ago(UnixMillis(0), UnixMillis(120_000)).into_string();
        let wanted =
            r#"<time datetime="1970-01-01T00:00:00Z" title="1970-01-01T00:00:00Z" data-ago="0">2 min ago</time>"#;
        assert_eq!(text, wanted);
        let text = local(UnixMillis(7_200_000)).into_string();
        let wanted = r#"<time datetime="1970-01-01T02:00:00Z" data-local="7200000">1970-01-01 02:00:00 UTC</time>"#;
        assert_eq!(text, wanted);
    }

    #[test]
    fn what_ends_is_counted_down_in_two_units() {
        let now = 1_000;
        let check = |left: u64, expected: &str| {
            let text = until(UnixMillis(now + left), UnixMillis(now)).into_string();
            assert!(text.contains(&format!("data-until=\"{}\">{expected}</time>", now + left)), "{expected}: {text}");
        };
        check(0, "over");
        check(1, "in 1 min");
        check(3_599_999, "in 59 min");
        check(3_600_000, "in 1 h");
        check(7_500_000, "in 2 h 5 min");
        check(86_400_000 - 1, "in 23 h 59 min");
        check(86_400_000 + 3_599_999, "in 1 d");
        check(3 * 86_400_000 + 4 * 3_600_000 + 59 * 60_000, "in 3 d 4 h");
        assert!(until(UnixMillis(0), UnixMillis(1)).into_string().contains(">over<"));
    }

    #[test]
    fn a_digest_is_short_and_copied_whole() {
        let whole = Digest::of(b"artifact");
        let text = digest(&whole).into_string();
        assert!(text.contains(&format!("data-copy=\"{whole}\"")), "{text}");
        assert!(text.contains(&format!(">{}…<", &whole.to_string()[..19])), "{text}");
        // A button inside a link would be neither.
        assert!(!digest_in_link(&whole).into_string().contains("button"));
    }

    #[test]
    fn text_cannot_become_markup() {
        let hostile = r#"<script>alert(1)</script>" onclick=x"#;
        let text = command("c", hostile).into_string();
        assert!(!text.contains("<script") && !text.contains("\" onclick"), "{text}");
    }
}
