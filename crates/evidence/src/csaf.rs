//! CSAF 2.0, VEX profile (OASIS, section 4.5): who says which vulnerabilities matter to which products.
//!
//! Only documents of the category `csaf_vex` are read: an advisory of another profile lists what its author found worth
//! telling, and says nothing of what is not affected. A product that has two contradicting statuses, a product id that
//! the tree does not define, and a product that is not affected without a reason are refused (6.1.1, 6.1.6, 4.5).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lockgate_model::facts::{Vex, VexStatement, VexStatus};
use lockgate_model::{Limits, UnixMillis};

use crate::budget::{Budget, texts};
use crate::document::{List, Object};
use crate::error::{EvidenceError, excerpt};
use crate::stream::{self, Shape, Source};
use crate::vex::{self, JUSTIFICATIONS, Names};

/// The published schema; as a predicate type it says that the predicate is such a document.
pub(crate) const SCHEMA: &str = "https://docs.oasis-open.org/csaf/csaf/v2.0/csaf_json_schema.json";

static DOCUMENT: Shape = Shape::Fields(&[
    (
        "document",
        Shape::Fields(&[
            ("category", Shape::Whole),
            ("csaf_version", Shape::Whole),
            ("publisher", Shape::Fields(&[("name", Shape::Whole)])),
            (
                "tracking",
                Shape::Fields(&[
                    ("id", Shape::Whole),
                    ("current_release_date", Shape::Whole),
                    ("status", Shape::Whole),
                ]),
            ),
        ]),
    ),
    ("product_tree", Shape::Whole),
    ("vulnerabilities", Shape::Each(&VULNERABILITY)),
]);

static VULNERABILITY: Shape = Shape::Fields(&[
    ("cve", Shape::Whole),
    ("ids", Shape::Whole),
    ("product_status", Shape::Whole),
    ("flags", Shape::Whole),
    ("threats", Shape::Whole),
]);

/// `product_status` (section 3.2.3.9). What is recommended is no status.
const STATUSES: [(&str, VexStatus); 7] = [
    ("known_affected", VexStatus::Affected),
    ("first_affected", VexStatus::Affected),
    ("last_affected", VexStatus::Affected),
    ("known_not_affected", VexStatus::NotAffected),
    ("fixed", VexStatus::Fixed),
    ("first_fixed", VexStatus::Fixed),
    ("under_investigation", VexStatus::UnderInvestigation),
];

/// Reads a whole document.
///
/// # Errors
/// `REPORT_VERSION`, `EVIDENCE_UNKNOWN` for another profile, `EVIDENCE_MALFORMED`, `EVIDENCE_TIME`, `TOO_MANY_FINDINGS`,
/// `DUPLICATE_KEY`.
pub(crate) fn read<'a>(source: impl Into<Source<'a>>, limits: &Limits) -> Result<Vex, EvidenceError> {
    let document = stream::read(source.into(), &DOCUMENT, limits, &mut |_| Ok(()))?;
    let root = Object::root(&document.value)?;
    let about = root.required_object("document")?;
    let version = about.required_text("csaf_version")?;
    if version != "2.0" {
        let message = format!("CSAF `{}` is not read: write version 2.0", excerpt(version));
        return Err(EvidenceError::new("REPORT_VERSION", message));
    }
    let category = about.required_text("category")?;
    if category != "csaf_vex" {
        let message = format!("a CSAF document of the category `{}` is no VEX: write `csaf_vex`", excerpt(category));
        return Err(EvidenceError::new("EVIDENCE_UNKNOWN", message));
    }
    let tracking = about.required_object("tracking")?;
    let Some(issued_at) = tracking.moment("current_release_date")? else {
        return Err(tracking.fault("has no `current_release_date`"));
    };
    let mut budget = Budget::new(limits);
    let products = Products::of(&root, &mut budget)?;
    let vulnerabilities = root.required_list("vulnerabilities")?;
    let mut statements = Vec::new();
    for vulnerability in vulnerabilities.objects() {
        add_statements(&vulnerability?, &products, issued_at, &mut statements, limits, &mut budget)?;
    }
    if statements.is_empty() {
        return Err(root.fault("says nothing of any product"));
    }
    Ok(Vex {
        format: "csaf".to_owned(),
        spec_version: version.to_owned(),
        id: Some(tracking.required_text("id")?.to_owned()),
        author: Some(about.required_object("publisher")?.required_text("name")?.to_owned()),
        issued_at: Some(issued_at),
        statements,
    })
}

/// What a product id stands for.
#[derive(Debug, Clone, Default)]
struct Product {
    names: Vec<String>,
    /// The names of the part that is meant, for a product that is one thing as a part of another.
    part: Vec<String>,
}

