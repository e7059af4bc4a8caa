//! Containers: the files in which tools keep one signature or many, taken apart into bundles and envelopes.
//!
//! Read are: a bundle; a DSSE envelope; JSON Lines of either (`.jsonl`, `.intoto.jsonl`, `gh attestation download`);
//! the answers of GitHub's and npm's attestation interfaces; PyPI provenance and single attestations (PEP 740);
//! cosign's bundle from before 2.0, and what `cosign download signature` prints. What is signed is kept byte for byte;
//! the JSON around it is written anew.

use lockgate_model::Limits;
use lockgate_model::json::{self, Numbers};
use serde_json::Value;

use crate::bundle::Bundle;
use crate::cosign::ImageSignature;
use crate::outcome::{Reason, Refusal};
use crate::{cosign, pypi};

/// The most signatures of one file.
pub const MOST_ITEMS: usize = 256;
/// How deep containers stand in containers.
const DEPTH: usize = 4;

/// One signature out of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A Sigstore bundle, in JSON.
    Bundle(Vec<u8>),
    /// A DSSE envelope, in JSON.
    Envelope(Vec<u8>),
    /// A signature over cosign's own payload, which names an image; in JSON, and as read.
    Image(Vec<u8>, Box<ImageSignature>),
}

/// Takes a file apart, in the order in which it lists things.
///
/// A line of JSON Lines that is JSON but nothing of the above is passed over, as the in-toto bundle format asks, and so is
/// an image's signature that does not read beside others: whoever may sign an image in its registry can put one there. A
/// file with nothing in it is refused.
///
/// # Errors
/// [`Reason::Malformed`] for what does not read, [`Reason::SignatureMissing`] where there is no signature.
pub fn split(bytes: &[u8], limits: &Limits) -> Result<Vec<Item>, Refusal> {
    let mut items = Vec::new();
    let mut unread = None;
    let lines = lines_of(bytes);
    let is_one = |bytes: &[u8]| json::read(bytes, limits, Numbers::Any).is_ok();
    let documents =
        if lines.len() < 2 || ImageSignature::announced(bytes, limits) || is_one(bytes) { vec![bytes] } else { lines };
    for document in documents {
        if ImageSignature::announced(document, limits) {
            match ImageSignature::parse(document, limits) {
                Ok(_) if items.len() >= MOST_ITEMS => return Err(too_many()),
                Ok(read) => items.push(Item::Image(document.to_vec(), Box::new(read))),
                Err(refusal) => unread = unread.or(Some(refusal)),
            }
            continue;
        }
        let value = json::read(document, limits, Numbers::Any).map_err(|error| malformed(error.message))?;
        match take_apart(&value, &mut items, DEPTH) {
            Err(refusal) if value.get("Base64Signature").is_some() || is_manifest(&value) => {
                unread = unread.or(Some(refusal));
            }
            taken => taken?,
        }
    }
    match (items.is_empty(), unread) {
        (false, _) => Ok(items),
        (true, Some(refusal)) => Err(refusal),
        (true, None) => Err(Refusal::new(
            Reason::SignatureMissing,
            "no bundle and no envelope is in the file: a statement or report alone is not signed",
        )),
    }
}

/// Takes a file apart into what can be handed in as evidence; `None` for a file that is one signature already, or that is
/// no container, so that it is handed in unchanged and refused where it is read.
///
/// # Errors
/// As [`split`] for a container that holds something else, and for a file that says where a signature is and holds none.
pub fn pieces(bytes: &[u8], limits: &Limits) -> Result<Option<Vec<Vec<u8>>>, Refusal> {
    let whole = json::read(bytes, limits, Numbers::Any);
    let single = |value: &Value| Bundle::announces(value) || value.get("payloadType").is_some();
    if ImageSignature::announced(bytes, limits) || whole.as_ref().is_ok_and(single) {
        return Ok(None);
    }
    let items = match split(bytes, limits) {
        Ok(items) => items,
        Err(refusal) if whole.as_ref().is_ok_and(points_elsewhere) => return Err(refusal),
        // No container: the reader of what it is says best what is wrong with it.
        Err(_) if whole.is_ok() || !is_lines(bytes, limits) => return Ok(None),
        Err(refusal) => return Err(refusal),
    };
    let bytes = |item| match item {
        Item::Bundle(bytes) | Item::Envelope(bytes) | Item::Image(bytes, _) => bytes,
    };
    Ok(Some(items.into_iter().map(bytes).collect()))
}

/// Whether a document tells where a signature is to be had: GitHub's answer with an address, or an image's manifest.
fn points_elsewhere(value: &Value) -> bool {
    let listed = value.get("attestations").and_then(Value::as_array);
    let mut all = listed.into_iter().flatten().chain([value]);
    all.any(|one| one.get("bundle_url").is_some()) || is_manifest(value)
}

/// Whether it is the manifest of an image, such as the one under which cosign stores a signature in a registry.
fn is_manifest(value: &Value) -> bool {
    let media_type = value.get("mediaType").and_then(Value::as_str).unwrap_or_default();
    value.get("schemaVersion").is_some()
        && (value.get("layers").is_some() || media_type.starts_with("application/vnd.oci."))
}

