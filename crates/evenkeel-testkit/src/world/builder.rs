//! `WorldBuilder`: the settings of a world, and the checks at its end.

use std::{future::Future, sync::Arc, time::Duration};

use super::{World, clock::Clock, recording::Recording, report::WorldReport, runtime::execute, seed::Seed};
use crate::{panics::PanicLog, watchdog};

/// The default limit of real time.
pub(crate) const WALL_LIMIT: Duration = Duration::from_secs(60);

/// The default limit of CPU time between two parks.
const BLOCK_LIMIT: Duration = Duration::from_secs(2);

/// Builds a [`World`] with other settings than the defaults.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::World;
///
/// // This test expects the panic, and looks at the error.
/// World::builder().allow_panics(1).run(async |_| {
///     let error = tokio::spawn(async { panic!("boom") }).await.unwrap_err();
///     assert!(error.is_panic());
/// });
/// ```
#[derive(Clone, Debug)]
#[must_use = "a world does nothing until it is run"]
pub struct WorldBuilder {
    seed: Option<u64>,
    clock: Clock,
    wall_limit: Duration,
    block_limit: Duration,
    leaks: usize,
    panics: usize,
    #[cfg(feature = "timeline")]
    records: bool,
}

impl World {
    /// Runs `body` in a fresh world, and returns its output.
    ///
    /// # Panics
    ///
    /// If `body` does, and
    /// - if a task is still alive an hour of virtual time after the end of `body`,
    /// - if a task panicked, even if it was joined: see [`WorldBuilder::allow_panics`],
    /// - if all tasks wait and no timer is set,
    /// - if 60 s of real time were not enough,
    /// - if its thread computed for 2 s without parking: see [`WorldBuilder::block_limit`],
    /// - if called inside another runtime.
    #[track_caller]
    pub fn run<F, Fut>(body: F) -> Fut::Output
    where
        F: FnOnce(World) -> Fut,
        Fut: Future,
    {
        Self::builder().run(body)
    }

    /// Runs `body` in a fresh world, as [`run`](Self::run) does, and returns the picture of the run.
    ///
    /// Groups, limits, pools and retries are in it if their crates, or `evenkeel`, have the feature `inspect`.
    ///
    /// It is the same in each run: the seed is 0, unless [`WorldBuilder::seed`] or the environment variable `EVENKEEL_SEED` sets it.
    ///
    /// # Panics
    ///
    /// Where [`run`](Self::run) does.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_testkit::World;
    /// use std::time::Duration;
    ///
    /// let drawn = World::timeline(async |_| tokio::time::sleep(Duration::from_millis(1500)).await);
    /// assert!(drawn.to_text().contains("1.5 s"));
    /// ```
    #[cfg(feature = "timeline")]
    #[cfg_attr(docsrs, doc(cfg(feature = "timeline")))]
    #[track_caller]
    pub fn timeline<F, Fut>(body: F) -> crate::timeline::Timeline
    where
        F: FnOnce(World) -> Fut,
        Fut: Future<Output = ()>,
    {
        Self::builder().timeline(body)
    }

    /// Returns a builder, to change the defaults.
    pub fn builder() -> WorldBuilder {
        WorldBuilder::new()
    }
}

impl WorldBuilder {
    fn new() -> Self {
        WorldBuilder {
            seed: None,
            clock: Clock::Exact,
            wall_limit: WALL_LIMIT,
            block_limit: BLOCK_LIMIT,
            leaks: 0,
            panics: 0,
            #[cfg(feature = "timeline")]
            records: std::env::var_os("EVENKEEL_TIMELINE").is_none_or(|value| value != "0"),
        }
    }

    /// Sets the value of [`World::seed`], in place of a fresh number or the one in `EVENKEEL_SEED`.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the kind of clock: [`Clock::Exact`] by default.
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

    /// Sets the limit of real time: 60 s by default.
    ///
    /// A world that takes longer panics. If its thread is blocked and cannot panic, the process is aborted 2 s after
    /// the limit, with a message that names the test.
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

    /// Sets the limit of CPU time between two parks of the world's thread: 2 s by default.
    ///
    /// The thread parks when nothing can run. A task that computes for long without an await keeps all others
    /// waiting; so do many tasks of which one can always run. CPU time counts, so that a busy machine makes no
    /// difference; a thread that sleeps or blocks uses none, and only the wall limit finds it. The limit is checked
    /// at the end, on Linux, Android, FreeBSD and Apple's systems; others do not report the CPU time of a thread.
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
    /// // The test itself computes for long.
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

    /// Allows up to `tasks` tasks to outlive the body: none by default.
    pub fn allow_leaks(mut self, tasks: usize) -> Self {
        self.leaks = tasks;
        self
    }

    /// Allows up to `panics` tasks to panic: none by default.
    ///
    /// Only the test knows whether a panic in a task is handled, or lost with its join handle. So a test that expects
    /// panics says so.
    pub fn allow_panics(mut self, panics: usize) -> Self {
        self.panics = panics;
        self
    }

    /// Runs the world without recording its timeline.
    ///
    /// A world records with the feature `timeline`, unless the variable `EVENKEEL_TIMELINE` is `0`. Without, a test that counts
    /// allocations counts its own, and one with very many tasks or items takes a fraction of the time.
    #[cfg(feature = "timeline")]
    #[cfg_attr(docsrs, doc(cfg(feature = "timeline")))]
    pub fn without_timeline(mut self) -> Self {
        self.records = false;
        self
    }

    /// Runs `body` in a fresh world, as [`World::timeline`] does, and returns its picture.
    ///
    /// # Panics
    ///
    /// Where [`World::run`] does.
    #[cfg(feature = "timeline")]
    #[cfg_attr(docsrs, doc(cfg(feature = "timeline")))]
    #[track_caller]
    pub fn timeline<F, Fut>(mut self, body: F) -> crate::timeline::Timeline
    where
        F: FnOnce(World) -> Fut,
        Fut: Future<Output = ()>,
    {
        // A picture is the same in each run, unless a seed is asked for.
        self.seed = self.seed.or_else(|| (!Seed::is_in_env()).then_some(0));
        self.records = true;
        self.run_report(body).1.timeline
    }

    fn recording(&self) -> Recording {
        #[cfg(feature = "timeline")]
        if !self.records {
            return Recording::OFF;
        }
        Recording::new()
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

    /// Runs `body` in a fresh world, as [`World::run`] does, and returns its measurements as well.
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
        let seed = Arc::new(self.seed.map_or_else(Seed::from_env, Seed::new));
        let _replay = seed.print_on_panic();
        let watch = watchdog::arm(self.wall_limit);
        let log = PanicLog::new(false);
        let recording = self.recording();
        let _picture = recording.print_on_panic();
        let (output, report) = execute(self.clock, seed.clone(), &recording, &watch, &log, body);
        let WorldReport { leaked, max_busy, .. } = report;
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
        (output, report)
    }
}