/// The product tree, flat.
#[derive(Debug, Default)]
struct Products {
    products: BTreeMap<String, Product>,
    groups: BTreeMap<String, Vec<String>>,
}

impl Products {
    fn of(root: &Object<'_>, budget: &mut Budget) -> Result<Self, EvidenceError> {
        let mut read = Self::default();
        let tree = root.required_object("product_tree")?;
        if let Some(names) = tree.list("full_product_names")? {
            for product in names.objects() {
                read.add(&product?)?;
            }
        }
        if let Some(branches) = tree.list("branches")? {
            read.add_branches(&branches)?;
        }
        if let Some(relationships) = tree.list("relationships")? {
            for relationship in relationships.objects() {
                read.add_relationship(&relationship?, budget)?;
            }
        }
        if let Some(groups) = tree.list("product_groups")? {
            for group in groups.objects() {
                let group = group?;
                let mut ids = Vec::new();
                for id in group.required_list("product_ids")?.texts() {
                    ids.push(id?.to_owned());
                }
                read.groups.insert(group.required_text("group_id")?.to_owned(), ids);
            }
        }
        Ok(read)
    }

    /// Depth is bounded by `limits.json_depth`, because the document has been parsed within it.
    fn add_branches(&mut self, branches: &List<'_>) -> Result<(), EvidenceError> {
        for branch in branches.objects() {
            let branch = branch?;
            if let Some(product) = branch.object("product")? {
                self.add(&product)?;
            }
            if let Some(inner) = branch.list("branches")? {
                self.add_branches(&inner)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, product: &Object<'_>) -> Result<(), EvidenceError> {
        let names = names_of(product)?;
        self.insert(product, Product { names, part: Vec::new() })
    }

    fn insert(&mut self, product: &Object<'_>, value: Product) -> Result<(), EvidenceError> {
        let id = product.required_text("product_id")?;
        match self.products.insert(id.to_owned(), value) {
            None => Ok(()),
            Some(_) => {
                Err(product.fault_at("product_id", &format!("is `{}`, like that of another product", excerpt(id))))
            }
        }
    }

    /// A part in a product. Where the two together have names of their own, these count.
    fn add_relationship(&mut self, relationship: &Object<'_>, budget: &mut Budget) -> Result<(), EvidenceError> {
        let mut named = |key: &'static str| {
            let id = relationship.required_text(key)?;
            let product = self.products.get(id).ok_or_else(|| {
                relationship.fault_at(key, &format!("is `{}`, which no product before it is", excerpt(id)))
            })?;
            budget.take_texts(texts(&product.names).chain(texts(&product.part)))?;
            Ok::<_, EvidenceError>(product.clone())
        };
        let (part, whole) = (named("product_reference")?, named("relates_to_product_reference")?);
        let product = relationship.required_object("full_product_name")?;
        let own = names_of(&product)?;
        let value = match own.len() {
            // The product id alone names nothing outside this document.
            0 | 1 => Product { names: whole.names, part: part.names },
            _ => Product { names: own, part: Vec::new() },
        };
        self.insert(&product, value)
    }

    /// The ids in `product_ids` and `group_ids`.
    fn ids_in(&self, holder: &Object<'_>, budget: &mut Budget) -> Result<BTreeSet<String>, EvidenceError> {
        let mut ids = BTreeSet::new();
        if let Some(list) = holder.list("product_ids")? {
            for id in list.texts() {
                ids.insert(id?.to_owned());
            }
        }
        if let Some(list) = holder.list("group_ids")? {
            for group in list.texts() {
                let group = group?;
                let Some(members) = self.groups.get(group) else {
                    return Err(holder.fault_at("group_ids", &format!("names `{}`, which is no group", excerpt(group))));
                };
                budget.take_texts(texts(members))?;
                ids.extend(members.iter().cloned());
            }
        }
        Ok(ids)
    }
}

/// The product id first, then what identifies it outside the document.
fn names_of(product: &Object<'_>) -> Result<Vec<String>, EvidenceError> {
    let mut names = Names::default();
    names.add_field(product, "product_id")?;
    let Some(helper) = product.object("product_identification_helper")? else { return Ok(names.into_vec()) };
    names.add_field(&helper, "purl")?;
    names.add_field(&helper, "cpe")?;
    if let Some(hashes) = helper.list("hashes")? {
        for file in hashes.objects() {
            for hash in file?.required_list("file_hashes")?.objects() {
                let hash = hash?;
                names.add_hash(hash.required_text("algorithm")?, hash.required_text("value")?);
            }
        }
    }
    Ok(names.into_vec())
}

fn add_statements(
    vulnerability: &Object<'_>,
    products: &Products,
    issued_at: UnixMillis,
    statements: &mut Vec<VexStatement>,
    limits: &Limits,
    budget: &mut Budget,
) -> Result<(), EvidenceError> {
    let (id, aliases) = ids_of(vulnerability)?;
    let statuses = statuses_of(vulnerability)?;
    let reasons = reasons_of(vulnerability, products, budget)?;
    let pointer = vulnerability.pointer();
    for (product_id, status) in statuses {
        let Some(product) = products.products.get(&product_id) else {
            let message = format!("names `{}`, which the product tree does not define", excerpt(&product_id));
            return Err(vulnerability.fault_at("product_status", &message));
        };
        let reason = reasons.get(&product_id).cloned().unwrap_or_default();
        if status == VexStatus::NotAffected && reason.justification.is_none() && reason.text.is_none() {
            let message = format!("says `{}` is not affected, and no flag or impact says why", excerpt(&product_id));
            return Err(vulnerability.fault_at("product_status", &message));
        }
        vex::check_count(statements.len(), limits)?;
        let names = texts(&product.names).chain(texts(&product.part));
        let said = [id.as_str(), pointer.as_str()].into_iter().chain(texts(&aliases)).chain(reason.text.as_deref());
        budget.take_texts(names.chain(said))?;
        statements.push(VexStatement {
            vulnerability: id.clone(),
            aliases: aliases.clone(),
            products: product.names.clone(),
            subcomponents: product.part.clone(),
            status,
            justification: reason.justification,
            text: reason.text.map(|text| text.to_string()),
            stated_at: Some(issued_at),
            pointer: pointer.clone(),
        });
    }
    Ok(())
}

/// The CVE, or else the first of the other ids, and the rest of these.
fn ids_of(vulnerability: &Object<'_>) -> Result<(String, Vec<String>), EvidenceError> {
    let mut ids: Vec<String> = vulnerability.text_or_empty("cve")?.map(str::to_owned).into_iter().collect();
    if let Some(list) = vulnerability.list("ids")? {
        for id in list.objects() {
            ids.push(id?.required_text("text")?.to_owned());
        }
    }
    let mut ids = ids.into_iter();
    match ids.next() {
        Some(first) => Ok((first, ids.collect())),
        None => Err(vulnerability.fault("has neither `cve` nor `ids`")),
    }
}

/// The status of each product; two that agree are one.
fn statuses_of(vulnerability: &Object<'_>) -> Result<BTreeMap<String, VexStatus>, EvidenceError> {
    let status = vulnerability.required_object("product_status")?;
    let mut statuses = BTreeMap::new();
    for (key, value) in STATUSES {
        let Some(list) = status.list(key)? else { continue };
        for id in list.texts() {
            let id = id?;
            if statuses.insert(id.to_owned(), value).is_some_and(|before| before != value) {
                return Err(status.fault(&format!("gives `{}` two statuses that contradict each other", excerpt(id))));
            }
        }
    }
    Ok(statuses)
}

#[derive(Debug, Clone, Default)]
struct ReasonGiven {
    justification: Option<String>,
    /// One for all products that it is given for.
    text: Option<Arc<str>>,
}

/// Why products are not affected: flags, and threats of the category `impact`.
fn reasons_of(
    vulnerability: &Object<'_>,
    products: &Products,
    budget: &mut Budget,
) -> Result<BTreeMap<String, ReasonGiven>, EvidenceError> {
    let mut reasons: BTreeMap<String, ReasonGiven> = BTreeMap::new();
    if let Some(flags) = vulnerability.list("flags")? {
        for flag in flags.objects() {
            let flag = flag?;
            let label = flag.required_text("label")?;
            if !JUSTIFICATIONS.contains(&label) {
                return Err(flag.fault_at("label", &format!("is `{}`, which is no flag", excerpt(label))));
            }
            for id in products.ids_in(&flag, budget)? {
                reasons.entry(id).or_default().justification = Some(label.to_owned());
            }
        }
    }
    if let Some(threats) = vulnerability.list("threats")? {
        for threat in threats.objects() {
            let threat = threat?;
            if threat.required_text("category")? != "impact" {
                continue;
            }
            let details: Arc<str> = vex::shortened(threat.required_text("details")?).into();
            for id in products.ids_in(&threat, budget)? {
                reasons.entry(id).or_default().text = Some(details.clone());
            }
        }
    }
    Ok(reasons)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn document() -> Value {
        json!({
            "document": {
                "category": "csaf_vex",
                "csaf_version": "2.0",
                "publisher": {"category": "vendor", "name": "Shop", "namespace": "https://shop.example"},
                "title": "t",
                "tracking": {"id": "SHOP-1", "status": "final", "version": "1", "current_release_date": "2026-11-20T10:00:00.000Z"},
            },
            "product_tree": {
                "branches": [{"category": "vendor", "name": "Shop", "branches": [{"category": "product_version", "name": "1", "product": {
                    "product_id": "APP", "name": "app", "product_identification_helper": {
                        "hashes": [{"filename": "app", "file_hashes": [{"algorithm": "sha256", "value": "AA".repeat(32)}]}],
                    },
                }}]}],
                "full_product_names": [{"product_id": "LIB", "name": "lib", "product_identification_helper": {"purl": "pkg:cargo/lib@1"}}],
                "relationships": [{
                    "category": "default_component_of", "product_reference": "LIB", "relates_to_product_reference": "APP",
                    "full_product_name": {"product_id": "APP:LIB", "name": "lib in app"},
                }],
                "product_groups": [{"group_id": "G", "product_ids": ["APP:LIB"]}],
            },
            "vulnerabilities": [{
                "cve": "CVE-2026-1",
                "ids": [{"system_name": "own", "text": "BUG-1"}],
                "product_status": {"known_not_affected": ["APP:LIB"], "fixed": ["LIB"]},
                "flags": [{"label": "vulnerable_code_not_present", "group_ids": ["G"]}],
            }],
        })
    }

    #[test]
    fn products_come_out_of_the_tree() {
        let read = read(&document(), &Limits::DEFAULT).unwrap();
        assert_eq!((read.author.as_deref(), read.id.as_deref()), (Some("Shop"), Some("SHOP-1")));
        let [part, library] = read.statements.as_slice() else { panic!("{read:?}") };
        assert_eq!(
            (part.status, part.justification.as_deref()),
            (VexStatus::NotAffected, Some("vulnerable_code_not_present"))
        );
        assert_eq!(part.products, ["APP".to_owned(), format!("sha256:{}", "aa".repeat(32))]);
        assert_eq!(part.subcomponents, ["LIB", "pkg:cargo/lib@1"]);
        assert_eq!(
            (library.status, library.products.as_slice()),
            (VexStatus::Fixed, ["LIB".to_owned(), "pkg:cargo/lib@1".to_owned()].as_slice())
        );
        assert_eq!(library.aliases, ["BUG-1"]);
        assert_eq!(library.pointer, "/vulnerabilities/0");
    }

    #[test]
    fn refuses_other_profiles_and_contradictions() {
        let check = |pointer: &str, replacement: Value, expected: &str| {
            let mut value = document();
            *value.pointer_mut(pointer).unwrap() = replacement.clone();
            assert_eq!(read(&value, &Limits::DEFAULT).unwrap_err().code, expected, "{pointer} {replacement}");
        };
        check("/document/csaf_version", json!("2.1"), "REPORT_VERSION");
        check("/document/category", json!("csaf_security_advisory"), "EVIDENCE_UNKNOWN");
        check("/document/publisher", json!({}), "EVIDENCE_MALFORMED");
        check("/document/tracking/current_release_date", json!("2026"), "EVIDENCE_TIME");
        check("/product_tree", json!(null), "EVIDENCE_MALFORMED");
        check("/product_tree/full_product_names", json!([]), "EVIDENCE_MALFORMED");
        check("/product_tree/full_product_names/0/product_id", json!("APP"), "EVIDENCE_MALFORMED");
        check("/vulnerabilities", json!([]), "EVIDENCE_MALFORMED");
        check("/vulnerabilities", json!({}), "EVIDENCE_MALFORMED");
        check("/vulnerabilities/0/cve", json!(7), "EVIDENCE_MALFORMED");
        check("/vulnerabilities/0/product_status", json!({}), "EVIDENCE_MALFORMED");
        check("/vulnerabilities/0/product_status/fixed", json!(["OTHER"]), "EVIDENCE_MALFORMED");
        check("/vulnerabilities/0/product_status/fixed", json!(["APP:LIB"]), "EVIDENCE_MALFORMED");
        check("/vulnerabilities/0/flags", json!([]), "EVIDENCE_MALFORMED");
        check("/vulnerabilities/0/flags/0/label", json!("because"), "EVIDENCE_MALFORMED");
        check("/vulnerabilities/0/flags/0/group_ids", json!(["H"]), "EVIDENCE_MALFORMED");
        let few = Limits { findings_per_report: 1, ..Limits::DEFAULT };
        assert_eq!(read(&document(), &few).unwrap_err().code, "TOO_MANY_FINDINGS");
    }
}
