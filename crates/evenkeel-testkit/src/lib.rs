#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
#[cfg_attr(docsrs, doc(cfg(feature = "alloc")))]
pub mod alloc;
mod assert_took;
pub mod cancel;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod http;
pub mod net;
mod panics;
pub mod probe;
mod record;
pub mod sequencer;
#[cfg(feature = "proptest")]
#[cfg_attr(docsrs, doc(cfg(feature = "proptest")))]
pub mod strategy;
mod wall_clock;
mod watchdog;
#[cfg(feature = "wiremock")]
#[cfg_attr(docsrs, doc(cfg(feature = "wiremock")))]
pub mod wiremock;
mod world;

pub use assert_took::{__assert_duration, took};
pub use record::{__assert_timeline, Record};
#[cfg(feature = "tokio-test")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio-test")))]
pub use tokio_test::{
    assert_pending, assert_ready, assert_ready_eq, assert_ready_err, assert_ready_ok, task,
};
pub use world::{Builder, Clock, Hold, World, WorldReport};
