//! Suggestions: the known name that a mistyped one probably stands for.

/// Words longer than this are cut before they are compared, which bounds the work.
const COMPARED_CHARS: usize = 64;

/// Words a sentence such as "did you mean `sbom`?" from the nearest of the known names, if one is near.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let allowed = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (distance(word, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| format!("did you mean `{name}`?"))
}

/// The number of single-character edits between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(COMPARED_CHARS).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (position, from) in a.chars().take(COMPARED_CHARS).enumerate() {
        let mut diagonal = position;
        let mut left = position + 1;
        let mut next = Vec::with_capacity(row.len());
        next.push(left);
        for (to, up) in b.iter().zip(row.iter().skip(1)) {
            let replaced = diagonal + usize::from(from != *to);
            left = replaced.min(left + 1).min(*up + 1);
            diagonal = *up;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_what_is_near() {
        let known = ["sbom", "tests", "vulnerabilities", "max_failed"];
        let check = |word: &str, expected: Option<&str>| {
            let expected = expected.map(|name| format!("did you mean `{name}`?"));
            assert_eq!(did_you_mean(word, known), expected, "{word}");
        };
        check("sbon", Some("sbom"));
        check("test", Some("tests"));
        check("max_fialed", Some("max_failed"));
        check("vulnerability", Some("vulnerabilities"));
        check("provenance", None);
        check("", None);
    }

    #[test]
    fn counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
