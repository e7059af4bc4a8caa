//! A caller: one of the demo's people, who asks a server that is killed on the way until the outcome is known.

use lockgate_api::problem::ProblemKind;
use lockgate_api::{Client, ClientError};

use super::Ground;
use super::arena::Arena;
use crate::failure::{Failure, Result};
use crate::identity::Identity;

/// How often one request is sent before the caller gives up.
const TRIES: usize = 2000;

/// Someone who calls.
pub struct Caller<'a> {
    arena: &'a Arena,
    identity: Identity,
    client: Client,
}

impl<'a> Caller<'a> {
    /// Someone who is not signed in yet.
    ///
    /// # Errors
    /// When their key cannot be opened.
    pub fn open(ground: &Ground, arena: &'a Arena, name: &str) -> Result<Self> {
        let identity = Identity::load(&ground.home, name)?;
        Ok(Self { arena, identity, client: Client::new(&ground.url, None) })
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Calls until there is an answer; says too whether an earlier call may have been applied unseen.
    ///
    /// # Errors
    /// When the server refuses, or stays away.
    pub fn until_known<T>(
        &mut self,
        call: impl Fn(&Client) -> std::result::Result<T, ClientError>,
    ) -> Result<(T, bool)> {
        let mut unknown = false;
        for _ in 0..TRIES {
            let error = match call(&self.client) {
                Ok(value) => return Ok((value, unknown)),
                Err(error) => error,
            };
            match &error {
                ClientError::Problem(problem) if problem.kind == ProblemKind::Unauthenticated => self.sign_in()?,
                ClientError::Problem(problem) if problem.kind != ProblemKind::Unavailable => {
                    return Err(Failure::new(format!("refused with {}: {}", problem.code, problem.detail)));
                }
                ClientError::Problem(_) | ClientError::Unreachable { .. } | ClientError::Protocol(_) => {
                    unknown = true;
                    self.arena.wait_to_repeat()?;
                }
            }
        }
        Err(Failure::new(format!("no answer after {TRIES} tries")))
    }

    fn sign_in(&mut self) -> Result<()> {
        for _ in 0..TRIES {
            match self.identity.sign_in(&self.client) {
                Ok(token) => {
                    self.client.sign_in_with(token);
                    return Ok(());
                }
                // A challenge does not outlive the server that made it, so a refusal can come from a restart.
                Err(_) => self.arena.wait_to_repeat()?,
            }
        }
        Err(Failure::new(format!("no sign-in after {TRIES} tries")))
    }
}