/// Whether the first line is a JSON object of its own.
fn is_lines(bytes: &[u8], limits: &Limits) -> bool {
    let lines = lines_of(bytes);
    let is_document =
        |line: &&[u8]| ImageSignature::announced(line, limits) || json::read(line, limits, Numbers::Any).is_ok();
    lines.len() > 1 && lines.first().is_some_and(is_document)
}

fn lines_of(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect()
}

fn take_apart(value: &Value, items: &mut Vec<Item>, depth: usize) -> Result<(), Refusal> {
    let Some(depth) = depth.checked_sub(1) else { return Err(malformed("containers stand too deep in each other")) };
    if items.len() >= MOST_ITEMS {
        return Err(too_many());
    }
    if let Some(list) = value.as_array() {
        return list.iter().try_for_each(|inner| take_apart(inner, items, depth));
    }
    let Some(object) = value.as_object() else { return Ok(()) };
    let has = |name: &str| object.get(name).is_some_and(|value| !value.is_null());
    if Bundle::announces(value) {
        items.push(Item::Bundle(value.to_string().into_bytes()));
    } else if has("payload") && has("payloadType") && has("signatures") {
        items.push(Item::Envelope(value.to_string().into_bytes()));
    } else if let Some(publishers) = object.get("attestation_bundles").and_then(Value::as_array) {
        // PEP 740, provenance object.
        for attestation in publishers.iter().filter_map(|publisher| publisher.get("attestations")) {
            take_apart(attestation, items, depth)?;
        }
    } else if has("verification_material") && has("envelope") {
        items.push(Item::Bundle(pypi::bundle(value)?.to_string().into_bytes()));
    } else if has("rekorBundle") || has("base64Signature") {
        items.push(Item::Bundle(cosign::blob_bundle(value)?.to_string().into_bytes()));
    } else if has("Base64Signature") && has("Payload") {
        let text = value.to_string().into_bytes();
        let read = ImageSignature::parse(&text, &Limits::DEFAULT)?;
        items.push(Item::Image(text, Box::new(read)));
    } else if let Some(list) = object.get("attestations").filter(|list| list.is_array()) {
        // GitHub's and npm's answers.
        take_apart(list, items, depth)?;
    } else if has("bundle") {
        take_apart(object.get("bundle").unwrap_or(&Value::Null), items, depth)?;
    } else if has("attestation") {
        take_apart(object.get("attestation").unwrap_or(&Value::Null), items, depth)?;
    } else if has("bundle_url") {
        let detail = "the file names the address of a bundle and does not hold it: download the bundle itself";
        return Err(Refusal::new(Reason::SignatureMissing, detail));
    } else if is_manifest(value) {
        let detail = "the file is the manifest of an image and holds no signature: hand in what \
                      `cosign download signature` or `cosign download attestation` prints";
        return Err(Refusal::new(Reason::SignatureMissing, detail));
    }
    Ok(())
}

fn too_many() -> Refusal {
    malformed(format!("more than {MOST_ITEMS} signatures in one file: split it"))
}

