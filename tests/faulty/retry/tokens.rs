//! The budget of one policy.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use evenkeel_tck::retry::{Budget, Settings};
use tokio::time::Instant;

use super::Fault;

/// Tokens are counted in floats: this much less than one is one.
const ROUNDING: f64 = 1e-9;

#[derive(Clone)]
pub(super) struct Tokens {
    fault: Fault,
    budget: Option<Budget>,
    purse: Arc<Mutex<Purse>>,
}

struct Purse {
    tokens: f64,
    filled: Instant,
}

/// One retry, given back on drop unless it is spent.
pub(super) struct Token(Option<Tokens>);

impl Tokens {
    pub(super) fn new(fault: Fault, settings: &Settings) -> Self {
        let budget = settings.budget.filter(|_| fault != Fault::IgnoresTheBudget);
        let tokens = budget.map_or(0.0, |budget| f64::from(budget.reserve));
        Self { fault, budget, purse: Arc::new(Mutex::new(Purse { tokens, filled: Instant::now() })) }
    }

    /// Counts a call.
    pub(super) fn deposit(&self) {
        let Some(budget) = self.budget else { return };
        let share = f64::from(budget.percent) / 100.0;
        let quantised = self.fault == Fault::QuantisesTheBudget && share > 0.0;
        self.add(&budget, if quantised { 1.0 / (1.0 / share).floor() } else { share });
    }

    /// Takes a token for a retry.
    pub(super) fn take(&self) -> Option<Token> {
        let Some(budget) = self.budget else { return Some(Token::FREE) };
        let mut purse = self.purse();
        if self.fault != Fault::NeverRefills {
            let mut time = std::mem::replace(&mut purse.filled, Instant::now()).elapsed();
            if self.fault == Fault::WrapsTheTime && time.as_millis() as u32 & 1 << 19 != 0 {
                time = Duration::ZERO;
            }
            let gained = time.as_secs_f64() * f64::from(budget.per_second);
            purse.tokens = (purse.tokens + gained).min(purse.tokens.max(f64::from(budget.reserve)));
        }
        if purse.tokens < 1.0 - ROUNDING {
            return None;
        }
        if self.fault == Fault::ChecksThenTakes {
            drop(purse);
            std::thread::yield_now();
            purse = self.purse();
        }
        purse.tokens -= 1.0;
        Some(Token(Some(self.clone()).filter(|_| self.fault != Fault::KeepsTheToken)))
    }

    fn add(&self, budget: &Budget, tokens: f64) {
        let mut purse = self.purse();
        purse.tokens += tokens;
        if self.fault != Fault::Hoards {
            purse.tokens = purse.tokens.min(f64::from(budget.reserve));
        }
    }

    fn purse(&self) -> MutexGuard<'_, Purse> {
        self.purse.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Token {
    /// Of no budget.
    pub(super) const FREE: Self = Self(None);

    pub(super) fn spend(mut self) {
        self.0 = None;
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let Some(tokens) = &self.0 else { return };
        if let Some(budget) = tokens.budget {
            tokens.add(&budget, 1.0);
        }
    }
}
