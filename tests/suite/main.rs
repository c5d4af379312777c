//! Scenarios that need more than one crate.

mod pin;
mod wrapping;
