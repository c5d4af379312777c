//! A store in memory that fails as it is told, and the limits of processes that share it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_limit::{
    Rate,
    distributed::{
        Distributed, Error, MemoryStore,
        store::{Store, Take, Taken},
    },
};
use tokio::time::{Instant, sleep};

/// The fault of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call fails at once, and takes nothing.
    Error,
    Hang,
    /// The call takes permits, and then hangs.
    Lose,
    Slow(Duration),
    /// The answer has more permits than requested.
    TooMany,
    /// The answer has no permits, although the bucket is full.
    None,
    /// The answer has no permits for a hundred years.
    Never,
    Panic,
    SlowPanic(Duration),
}

/// A store with a scripted fault in each call.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    pub(crate) store: MemoryStore,
    start: Instant,
    always: Mutex<Option<Fault>>,
    at: Mutex<HashMap<usize, Fault>>,
    calls: Mutex<Vec<(Duration, Numbers)>>,
}

/// The returned permits, the least and the most of a call.
pub(crate) type Numbers = (u32, u32, u32);

impl FaultyStore {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            store: MemoryStore::new(),
            start: Instant::now(),
            always: Mutex::default(),
            at: Mutex::default(),
            calls: Mutex::default(),
        })
    }

    /// Sets the fault of each call from now on.
    pub(crate) fn always(&self, fault: Option<Fault>) {
        *self.always.lock().unwrap() = fault;
    }

    /// Sets the fault of one call.
    pub(crate) fn at(&self, call: usize, fault: Fault) {
        self.at.lock().unwrap().insert(call, fault);
    }

    /// The time of each call since the store was created, and its numbers.
    pub(crate) fn calls(&self) -> Vec<(Duration, Numbers)> {
        self.calls.lock().unwrap().clone()
    }

    pub(crate) fn times(&self) -> Vec<u128> {
        self.calls().iter().map(|call| call.0.as_millis()).collect()
    }

    fn fault(&self, take: Take<'_>) -> Option<Fault> {
        let mut calls = self.calls.lock().unwrap();
        calls.push((self.start.elapsed(), (take.returned, take.least, take.most)));
        self.at.lock().unwrap().get(&(calls.len() - 1)).copied().or(*self.always.lock().unwrap())
    }
}

#[derive(Debug)]
pub(crate) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection refused")
    }
}

impl std::error::Error for Refused {}

impl Store for FaultyStore {
    type Error = Refused;

    async fn take(&self, take: Take<'_>) -> Result<Taken, Refused> {
        let hang = std::future::pending::<()>;
        match self.fault(take) {
            None => {}
            Some(Fault::Error) => return Err(Refused),
            Some(Fault::Hang) => hang().await,
            Some(Fault::Lose) => {
                let _ = self.store.take(take).await;
                hang().await;
            }
            Some(Fault::Slow(time)) => sleep(time).await,
            Some(Fault::TooMany) => return Ok(Taken { granted: take.most + 1, full_in: Duration::ZERO }),
            Some(Fault::None) => return Ok(Taken { granted: 0, full_in: Duration::ZERO }),
            Some(Fault::Never) => return Ok(Taken { granted: 0, full_in: Duration::MAX }),
            Some(Fault::Panic) => panic!("the store panics"),
            Some(Fault::SlowPanic(time)) => {
                sleep(time).await;
                panic!("the store panics")
            }
        }
        self.store.take(take).await.map_err(|never| match never {})
    }
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A process that shares the quota of a store.
pub(crate) fn process(store: &Arc<FaultyStore>, rate: Rate) -> Distributed {
    Distributed::new(Arc::clone(store), "quota", rate)
}

/// The permits that another process would get now.
pub(crate) async fn available_elsewhere(store: &Arc<FaultyStore>, rate: Rate, burst: u32) -> u32 {
    let probe = Distributed::new(store.store.clone(), "quota", rate).burst(burst);
    let mut granted = 0;
    while probe.try_acquire().await.is_ok() {
        granted += 1;
    }
    granted
}

/// The cause of a refusal by a store that does not answer.
pub(crate) fn cause(result: Result<(), Error>) -> String {
    match result {
        Err(Error::Unavailable { cause, .. }) => cause.to_string(),
        other => panic!("{other:?}"),
    }
}
