//! Grammar: requests that nobody wrote, for every route of the table, with bodies after the routes' own schemas.

use lockgate_api::{ROUTES, Route};
use serde_json::{Map, Value, json};

use crate::mutation::Mutator;
use crate::random::Random;

/// How deep a body is made after its schema.
const DEPTH_MAX: u32 = 10;
/// The routes that end the session which the others need.
const ENDING: [&str; 2] = ["sign-out", "session-end"];

/// What stands in paths.
const PARTS: &[&str] = &[
    "P-1",
    "P-3",
    "P-99",
    "P-0",
    "P-18446744073709551616",
    "P--1",
    "C-1",
    "0",
    "1",
    "-1",
    "99999999999999999999",
    "shop/web",
    "shop/web@1.4.2",
    "shop%2Fweb",
    "%00",
    "%ff",
    "%2e%2e",
    "..",
    ".",
    "",
    "dana",
    "sam",
    "nobody",
    "kev",
    "epss",
    "dev",
    "production",
    "read",
    "request",
    "all",
    "checkpoint",
    "0/000",
    "entries/000",
    "0/x001/000.p/5",
    "8/000",
    "%F0%9F%98%80",
    "%E2%80%AE",
    "null",
    "style.css",
    "verifier.js",
    "a%20b",
    "sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "sha256:0",
    "SHA256:00",
];
/// What queries are about.
const KEYS: &[&str] = &[
    "from",
    "size",
    "old",
    "new",
    "limit",
    "before",
    "after",
    "service",
    "environment",
    "env",
    "artifact",
    "person",
    "since",
    "until",
    "return",
    "state",
    "code",
    "stream",
    "event",
    "index",
    "q",
    "page",
    "view",
    "status",
    "release",
    "base",
    "to",
    "by",
    "owner",
    "actor",
    "kind",
    "sort",
    "group",
    "gate",
    "problem",
];
/// What queries say.
const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "2",
    "-1",
    "+1",
    "%2B1",
    "1e9",
    "0x10",
    "18446744073709551615",
    "18446744073709551616",
    "9007199254740993",
    "abc",
    "%00",
    "%ff",
    "P-1",
    "shop/web",
    "production",
    "2026-01-01",
    "2026-01-01T00:00:00Z",
    "%E2%80%AE",
    "..%2f",
    "null",
    "[]",
    "true",
    "release/shop/web@1.4.2",
    "governance",
    "a=b",
    "%25",
    "%",
];
/// Further headers, some of them with a value that nobody should send.
const HEADERS: &[&str] = &[
    "Authorization: Bearer",
    "Authorization: Bearer x",
    "Authorization: Basic eDp5",
    "Cookie: session=x",
    "Cookie: ;;;",
    "Cookie: theme=dark; theme=light",
    "Idempotency-Key: k",
    "Idempotency-Key:",
    "Accept: text/html",
    "Accept: x",
    "Accept-Encoding: gzip",
    "Accept-Encoding: gzip;q=0",
    "Accept-Encoding: gzip;q=nan",
    "Last-Event-ID: 0",
    "Last-Event-ID: -1",
    "Last-Event-ID: 18446744073709551615",
    "Range: bytes=-",
    "Range: bytes=0-1",
    "Origin: null",
    "Origin: http://elsewhere.example",
    "Lockgate-Digest: x",
    "If-None-Match: *",
    "Expect: 100-continue",
    "X-Forwarded-For: 127.0.0.1",
    "Host: elsewhere.example",
    "Content-Encoding: gzip",
];
/// Methods, in place of the route's own.
const METHODS: &[&str] = &["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "TRACE"];
/// Texts in bodies.
const TEXTS: &[&str] = &[
    "",
    "a",
    "dana",
    "sam",
    "ci",
    "shop/web",
    "shop/web@1.4.2",
    "production",
    "dev",
    "P-3",
    "P-99",
    "C-1",
    "\u{202e}",
    "\0",
    "e\u{301}",
    "7d",
    "9999999d",
    "-1d",
    "2026-01-01T00:00:00Z",
    "approve",
    "reject",
    "junit",
    "AAAA",
    "====",
    "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHV2",
    "https://issuer.example",
    "http://127.0.0.1:1/",
    "sha256:0000000000000000000000000000000000000000000000000000000000000000",
];
/// Bodies that are no document of any route.
const BODIES: &[&[u8]] =
    &[b"", b"{", b"{\"a\":1,\"a\":2}", b"null", b"\"", b"\xff\xfe", b"[[[[[[[[", b"{}", b"[]", b"0", b"\0"];

/// One request, as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knock {
    /// The name of the route that it was made for.
    pub route: &'static str,
    /// Whether it is HTTP that asks to close, so that it has to be answered.
    pub whole: bool,
    /// Whether its answer has no body.
    pub is_head: bool,
    /// The request.
    pub bytes: Vec<u8>,
}

