//! Requests and replies, one file a subject.

mod governance;
mod promotions;
mod reading;
mod receipt;
mod releases;
mod sign_in;

pub use governance::*;
pub use promotions::*;
pub use reading::*;
pub use receipt::*;
pub use releases::*;
pub use sign_in::*;
