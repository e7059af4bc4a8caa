//! A caller: one of the demo's people, who asks a server that is broken on the way until the outcome is known.

use std::path::Path;

use lockgate_api::problem::ProblemKind;
use lockgate_api::{Client, ClientError};
use lockgate_sign::note::VerifierKey;

use crate::failure::{Failure, Result};
use crate::identity::Identity;
use crate::receipt::{self, Proven};
use crate::requests::{Reply, Request};

/// What passes between a request that failed and the same one again.
pub trait Recovery {
    /// Returns when a request may be sent again.
    ///
    /// # Errors
    /// When this failure has another reason than that the server is broken on purpose.
    fn request_failed(&mut self, error: &ClientError) -> Result<()>;

    /// Returns when somebody may try to sign in again.
    ///
    /// # Errors
    /// As [`Recovery::request_failed`].
    fn sign_in_failed(&mut self, error: &ClientError) -> Result<()>;
}

/// Someone who calls.
pub struct Caller {
    identity: Identity,
    client: Client,
    /// How often one request is sent before the caller gives up.
    tries: usize,
}

/// An acknowledgement whose receipt was checked.
#[derive(Debug)]
pub struct Settled {
    /// What the server answered.
    pub reply: Reply,
    /// Where it stands, and under which tree head.
    pub proven: Proven,
    /// Whether an earlier request may have been applied unseen.
    pub was_unknown: bool,
    /// How the outcome of the same request changed afterwards; a server that keeps its word has none.
    pub changed: Option<String>,
}

impl Caller {
    /// Someone who is not signed in yet.
    ///
    /// # Errors
    /// When their key cannot be opened.
    pub fn open(url: &str, home: &Path, name: &str, tries: usize) -> Result<Self> {
        Ok(Self { identity: Identity::load(home, name)?, client: Client::new(url, None), tries })
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Signs in, however often that fails on the way.
    ///
    /// # Errors
    /// What `recovery` says, or that there were too many tries.
    pub fn sign_in(&mut self, recovery: &mut impl Recovery) -> Result<()> {
        for _ in 0..self.tries {
            match self.identity.sign_in(&self.client) {
                Ok(token) => {
                    self.client.sign_in_with(token);
                    return Ok(());
                }
                Err(error) => recovery.sign_in_failed(&error)?,
            }
        }
        Err(Failure::new(format!("no sign-in after {} tries", self.tries)))
    }

    /// Calls until there is an answer; says too whether an earlier call may have been applied unseen.
    ///
    /// # Errors
    /// What `recovery` says, or that there were too many tries.
    pub fn until_known<T>(
        &mut self,
        recovery: &mut impl Recovery,
        call: impl Fn(&Client) -> std::result::Result<T, ClientError>,
    ) -> Result<(T, bool)> {
        let mut unknown = false;
        for _ in 0..self.tries {
            match call(&self.client) {
                Ok(value) => return Ok((value, unknown)),
                Err(ClientError::Problem(problem)) if problem.kind == ProblemKind::Unauthenticated => {
                    self.sign_in(recovery)?;
                }
                Err(error) => {
                    recovery.request_failed(&error)?;
                    unknown = true;
                }
            }
        }
        Err(Failure::new(format!("no answer after {} tries", self.tries)))
    }

    /// Sends a write under its key until its outcome is known, and checks its receipt; where an earlier one may have been
    /// applied unseen, once more, to see whether the outcome stays.
    ///
    /// # Errors
    /// As [`Caller::until_known`], or when the receipt proves nothing.
    pub fn settle(
        &mut self,
        recovery: &mut impl Recovery,
        request: &Request,
        key: &str,
        log_key: &VerifierKey,
    ) -> Result<Settled> {
        let (reply, was_unknown) = self.until_known(recovery, |client| request.send(client, key))?;
        let Some(logged) = reply.logged.clone() else {
            return Err(Failure::new(format!("`{key}` was acknowledged without an entry")));
        };
        let proven = receipt::check(log_key, &logged)?;
        let mut changed = None;
        if was_unknown {
            let (again, _) = self.until_known(recovery, |client| request.send(client, key))?;
            let entry = again.logged.as_ref().map(|again| (again.index, again.leaf, again.repeated));
            let same = entry == Some((logged.index, logged.leaf, true))
                && (&again.recorded, &again.promotions) == (&reply.recorded, &reply.promotions);
            if !same {
                changed = Some(format!("the outcome of `{key}` changed from {reply:?} to {again:?}"));
            }
        }
        Ok(Settled { reply, proven, was_unknown, changed })
    }
}
