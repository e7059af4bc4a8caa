//! Requests and replies, one file a subject.

mod access_log;
mod changes;
mod ci;
mod delegations;
mod emergency;
mod feeds;
mod governance;
mod passkeys;
mod promotions;
mod reading;
mod receipt;
mod releases;
mod rights;
mod sign_in;
mod waivers;
mod whereabouts;

pub use access_log::*;
pub use changes::*;
pub use ci::*;
pub use delegations::*;
pub use emergency::*;
pub use feeds::*;
pub use governance::*;
pub use passkeys::*;
pub use promotions::*;
pub use reading::*;
pub use receipt::*;
pub use releases::*;
pub use rights::*;
pub use sign_in::*;
pub use waivers::*;
pub use whereabouts::*;
