//! The harness itself, and some seeds of each program.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod programs;
