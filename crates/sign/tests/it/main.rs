//! Integration tests: other people's vectors, and OpenSSH's own tools against our signatures.

#[cfg(test)]
mod passkey;
#[cfg(test)]
mod ssh_agent;
#[cfg(test)]
mod ssh_keygen;
#[cfg(test)]
mod wycheproof;
