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

/// The number of single-character edits between two words, where neighbours that changed places are one edit (optimal
/// string alignment).
fn distance(a: &str, b: &str) -> usize {
    let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
    let b: Vec<char> = b.chars().take(COMPARED_CHARS).collect();
    let (mut before, mut row): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=b.len()).collect());
    let mut last_from = None;
    for (position, from) in a.chars().take(COMPARED_CHARS).enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(position + 1);
        let mut last_to = None;
        for (column, to) in b.iter().copied().enumerate() {
            let replaced = at(&row, column).saturating_add(usize::from(from != to));
            let added = at(&next, column).saturating_add(1);
            let removed = at(&row, column + 1).saturating_add(1);
            let swapped = match last_from == Some(to) && last_to == Some(from) {
                true => at(&before, column.saturating_sub(1)).saturating_add(1),
                false => usize::MAX,
            };
            next.push(replaced.min(added).min(removed).min(swapped));
            last_to = Some(to);
        }
        before = std::mem::replace(&mut row, next);
        last_from = Some(from);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_what_is_near() {
        let known = ["sbom", "tests", "vulnerabilities", "max_failed", "count"];
        let check = |word: &str, expected: Option<&str>| {
            let expected = expected.map(|name| format!("did you mean `{name}`?"));
            assert_eq!(did_you_mean(word, known), expected, "{word}");
        };
        check("sbon", Some("sbom"));
        check("test", Some("tests"));
        check("max_fialed", Some("max_failed"));
        check("cuont", Some("count"));
        check("nuoct", None);
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
        assert_eq!(distance("count", "cuont"), 1);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("abcd", "badc"), 2);
    }
}
