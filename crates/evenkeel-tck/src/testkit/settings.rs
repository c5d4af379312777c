//! The capabilities of a test kit, and the settings of one test.

use std::time::Duration;

use super::TestKit;
use crate::adapter::{Pattern, capabilities, where_needed};

/// The settings of one test; an adapter returns [`AdapterError`](crate::AdapterError) where its kit has no words for them.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Settings {
    /// The virtual time that the test takes at most, for kits that ask for it.
    pub lasts: Duration,
    /// The number of tasks that may panic, for kits that count them.
    pub panics: usize,
    /// The longest real time for the test.
    pub wall_limit: Option<Duration>,
    /// The longest time for which a task may compute without an await.
    pub block_limit: Option<Duration>,
}

impl Pattern for Settings {
    type Capability = Capability;
    type Configured = Box<dyn TestKit>;

    fn needs(&self) -> impl Iterator<Item = Capability> {
        where_needed([
            (self.wall_limit.is_some(), Capability::WallLimit),
            (self.block_limit.is_some(), Capability::Blocking),
        ])
    }
}

capabilities! {
    /// A feature that a test kit may have.
    ///
    /// # Examples
    /// As in [`SUITE`](super::SUITE).
    pub enum Capability {
        /// It has a virtual clock, which moves by itself.
        VirtualTime = "virtual time",
        /// It runs a whole test, and is not only the clock of one.
        Tests = "runs tests",
        /// Programs under its clock may use real sockets.
        Sockets = "sockets",
        /// A test can move the clock.
        Moves = "moves by hand",
        /// A test can stop the clock.
        Hold = "hold",
        /// A test can wait until nothing else can run.
        Settle = "settle",
        /// A test has a limit of real time.
        WallLimit = "limit of real time",
        /// It finds tasks that compute for long without an await.
        Blocking = "blocked threads",
        /// It finds tasks that outlive their test.
        Leaks = "leaks",
        /// It cuts an operation at each of its awaits.
        Cuts = "cuts",
        /// It has an HTTP server that answers as a test says.
        Server = "fake server",
        /// The fake server fails the test if it is not called as often as expected.
        Expectations = "expected calls",
        /// The fake server keeps the calls that it got.
        Records = "recorded calls",
        /// The fake server can reset a connection in place of a reply.
        Resets = "resets",
        /// The fake server can end in the middle of a body.
        CutBodies = "cut bodies",
        /// A reply of the fake server can take virtual time.
        Latency = "latency",
        /// It has a network whose delays are drawn from a seed.
        Seeds = "seeds",
    }
}
