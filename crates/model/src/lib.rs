//! The nouns of Lockgate: digests, names, versions, ids, time, canonical JSON, limits and facts.
//!
//! Everything here is parsed once at the edge and carries its proof inward: fields are private, `FromStr` and
//! `TryFrom` have errors of their own, and `Display` round-trips. Nothing here reads a clock, a file or a socket.

pub mod canonical;
pub mod digest;
pub mod facts;
pub mod id;
pub mod json;
pub mod limits;
pub mod name;
pub mod stream;
pub mod text;
pub mod time;
pub mod version;

pub use canonical::CanonicalError;
pub use digest::{Digest, DigestError, Hasher};
pub use id::{ChangeId, EntryIndex, PromotionId, TreeSize};
pub use json::JsonError;
pub use limits::Limits;
pub use name::{EnvName, GateName, GroupName, NameError, PersonId, RoleName, ServiceName, SignerName};
pub use stream::StreamName;
pub use time::{Span, UnixMillis};
pub use version::{ReleaseName, Version};

/// Implements `Serialize`, `Deserialize` and `TryFrom<String>` through `Display` and `FromStr`, and the schema of a text.
macro_rules! text_form {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Parsed;
                impl serde::de::Visitor<'_> for Parsed {
                    type Value = $type;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a string")
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Parsed)
            }
        }
        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                <String as schemars::JsonSchema>::json_schema(generator)
            }
        }
    };
}
pub(crate) use text_form;
