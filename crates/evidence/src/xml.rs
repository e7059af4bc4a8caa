//! XML, read element by element without DTDs and without entities of its own.
//!
//! Nothing can expand and nothing is fetched. Depth and attributes are limited, a second root and text outside the
//! root are refused, and so is a document that ends before its root does.

use std::borrow::Cow;

use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::error::{EvidenceError, excerpt};

/// How deep elements may be nested.
const MAX_DEPTH: usize = 64;
/// How many attributes one element may have.
const MAX_ATTRIBUTES: usize = 64;

/// What a format does with its elements; texts and comments mean nothing to it.
pub(crate) trait Elements {
    /// An element starts, inside those that are open.
    fn open(&mut self, name: &str, attributes: &Attributes<'_>) -> Result<(), EvidenceError>;
    /// The element that was opened last ends.
    fn close(&mut self) -> Result<(), EvidenceError>;
}

/// The attributes of one element, unescaped.
pub(crate) struct Attributes<'t>(Vec<(&'t str, Cow<'t, str>)>);

impl<'t> Attributes<'t> {
    fn of(tag: &'t BytesStart<'_>) -> Result<Self, EvidenceError> {
        let mut read = Vec::new();
        for (count, attribute) in tag.attributes().enumerate() {
            // Checked inside the loop: the reader compares each attribute with all before it.
            if count >= MAX_ATTRIBUTES {
                return Err(EvidenceError::malformed(format!("an element has more than {MAX_ATTRIBUTES} attributes")));
            }
            let attribute = attribute.map_err(|error| invalid(&error))?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| invalid(&error))?;
            read.push((attribute.key.into_inner(), value));
        }
        Ok(Self(read))
    }

    /// The attribute of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_ref())
    }
}

/// Walks a whole document.
///
/// `declared_root` names a root whose document type may be declared in the bare form that only points to a DTD
/// elsewhere, which is neither fetched nor needed; a declaration with anything inside it is always refused.
///
/// # Errors
/// `EVIDENCE_MALFORMED`, `XML_DOCTYPE`, `XML_ENTITY`, `XML_TOO_DEEP`, and what `elements` returns.
pub(crate) fn walk(
    bytes: &[u8],
    declared_root: Option<&str>,
    elements: &mut dyn Elements,
) -> Result<(), EvidenceError> {
    let text = std::str::from_utf8(bytes).map_err(|error| EvidenceError::malformed(format!("not UTF-8: {error}")))?;
    let mut reader = Reader::from_str(text);
    let mut walk = Walk { elements, depth: 0, has_root: false };
    loop {
        match reader.read_event().map_err(|error| invalid(&error))? {
            Event::Start(tag) => walk.open(&tag)?,
            Event::Empty(tag) => {
                walk.open(&tag)?;
                walk.close()?;
            }
            Event::End(_) => walk.close()?,
            Event::Text(text) if is_blank(&text) => {}
            Event::Text(_) | Event::CData(_) => walk.needs_root()?,
            Event::GeneralRef(reference) => walk.reference(&reference)?,
            Event::Decl(declaration) => walk.declaration(&declaration)?,
            Event::DocType(declared) => walk.doctype(&declared, declared_root)?,
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => return walk.finish(),
        }
    }
}

/// The name of the root element, for telling formats apart; none when there is none.
pub(crate) fn root_name(bytes: &[u8]) -> Option<String> {
    let mut reader = Reader::from_str(std::str::from_utf8(bytes).ok()?);
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) | Event::Empty(tag) => return Some(tag.name().into_inner().to_owned()),
            Event::Eof | Event::End(_) | Event::CData(_) | Event::GeneralRef(_) => return None,
            Event::Text(text) if !is_blank(&text) => return None,
            Event::Text(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

struct Walk<'e> {
    elements: &'e mut dyn Elements,
    depth: usize,
    has_root: bool,
}

