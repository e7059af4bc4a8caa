//! VEX in CycloneDX: `vulnerabilities[].analysis` (ECMA-424), beside the components that it is about or alone.
//!
//! A vulnerability without an `analysis` says only that it is known, one without an `id` does not say which it is, and
//! one that names nothing in `affects` is about nothing: none of them is a statement.

use std::collections::BTreeMap;

use lockgate_model::facts::{Vex, VexStatement, VexStatus, bare_purl};
use lockgate_model::{Limits, UnixMillis};

use crate::budget::{Budget, texts};
use crate::document::Object;
use crate::error::{EvidenceError, excerpt};
use crate::sbom;
use crate::stream::Shape;
use crate::vex;

/// What is kept of one vulnerability.
pub(crate) static VULNERABILITY: Shape = Shape::Fields(&[
    ("id", Shape::Whole),
    ("references", Shape::Each(&Shape::Fields(&[("id", Shape::Whole)]))),
    (
        "analysis",
        Shape::Fields(&[
            ("state", Shape::Whole),
            ("justification", Shape::Whole),
            ("detail", Shape::Whole),
            ("firstIssued", Shape::Whole),
            ("lastUpdated", Shape::Whole),
        ]),
    ),
    ("affects", Shape::Each(&Shape::Fields(&[("ref", Shape::Whole), ("versions", Shape::Whole)]))),
]);

/// What is said of one vulnerability, before its references are looked up.
#[derive(Debug)]
pub(crate) struct Vulnerability {
    id: String,
    aliases: Vec<String>,
    status: VexStatus,
    justification: Option<String>,
    text: Option<String>,
    stated_at: Option<UnixMillis>,
    affects: Vec<Affected>,
    pointer: String,
}

#[derive(Debug)]
struct Affected {
    reference: String,
    /// Single versions; none when no versions are given.
    versions: Option<Vec<String>>,
}

/// What the references of a document stand for.
pub(crate) struct Place<'a> {
    /// The reference of what the document is about.
    pub(crate) subject: Option<&'a str>,
    /// The package URLs of its components, by reference.
    pub(crate) purls: BTreeMap<&'a str, Option<&'a str>>,
}

impl Vulnerability {
    /// Reads one; none when it is no statement.
    ///
    /// # Errors
    /// `EVIDENCE_MALFORMED`, `EVIDENCE_TIME`, `DUPLICATE_KEY`.
    pub(crate) fn of(vulnerability: &Object<'_>) -> Result<Option<Self>, EvidenceError> {
        let Some(analysis) = vulnerability.object("analysis")? else { return Ok(None) };
        let status = match analysis.text("state")? {
            None => return Ok(None),
            Some("resolved" | "resolved_with_pedigree") => VexStatus::Fixed,
            Some("exploitable") => VexStatus::Affected,
            Some("in_triage") => VexStatus::UnderInvestigation,
            Some("false_positive" | "not_affected") => VexStatus::NotAffected,
            Some(other) => {
                return Err(analysis.fault_at("state", &format!("is `{}`, which is no analysis state", excerpt(other))));
            }
        };
        let Some(id) = vulnerability.text_or_empty("id")? else { return Ok(None) };
        let mut affects = Vec::new();
        if let Some(list) = vulnerability.list("affects")? {
            for affected in list.objects() {
                affects.push(affected_of(&affected?)?);
            }
        }
        let mut aliases = Vec::new();
        if let Some(list) = vulnerability.list("references")? {
            for reference in list.objects() {
                aliases.extend(reference?.text_or_empty("id")?.map(str::to_owned));
            }
        }
        let stated_at = match analysis.moment("lastUpdated")? {
            Some(moment) => Some(moment),
            None => analysis.moment("firstIssued")?,
        };
        Ok(Some(Self {
            id: id.to_owned(),
            aliases,
            status,
            justification: analysis.text_or_empty("justification")?.map(str::to_owned),
            text: analysis.text_or_empty("detail")?.map(vex::shortened),
            stated_at,
            affects,
            pointer: vulnerability.pointer(),
        }))
    }

