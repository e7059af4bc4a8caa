//! OpenVEX 0.2.0 (openvex/spec): who says which vulnerabilities matter to which products.
//!
//! A statement without products is about whatever the evidence is about, as the specification has it for statements in
//! attestations. A `not_affected` without a reason is refused, because the specification demands one.

use lockgate_model::facts::{Vex, VexStatement, VexStatus};
use lockgate_model::{Limits, UnixMillis};

use crate::budget::Budget;
use crate::document::Object;
use crate::error::{EvidenceError, excerpt};
use crate::stream::{self, Shape, Source};
use crate::vex::{self, JUSTIFICATIONS, Names};

/// The context of the version that is read, and the in-toto predicate type.
pub(crate) const CONTEXT: &str = "https://openvex.dev/ns/v0.2.0";
/// The predicate type as cosign writes it, without the version, which the document's context says.
pub(crate) const NAMESPACE: &str = "https://openvex.dev/ns";

static DOCUMENT: Shape = Shape::Fields(&[
    ("@context", Shape::Whole),
    ("@id", Shape::Whole),
    ("author", Shape::Whole),
    ("timestamp", Shape::Whole),
    ("last_updated", Shape::Whole),
    ("statements", Shape::Stream("statement", &Shape::Whole)),
]);

/// Reads a whole document.
///
/// # Errors
/// `REPORT_VERSION`, `EVIDENCE_MALFORMED`, `EVIDENCE_TIME`, `TOO_MANY_FINDINGS`, `DUPLICATE_KEY`.
pub(crate) fn read<'a>(source: impl Into<Source<'a>>, limits: &Limits) -> Result<Vex, EvidenceError> {
    let (mut statements, mut budget) = (Vec::new(), Budget::new(limits));
    let document = stream::read(source.into(), &DOCUMENT, limits, &mut |item| {
        add_statements(&Object::part(&item.value, item.pointer)?, &mut statements, limits, &mut budget)
    })?;
    let root = Object::root(&document.value)?;
    let context = root.required_text("@context")?;
    if context != CONTEXT {
        return Err(EvidenceError::new(
            "REPORT_VERSION",
            format!("the OpenVEX context `{}` is not read: write version 0.2.0, `{CONTEXT}`", excerpt(context)),
        ));
    }
    let author = root.required_text("author")?.to_owned();
    root.required_list("statements")?;
    document.check_items()?;
    if statements.is_empty() {
        return Err(root.fault_at("statements", "must not be empty"));
    }
    let Some(issued_at) = root.moment("timestamp")? else { return Err(root.fault("has no `timestamp`")) };
    let issued_at = root.moment("last_updated")?.unwrap_or(issued_at);
    for statement in &mut statements {
        statement.stated_at.get_or_insert(issued_at);
    }
    Ok(Vex {
        format: "openvex".to_owned(),
        spec_version: "0.2.0".to_owned(),
        id: root.text_or_empty("@id")?.map(str::to_owned),
        author: Some(author),
        issued_at: Some(issued_at),
        statements,
    })
}

/// Adds one statement for all products without subcomponents, and one for each product with some.
fn add_statements(
    object: &Object<'_>,
    statements: &mut Vec<VexStatement>,
    limits: &Limits,
    budget: &mut Budget,
) -> Result<(), EvidenceError> {
    let template = template_of(object)?;
    let (mut whole, mut has_whole) = (Names::default(), false);
    let mut parts = Vec::new();
    match object.list("products")? {
        Some(products) if !products.is_empty() => {
            for product in products.objects() {
                let product = product?;
                let subcomponents = subcomponents_of(&product)?;
                if subcomponents.is_empty() {
                    add_names(&product, &mut whole)?;
                    has_whole = true;
                } else {
                    let mut names = Names::default();
                    add_names(&product, &mut names)?;
                    parts.push((names.into_vec(), subcomponents));
                }
            }
        }
        _ => has_whole = true,
    }
    if has_whole {
        parts.push((whole.into_vec(), Vec::new()));
    }
    budget.take_copies(&template, parts.len())?;
    for (products, subcomponents) in parts {
        vex::check_count(statements.len(), limits)?;
        statements.push(VexStatement { products, subcomponents, ..template.clone() });
    }
    Ok(())
}

/// A statement without its products.
fn template_of(object: &Object<'_>) -> Result<VexStatement, EvidenceError> {
    let vulnerability = object.required_object("vulnerability")?;
    let mut aliases = Vec::new();
    if let Some(list) = vulnerability.list("aliases")? {
        for alias in list.texts() {
            aliases.push(alias?.to_owned());
        }
    }
    let status = match object.required_text("status")? {
        "not_affected" => VexStatus::NotAffected,
        "affected" => VexStatus::Affected,
        "fixed" => VexStatus::Fixed,
        "under_investigation" => VexStatus::UnderInvestigation,
        other => return Err(object.fault_at("status", &format!("is `{}`, which is no status", excerpt(other)))),
    };
    let justification = object.text_or_empty("justification")?;
    if let Some(word) = justification.filter(|word| !JUSTIFICATIONS.contains(word)) {
        return Err(object.fault_at("justification", &format!("is `{}`, which is no justification", excerpt(word))));
    }
    let impact = object.text_or_empty("impact_statement")?;
    if status == VexStatus::NotAffected && justification.is_none() && impact.is_none() {
        return Err(object.fault("is `not_affected` with neither `justification` nor `impact_statement`"));
    }
    let action = object.text_or_empty("action_statement")?;
    Ok(VexStatement {
        vulnerability: vulnerability.required_text("name")?.to_owned(),
        aliases,
        products: Vec::new(),
        subcomponents: Vec::new(),
        status,
        justification: justification.map(str::to_owned),
        text: impact.or(action).map(vex::shortened),
        stated_at: stated_at(object)?,
        pointer: object.pointer(),
    })
}