impl Walk<'_> {
    fn open(&mut self, tag: &BytesStart<'_>) -> Result<(), EvidenceError> {
        if self.depth == 0 && self.has_root {
            return Err(EvidenceError::malformed("there is a second root element"));
        }
        if self.depth >= MAX_DEPTH {
            return Err(EvidenceError::new("XML_TOO_DEEP", format!("elements are nested deeper than {MAX_DEPTH}")));
        }
        let attributes = Attributes::of(tag)?;
        self.elements.open(tag.name().into_inner(), &attributes)?;
        self.depth += 1;
        self.has_root = true;
        Ok(())
    }

    fn close(&mut self) -> Result<(), EvidenceError> {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(EvidenceError::malformed("an element ends that never started"));
        };
        self.depth = depth;
        self.elements.close()
    }

    fn needs_root(&self) -> Result<(), EvidenceError> {
        match self.depth {
            0 => Err(EvidenceError::malformed("there is text outside the root element")),
            _ => Ok(()),
        }
    }

    /// The five entities of XML itself and character references; there are no others without a DTD.
    fn reference(&self, reference: &BytesRef<'_>) -> Result<(), EvidenceError> {
        self.needs_root()?;
        if reference.is_char_ref() {
            return reference.resolve_char_ref().map(drop).map_err(|error| invalid(&error));
        }
        let name: &str = reference;
        match name {
            "amp" | "lt" | "gt" | "quot" | "apos" => Ok(()),
            other => Err(EvidenceError::new(
                "XML_ENTITY",
                format!("the entity `&{};` is not one of XML's own", excerpt(other)),
            )),
        }
    }

    fn declaration(&self, declaration: &BytesDecl<'_>) -> Result<(), EvidenceError> {
        if self.has_root {
            return Err(EvidenceError::malformed("there is an XML declaration after the start"));
        }
        let Some(encoding) = declaration.encoding() else { return Ok(()) };
        let encoding = encoding.map_err(|error| invalid(&error))?;
        match encoding.eq_ignore_ascii_case("utf-8") || encoding.eq_ignore_ascii_case("us-ascii") {
            true => Ok(()),
            false => Err(EvidenceError::malformed(format!(
                "the encoding is `{}`: write the report in UTF-8",
                excerpt(&encoding)
            ))),
        }
    }

    /// Passes over `<!DOCTYPE root SYSTEM "...">` or `PUBLIC` for the root that is expected, and nothing else.
    fn doctype(&self, declared: &str, root: Option<&str>) -> Result<(), EvidenceError> {
        let mut words = declared.split_ascii_whitespace();
        let is_bare = !self.has_root
            && root.is_some()
            && words.next() == root
            && matches!(words.next(), Some("SYSTEM" | "PUBLIC"))
            && !declared.contains(['[', ']', '<', '>', '&', '%']);
        match is_bare {
            true => Ok(()),
            false => Err(EvidenceError::new(
                "XML_DOCTYPE",
                "the report has a document type declaration, which is never read: write it without `<!DOCTYPE`",
            )),
        }
    }

    fn finish(self) -> Result<(), EvidenceError> {
        match (self.has_root, self.depth) {
            (true, 0) => Ok(()),
            (false, _) => Err(EvidenceError::malformed("there is no element in it")),
            (true, _) => {
                Err(EvidenceError::malformed("the report ends before its root element does: it was cut short"))
            }
        }
    }
}

fn invalid(error: &dyn std::fmt::Display) -> EvidenceError {
    EvidenceError::malformed(format!("not well-formed XML: {error}"))
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Names(String);

    impl Elements for Names {
        fn open(&mut self, name: &str, attributes: &Attributes<'_>) -> Result<(), EvidenceError> {
            self.0.push_str(&format!("<{name}{}", attributes.get("a").unwrap_or_default()));
            Ok(())
        }
        fn close(&mut self) -> Result<(), EvidenceError> {
            self.0.push('>');
            Ok(())
        }
    }

    fn check(text: &str, expected: Result<&str, &'static str>) {
        let mut names = Names::default();
        let result = walk(text.as_bytes(), Some("r"), &mut names).map(|()| names.0.as_str()).map_err(|e| e.code);
        assert_eq!(result, expected, "{text}");
    }

    #[test]
    fn walks_what_is_well_formed() {
        check("<r a='1'><x/> text &amp; &#65; <![CDATA[<y>]]></r>", Ok("<r1<x>>"));
        check("<?xml version='1.0' encoding='UTF-8'?><!-- c --><r/>\n", Ok("<r>"));
        check("<!DOCTYPE r SYSTEM \"http://reports.example/r.dtd\"><r/>", Ok("<r>"));
    }

    #[test]
    fn refuses_what_could_expand_or_was_cut() {
        check("<!DOCTYPE r [<!ENTITY a \"b\">]><r>&a;</r>", Err("XML_DOCTYPE"));
        check("<!DOCTYPE r SYSTEM \"r.dtd\" [<!ENTITY a \"b\">]><r/>", Err("XML_DOCTYPE"));
        check("<!DOCTYPE other SYSTEM \"r.dtd\"><r/>", Err("XML_DOCTYPE"));
        check("<!DOCTYPE r><r/>", Err("XML_DOCTYPE"));
        check("<r>&a;</r>", Err("XML_ENTITY"));
        check("<r a='&a;'/>", Err("EVIDENCE_MALFORMED"));
        check("<r a='1' a='2'/>", Err("EVIDENCE_MALFORMED"));
        check("<r>", Err("EVIDENCE_MALFORMED"));
        check("", Err("EVIDENCE_MALFORMED"));
        check("<r/><r/>", Err("EVIDENCE_MALFORMED"));
        check("<r/>text", Err("EVIDENCE_MALFORMED"));
        check("<r></x>", Err("EVIDENCE_MALFORMED"));
        check(&format!("{}{}", "<r>".repeat(65), "</r>".repeat(65)), Err("XML_TOO_DEEP"));
        check("<?xml version='1.0' encoding='utf-16'?><r/>", Err("EVIDENCE_MALFORMED"));
    }
}