    /// The statement, or none when it is about nothing.
    ///
    /// # Errors
    /// `EVIDENCE_TOO_LARGE`.
    fn statement(
        &self,
        place: &Place<'_>,
        issued_at: Option<UnixMillis>,
        budget: &mut Budget,
    ) -> Result<Option<VexStatement>, EvidenceError> {
        let is_subject = |affected: &Affected| {
            affected.versions.is_none() && place.subject.is_some_and(|subject| subject == affected.reference)
        };
        let is_whole = self.affects.iter().any(is_subject);
        let mut products = Vec::new();
        // No product means: whatever the evidence is about.
        if !is_whole {
            for affected in &self.affects {
                products.extend(products_of(affected, place, budget)?);
            }
        }
        Ok((is_whole || !products.is_empty()).then(|| VexStatement {
            vulnerability: self.id.clone(),
            aliases: self.aliases.iter().filter(|alias| **alias != self.id).cloned().collect(),
            products,
            subcomponents: Vec::new(),
            status: self.status,
            justification: self.justification.clone(),
            text: self.text.clone(),
            stated_at: self.stated_at.or(issued_at),
            pointer: self.pointer.clone(),
        }))
    }
}

fn affected_of(affected: &Object<'_>) -> Result<Affected, EvidenceError> {
    let mut versions = None;
    if let Some(list) = affected.list("versions")? {
        let singles: &mut Vec<String> = versions.get_or_insert_default();
        for version in list.objects() {
            let version = version?;
            let is_affected = !matches!(version.text("status")?, Some("unaffected" | "unknown"));
            // A range names no version that could be compared without knowing the order of versions.
            if let Some(single) = version.text_or_empty("version")?.filter(|_| is_affected) {
                singles.push(single.to_owned());
            }
        }
    }
    Ok(Affected { reference: affected.required_text("ref")?.to_owned(), versions })
}

/// The package URL that a reference stands for: of a component, in the reference itself, or behind the `#` of a
/// BOM-Link. A reference that stands for no package URL is kept as it is, and matches nothing.
fn products_of(affected: &Affected, place: &Place<'_>, budget: &mut Budget) -> Result<Vec<String>, EvidenceError> {
    let reference = affected.reference.as_str();
    let linked = reference.strip_prefix("urn:cdx:").and_then(|link| link.split_once('#')).map(|(_, part)| part);
    let known = match place.purls.get(reference) {
        Some(purl) => purl.map(str::to_owned),
        None => linked.map_or_else(|| sbom::purl(reference), |part| sbom::purl(&unescaped(part))),
    };
    let product = known.unwrap_or_else(|| reference.to_owned());
    Ok(match &affected.versions {
        None => {
            budget.take_texts([product.as_str()])?;
            vec![product]
        }
        Some(versions) if product.starts_with("pkg:") => {
            let (package, _) = bare_purl(&product);
            budget.take_texts(texts(versions).flat_map(|version| [package.as_str(), version]))?;
            versions.iter().map(|version| format!("{package}@{version}")).collect()
        }
        Some(_) => Vec::new(),
    })
}

/// A `bom-ref` in a BOM-Link has its `:`, `/` and `@` escaped; other escapes belong to the package URL.
fn unescaped(part: &str) -> String {
    let mut text = part.to_owned();
    for (escape, character) in [("%3A", ":"), ("%2F", "/"), ("%40", "@"), ("%3F", "?"), ("%3D", "="), ("%25", "%")] {
        text = text.replace(escape, character).replace(&escape.to_ascii_lowercase(), character);
    }
    text
}

/// The statements of a document.
///
/// # Errors
/// `EVIDENCE_TIME` or `EVIDENCE_MALFORMED` when its metadata does not read, and `EVIDENCE_TOO_LARGE`.
pub(crate) fn statements(
    root: &Object<'_>,
    place: &Place<'_>,
    vulnerabilities: &[Vulnerability],
    limits: &Limits,
) -> Result<Vec<VexStatement>, EvidenceError> {
    if vulnerabilities.is_empty() {
        return Ok(Vec::new());
    }
    let issued_at = match root.object("metadata")? {
        Some(metadata) => metadata.moment("timestamp")?,
        None => None,
    };
    let mut budget = Budget::new(limits);
    let told = vulnerabilities.iter().map(|vulnerability| vulnerability.statement(place, issued_at, &mut budget));
    told.filter_map(Result::transpose).collect()
}

