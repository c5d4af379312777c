//! Scenarios that need more than one crate.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod error_causes;
mod first_guesses;
mod pin;
mod wrapping;
