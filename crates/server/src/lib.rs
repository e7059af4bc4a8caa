//! The HTTP server: API, transparency log, events.
//!
//! Every request goes through [`dispatch`], which looks the route up in the table of `lockgate-api`, finds out who
//! calls, checks the permission and the size of the body, and only then calls the handler. A handler cannot be
//! reached in another way.

pub mod accept;
pub mod app;
mod call;
mod dispatch;
mod events;
mod handlers;
mod reply;
mod summary;

pub use accept::serve;
pub use app::App;
pub use reply::problem_kind;
