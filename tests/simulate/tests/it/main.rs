//! The harness itself, and some seeds of each program.

mod harness;
mod harvest;
mod programs;