/// Makes requests.
pub struct Grammar<'a> {
    random: Random,
    mutator: Mutator,
    /// The server's own OpenAPI document.
    document: &'a Value,
    tokens: &'a [String],
}

impl<'a> Grammar<'a> {
    /// Requests that follow from the seed; some are signed in with one of the tokens.
    pub fn new(seed: u64, document: &'a Value, tokens: &'a [String]) -> Self {
        let words = TEXTS.iter().map(|text| text.as_bytes().to_vec()).collect();
        Self { random: Random::new(seed), mutator: Mutator::new(!seed, words), document, tokens }
    }

    /// The next request; none where there are no routes.
    pub fn knock(&mut self) -> Option<Knock> {
        let route = one_of(&mut self.random, ROUTES)?;
        let method = if self.happens(3) { self.word(METHODS) } else { route.method };
        let mut head = format!("{method} {} HTTP/1.1\r\nConnection: close\r\n", self.target(route));
        if !self.happens(1) {
            head.push_str("Host: localhost\r\n");
        }
        if self.happens(75)
            && !ENDING.contains(&route.name)
            && let Some(token) = one_of(&mut self.random, self.tokens)
        {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        for _ in 0..self.random.between(0, 2) {
            head.push_str(&format!("{}\r\n", self.word(HEADERS)));
        }
        let body = match method {
            "POST" | "PUT" | "DELETE" | "PATCH" => self.body(route),
            _ => Vec::new(),
        };
        head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len()));
        let bytes = [head.as_bytes(), &body].concat();
        // What waits for a word of the server before it sends its body is answered in two parts.
        let whole = !head.contains("100-continue");
        Some(match self.happens(10) {
            true => Knock { route: route.name, whole: false, is_head: true, bytes: self.mutator.mutate(&bytes, b"") },
            false => Knock { route: route.name, whole, is_head: method == "HEAD", bytes },
        })
    }

    /// Path and query.
    fn target(&mut self, route: &Route) -> String {
        let mut target = String::new();
        for part in route.path.split('/').skip(1) {
            let part = if part.starts_with('{') { self.word(PARTS) } else { part };
            target.push('/');
            target.push_str(part);
        }
        for place in 0..self.random.between(0, 2) {
            target.push(if place == 0 { '?' } else { '&' });
            let (key, value) = (self.word(KEYS), self.word(VALUES));
            target.push_str(&format!("{key}={value}"));
        }
        target
    }

    fn body(&mut self, route: &Route) -> Vec<u8> {
        let document = self.document;
        let path = route.path.replace("{*", "{").replace('~', "~0").replace('/', "~1");
        let place =
            format!("/paths/{path}/{}/requestBody/content/application~1json/schema", route.method.to_ascii_lowercase());
        let body = match (document.pointer(&place), self.random.between(0, 9)) {
            (Some(schema), 0..=7) => serde_json::to_vec(&self.value(schema, 0)).unwrap_or_default(),
            (_, 8) => serde_json::to_vec(&self.odd()).unwrap_or_default(),
            _ => one_of(&mut self.random, BODIES).copied().unwrap_or_default().to_vec(),
        };
        match self.happens(10) {
            true => self.mutator.mutate(&body, b""),
            false => body,
        }
    }

    /// A value after its schema, more or less.
    fn value(&mut self, schema: &Value, depth: u32) -> Value {
        let Some(fields) = schema.as_object().filter(|_| depth < DEPTH_MAX && !self.happens(7)) else {
            return self.odd();
        };
        if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
            let document = self.document;
            return match document.pointer(reference.trim_start_matches('#')) {
                Some(schema) => self.value(schema, depth + 1),
                None => self.odd(),
            };
        }
        let choices = ["oneOf", "anyOf", "allOf", "enum"].iter().find_map(|name| Some((*name, fields.get(*name)?)));
        if let Some((name, Value::Array(choices))) = choices {
            let chosen = one_of(&mut self.random, choices).cloned().unwrap_or_default();
            return if name == "enum" { chosen } else { self.value(&chosen, depth + 1) };
        }
        if let Some(constant) = fields.get("const") {
            return constant.clone();
        }
        self.of_type(fields, depth)
    }

    fn of_type(&mut self, fields: &Map<String, Value>, depth: u32) -> Value {
        let kind = match fields.get("type") {
            Some(Value::Array(kinds)) => one_of(&mut self.random, kinds).and_then(Value::as_str),
            Some(kind) => kind.as_str(),
            None => None,
        };
        match kind {
            Some("object") => {
                let mut made = Map::new();
                for (name, schema) in fields.get("properties").and_then(Value::as_object).into_iter().flatten() {
                    if !self.happens(12) {
                        made.insert(name.clone(), self.value(schema, depth + 1));
                    }
                }
                if self.happens(5) {
                    made.insert("more".to_owned(), self.odd());
                }
                Value::Object(made)
            }
            Some("array") => {
                let schema = fields.get("items").cloned().unwrap_or_default();
                (0..self.random.between(0, 3)).map(|_| self.value(&schema, depth + 1)).collect()
            }
            Some("string") => json!(self.word(TEXTS)),
            Some("boolean") => json!(self.happens(50)),
            _ => self.odd(),
        }
    }

    /// A value that fits by chance.
    fn odd(&mut self) -> Value {
        match self.random.between(0, 15) {
            0 => json!(null),
            1 => json!(true),
            2 => json!(0),
            3 => json!(-1),
            4 => json!(9_007_199_254_740_992_u64),
            5 => json!(u64::MAX),
            6 => json!(1e300),
            7 => json!(0.5),
            8 => json!([]),
            9 => json!({}),
            10 => json!([[null]]),
            11 => json!("x".repeat(3000)),
            _ => json!(self.word(TEXTS)),
        }
    }

    fn word(&mut self, all: &'static [&'static str]) -> &'static str {
        one_of(&mut self.random, all).copied().unwrap_or_default()
    }

    fn happens(&mut self, percent: u64) -> bool {
        self.random.between(1, 100) <= percent
    }
}

