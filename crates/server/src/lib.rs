//! The HTTP server: API, transparency log, events.
//!
//! Every request goes through [`dispatch`], which looks the route up in the table of `lockgate-api`, finds out who
//! calls, checks the permission and the size of the body, and only then calls the handler. A handler cannot be
//! reached in another way.

pub mod accept;
pub mod app;
mod call;
mod compression;
pub mod cookie;
mod csrf;
mod demand;
mod dispatch;
mod events;
mod front;
mod gathered;
mod guard;
mod handlers;
pub mod hosts;
pub mod oidc;
pub mod outbound;
mod pace;
pub mod pins;
mod places;
mod policy_report;
pub mod query;
pub mod rate;
mod records;
mod reply;
pub mod snooze;
mod standing;
mod stream;
mod summary;
mod uploads;
mod witness;

pub use accept::serve;
pub use app::App;
pub use front::Front;
pub use hosts::Hosts;
pub use lockgate_web::viewer;
pub use rate::Rates;
pub use reply::problem_kind;
