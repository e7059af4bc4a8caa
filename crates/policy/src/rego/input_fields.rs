//! Fields of the input: whether what a module reads can be there at all.
//!
//! A mistyped field has no value, a rule whose body has none does not deny, and nothing would say so. So every path that
//! starts at `input` is compared with the published schema of facts when the policy set is read.

use std::sync::LazyLock;

use lockgate_model::facts;
use serde_json::Value as Json;

use crate::suggestion::did_you_mean;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A field by its name.
    Field(String),
    /// Anything that is only known in an evaluation: a variable, a number, `_`.
    Any,
}

/// A field that nothing can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unknown {
    /// Its name.
    pub(super) field: String,
    /// The name that was probably meant.
    pub(super) hint: Option<String>,
}

static SCHEMA: LazyLock<Json> = LazyLock::new(facts::schema);

/// How deep references of the schema are followed.
const DEPTH: usize = 16;

/// The first field of a path below `input` that facts cannot have.
pub(super) fn unknown(steps: &[Step]) -> Option<Unknown> {
    // What stands under `parameters` is the gate's own.
    if steps.first() == Some(&Step::Field("parameters".to_owned())) {
        return None;
    }
    let schema: &Json = &SCHEMA;
    let mut places: Vec<&Json> = vec![schema];
    for (at, step) in steps.iter().enumerate() {
        let mut known: Vec<&Json> = Vec::new();
        for place in places {
            gather(schema, place, 0, &mut known);
        }
        let mut next: Vec<&Json> = Vec::new();
        match step {
            Step::Any => known.iter().copied().for_each(|place| next.extend(members(place))),
            Step::Field(name) => {
                next.extend(known.iter().copied().filter_map(|place| field(place, name)));
                if next.is_empty() {
                    let fields = known.iter().copied().filter_map(|place| place.get("properties")?.as_object());
                    let names = fields.flat_map(|fields| fields.keys()).map(String::as_str);
                    let hint = did_you_mean(name, names.chain((at == 0).then_some("parameters")));
                    return Some(Unknown { field: name.clone(), hint });
                }
            }
        }
        if next.is_empty() {
            return None;
        }
        places = next;
    }
    None
}

/// A schema and everything that it refers to or may be instead.
fn gather<'a>(whole: &'a Json, place: &'a Json, depth: usize, into: &mut Vec<&'a Json>) {
    if depth > DEPTH {
        return;
    }
    into.push(place);
    let reference = place.get("$ref").and_then(Json::as_str).and_then(|reference| reference.strip_prefix('#'));
    if let Some(target) = reference.and_then(|pointer| whole.pointer(pointer)) {
        gather(whole, target, depth.saturating_add(1), into);
    }
    for word in ["oneOf", "anyOf", "allOf"] {
        for one in place.get(word).and_then(Json::as_array).into_iter().flatten() {
            gather(whole, one, depth.saturating_add(1), into);
        }
    }
}

fn field<'a>(place: &'a Json, name: &str) -> Option<&'a Json> {
    let named = place.get("properties").and_then(|fields| fields.get(name));
    named.or_else(|| place.get("additionalProperties").filter(|other| other.is_object()))
}

fn members(place: &Json) -> Vec<&Json> {
    let named = place.get("properties").and_then(Json::as_object).into_iter().flat_map(|fields| fields.values());
    let others = ["items", "additionalProperties"].into_iter().filter_map(|word| place.get(word));
    let others = others.filter(|other| other.is_object());
    named.chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(path: &str) -> Vec<Step> {
        let step = |part: &str| if part == "*" { Step::Any } else { Step::Field(part.to_owned()) };
        path.split('.').map(step).collect()
    }

    #[test]
    fn paths_are_compared_with_the_schema_of_facts() {
        let check = |path: &str, expected: Option<(&str, Option<&str>)>| {
            let found = unknown(&steps(path));
            let found = found.as_ref().map(|unknown| (unknown.field.as_str(), unknown.hint.as_deref()));
            assert_eq!(found, expected, "{path}");
        };
        check("time", None);
        check("promotion.environment", None);
        check("promotoin.environment", Some(("promotoin", Some("did you mean `promotion`?"))));
        check("promotion.enviroment", Some(("enviroment", Some("did you mean `environment`?"))));
        check("evidence.*.claim.kind", None);
        check("evidence.*.claim.findings.*.severity", None);
        check("evidence.*.claim.findings.*.severty", Some(("severty", Some("did you mean `severity`?"))));
        check("evidence.*.origin.signers.*", None);
        check("evidence.*.origin.by", None);
        check("evidence.claim", Some(("claim", None)));
        check("running.release", None);
        check("people.dana.groups.*", None);
        check("people.*.groups", None);
        check("people.*.gruops", Some(("gruops", Some("did you mean `groups`?"))));
        check("parameters.anything.at.all", None);
        check("parameter", Some(("parameter", Some("did you mean `parameters`?"))));
        check("release.artifacts.*.digest.x", Some(("x", None)));
    }
}
