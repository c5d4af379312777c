//! The delays of one call.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use evenkeel_tck::retry::{Growth, Jitter, Settings};
use tokio::time::Instant;

use super::Fault;

pub(super) struct Delays {
    fault: Fault,
    settings: Settings,
    /// The state of xorshift.
    random: u64,
    /// The sum of all delays so far.
    pub(super) slept: Duration,
    /// The wait that the last error asked for.
    pub(super) asked: Option<Duration>,
    last: f64,
}

impl Delays {
    /// For this call of a policy.
    pub(super) fn new(fault: Fault, settings: &Settings, nth: u32) -> Self {
        let random = match fault {
            Fault::ForgetsTheSeed => random_number(),
            Fault::JitterIsShared => 42,
            Fault::JitterBeginsAtAConstant if settings.seed.is_none() => {
                0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(u64::from(nth) + 1)
            }
            _ => settings.seed.unwrap_or_else(random_number),
        };
        let settings = settings.clone();
        Self { fault, settings, random: random << 1 | 1, slept: Duration::ZERO, asked: None, last: 1.0 }
    }

    /// The delay after this attempt.
    pub(super) fn next(&mut self, attempt: u32) -> Duration {
        let ceiling = self.grown(attempt);
        let cap = match (self.fault, self.settings.growth) {
            (Fault::HasNoCap, _) | (_, Growth::Fixed) => Duration::MAX,
            (Fault::FirstHasNoCap, _) if attempt == 1 => Duration::MAX,
            _ => self.settings.cap,
        };
        let ceiling = ceiling.min(cap);
        let Some(jitter) = self.settings.jitter else { return ceiling };
        let drawn = self.draw();
        if matches!(jitter, Jitter::Percent(_)) {
            return ceiling.mul_f64((1.0 + 2.0 * (2.0 * drawn - 1.0)).max(0.0));
        }
        match self.fault {
            Fault::JitterOverflows => (ceiling + ceiling.mul_f64(drawn)) / 2,
            Fault::JitterExceedsTheCap => ceiling.mul_f64(1.0 + drawn),
            Fault::JitterIsClamped => ceiling.mul_f64(1.0 + drawn).min(cap),
            Fault::JitterCompounds => {
                self.last *= 0.98 + 0.02 * drawn;
                ceiling.mul_f64(self.last)
            }
            Fault::JitterIsInSeconds => Duration::from_secs(ceiling.mul_f64(drawn).as_secs()),
            _ => ceiling.mul_f64(drawn),
        }
    }

    /// The minimal wait if an error asks for this one.
    pub(super) fn obeyed(&mut self, asked: Duration) -> Duration {
        match self.fault {
            Fault::JitterShortensWhatIsAsked if self.settings.jitter.is_some() => asked.mul_f64(self.draw()),
            Fault::PanicsOnLongWaits => Instant::now() + asked - Instant::now(),
            _ => asked,
        }
    }

    fn grown(&self, attempt: u32) -> Duration {
        let Settings { initial, growth: Growth::Exponential(factor), cap, .. } = self.settings else {
            return self.settings.initial;
        };
        let doublings = attempt - 1;
        let nanos = initial.as_nanos() as u64;
        let exact =
            Duration::from_nanos(nanos.saturating_mul(1_u64.checked_shl(doublings).unwrap_or(u64::MAX)));
        match self.fault {
            Fault::GrowsLinearly => initial * attempt,
            Fault::RoundsToFloats => Duration::from_secs_f32(exact.as_secs_f32()),
            Fault::Overflows => Duration::from_nanos(nanos << (doublings % 32)),
            Fault::SticksBelowTheCap => Duration::from_nanos(nanos.saturating_mul(1 << doublings.min(31))),
            Fault::PanicsOnLargeFactors if factor > 1e9 => initial.mul_f64(factor.powi(doublings as i32)),
            Fault::TakesZeroForTheCap if nanos == 0 => cap,
            Fault::TakesNanForZero => {
                Duration::from_nanos((nanos as f64 * factor.powi(doublings as i32)) as u64)
            }
            _ => exact,
        }
    }

    /// A number from 0 up to 1.
    fn draw(&mut self) -> f64 {
        for shift in [13, 47, 17] {
            self.random ^= if shift == 47 { self.random >> 7 } else { self.random << shift };
        }
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A different number each time.
pub(super) fn random_number() -> u64 {
    RandomState::new().hash_one(())
}
