//! The built-in functions that modules may call: a list, and what each costs. Nothing else is there.
//!
//! On no list: whatever knows the time, the network, chance or the machine, whatever prints, and whatever grows without
//! a bound that can be told before the call. The list only ever grows, because an old policy set has to load for ever.

use regorus::unstable::{BUILTINS, BuiltinFcn, Expr, Ref, Source, Span};
use regorus::{Engine, Extension, Value};

use super::budget::{Cost, admit};

/// Every function that may be called, in order of its name.
pub(super) const ALLOWED: &[(&str, Cost)] = &[
    ("abs", Cost::Constant),
    ("array.concat", Cost::Linear),
    ("array.reverse", Cost::Linear),
    ("array.slice", Cost::Linear),
    ("ceil", Cost::Constant),
    ("concat", Cost::Join),
    ("contains", Cost::Linear),
    ("count", Cost::Text),
    ("endswith", Cost::Linear),
    ("floor", Cost::Constant),
    ("format_int", Cost::Linear),
    ("indexof", Cost::Product),
    ("indexof_n", Cost::Product),
    ("intersection", Cost::Linear),
    ("is_array", Cost::Constant),
    ("is_boolean", Cost::Constant),
    ("is_null", Cost::Constant),
    ("is_number", Cost::Constant),
    ("is_object", Cost::Constant),
    ("is_set", Cost::Constant),
    ("is_string", Cost::Constant),
    ("json.is_valid", Cost::Split),
    ("json.marshal", Cost::Linear),
    ("json.unmarshal", Cost::Split),
    ("lower", Cost::Linear),
    ("max", Cost::Linear),
    ("min", Cost::Linear),
    ("numbers.range", Cost::Range),
    ("object.filter", Cost::Linear),
    ("object.get", Cost::Constant),
    ("object.keys", Cost::Linear),
    ("object.remove", Cost::Linear),
    ("object.union", Cost::Linear),
    ("object.union_n", Cost::Linear),
    ("product", Cost::Square),
    ("replace", Cost::Replace),
    ("round", Cost::Constant),
    ("sort", Cost::Linear),
    ("split", Cost::Split),
    ("sprintf", Cost::Format),
    ("startswith", Cost::Linear),
    ("strings.any_prefix_match", Cost::Product),
    ("strings.any_suffix_match", Cost::Product),
    ("strings.count", Cost::Product),
    ("strings.reverse", Cost::Linear),
    ("substring", Cost::Linear),
    ("sum", Cost::Linear),
    ("to_number", Cost::Digits),
    ("trim", Cost::Product),
    ("trim_left", Cost::Product),
    ("trim_prefix", Cost::Linear),
    ("trim_right", Cost::Product),
    ("trim_space", Cost::Linear),
    ("trim_suffix", Cost::Linear),
    ("type_name", Cost::Constant),
    ("union", Cost::Linear),
    ("upper", Cost::Linear),
];

/// The first words of functions that are left out on purpose, so that a refusal can say why.
const LEFT_OUT: &[&str] =
    &["crypto", "graphql", "http", "io", "net", "opa", "print", "providers", "rand", "rego", "time", "trace", "uuid"];

/// Whether a function may be called by this name.
pub(super) fn is_allowed(name: &str) -> bool {
    ALLOWED.iter().any(|(allowed, _)| *allowed == name)
}

/// Whether a function is left out because a gate must not know or do what it is for.
pub(super) fn is_left_out(name: &str) -> bool {
    let first = name.split('.').next().unwrap_or(name);
    LEFT_OUT.contains(&first)
}

/// Puts a charge before every function that costs something: what is put in goes before what is built in.
///
/// # Errors
/// What the interpreter says, as a text.
pub(super) fn install(engine: &mut Engine) -> Result<(), String> {
    for (name, cost) in ALLOWED.iter().copied().filter(|(_, cost)| *cost != Cost::Constant) {
        let Some(builtin) = BUILTINS.get(name).copied() else {
            return Err(format!("the function `{name}` is not built in"));
        };
        engine.add_extension(name.to_owned(), builtin.1, charged(cost, builtin)?).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn charged(cost: Cost, builtin: BuiltinFcn) -> Result<Box<dyn Extension>, String> {
    // A built-in function wants to know where its arguments stand. The call's own place is added by the caller.
    let source = Source::from_contents("builtin".to_owned(), String::new()).map_err(|error| error.to_string())?;
    let span = Span { source, line: 1, col: 1, start: 0, end: 0 };
    let place = Ref::new(Expr::Null { span: span.clone(), value: Value::Null, eidx: 0 });
    Ok(Box::new(move |arguments: Vec<Value>| {
        if let Err(limit) = admit(cost, &arguments) {
            return Err(limit.into());
        }
        let places: Vec<Ref<Expr>> = vec![place.clone(); arguments.len()];
        (builtin.0)(&span, &places, &arguments, true)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_on_the_list_is_built_in_and_told_once() {
        for (name, _) in ALLOWED {
            assert!(BUILTINS.get(name).is_some(), "{name}");
            assert!(!is_left_out(name), "{name}");
        }
        assert!(ALLOWED.is_sorted_by(|(one, _), (other, _)| one < other));
        install(&mut Engine::new()).unwrap();
    }

    #[test]
    fn nothing_that_knows_the_world_is_built_in_at_all() {
        let world = [
            "time.now_ns",
            "time.clock",
            "rand.intn",
            "http.send",
            "opa.runtime",
            "uuid.rfc4122",
            "net.lookup_ip_addr",
            "io.jwt.decode_verify",
            "rego.parse_module",
            "test.sleep",
        ];
        for name in world {
            assert!(BUILTINS.get(name).is_none(), "{name}");
            assert!(!is_allowed(name), "{name}");
        }
        assert!(!is_allowed("trace") && !is_allowed("print"));
    }
}
