#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// file                     | holds
// world.rs, world/         | `World`: the runtime of a test, its clock, its limits, the checks at its end
// cancel.rs, cancel/       | `every_point`: an operation cut at each of its suspension points
// assert_took.rs, record.rs | exact durations; notes with their time
// probe.rs, sequencer.rs   | polls and wakes; the order of steps
// net.rs, net/             | a network in memory, and its faults
// http.rs, http/           | a scripted HTTP server
// wiremock.rs, strategy.rs, waker.rs, alloc.rs | wiremock, proptest, hostile wakers, counted allocations
// timeline.rs, timeline/ | pictures of what happened in a world
// panics.rs, watchdog.rs, wall_clock.rs | the panic log, the limit of real time, real time

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
#[cfg(feature = "timeline")]
#[cfg_attr(docsrs, doc(cfg(feature = "timeline")))]
pub mod timeline;
#[cfg(feature = "waker")]
#[cfg_attr(docsrs, doc(cfg(feature = "waker")))]
pub mod waker;
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
#[doc(hidden)]
pub use wall_clock::thread_cpu_time;
pub use world::{World, builder::WorldBuilder, clock::Clock, park_hooks::Hold, report::WorldReport};
