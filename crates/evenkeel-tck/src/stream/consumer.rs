//! The consumer of a map: it takes the results, is busy between them as the script of a rule says, and records them.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::Semaphore;

use super::{
    record::{Event, Record},
    remote::RemoteConsumer,
};
use crate::{agenda::sleep, probe_task::ReportedFailure};

/// The script of a consumer.
#[derive(Clone, Debug)]
pub(crate) enum Busy {
    /// It asks for the next result at once.
    No,
    /// It is busy for this time after each result.
    Each(Duration),
    /// It is busy for this time after the first result.
    First(Duration),
    /// It holds a permit of this semaphore for this time after each result.
    Holding(Arc<Semaphore>, Duration),
}

/// The consumer of a map.
///
/// # Examples
/// As in [`Operator::map_into`](super::Operator::map_into).
#[derive(Clone)]
pub struct Consumer(Inner);

#[derive(Clone)]
enum Inner {
    Scripted(Scripted),
    Remote(Arc<dyn RemoteConsumer>),
}

#[derive(Clone)]
struct Scripted {
    busy: Busy,
    stops: bool,
    taken: Arc<AtomicUsize>,
    record: Record,
}

impl Consumer {
    pub(crate) fn new(busy: Busy, stops: bool, record: &Record) -> Self {
        Self(Inner::Scripted(Scripted { busy, stops, taken: Arc::default(), record: record.clone() }))
    }

    /// A consumer in another process.
    pub(crate) fn remote(remote: Arc<dyn RemoteConsumer>) -> Self {
        Self(Inner::Remote(remote))
    }

    /// Takes the result of one item.
    ///
    /// # Errors
    /// With the failure, if that is the result and the map is one that a failure stops: it is to end with it.
    ///
    /// # Cancel safety
    /// The result is taken when this is first polled.
    pub async fn take(&self, result: Result<u32, ReportedFailure>) -> Result<(), ReportedFailure> {
        match &self.0 {
            Inner::Scripted(scripted) => scripted.take(result).await,
            Inner::Remote(remote) => remote.take(result).await,
        }
    }
}

impl Scripted {
    async fn take(&self, result: Result<u32, ReportedFailure>) -> Result<(), ReportedFailure> {
        let number = self.taken.fetch_add(1, Relaxed);
        match result {
            Ok(number) => self.record.note(Event::Took(number)),
            Err(failure) => {
                self.record.note(Event::Told(failure.clone()));
                if self.stops {
                    return Err(failure);
                }
            }
        }
        match &self.busy {
            Busy::Each(time) => sleep(*time).await,
            Busy::First(time) if number == 0 => sleep(*time).await,
            Busy::Holding(lock, time) => {
                let _permit = lock.acquire().await;
                sleep(*time).await;
            }
            Busy::First(_) | Busy::No => {}
        }
        Ok(())
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").finish_non_exhaustive()
    }
}
