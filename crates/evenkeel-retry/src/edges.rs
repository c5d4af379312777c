//! Where retries come from and wait, for evenkeel-inspect; values without size where its feature is off.

#[cfg(feature = "inspect")]
use std::panic::Location;

#[cfg(feature = "inspect")]
use crate::inspect::ListedWait;

/// The place of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallPlace {
    #[cfg(feature = "inspect")]
    pub(crate) place: &'static Location<'static>,
}

impl CallPlace {
    /// Returns the place of the caller of the function that calls this.
    #[inline]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub(crate) const fn here() -> Self {
        Self {
            #[cfg(feature = "inspect")]
            place: Location::caller(),
        }
    }
}

/// A wait that dumps tell of, until this is dropped.
#[derive(Debug)]
pub(crate) struct WaitEntry {
    #[cfg(feature = "inspect")]
    pub(crate) listed: Option<ListedWait>,
}

impl WaitEntry {
    /// No wait.
    pub(crate) const NONE: Self = Self {
        #[cfg(feature = "inspect")]
        listed: None,
    };

    /// Notes that the task that runs waits now: a future may go to another task after its first poll.
    pub(crate) fn polled_here(&mut self) {
        #[cfg(feature = "inspect")]
        if let Some(listed) = &mut self.listed {
            listed.polled_here();
        }
    }
}
