//! The engine over the strict memory store: a world with a fixed clock, seeded randomness, and faults at every commit.
//!
//! When a world is dropped, it re-verifies the whole ledger with the code of `lockgate audit`.

#[cfg(test)]
mod access;
#[cfg(test)]
mod artifact_signatures;
#[cfg(test)]
mod backtests;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod clock;
#[cfg(test)]
mod consents;
#[cfg(test)]
mod cut;
#[cfg(test)]
mod drift;
#[cfg(test)]
mod emergency;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod feeds;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod projections;
#[cfg(test)]
mod promotions;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod where_index;
#[cfg(test)]
mod world;
