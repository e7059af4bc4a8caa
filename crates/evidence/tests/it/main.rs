//! Reads sample reports, our own and those of real tools, through the crate's public interface.

#[cfg(test)]
mod findings;
#[cfg(test)]
mod large;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod vectors;
