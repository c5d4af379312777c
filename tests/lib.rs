//! The documents at the root of the repository, compiled and run as doctests, and what `compile_errors/` needs.

/// The front page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

// The programs of `compile_errors/` are compiled against this crate alone.
pub use {evenkeel, futures, tokio, tower};
