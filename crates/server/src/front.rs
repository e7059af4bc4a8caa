//! The front: how people reach this server, and through whom else they may sign in.

use std::sync::Arc;

use crate::hosts::Hosts;
use crate::oidc::Oidc;

/// What the server was started with, as far as browsers are concerned.
#[derive(Clone, Default)]
pub struct Front {
    /// The names that it answers to.
    pub hosts: Hosts,
    /// The identity provider, if there is one.
    pub oidc: Option<Arc<Oidc>>,
}
