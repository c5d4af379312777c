//! The limits of a world.

use std::{future::Future, sync::Arc, time::Duration};

use super::{World, runtime::execute, seed::Seed};
use crate::{panics::Log, watchdog};

/// The real time that a world may take, unless it says otherwise.
pub(crate) const WALL_LIMIT: Duration = Duration::from_secs(60);

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
    wall_limit: Duration,
    leaks: usize,
    panics: usize,
}

impl Builder {
    pub(super) fn new() -> Self {
        Builder { seed: None, wall_limit: WALL_LIMIT, leaks: 0, panics: 0 }
    }

    /// Sets what [`World::seed`] gives, in place of a fresh number or that of `EVENKEEL_SEED`.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets how much real time the world may take: 60 s by default.
    ///
    /// A world that takes longer panics. If its thread is blocked and cannot panic, a message with the
    /// name of the test is printed and the process is aborted, at the latest 5 s after the limit.
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
        let seed = Arc::new(self.seed.map_or_else(Seed::from_env, Seed::new));
        let _replay = seed.note();
        let watch = watchdog::arm(self.wall_limit);
        let log = Log::new(false);
        let (output, left) = execute(seed.clone(), &watch, &log, body);
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
            left <= self.leaks,
            "{left} task(s) still alive 1 h of virtual time after the end of the test body, and {} may be: \
             join them, or abort them",
            self.leaks,
        );
        output
    }
}
