#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod cancel;
mod panics;
mod took;
mod watchdog;
mod world;

pub use took::{__assert_duration, took};
pub use world::{Builder, World};
