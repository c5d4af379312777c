//! The documents at the root of the repository, compiled and run as doctests.

/// The front page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
