//! `Findings`: what evenkeel-inspect finds while a world runs, for the file that the variable `EVENKEEL_FINDINGS` names;
//! without the feature `inspect` it is empty.

#[cfg(feature = "inspect")]
pub(crate) use self::on::Findings;

/// Looks at nothing.
#[cfg(not(feature = "inspect"))]
#[derive(Debug, Default)]
pub(crate) struct Findings;

#[cfg(not(feature = "inspect"))]
#[expect(clippy::unused_self, reason = "the same methods as with the feature")]
impl Findings {
    pub(crate) fn begin(&self) {}

    pub(crate) fn look(&self) {}
}

#[cfg(feature = "inspect")]
mod on {
    use std::{
        sync::Mutex,
        time::{Duration, Instant},
    };

    use evenkeel_base::lock;
    use evenkeel_inspect::FindingsLog;

    use crate::wall_clock;

    /// The real time that a look may take for the next one to follow at once.
    const SHORT: Duration = Duration::from_millis(1);

    /// The log of a world, if there is a file for it.
    #[derive(Debug, Default)]
    pub(crate) struct Findings(Mutex<Option<Log>>);

    #[derive(Debug)]
    struct Log {
        log: FindingsLog,
        next_at: Option<Instant>,
    }

    impl Findings {
        /// Begins, in the runtime of the world.
        pub(crate) fn begin(&self) {
            *lock(&self.0) = FindingsLog::of_runtime().map(|log| Log { log, next_at: None });
        }

        /// Looks at the objects of the world, which is idle.
        ///
        /// A look that takes long, as there are very many tasks, is followed by a pause, so that the world takes twice as long
        /// at most.
        pub(crate) fn look(&self) {
            let Some(Log { mut log, mut next_at }) = lock(&self.0).take() else { return };
            let begun = wall_clock::now();
            if next_at.is_none_or(|at| begun >= at) {
                log.look();
                let took = wall_clock::now() - begun;
                next_at = (took > SHORT).then(|| begun + 2 * took);
            }
            *lock(&self.0) = Some(Log { log, next_at });
        }
    }
}