fn one_of<'a, T>(random: &mut Random, all: &'a [T]) -> Option<&'a T> {
    let most = (all.len() as u64).checked_sub(1)?;
    all.get(usize::try_from(random.between(0, most)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_is_knocked_at_and_a_seed_repeats() {
        let document = json!({ "paths": { "/v1/promotions": { "post": { "requestBody": { "content": {
            "application/json": { "schema": { "$ref": "#/components/schemas/Promote" } } } } } } },
            "components": { "schemas": { "Promote": { "type": "object", "properties": {
                "release": { "type": "string" }, "count": { "type": ["integer", "null"] } } } } } });
        let tokens = ["a-token".to_owned()];
        let knocks = |seed: u64| -> Vec<Knock> {
            let mut grammar = Grammar::new(seed, &document, &tokens);
            (0..5000).map(|_| grammar.knock().unwrap()).collect()
        };
        let first = knocks(1);
        assert_eq!(first, knocks(1));
        assert_ne!(first, knocks(2));
        let routes: BTreeSet<&str> = first.iter().map(|knock| knock.route).collect();
        assert_eq!(routes.len(), ROUTES.iter().map(|route| route.name).collect::<BTreeSet<_>>().len());
        let texts: Vec<String> = first.iter().map(|knock| String::from_utf8_lossy(&knock.bytes).into_owned()).collect();
        let whole = |at: &usize| first.get(*at).is_some_and(|knock| knock.whole);
        let places: Vec<usize> = (0..texts.len()).filter(whole).collect();
        assert!(places.len() > 3500, "{}", places.len());
        let promote = places.iter().filter(|at| texts[**at].contains("\"release\":")).count();
        assert!(promote > 0, "no body follows its schema");
        // A request that ends a session must not carry a token that others need.
        for at in places {
            assert!(!ENDING.contains(&first[at].route) || !texts[at].contains("a-token"), "{}", texts[at]);
        }
    }
}
