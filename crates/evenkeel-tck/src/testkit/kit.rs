//! A test kit under test, and the parts that it gives to a test.

use std::{fmt, io, pin::Pin, rc::Rc, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep},
};

use super::{Cutting, Program};
use crate::BoxFuture;

/// Runs tests as the users of a kit do.
///
/// A test that fails is a panic of the method that runs it, as it is in Rust's own tests.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
pub trait TestKit: Send + Sync {
    /// Runs a program as a test.
    fn run(&self, program: Program);

    /// Runs an operation, cut at each of its awaits. Asked for with [`Capability::Cuts`](super::Capability::Cuts) alone.
    fn cut(&self, _operation: Cutting) {}

    /// Runs a test with a fake server that has these routes. Asked for with
    /// [`Capability::Server`](super::Capability::Server) alone.
    fn serve(&self, _routes: Vec<Route>, _calls: Calls) {}

    /// Runs a test with this seed, whose connections lead over a network with random delays to a server that sends back
    /// all that it gets. Asked for with [`Capability::Seeds`](super::Capability::Seeds) alone.
    fn simulate(&self, _seed: u64, _body: Box<dyn FnOnce(Connector) -> LocalFuture>) {}

    /// This program again, which has to call [`run_alone`](super::run_alone) with this kit and this rule. `None` if there is no
    /// such program; its rules then are not expressible.
    fn child(&self, _rule: &'static str) -> Option<std::process::Command> {
        None
    }
}

impl fmt::Debug for dyn TestKit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestKit").finish_non_exhaustive()
    }
}

/// The controls that a kit gives to a running test. The defaults are tokio's own.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
pub trait Controls: Send + Sync {
    /// The time on the clock of the test.
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// Waits on the clock of the test.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(sleep(time))
    }

    /// Spawns a task of the test.
    fn spawn(&self, task: BoxFuture<'static, ()>) -> JoinHandle<()> {
        tokio::spawn(task)
    }

    /// Runs work that blocks.
    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        Box::pin(async { drop(spawn_blocking(work).await) })
    }

    /// Moves the clock by this time, as the documentation of the kit says. Asked for with
    /// [`Capability::Moves`](super::Capability::Moves) alone, as the next ones with theirs.
    fn move_by(&self, _time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    /// Stops the clock until the value is dropped.
    fn hold(&self) -> Box<dyn Send> {
        Box::new(())
    }

    /// Waits until nothing else can run.
    fn settle(&self) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

/// The future of a test's body or of an operation, on the thread of the test.
pub type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

/// A connection to a server.
pub trait Connection: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Connection for T {}

/// Opens a connection.
pub type Connector = Arc<dyn Fn() -> Connecting>;

/// A connection that is opened.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Connection>>>>>;

/// The body of a test that calls a fake server.
pub type Calls = Box<dyn FnOnce(Rc<dyn FakeServer>) -> LocalFuture>;

/// A fake server that runs.
pub trait FakeServer {
    /// Opens a connection to it.
    fn connect(&self) -> Connecting;

    /// The calls that it got, the first one first. Asked for with [`Capability::Records`](super::Capability::Records) alone.
    fn recorded(&self) -> Pin<Box<dyn Future<Output = Vec<Recorded>>>> {
        Box::pin(async { Vec::new() })
    }

    /// Drops it, as a test does at its end.
    fn end(&self);
}

/// The replies of a fake server to the calls of one path.
#[derive(Clone, Debug)]
pub struct Route {
    /// The path.
    pub path: &'static str,
    /// The replies in their order, each for one call. The last one is for all calls after it, too.
    pub replies: Vec<Reply>,
    /// The number of calls without which the test fails.
    pub expected: Option<usize>,
}

/// A reply of a fake server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// This status, with an empty body.
    Status(u16),
    /// The status 200 after this time.
    Late(Duration),
    /// No reply: the connection is reset.
    Reset,
    /// The status 200 and this body, of which only so many bytes are sent before the connection ends.
    CutBody(&'static str, usize),
}

/// A call that a fake server got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its method, in capitals.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its body.
    pub body: String,
}
