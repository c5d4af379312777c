//! wiremock under the quiet clock.
//!
//! wiremock serves from a thread of its own, in real time. Under a clock that stands still only while
//! something of *this* runtime can run, its clients time out before the answer can come, each time. The
//! [quiet clock](crate::Clock::Quiet) waits for a while of real time in which nothing happens; so wiremock's
//! mocks, matchers and expectations can be used as they are, beside code that sleeps in virtual time.
//!
//! It cannot do more than that:
//!
//! - **wiremock's own delays stay real.** A reply with `set_delay` costs its delay in real time and none in
//!   virtual time. One that is longer than [`QUIET`] is taken for silence: the clock jumps to the next timer,
//!   and the client's timeout fires. No timeout, and no retry after one, can be tested with it.
//! - It has no faults below HTTP: no reset, no half body, no slow connect.
//! - It records what it was asked, and not when.
//! - A server of `MockServer::start()` comes from a pool: after its drop its port still answers, 404 to all, until
//!   another test gets it. One of `MockServer::builder().start()` is closed when it is dropped, as [`run`]'s is; its
//!   thread takes a moment for that, in which a new connection may be accepted and is then reset.
//! - It needs sockets, and each step of the clock at which something runs costs [`QUIET`] of real time.
//! - "Nothing happens for a while" is a guess: on a machine that stands still for so long it is wrong.
//!
//! [`http::Server`](crate::http::Server) (feature `http`) has none of these limits. This is for suites that
//! have their mocks already, and for the real tier.

use std::{future::Future, time::Duration};

pub use ::wiremock::MockServer;

use crate::{Clock, World};

/// How long nothing must happen, in real time, before the clock moves.
pub const QUIET: Duration = Duration::from_millis(20);

/// Runs `body` in a world whose clock waits for wiremock, with a fresh server.
///
/// The server is no pooled one: who drops it sees what a service that is gone looks like, and not 404.
///
/// The server checks its expectations when it is dropped, as always. For a world with other limits, build
/// it: `World::builder().clock(Clock::Quiet(QUIET))`.
///
/// # Panics
///
/// Where [`World::run`] does, and where the server does: if an expectation of a mock was not met.
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
