//! A limiter for each key.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use evenkeel_tck::{
    BoxFuture,
    limit::{Change, Denied, Limit, Limiter, Permit, Request, Settings},
};

use super::{Fault, limiter::FaultyLimiter};

pub(super) struct KeyedLimiter {
    fault: Fault,
    settings: Mutex<Settings>,
    limiters: Mutex<HashMap<u32, FaultyLimiter>>,
}

/// The number of keys from which on it looks for keys that are full again.
const FEW: usize = 64;

impl KeyedLimiter {
    pub(super) fn new(fault: Fault, settings: &Settings) -> Self {
        Self { fault, settings: Mutex::new(settings.clone()), limiters: Mutex::default() }
    }

    fn limiters(&self) -> MutexGuard<'_, HashMap<u32, FaultyLimiter>> {
        self.limiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limiter of a key.
    fn limiter(&self, key: Option<u32>) -> Result<FaultyLimiter, Denied> {
        let share = matches!(self.fault, Fault::KeysShare | Fault::WaitsForOtherKeys);
        let key = key.filter(|_| !share).unwrap_or_default();
        let mut limiters = self.limiters();
        if !limiters.contains_key(&key) && !self.has_room(&mut limiters) {
            return Err(Denied::Busy(None));
        }
        Ok(limiters.entry(key).or_insert_with(|| FaultyLimiter::new(self.fault, &self.settings())).clone())
    }

    /// Makes room for another key, if there can be any.
    fn has_room(&self, limiters: &mut HashMap<u32, FaultyLimiter>) -> bool {
        let most =
            self.settings().max_keys.filter(|_| self.fault != Fault::HasNoBoundForKeys).unwrap_or(usize::MAX);
        let looks = limiters.len() >= most || limiters.len() >= FEW && limiters.len().is_power_of_two();
        if looks && self.fault != Fault::KeepsAllKeys {
            limiters.retain(|_, limiter| !limiter.is_full());
        }
        let forgets = match self.fault {
            Fault::ForgetsKeysInUse => limiters.len() >= FEW,
            Fault::ForgetsAllAtTheBound => limiters.len() >= most,
            _ => false,
        };
        if forgets {
            limiters.clear();
        }
        limiters.len() < most
    }
}

impl Limiter for KeyedLimiter {
    fn try_acquire(&self, request: Request) -> Result<Permit, Denied> {
        self.limiter(request.key)?.try_acquire(request)
    }

    fn acquire(&self, request: Request) -> BoxFuture<'static, Result<Permit, Denied>> {
        match self.limiter(request.key) {
            Ok(limiter) => limiter.acquire(request),
            Err(denied) => Box::pin(async move { Err(denied) }),
        }
    }

    fn change(&self, change: Change) {
        if self.fault != Fault::ChangesNewKeysOnly {
            self.limiters().values().for_each(|limiter| limiter.change(change));
        }
        let mut settings = self.settings();
        if let (Change::Rate(new), Limit::Bucket { rate, .. }) = (change, &mut settings.limit) {
            *rate = new;
        }
    }

    fn keys(&self) -> usize {
        self.limiters().len()
    }
}
