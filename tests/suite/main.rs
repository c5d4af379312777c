//! Scenarios that need more than one crate.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod error_causes;
mod pin;
mod wrapping;
