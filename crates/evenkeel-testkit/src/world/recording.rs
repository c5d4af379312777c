//! `Recording`: the recorder of a world's timeline, if there is one; without the feature `timeline` it is empty.

#[cfg(feature = "timeline")]
pub(crate) use self::on::Recording;

/// Records nothing.
#[cfg(not(feature = "timeline"))]
#[derive(Clone, Debug)]
pub(crate) struct Recording;

#[cfg(not(feature = "timeline"))]
#[expect(clippy::unused_self, reason = "the same methods as with the feature")]
impl Recording {
    pub(crate) const OFF: Self = Self;

    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn attach(&self) {}

    pub(crate) fn adopt_thread(&self) {}

    pub(crate) fn begin(&self, _start: tokio::time::Instant) {}

    pub(crate) fn look(&self) {}

    pub(crate) fn end_body(&self, _polls: u64) {}

    pub(crate) fn fail(&self) {}

    pub(crate) fn freeze(&self) {}

    pub(crate) fn print_on_panic(&self) -> Option<std::convert::Infallible> {
        None
    }
}

#[cfg(feature = "timeline")]
mod on {
    use std::{panic::Location, sync::Arc};

    use tokio::time::Instant;

    use crate::timeline::{Attached, FailureHint, Recorder, Timeline};

    /// The recorder of a world, unless that records nothing.
    #[derive(Clone, Debug)]
    pub(crate) struct Recording(Option<Arc<Recorder>>);

    impl Recording {
        pub(crate) const OFF: Self = Self(None);

        pub(crate) fn new() -> Self {
            Self(Some(Arc::new(Recorder::new())))
        }

        /// Records the tasks, marks and spans of this thread until the guard is dropped.
        pub(crate) fn attach(&self) -> Option<Attached> {
            self.0.as_ref().map(Attached::new)
        }

        /// Records the marks and spans of this thread of the world's runtime, until the thread ends.
        pub(crate) fn adopt_thread(&self) {
            if let Some(recorder) = &self.0 {
                crate::timeline::adopt_thread(recorder);
            }
        }

        /// Begins at this time, in the body of the world.
        pub(crate) fn begin(&self, start: Instant) {
            if let Some(recorder) = &self.0 {
                recorder.begin(start);
            }
        }

        /// Looks at what is there, as nothing runs and the clock is about to move.
        pub(crate) fn look(&self) {
            if let Some(recorder) = &self.0 {
                recorder.look();
            }
        }

        /// Records the end of the body.
        pub(crate) fn end_body(&self, polls: u64) {
            if let Some(recorder) = &self.0 {
                recorder.end_body(polls);
            }
        }

        /// Ends the recording, as the body has panicked.
        pub(crate) fn fail(&self) {
            if let Some(recorder) = &self.0 {
                recorder.fail();
            }
        }

        /// Ends the recording, before the runtime drops what is left.
        pub(crate) fn freeze(&self) {
            if let Some(recorder) = &self.0 {
                recorder.freeze();
            }
        }

        /// Returns that which was recorded.
        pub(crate) fn timeline(&self) -> Timeline {
            self.0.as_ref().map_or_else(Timeline::empty, |recorder| Timeline::of(recorder))
        }

        /// Returns a guard that prints the last part, if the test fails while it lives.
        #[track_caller]
        pub(crate) fn print_on_panic(&self) -> Option<FailureHint> {
            self.0.as_ref().map(|recorder| FailureHint::new(Arc::clone(recorder), Location::caller()))
        }
    }
}
