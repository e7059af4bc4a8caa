//! Tests of the whole program, as a user runs it.

#[cfg(test)]
mod attack_stories;
#[cfg(test)]
mod attacks;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod bundle;
#[cfg(test)]
mod consent;
#[cfg(test)]
mod forgery;
#[cfg(test)]
mod http;
#[cfg(test)]
mod instance;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod outside;
#[cfg(test)]
mod promotions;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod resources;
#[cfg(test)]
mod story;
