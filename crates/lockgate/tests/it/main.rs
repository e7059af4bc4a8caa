//! Tests of the whole program, as a user runs it.

#[cfg(test)]
mod access;
#[cfg(test)]
mod access_log;
#[cfg(test)]
mod accessibility;
#[cfg(test)]
mod administrator;
#[cfg(test)]
mod attack_logs;
#[cfg(test)]
mod attack_steps;
#[cfg(test)]
mod attack_stories;
#[cfg(test)]
mod attacks;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod audit_export;
#[cfg(test)]
mod between;
#[cfg(test)]
mod break_glass;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod browser_verifier;
#[cfg(test)]
mod bundle;
#[cfg(test)]
mod ci_identity;
#[cfg(test)]
mod compression;
#[cfg(test)]
mod consent;
#[cfg(test)]
mod dashboard;
#[cfg(test)]
mod dashboard_pages;
#[cfg(test)]
mod default_build;
#[cfg(test)]
mod drift;
#[cfg(test)]
mod drill;
#[cfg(test)]
mod entry_binding;
#[cfg(test)]
mod exports;
#[cfg(test)]
mod feeds;
#[cfg(test)]
mod forgery;
#[cfg(test)]
mod freeze;
#[cfg(test)]
mod governance;
#[cfg(test)]
mod grant_end;
#[cfg(test)]
mod http;
#[cfg(test)]
mod inbox;
#[cfg(test)]
mod instance;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod large_evidence;
mod limits;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod oidc_provider;
#[cfg(test)]
mod outside;
#[cfg(test)]
mod paper;
#[cfg(test)]
mod passkeys;
#[cfg(test)]
mod pipeline;
#[cfg(test)]
mod policy_tools;
#[cfg(test)]
mod promotions;
#[cfg(test)]
mod python_verifier;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod release_diff;
#[cfg(test)]
mod resources;
#[cfg(test)]
mod screens;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod signature_verify;
#[cfg(test)]
mod signing;
#[cfg(test)]
mod slips;
#[cfg(test)]
mod story;
#[cfg(test)]
mod tabs;
#[cfg(test)]
mod times;
#[cfg(test)]
mod token_issuer;
#[cfg(test)]
mod waivers;
#[cfg(test)]
mod where_is_it;
