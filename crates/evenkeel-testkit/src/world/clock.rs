//! `Clock`: the kinds of clock of a world.

use std::time::Duration;

/// The kind of clock of a [`World`](crate::World).
///
/// | clock | moves | use it for |
/// |---|---|---|
/// | [`Exact`](Clock::Exact) | when nothing can run, to the next timer | everything inside the world: tasks, in-memory and same-runtime loopback connections |
/// | [`Quiet`](Clock::Quiet) | when nothing has run for a while of real time, to the next timer | peers in other threads and processes |
/// | [`Real`](Clock::Real) | as real time does | code whose timing depends on others |
///
/// # Why not just use `Exact` everywhere?
///
/// A paused clock jumps to the next timer as soon as nothing can run. While a peer in another thread works
/// on its answer, nothing can run, and every timeout fires at once. Peers *in* the runtime have no such moment; on a
/// loopback connection this needs tokio 1.53.3 (older ones jump while bytes are in the kernel) and `TCP_NODELAY`
/// (without it a kernel delays the acknowledgement for which a sender waits, by 40 ms on Linux).
///
/// # Examples
///
/// A thread answers in its own time, and an hour of virtual time passes as well:
///
/// ```
/// use evenkeel_testkit::{Clock, World, assert_took};
/// use std::time::Duration;
/// use tokio::{sync::oneshot, time::{sleep, timeout}};
///
/// World::builder().clock(Clock::Quiet(Duration::from_millis(100))).run(async |_| {
///     let (answer, answered) = oneshot::channel();
///     std::thread::spawn(move || answer.send(42));
///     let answered = timeout(Duration::from_secs(5), answered);
///     assert_eq!(assert_took!(answered, Duration::ZERO), Ok(Ok(42)));
///     assert_took!(sleep(Duration::from_secs(3600)), Duration::from_secs(3600));
/// });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Clock {
    /// Stands still while anything can run, and then jumps to the next timer. The default.
    #[default]
    Exact,
    /// Stands still until nothing has run for this much real time, and then jumps to the next timer.
    ///
    /// This is a heuristic: a peer that is silent for longer counts as finished. For peers on the same machine 100 ms are
    /// enough, also while ten others want each of its processors; 20 ms are not. They are counted in naps of the world's
    /// thread, and so last longer where that thread is not scheduled at once. Each step of the clock at which something runs costs this time once more. Work of peers
    /// takes no virtual time, so their own delays are not seen.
    Quiet(Duration),
    /// Moves by itself, as in production. Tasks that are alive at the end of the body get a second to finish.
    Real,
}
