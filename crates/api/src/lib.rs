//! What goes over the wire: types, routes, problems, exit codes, and the HTTP client.
//!
//! Only this crate knows wire field names. The route table is the only way to a handler: the server refuses to start
//! with a route that does not stand in [`routes::ROUTES`], and each row says who may call it, how large its body may
//! be, how it is rate-limited and what the access log calls it.

pub mod client;
pub mod csv;
pub mod exit;
pub mod https;
pub mod markdown;
pub mod openapi;
pub mod problem;
pub mod routes;
pub mod step_up;
pub mod wire;

pub use client::{Client, ClientError};
pub use exit::Exit;
pub use problem::{Problem, ProblemKind};
pub use routes::{Access, ROUTES, Route};
pub use step_up::{STEP_UP, StepUp};
