//! Contrast of the style sheets: every colour that text may have, on every ground that it may stand on, in light and
//! dark (WCAG 2.2, success criterion 1.4.3).

use std::collections::{BTreeMap, BTreeSet};

/// What text of any size needs.
const ENOUGH: f64 = 4.5;
/// What stands on the page without a ground of its own stands on one of these.
const GROUNDS: [&str; 2] = ["--ground", "--raised"];
/// The sheets that are loaded together, first the one with the colours.
const SHEETS: [&[&str]; 2] = [
    &[include_str!("../assets/page.css"), include_str!("../assets/dashboard.css")],
    &[include_str!("../assets/viewer.css")],
];

/// One rule: whether it is for dark screens, its selector, and its declarations in order.
struct Rule {
    dark: bool,
    selector: String,
    declarations: Vec<(String, String)>,
}

impl Rule {
    /// Whether it draws a dot or a bar that no text stands on.
    fn is_mark(&self) -> bool {
        self.selector.split(',').all(|one| one.trim().ends_with("::before") || one.trim().ends_with("::after"))
    }

    /// The last value of a property.
    fn value(&self, property: &str) -> Option<&str> {
        self.declarations.iter().rev().find(|(name, _)| name == property).map(|(_, value)| value.as_str())
    }
}

fn without_comments(sheet: &str) -> String {
    let mut out = String::new();
    let mut rest = sheet;
    while let Some((before, after)) = rest.split_once("/*") {
        out.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    out + rest
}

/// The rules of a sheet for screens, those inside `@media` included; paper is black on white.
fn rules(sheet: &str) -> Vec<Rule> {
    let sheet = without_comments(sheet);
    let (mut found, mut open, mut text) = (Vec::new(), Vec::<String>::new(), String::new());
    for character in sheet.chars() {
        match character {
            '{' => {
                // An `@import` before a rule ends with a semicolon.
                let header = text.rsplit(';').next().unwrap_or_default().trim().to_owned();
                open.push(header);
                text.clear();
            }
            '}' => {
                let selector = open.pop().unwrap();
                let pairs = text.split(';').filter_map(|line| line.split_once(':'));
                let declarations: Vec<(String, String)> =
                    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect();
                let paper = open.iter().any(|header| header.contains("@media print"));
                if !selector.starts_with('@') && !paper {
                    let dark = open.iter().any(|header| header.contains("prefers-color-scheme: dark"));
                    found.push(Rule { dark, selector, declarations });
                }
                text.clear();
            }
            other => text.push(other),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    found
}

/// The name inside `var(...)`.
fn variable(value: &str) -> Option<&str> {
    value.strip_prefix("var(")?.strip_suffix(')')
}

type Palette = BTreeMap<String, [f64; 3]>;

/// The colours of the sheets, for light or dark screens: what dark does not say is as in light.
fn palette(rules: &[Rule], dark: bool) -> Palette {
    let mut colours = Palette::new();
    for rule in rules.iter().filter(|rule| rule.selector == ":root" && (dark || !rule.dark)) {
        for (name, value) in rule.declarations.iter().filter(|(name, _)| name.starts_with("--")) {
            colours.insert(name.clone(), colour(value));
        }
    }
    colours
}

/// `#rgb` or `#rrggbb`, each part from 0 to 1.
fn colour(text: &str) -> [f64; 3] {
    let digits = text.strip_prefix('#').unwrap_or_else(|| panic!("{text} is not a colour"));
    let wide: String = match digits.len() {
        3 => digits.chars().flat_map(|digit| [digit, digit]).collect(),
        6 => digits.to_owned(),
        _ => panic!("{text} is not a colour"),
    };
    [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&wide[at..at + 2], 16).unwrap()) / 255.0)
}

/// Relative luminance, as WCAG defines it.
fn luminance(colour: [f64; 3]) -> f64 {
    let [red, green, blue] =
        colour.map(|part| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// The pairs of text and ground that the rules make: what has a ground of its own stands on that, all else on any.
fn pairs(rules: &[Rule]) -> BTreeSet<(String, String)> {
    let mut pairs = BTreeSet::new();
    for rule in rules.iter().filter(|rule| !rule.is_mark()) {
        // In drawings, text is filled.
        let property = if rule.selector.ends_with(" text") { "fill" } else { "color" };
        let text = rule.value(property).and_then(variable);
        let ground = rule.value("background").and_then(variable);
        match (text, ground) {
            (Some(text), Some(ground)) => {
                pairs.insert((text.to_owned(), ground.to_owned()));
            }
            (Some(text), None) => pairs.extend(GROUNDS.map(|ground| (text.to_owned(), ground.to_owned()))),
            (None, _) => {}
        }
    }
    // What says no colour has the page's own.
    pairs.extend(GROUNDS.map(|ground| ("--text".to_owned(), ground.to_owned())));
    pairs
}

#[test]
fn every_text_can_be_read_on_its_ground() {
    for sheets in SHEETS {
        let rules: Vec<Rule> = sheets.iter().flat_map(|sheet| rules(sheet)).collect();
        let pairs = pairs(&rules);
        assert!(pairs.len() >= 8, "{pairs:?}");
        for dark in [false, true] {
            let colours = palette(&rules, dark);
            for (text, ground) in &pairs {
                let found = contrast(colours[text], colours[ground]);
                assert!(found >= ENOUGH, "{text} on {ground} has {found:.2} where dark is {dark}");
            }
        }
    }
}

/// Light and dark say the same things.
#[test]
fn dark_has_a_colour_for_each_of_light() {
    for sheets in SHEETS {
        let rules: Vec<Rule> = sheets.iter().flat_map(|sheet| rules(sheet)).collect();
        let names = |dark: bool| {
            let roots = rules.iter().filter(|rule| rule.selector == ":root" && rule.dark == dark);
            let all = roots.flat_map(|rule| &rule.declarations).filter(|(name, _)| name.starts_with("--"));
            all.map(|(name, _)| name.clone()).collect::<BTreeSet<String>>()
        };
        assert!(!names(false).is_empty());
        assert_eq!(names(false), names(true));
    }
}

/// A colour that no property names would be the same in light and dark, and in no list of pairs.
#[test]
fn colours_stand_in_properties_alone() {
    for rule in SHEETS.into_iter().flatten().flat_map(|sheet| rules(sheet)) {
        for (name, value) in rule.declarations.iter().filter(|(name, _)| !name.starts_with("--")) {
            let own = ["#", "rgb", "hsl", "oklch", "color-mix"].iter().any(|start| value.contains(start));
            assert!(!own, "{}: {name}: {value}", rule.selector);
        }
    }
}

#[test]
fn luminance_is_that_of_the_specification() {
    let check = |one: &str, other: &str, expected: f64| {
        let found = contrast(colour(one), colour(other));
        assert!((found - expected).abs() < 0.005, "{one} {other}: {found}");
    };
    check("#000", "#fff", 21.0);
    check("#fff", "#ffffff", 1.0);
    check("#777777", "#fff", 4.48);
    check("#0b57c2", "#fff", 6.65);
}
