//! What says when permits are there.

use std::time::Duration;

use tokio::time::Instant;

use crate::{bucket::Bucket, clock::Tokens, rate::Rate, window::Window};

/// The policy of a limiter. Its readings grow with time, and turns are due at them.
#[derive(Debug)]
pub(crate) enum Meter {
    Bucket(Bucket),
    Window(Window),
}

/// Those who wait in front of a request.
pub(crate) struct Before<'a> {
    pub(crate) permits: u64,
    /// Whether each of them asks for exactly one.
    pub(crate) singles: bool,
    /// The permits of each.
    pub(crate) each: &'a mut dyn Iterator<Item = u32>,
}

impl Before<'_> {
    /// Gives nobody to `with`.
    pub(crate) fn nobody<T>(with: impl FnOnce(Before<'_>) -> T) -> T {
        with(Before { permits: 0, singles: true, each: &mut std::iter::empty() })
    }
}

macro_rules! either {
    ($self:expr, $meter:ident => $result:expr) => {
        match $self {
            Meter::Bucket($meter) => $result,
            Meter::Window($meter) => $result,
        }
    };
}

impl Meter {
    pub(crate) fn bucket(&self) -> Option<&Bucket> {
        match self {
            Self::Bucket(bucket) => Some(bucket),
            Self::Window(_) => None,
        }
    }

    pub(crate) fn bucket_mut(&mut self) -> Option<&mut Bucket> {
        match self {
            Self::Bucket(bucket) => Some(bucket),
            Self::Window(_) => None,
        }
    }

    pub(crate) fn rate(&self) -> Rate {
        either!(self, meter => meter.rate())
    }

    pub(crate) fn burst(&self) -> u32 {
        either!(self, meter => meter.burst())
    }

    /// The instant to which it was moved.
    pub(crate) fn now(&self) -> Instant {
        either!(self, meter => meter.now())
    }

    pub(crate) fn advance(&mut self, now: Instant) {
        either!(self, meter => meter.advance(now));
    }

    /// Forgets what has been earned since it was full, when nobody waits.
    pub(crate) fn overflow(&mut self) {
        if let Self::Bucket(bucket) = self {
            bucket.overflow();
        }
    }

    pub(crate) fn available(&self) -> u32 {
        either!(self, meter => meter.available())
    }

    /// The reading from which on `permits` fit, behind those who wait. More than the burst fit when it is full.
    pub(crate) fn due(&self, before: Before<'_>, permits: u32) -> Tokens {
        match self {
            Self::Bucket(bucket) => bucket.due(before.permits, permits),
            Self::Window(window) => window.due(before, permits),
        }
    }

    /// Whether it grants so many now.
    pub(crate) fn fits(&self, permits: u32) -> bool {
        match self {
            Self::Bucket(bucket) => bucket.fits(permits),
            Self::Window(window) => permits <= window.available(),
        }
    }

    /// The time until a reading is due, and no pause is in force.
    pub(crate) fn until(&self, reading: Tokens) -> Duration {
        either!(self, meter => meter.until(reading))
    }

    pub(crate) fn spend(&mut self, permits: u32) {
        either!(self, meter => meter.spend(permits));
    }

    /// Puts back what was spent, up to the brim.
    pub(crate) fn refund(&mut self, permits: u32) {
        either!(self, meter => meter.refund(permits));
    }

    /// What is to be known of a grant, right after it, when it comes back.
    pub(crate) fn mark(&self) -> Tokens {
        either!(self, meter => meter.mark())
    }

    /// Puts back what was spent for nobody: no more than there would be if it had not been spent.
    pub(crate) fn take_back(&mut self, permits: u32, mark: Tokens) {
        either!(self, meter => meter.take_back(permits, mark));
    }

    /// Puts back what was spent and not used, up to the brim, if it still counts.
    pub(crate) fn give_back(&mut self, permits: u32, mark: Tokens) {
        match self {
            Self::Bucket(bucket) => bucket.refund(permits),
            Self::Window(window) => window.take_back(permits, mark),
        }
    }

    pub(crate) fn pause(&mut self, pause: Duration) {
        either!(self, meter => meter.pause(pause));
    }

    pub(crate) fn set_rate(&mut self, rate: Rate) {
        either!(self, meter => meter.set_rate(rate));
    }

    pub(crate) fn set_burst(&mut self, burst: u32) {
        either!(self, meter => meter.set_burst(burst));
    }
}
