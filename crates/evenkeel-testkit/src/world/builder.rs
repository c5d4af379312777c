//! The limits of a world.

use std::{future::Future, sync::Arc, time::Duration};

use super::{
    Clock, World, WorldReport,
    runtime::{Ended, execute},
    seed::Seed,
};
use crate::{panics::Log, wall_clock, watchdog};

/// The real time that a world may take, unless it says otherwise.
pub(crate) const WALL_LIMIT: Duration = Duration::from_secs(60);

/// The time that the thread of a world may compute without a rest, unless the world says otherwise.
const BLOCK_LIMIT: Duration = Duration::from_secs(2);

/// A [`World`] to be, with limits of its own.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::World;
///
/// // This test means the panic: it looks at what becomes of it.
/// World::builder().allow_panics(1).run(async |_| {
///     let error = tokio::spawn(async { panic!("boom") }).await.unwrap_err();
///     assert!(error.is_panic());
/// });
/// ```
#[derive(Clone, Debug)]
#[must_use = "a world does nothing until it is run"]
pub struct Builder {
    seed: Option<u64>,
    clock: Clock,
    wall_limit: Duration,
    block_limit: Duration,
    leaks: usize,
    panics: usize,
}

impl Builder {
    pub(super) fn new() -> Self {
        Builder {
            seed: None,
            clock: Clock::Exact,
            wall_limit: WALL_LIMIT,
            block_limit: BLOCK_LIMIT,
            leaks: 0,
            panics: 0,
        }
    }

    /// Sets what [`World::seed`] gives, in place of a fresh number or that of `EVENKEEL_SEED`.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets what moves the clock: [`Clock::Exact`] by default.
    ///
    /// # Panics
    ///
    /// If it is a [`Clock::Quiet`] of zero.
    #[track_caller]
    pub fn clock(mut self, clock: Clock) -> Self {
        assert!(clock != Clock::Quiet(Duration::ZERO), "a quiet of zero");
        self.clock = clock;
        self
    }

    /// Sets how much real time the world may take: 60 s by default.
    ///
    /// A world that takes longer panics. If its thread is blocked and cannot panic, a message with the
    /// name of the test is printed and the process is aborted, 2 s after the limit.
    ///
    /// # Panics
    ///
    /// If `limit` is zero.
    #[track_caller]
    pub fn wall_limit(mut self, limit: Duration) -> Self {
        assert!(!limit.is_zero(), "a wall limit of zero");
        self.wall_limit = limit;
        self
    }

    /// Sets for how long the world's thread may compute without a rest: 2 s by default.
    ///
    /// It rests when nothing can run. A task that computes for long, without an await, keeps all others
    /// waiting; so do many that are never all done. What counts is the time for which the thread computed,
    /// so that a busy machine makes no difference; a thread that sleeps or waits computes nothing, and only
    /// the wall limit finds it. The limit is checked at the end, on Linux, Android, FreeBSD and Apple's
    /// systems; others do not tell what a thread computes.
    ///
    /// # Panics
    ///
    /// If `limit` is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # use evenkeel_testkit::World;
    /// # use std::time::Duration;
    /// // A test that computes much itself.
    /// World::builder().block_limit(Duration::from_secs(30)).run(async |_| {
    ///     assert_eq!((1..=1000_u64).sum::<u64>(), 500_500);
    /// });
    /// ```
    #[track_caller]
    pub fn block_limit(mut self, limit: Duration) -> Self {
        assert!(!limit.is_zero(), "a block limit of zero");
        self.block_limit = limit;
        self
    }

    /// Lets up to `tasks` tasks outlive the body: none by default.
    pub fn allow_leaks(mut self, tasks: usize) -> Self {
        self.leaks = tasks;
        self
    }

    /// Lets up to `panics` tasks panic: none by default.
    ///
    /// What becomes of a panic in a task, nobody but the test can know: it may be joined and looked at, or
    /// lost with its handle. So a test that means one says so.
    pub fn allow_panics(mut self, panics: usize) -> Self {
        self.panics = panics;
        self
    }

    /// Runs `body` in a fresh world, as [`World::run`] does.
    ///
    /// # Panics
    ///
    /// Where [`World::run`] does.
    #[track_caller]
    pub fn run<F, Fut>(self, body: F) -> Fut::Output
    where
        F: FnOnce(World) -> Fut,
        Fut: Future,
    {
        self.run_report(body).0
    }

    /// Runs `body` in a fresh world, as [`World::run`] does, and tells what the world did.
    ///
    /// # Panics
    ///
    /// Where [`World::run`] does.
    #[track_caller]
    pub fn run_report<F, Fut>(self, body: F) -> (Fut::Output, WorldReport)
    where
        F: FnOnce(World) -> Fut,
        Fut: Future,
    {
        let begun = wall_clock::now();
        let seed = Arc::new(self.seed.map_or_else(Seed::from_env, Seed::new));
        let _replay = seed.note();
        let watch = watchdog::arm(self.wall_limit);
        let log = Log::new(false);
        let Ended { output, elapsed, polls, max_busy, leaked, record } =
            execute(self.clock, seed.clone(), &watch, &log, body);
        let panicked = log.in_tasks();
        if let Some(panic) = panicked.get(self.panics) {
            panic!(
                "{} task(s) panicked, and {} may: {panic}\n(if the test means it: World::builder().allow_panics({}))",
                panicked.len(),
                self.panics,
                panicked.len(),
            );
        }
        assert!(
            leaked <= self.leaks,
            "{leaked} task(s) still alive {} after the end of the test body, and {} may be: join them, or abort them",
            if self.clock == Clock::Real { "a second" } else { "1 h of virtual time" },
            self.leaks,
        );
        assert!(
            max_busy <= self.block_limit,
            "blocked: the thread computed for {max_busy:?} without a rest, and may for {:?}: a task computes without \
             an await, or there is always one more that can run\n(if the test means it: World::builder().block_limit(..))",
            self.block_limit,
        );
        let wall = wall_clock::now() - begun;
        (output, WorldReport { virtual_elapsed: elapsed, wall, polls, max_busy, leaked, record })
    }
}