fn stated_at(object: &Object<'_>) -> Result<Option<UnixMillis>, EvidenceError> {
    let (first, last) = (object.moment("timestamp")?, object.moment("last_updated")?);
    Ok(last.or(first))
}

/// A product's names, of which it has to have one.
fn add_names(product: &Object<'_>, names: &mut Names) -> Result<(), EvidenceError> {
    let mut own = Names::default();
    own.add_field(product, "@id")?;
    if let Some(identifiers) = product.object("identifiers")? {
        for key in ["purl", "cpe22", "cpe23"] {
            own.add_field(&identifiers, key)?;
        }
    }
    if let Some(hashes) = product.object("hashes")? {
        for (algorithm, value) in hashes.fields() {
            match value.as_str() {
                Some(value) => own.add_hash(algorithm, value),
                None => return Err(product.fault_at("hashes", "holds a hash that is no text")),
            }
        }
    }
    let own = own.into_vec();
    if own.is_empty() {
        return Err(product.fault("has neither an `@id` nor `identifiers` nor a SHA-256 hash"));
    }
    own.iter().for_each(|name| names.add(name));
    Ok(())
}

fn subcomponents_of(product: &Object<'_>) -> Result<Vec<String>, EvidenceError> {
    let mut names = Names::default();
    if let Some(list) = product.list("subcomponents")? {
        for part in list.objects() {
            add_names(&part?, &mut names)?;
        }
    }
    Ok(names.into_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn document(statement: Value) -> Value {
        json!({
            "@context": CONTEXT,
            "@id": "https://openvex.example/1",
            "author": "sam",
            "timestamp": "2026-11-20T10:00:00Z",
            "version": 1,
            "statements": [statement],
        })
    }

    fn image() -> String {
        format!("pkg:oci/app@sha256%3A{}", "a".repeat(64))
    }

    fn statement() -> Value {
        json!({
            "vulnerability": {"name": "CVE-2026-1", "aliases": ["GHSA-1"]},
            "products": [
                {"@id": "pkg:cargo/a@1"},
                {"@id": image(), "subcomponents": [{"identifiers": {"purl": "pkg:cargo/b@2"}}]},
            ],
            "status": "not_affected",
            "justification": "vulnerable_code_not_present",
        })
    }

    fn code(value: &Value) -> &'static str {
        read(value, &Limits::DEFAULT).unwrap_err().code
    }

    #[test]
    fn products_with_parts_stand_alone() {
        let read = read(&document(statement()), &Limits::DEFAULT).unwrap();
        let rows: Vec<_> = read
            .statements
            .iter()
            .map(|statement| (statement.products.len(), statement.products[0].as_str(), statement.subcomponents.len()))
            .collect();
        assert_eq!(rows, [(2, image().as_str(), 1), (1, "pkg:cargo/a@1", 0)]);
        assert_eq!(read.statements[0].products[1], format!("sha256:{}", "a".repeat(64)));
        assert_eq!(read.statements[0].stated_at, read.issued_at);
        assert_eq!(read.statements[0].pointer, "/statements/0");
        assert_eq!(read.statements[0].aliases, ["GHSA-1"]);
    }

    #[test]
    fn a_statement_without_products_is_about_the_evidence() {
        let mut value = statement();
        value.as_object_mut().unwrap().remove("products");
        value["timestamp"] = json!("2026-11-21T10:00:00Z");
        let read = read(&document(value), &Limits::DEFAULT).unwrap();
        assert!(read.statements[0].products.is_empty());
        assert!(read.statements[0].stated_at > read.issued_at);
    }

    #[test]
    fn refuses_what_the_specification_refuses() {
        let check = |pointer: &str, replacement: Value, expected: &str| {
            let mut value = document(statement());
            *value.pointer_mut(pointer).unwrap() = replacement.clone();
            assert_eq!(code(&value), expected, "{pointer} {replacement}");
        };
        check("/@context", json!("https://openvex.dev/ns/v0.3.0"), "REPORT_VERSION");
        check("/@context", json!("https://openvex.dev/ns"), "REPORT_VERSION");
        check("/@context", json!(["x"]), "EVIDENCE_MALFORMED");
        check("/author", json!(""), "EVIDENCE_MALFORMED");
        check("/timestamp", json!("yesterday"), "EVIDENCE_TIME");
        check("/statements", json!([]), "EVIDENCE_MALFORMED");
        check("/statements", json!({}), "EVIDENCE_MALFORMED");
        check("/statements/0", json!(null), "EVIDENCE_MALFORMED");
        check("/statements/0/vulnerability", json!("CVE-2026-1"), "EVIDENCE_MALFORMED");
        check("/statements/0/vulnerability/name", json!(""), "EVIDENCE_MALFORMED");
        check("/statements/0/status", json!("Not_Affected"), "EVIDENCE_MALFORMED");
        check("/statements/0/justification", json!("because"), "EVIDENCE_MALFORMED");
        check("/statements/0/justification", json!(""), "EVIDENCE_MALFORMED");
        check("/statements/0/products", json!("pkg:cargo/a@1"), "EVIDENCE_MALFORMED");
        check("/statements/0/products/0", json!({}), "EVIDENCE_MALFORMED");
        check("/statements/0/products/1/subcomponents/0", json!({}), "EVIDENCE_MALFORMED");
        check("/statements/0/products/0", json!({"hashes": {"md5": "00"}}), "EVIDENCE_MALFORMED");
        let few = Limits { findings_per_report: 1, ..Limits::DEFAULT };
        assert_eq!(read(&document(statement()), &few).unwrap_err().code, "TOO_MANY_FINDINGS");
    }
}
