//! The limiter as a rational number and a list.

use std::collections::VecDeque;

/// A rate that the model and the limiter both understand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speed {
    pub(crate) permits: u32,
    pub(crate) nanos: u64,
}

/// An exact limiter.
///
/// Its level counts in parts of a permit, of which each nanosecond earns a whole number. Who waits is served
/// at the real instant at which the parts are there, so that nothing overflows as long as anybody waits.
#[derive(Debug)]
pub(crate) struct Model {
    parts: u128,
    earned_per_nano: u128,
    burst: u32,
    level: u128,
    waiting: VecDeque<(usize, u32)>,
    served: Vec<usize>,
}

impl Model {
    /// `parts` must be a multiple of the nanoseconds of every rate used.
    pub(crate) fn new(parts: u128, speed: Speed, burst: u32) -> Self {
        let mut model = Self {
            parts,
            earned_per_nano: 0,
            burst,
            level: u128::from(burst) * parts,
            waiting: VecDeque::new(),
            served: vec![],
        };
        model.set_rate(speed);
        model
    }

    pub(crate) fn set_rate(&mut self, speed: Speed) {
        assert_eq!(self.parts % u128::from(speed.nanos), 0);
        self.earned_per_nano = u128::from(speed.permits) * (self.parts / u128::from(speed.nanos));
    }

    pub(crate) fn advance(&mut self, nanos: u64) {
        self.level = self.level.saturating_add(self.earned_per_nano.saturating_mul(nanos.into()));
        self.serve();
    }

    /// `Err` with the nanoseconds to wait, which are none if it never fits.
    pub(crate) fn try_acquire(&mut self, permits: u32) -> Result<(), Option<u64>> {
        if permits > self.burst {
            return Err(None);
        }
        let ahead: u128 = self.waiting.iter().map(|&(_, n)| u128::from(n)).sum();
        let missing = ((ahead + u128::from(permits)) * self.parts).saturating_sub(self.level);
        if self.waiting.is_empty() && missing == 0 {
            self.level -= u128::from(permits) * self.parts;
            return Ok(());
        }
        let nanos = missing.div_ceil(self.earned_per_nano).max(1);
        Err(Some(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// Takes permits, or queues up; false if it never fits.
    pub(crate) fn enter(&mut self, id: usize, permits: u32) -> bool {
        match self.try_acquire(permits) {
            Ok(()) => self.served.push(id),
            Err(Some(_)) => self.waiting.push_back((id, permits)),
            Err(None) => return false,
        }
        true
    }

    pub(crate) fn is_served(&self, id: usize) -> bool {
        self.served.contains(&id)
    }

    /// Takes a future out again, which may have been served and not told so.
    pub(crate) fn cancel(&mut self, id: usize, permits: u32) {
        if self.is_served(id) {
            let brim = self.level.max(u128::from(self.burst) * self.parts);
            self.level = (self.level + u128::from(permits) * self.parts).min(brim);
        }
        self.waiting.retain(|&(other, _)| other != id);
        self.serve();
    }

    pub(crate) fn available(&self) -> u32 {
        u32::try_from(self.level / self.parts).unwrap_or(u32::MAX).min(self.burst)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn serve(&mut self) {
        while let Some(&(id, permits)) = self.waiting.front()
            && let Some(level) = self.level.checked_sub(u128::from(permits) * self.parts)
        {
            self.level = level;
            self.served.push(id);
            self.waiting.pop_front();
        }
        if self.waiting.is_empty() {
            self.level = self.level.min(u128::from(self.burst) * self.parts);
        }
    }
}
