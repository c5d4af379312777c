//! Whole programs in virtual time, under faults that a seed draws.
//!
//! A [`Subject`] is a program together with the world around it: it draws a [`Script`] of sizes and faults from a seed, runs
//! through it, and says which promise was broken. The rest is here: [`sweep`](sweep()) runs a range of seeds on all
//! processors, [`shrink`](shrink()) makes a script that fails smaller, [`Process`] kills between any two steps, and the
//! [`Trace`] shows that the same seed does the same.

// file                  | holds
// subject.rs            | `Subject`, and one run of it in a world
// script.rs, random.rs  | the sizes and faults of a seed; random numbers
// trace.rs              | the steps of a run, as a hash and as text
// process.rs            | a process that is killed at a step
// sweep.rs, shrink.rs   | a range of seeds; a failure made smaller
// looks.rs              | dumps of evenkeel-inspect at random times, with the feature `inspect`
// checks.rs             | the first promise that was broken
// pipeline.rs           | pipelines over the broker in memory
// limits.rs             | limits, shared and local
// harvest.rs            | harvest, with its API and its database

mod checks;
pub mod harvest;
pub mod limits;
#[cfg(feature = "inspect")]
mod looks;
pub mod pipeline;
mod process;
mod random;
mod script;
mod shrink;
mod subject;
mod sweep;
mod trace;

pub use checks::Checks;
pub use process::{Process, Steps};
pub use random::Random;
pub use script::Script;
pub use shrink::{Shrunk, shrink};
pub use subject::{Ran, Subject, run};
pub use sweep::{Range, Summary, sweep};
pub use trace::{Reached, Trace};
