//! The budget of one policy.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use evenkeel_tck::retry::{Budget, Settings};
use tokio::time::Instant;

use super::Fault;

/// Tokens are counted in floats: a count this much below one is one.
const ROUNDING: f64 = 1e-9;

#[derive(Clone)]
pub(super) struct FaultyBudget {
    fault: Fault,
    budget: Option<Budget>,
    state: Arc<Mutex<State>>,
}

struct State {
    tokens: f64,
    filled: Instant,
}

/// One retry, given back on drop unless it is spent.
pub(super) struct Token(Option<FaultyBudget>);

impl FaultyBudget {
    pub(super) fn new(fault: Fault, settings: &Settings) -> Self {
        let budget = settings.budget.filter(|_| fault != Fault::IgnoresTheBudget);
        let tokens = budget.map_or(0.0, |budget| f64::from(budget.reserve));
        Self { fault, budget, state: Arc::new(Mutex::new(State { tokens, filled: Instant::now() })) }
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
        let mut state = self.state();
        if self.fault != Fault::NeverRefills {
            let mut time = std::mem::replace(&mut state.filled, Instant::now()).elapsed();
            if self.fault == Fault::WrapsTheTime && time.as_millis() as u32 & 1 << 19 != 0 {
                time = Duration::ZERO;
            }
            let gained = time.as_secs_f64() * f64::from(budget.per_second);
            state.tokens = (state.tokens + gained).min(state.tokens.max(f64::from(budget.reserve)));
        }
        if state.tokens < 1.0 - ROUNDING {
            return None;
        }
        if self.fault == Fault::ChecksThenTakes {
            drop(state);
            std::thread::yield_now();
            state = self.state();
        }
        state.tokens -= 1.0;
        Some(Token(Some(self.clone()).filter(|_| self.fault != Fault::KeepsTheToken)))
    }

    fn add(&self, budget: &Budget, tokens: f64) {
        let mut state = self.state();
        state.tokens += tokens;
        if self.fault != Fault::Hoards {
            state.tokens = state.tokens.min(f64::from(budget.reserve));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Token {
    /// The token of a policy without a budget.
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
