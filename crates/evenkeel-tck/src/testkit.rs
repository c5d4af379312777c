#![doc = include_str!("../spec/TESTKIT.md")]

mod alone;
mod cutting;
mod harness;
mod http;
mod kit;
mod program;
mod rules;
mod settings;

pub use self::{
    alone::run_alone,
    cutting::Cutting,
    kit::{
        Calls, Connecting, Connection, Connector, Controls, FakeServer, LocalFuture, Recorded, Reply, Route,
        TestKit,
    },
    program::{Event, Program, Step},
    settings::{Capability, Settings},
};
use crate::Suite;

/// The rules for test kits: virtual time, the checks at the end of a test, cuts, fake servers, seeds.
///
/// # Examples
/// The paused clock of tokio, as a kit that has nothing else:
/// ```
/// use evenkeel_tck::{
///     Adapter, AdapterError, BoxFuture,
///     testkit::{Capability, Controls, Program, SUITE, Settings, TestKit},
/// };
/// use std::{sync::Arc, time::Duration};
/// use tokio::{runtime::Builder, time::advance};
///
/// struct Paused;
///
/// impl Adapter<Settings> for Paused {
///     fn supports(&self, capability: Capability) -> Result<(), &'static str> {
///         match capability {
///             Capability::VirtualTime | Capability::Tests | Capability::Moves => Ok(()),
///             _ => Err("it is a clock, and nothing else"),
///         }
///     }
///
///     fn configure(&self, _: &Settings) -> Result<Box<dyn TestKit>, AdapterError> {
///         Ok(Box::new(Self))
///     }
/// }
///
/// impl TestKit for Paused {
///     fn run(&self, program: Program) {
///         let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
///         runtime.block_on(program.run(Arc::new(Self)));
///     }
/// }
///
/// impl Controls for Paused {
///     fn move_by(&self, time: Duration) -> BoxFuture<'static, ()> {
///         Box::pin(advance(time))
///     }
/// }
///
/// let check = |id| SUITE.rule(id).unwrap().check(&Paused);
/// assert!(check("TESTKIT-01").passed());
/// assert!(check("TESTKIT-13").failed()); // timers that were due on the way fire at the end of the move
/// assert_eq!(check("TESTKIT-23").to_string(), "unsupported: leaks: it is a clock, and nothing else");
/// ```
pub static SUITE: Suite<Settings> =
    Suite { pattern: "TESTKIT", spec: include_str!("../spec/TESTKIT.md"), chapters: rules::CHAPTERS };