/// A whole document as VEX.
///
/// # Errors
/// As [`statements`], and `EVIDENCE_MALFORMED` when there is no statement.
pub(crate) fn document(
    root: &Object<'_>,
    place: &Place<'_>,
    vulnerabilities: &[Vulnerability],
    limits: &Limits,
) -> Result<Vex, EvidenceError> {
    let statements = statements(root, place, vulnerabilities, limits)?;
    if statements.is_empty() {
        return Err(root.fault("holds no vulnerability with an `analysis` of something in `affects`"));
    }
    let (mut author, mut issued_at) = (None, None);
    if let Some(metadata) = root.object("metadata")? {
        issued_at = metadata.moment("timestamp")?;
        if let Some(authors) = metadata.list_or_null("authors")?
            && let Some(first) = authors.objects().next()
        {
            let first = first?;
            author = match first.text_or_empty("name")? {
                Some(name) => Some(name.to_owned()),
                None => first.text_or_empty("email")?.map(str::to_owned),
            };
        }
    }
    Ok(Vex {
        format: "cyclonedx".to_owned(),
        spec_version: root.required_text("specVersion")?.to_owned(),
        id: root.text_or_empty("serialNumber")?.map(str::to_owned),
        author,
        issued_at,
        statements,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cyclonedx;
    use lockgate_model::Limits;
    use serde_json::{Value, json};

    fn bom(vulnerability: Value) -> Value {
        json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
            "metadata": {"timestamp": "2026-11-20T10:00:00Z", "authors": [{"name": "sam"}], "component": {"type": "application", "name": "x", "bom-ref": "root"}},
            "vulnerabilities": [vulnerability],
            "components": [
                {"type": "library", "name": "a", "bom-ref": "a", "purl": "pkg:cargo/a@1"},
                {"type": "library", "name": "b", "bom-ref": "b"},
            ],
        })
    }

    fn with(state: &str, affects: Value) -> Value {
        bom(
            json!({"id": "CVE-2026-1", "references": [{"id": "GHSA-1"}], "analysis": {"state": state}, "affects": affects}),
        )
    }

    #[test]
    fn states_become_statuses() {
        let check = |state: &str, expected: VexStatus| {
            let read = cyclonedx::read_vex(&with(state, json!([{"ref": "a"}])), &Limits::DEFAULT).unwrap();
            let [statement] = read.statements.as_slice() else { panic!("{read:?}") };
            assert_eq!(statement.status, expected, "{state}");
            assert_eq!(
                (statement.vulnerability.as_str(), statement.pointer.as_str()),
                ("CVE-2026-1", "/vulnerabilities/0")
            );
            assert_eq!(statement.aliases, ["GHSA-1"]);
            assert_eq!((read.author.as_deref(), statement.stated_at), (Some("sam"), read.issued_at));
        };
        check("resolved", VexStatus::Fixed);
        check("resolved_with_pedigree", VexStatus::Fixed);
        check("exploitable", VexStatus::Affected);
        check("in_triage", VexStatus::UnderInvestigation);
        check("false_positive", VexStatus::NotAffected);
        check("not_affected", VexStatus::NotAffected);
        let error = cyclonedx::read_vex(&with("fine", json!([{"ref": "a"}])), &Limits::DEFAULT).unwrap_err();
        assert_eq!(error.code, "EVIDENCE_MALFORMED");
    }

    #[test]
    fn references_become_products() {
        let check = |affects: Value, expected: Option<&[&str]>| {
            let value = with("not_affected", affects.clone());
            let sbom = cyclonedx::read(&value, &Limits::DEFAULT).unwrap().claim();
            let products = sbom.vex.first().map(|statement| statement.products.clone());
            let expected = expected.map(|texts| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
            assert_eq!(products, expected, "{affects}");
            assert_eq!(cyclonedx::read_vex(&value, &Limits::DEFAULT).is_ok(), expected.is_some(), "{affects}");
        };
        check(json!([]), None);
        check(json!([{"ref": "a"}]), Some(&["pkg:cargo/a@1"]));
        check(json!([{"ref": "b"}]), Some(&["b"]));
        check(json!([{"ref": "root"}]), Some(&[]));
        check(json!([{"ref": "elsewhere"}]), Some(&["elsewhere"]));
        check(json!([{"ref": "pkg:cargo/z@1"}]), Some(&["pkg:cargo/z@1"]));
        check(json!([{"ref": "urn:cdx:1/1#pkg%3Acargo%2Fz%401"}]), Some(&["pkg:cargo/z@1"]));
        check(
            json!([{"ref": "a", "versions": [{"version": "2"}, {"version": "3", "status": "unaffected"}]}]),
            Some(&["pkg:cargo/a@2"]),
        );
        check(json!([{"ref": "a", "versions": [{"range": "vers:cargo/<2"}]}]), None);
        check(json!([{"ref": "root", "versions": [{"version": "2"}]}]), None);
    }

    #[test]
    fn a_vulnerability_without_analysis_is_no_statement() {
        let value = bom(json!({"id": "CVE-2026-1", "affects": [{"ref": "a"}]}));
        assert!(cyclonedx::read(&value, &Limits::DEFAULT).unwrap().claim().vex.is_empty());
        assert_eq!(cyclonedx::read_vex(&value, &Limits::DEFAULT).unwrap_err().code, "EVIDENCE_MALFORMED");
    }
}
