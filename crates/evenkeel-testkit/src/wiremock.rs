//! wiremock under the quiet clock.
//!
//! wiremock serves from its own thread, in real time. Under a clock that stands still only while
//! something of *this* runtime can run, its clients always time out before the answer can arrive. The
//! [quiet clock](crate::Clock::Quiet) waits until nothing has happened for a while of real time; so wiremock's
//! mocks, matchers and expectations work unchanged beside code that sleeps in virtual time.
//!
//! Its limits:
//!
//! - **wiremock's own delays stay real.** A reply with `set_delay` costs its delay in real time and none in
//!   virtual time. A delay longer than [`QUIET`] counts as silence: the clock jumps to the next timer, and the
//!   client's timeout fires. Timeouts, and retries after them, cannot be tested with it.
//! - It has no faults below HTTP: no reset, no half body, no slow connect.
//! - It records requests without their time.
//! - A server of `MockServer::start()` comes from a pool: after its drop its port still answers, with its mocks, until
//!   another test takes it. A server of `MockServer::builder().start()` is closed when it is dropped, as in [`run`]; its
//!   thread takes a moment for that, in which a new connection may be accepted and is then reset.
//! - It needs sockets, and each step of the clock at which something runs costs [`QUIET`] of real time.
//! - "Nothing has happened for a while" is a heuristic: it fails on a machine that stalls for that long.
//!
//! [`http::Server`](crate::http::Server) (feature `http`) has none of these limits. Use this module for suites that
//! have wiremock's mocks already, and for the real tier.

use std::{future::Future, time::Duration};

pub use ::wiremock::MockServer;

use crate::{Clock, World};

/// The real time without any event after which the clock moves.
pub const QUIET: Duration = Duration::from_millis(100);

/// Runs `body` in a world whose clock waits for wiremock, with a fresh server.
///
/// The server is not a pooled one: after its drop, connects are refused, not answered by its mocks. It checks its
/// expectations when it is dropped, as always. For a world with other limits, use
/// `World::builder().clock(Clock::Quiet(QUIET))`.
///
/// # Panics
///
/// Where [`World::run`] does, and if an expectation of a mock was not met.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tokio::time::{sleep, timeout};
/// use wiremock::{Mock, ResponseTemplate, matchers::method};
///
/// evenkeel_testkit::wiremock::run(async |world, server| {
///     Mock::given(method("GET")).respond_with(ResponseTemplate::new(200)).expect(2).mount(&server).await;
///     for _ in 0..2 {
///         let reply = timeout(Duration::from_secs(5), reqwest::get(server.uri())).await;
///         assert_eq!(reply.expect("no timeout").unwrap().status(), 200);
///         sleep(Duration::from_secs(3600)).await; // virtual
///     }
///     assert_eq!(world.elapsed(), Duration::from_secs(7200)); // the calls took none
/// });
/// ```
#[track_caller]
pub fn run<F, Fut>(body: F) -> Fut::Output
where
    F: FnOnce(World, MockServer) -> Fut,
    Fut: Future,
{
    World::builder()
        .clock(Clock::Quiet(QUIET))
        .run(async |world| body(world, MockServer::builder().start().await).await)
}
