//! A limiter for each key.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use evenkeel_tck::limit::{Change, Denied, Limit, Limiter, Permit, Reason, Request, Settings, Turn};

use super::{Fault, door::Door};

pub(super) struct Keys {
    fault: Fault,
    settings: Mutex<Settings>,
    doors: Mutex<HashMap<u32, Door>>,
}

/// From so many keys on it looks for those that are full again.
const FEW: usize = 64;

impl Keys {
    pub(super) fn new(fault: Fault, settings: &Settings) -> Self {
        Self { fault, settings: Mutex::new(settings.clone()), doors: Mutex::default() }
    }

    fn doors(&self) -> MutexGuard<'_, HashMap<u32, Door>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limiter of a key.
    fn door(&self, key: Option<u32>) -> Result<Door, Denied> {
        let share = matches!(self.fault, Fault::KeysShare | Fault::WaitsForOtherKeys);
        let key = key.filter(|_| !share).unwrap_or_default();
        let mut doors = self.doors();
        if !doors.contains_key(&key) && !self.has_room(&mut doors) {
            return Err(Denied::new(Reason::Busy));
        }
        Ok(doors.entry(key).or_insert_with(|| Door::new(self.fault, &self.settings())).clone())
    }

    /// Makes room for another key, if there can be any.
    fn has_room(&self, doors: &mut HashMap<u32, Door>) -> bool {
        let most =
            self.settings().max_keys.filter(|_| self.fault != Fault::HasNoBoundForKeys).unwrap_or(usize::MAX);
        let looks = doors.len() >= most || doors.len() >= FEW && doors.len().is_power_of_two();
        if looks && self.fault != Fault::KeepsAllKeys {
            doors.retain(|_, door| !door.is_full());
        }
        let forgets = match self.fault {
            Fault::ForgetsKeysInUse => doors.len() >= FEW,
            Fault::ForgetsAllAtTheBound => doors.len() >= most,
            _ => false,
        };
        if forgets {
            doors.clear();
        }
        doors.len() < most
    }
}

impl Limiter for Keys {
    fn try_acquire(&self, request: Request) -> Result<Permit, Denied> {
        self.door(request.key)?.try_acquire(request)
    }

    fn acquire(&self, request: Request) -> Turn {
        match self.door(request.key) {
            Ok(door) => door.acquire(request),
            Err(denied) => Box::pin(async move { Err(denied) }),
        }
    }

    fn change(&self, change: Change) {
        if self.fault != Fault::ChangesNewKeysOnly {
            self.doors().values().for_each(|door| door.change(change));
        }
        let mut settings = self.settings();
        if let (Change::Rate(new), Limit::Bucket { rate, .. }) = (change, &mut settings.limit) {
            *rate = new;
        }
    }

    fn keys(&self) -> usize {
        self.doors().len()
    }
}