pub(crate) fn malformed(detail: impl std::fmt::Display) -> Refusal {
    Refusal::new(Reason::Malformed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::MEDIA_TYPES;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    fn image() -> Value {
        let image = lockgate_model::Digest::of(b"image");
        let critical =
            json!({ "type": "cosign container image signature", "image": { "docker-manifest-digest": image } });
        let payload = json!({ "critical": critical }).to_string();
        json!({ "Base64Signature": "AQID", "Payload": STANDARD.encode(payload) })
    }

    fn kinds(text: &str) -> Result<String, Reason> {
        let items = split(text.as_bytes(), &Limits::DEFAULT).map_err(|refusal| refusal.reason)?;
        let kind = |item: &Item| match item {
            Item::Bundle(_) => 'b',
            Item::Envelope(_) => 'e',
            Item::Image(..) => 'i',
        };
        Ok(items.iter().map(kind).collect())
    }

    fn bundle() -> Value {
        json!({ "mediaType": MEDIA_TYPES[3], "verificationMaterial": {}, "messageSignature": {} })
    }

    fn manifest() -> Value {
        let layer = json!({ "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "size": 1 });
        json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [layer] })
    }

    fn envelope() -> Value {
        json!({ "payload": "", "payloadType": "x", "signatures": [{ "sig": "AQ==" }] })
    }

    #[test]
    fn every_shape_is_taken_apart() {
        let check = |value: Value, expected: &str| assert_eq!(kinds(&value.to_string()), Ok(expected.to_owned()));
        check(bundle(), "b");
        check(envelope(), "e");
        check(image(), "i");
        check(json!([bundle(), envelope()]), "be");
        check(json!({ "attestations": [{ "bundle": bundle(), "repository_id": 1 }, { "bundle": bundle() }] }), "bb");
        check(json!({ "attestations": [{ "predicateType": "x", "bundle": bundle() }] }), "b");
        check(json!([{ "attestation": { "bundle": bundle() }, "verificationResult": {} }]), "b");
        let attestation = json!({
            "version": 1,
            "verification_material": { "certificate": "AQID", "transparency_entries": [{}] },
            "envelope": { "statement": "e30=", "signature": "AQID" },
        });
        check(attestation.clone(), "b");
        check(
            json!({ "version": 1, "attestation_bundles": [{ "publisher": {}, "attestations": [attestation] }] }),
            "b",
        );
        // Of another media type or none, it is a bundle that is not read, and not no bundle.
        check(json!({ "mediaType": "application/x.other+json", "verificationMaterial": {} }), "b");
        check(json!([{ "verificationMaterial": {}, "messageSignature": {} }, envelope()]), "be");
        assert_eq!(kinds(&format!("{}\n\n{}\n", bundle(), envelope())), Ok("be".to_owned()));
        assert_eq!(kinds(&format!("{}\r\n{{\"other\":1}}\r\n", bundle())), Ok("b".to_owned()));
    }

    #[test]
    fn a_single_signature_is_handed_in_unchanged() {
        let count = |text: &str| {
            let pieces = pieces(text.as_bytes(), &Limits::DEFAULT).map_err(|refusal| refusal.reason)?;
            Ok::<_, Reason>(pieces.map(|pieces| pieces.len()))
        };
        assert_eq!(count(&bundle().to_string()), Ok(None));
        assert_eq!(count(&envelope().to_string()), Ok(None));
        assert_eq!(count(&image().to_string()), Ok(None));
        assert_eq!(count(&format!("{}\n{}\n", image(), image())), Ok(Some(2)));
        // What somebody else put beside a good one does not take it away, and alone it is refused.
        let other = json!({ "Base64Signature": "AQID", "Payload": "e30=" });
        let more = json!({ "Base64Signature": "AQID", "Payload": "e30=", "More": "x".repeat(2 * 1024 * 1024) });
        assert_eq!(count(&format!("{other}\n{}\n{more}\n", image())), Ok(Some(1)));
        // Six of anything are a list, and no object that names nothing.
        assert_eq!(
            count(&json!([bundle(), bundle(), bundle(), bundle(), bundle(), bundle()]).to_string()),
            Ok(Some(6))
        );
        assert_eq!(count(&format!("{other}\n{other}\n")), Err(Reason::Malformed));
        assert_eq!(count("{\"_type\":\"https://in-toto.io/Statement/v1\"}"), Ok(None));
        assert_eq!(count(&format!("{}\n{}\n", bundle(), envelope())), Ok(Some(2)));
        assert_eq!(count(&json!({ "attestations": [{ "bundle": bundle() }] }).to_string()), Ok(Some(1)));
        assert_eq!(count("not json"), Ok(None));
        assert_eq!(count("{\n \"not\": json\n}"), Ok(None));
        assert_eq!(count(&format!("{}\nnot json\n", bundle())), Err(Reason::Malformed));
        assert_eq!(count("{}\n{}\n"), Err(Reason::SignatureMissing));
    }

    #[test]
    fn what_only_says_where_a_signature_is_is_told_as_such() {
        let index = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json" });
        for (value, words) in [
            (json!({ "attestations": [{ "bundle_url": "https://x.example" }] }), "download the bundle"),
            (json!({ "attestations": [{ "bundle": null, "bundle_url": "https://x.example" }] }), "download the bundle"),
            (json!({ "bundle_url": "https://x.example" }), "download the bundle"),
            (manifest(), "`cosign download signature`"),
            (index, "`cosign download signature`"),
        ] {
            let text = value.to_string();
            let refusal = pieces(text.as_bytes(), &Limits::DEFAULT).unwrap_err();
            assert_eq!(refusal.reason, Reason::SignatureMissing, "{text}");
            assert!(refusal.detail.contains(words), "{text} {refusal}");
            assert_eq!(split(text.as_bytes(), &Limits::DEFAULT).unwrap_err(), refusal, "{text}");
        }
        // Beside a signature it is passed over, as any other line.
        assert_eq!(kinds(&format!("{}\n{}\n", manifest(), bundle())), Ok("b".to_owned()));
    }

    #[test]
    fn nothing_signed_is_no_success() {
        for (text, expected) in [
            ("", Reason::Malformed),
            ("x", Reason::Malformed),
            ("{}", Reason::SignatureMissing),
            ("[]", Reason::SignatureMissing),
            ("{\"attestations\":[]}", Reason::SignatureMissing),
            ("{\"attestations\":[{\"bundle\":null,\"bundle_url\":\"https://x.example\"}]}", Reason::SignatureMissing),
            ("{}\n{}\n", Reason::SignatureMissing),
            ("{}\nx\n", Reason::Malformed),
            ("[[[[[[]]]]]]", Reason::Malformed),
            ("{\"a\":1,\"a\":1}", Reason::Malformed),
            ("{\"_type\":\"https://in-toto.io/Statement/v1\"}", Reason::SignatureMissing),
        ] {
            assert_eq!(kinds(text), Err(expected), "{text}");
        }
    }
}
