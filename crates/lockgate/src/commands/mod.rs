//! The commands, one file each.

pub mod approve;
pub mod audit;
pub mod bundle;
pub mod demo;
pub mod doctor;
pub mod help;
pub mod key;
pub mod login;
pub mod policy;
pub mod promote;
pub mod push;
pub mod reading;
pub mod trust;
pub mod up;
pub mod verify;
pub mod waive;
pub mod why;
