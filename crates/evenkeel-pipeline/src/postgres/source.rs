//! A queue as a source.

use std::{
    collections::VecDeque,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use evenkeel_base::{far_future, sleep_until};
use evenkeel_postgres::{Error, Listener};
use futures_core::Stream as _;
use tokio::time::Instant;

use super::{
    PgAck, PgQueue, PgReceipt, ack,
    check::check,
    cursor::Cursor,
    error::source_error,
    fetch::{Fetched, Taken, fetch},
    worker::Worker,
};
use crate::{
    Ack as _, Delivery, Demand, Settle, Source, SourceError, Warning, Workload,
    race::{First, race},
};

/// The source of the jobs of a [`PgQueue`](crate::PgQueue).
///
/// It is a worker of its own, whose lease covers everything that it has delivered. It listens for new jobs over a connection
/// of its own, beside the pool, and looks for them from time to time as well.
pub struct PgSource {
    worker: Arc<Worker>,
    cursor: Cursor,
    /// The fetch that is under way, also when its pull was dropped.
    fetching: Option<Fetching>,
    /// Jobs that arrived for a pull that was dropped, and are more than the present one asks for.
    arrived: VecDeque<Delivery<Vec<u8>, PgReceipt>>,
    listening: Listening,
    /// The end of the wait for the next look, also when its pull was dropped: what asks again must not cost a look each time.
    idle_until: Option<Instant>,
    repair_at: Option<Instant>,
}

/// A queue that is looked at more often is work for the server alone.
const SHORTEST_POLL: Duration = Duration::from_millis(10);

type Fetching = Pin<Box<dyn Future<Output = Result<Fetched, Error>> + Send>>;

enum Listening {
    NotYet,
    Begun(Pin<Box<dyn Future<Output = Result<Listener, Error>> + Send>>),
    On(Box<Listener>),
    /// It is tried again at this instant.
    Failed(Instant),
    /// Behind a pooler there are no notifications.
    Off,
}

impl PgSource {
    pub(super) fn new(queue: PgQueue) -> Self {
        Self {
            worker: Arc::new(Worker::new(queue)),
            cursor: Cursor::default(),
            fetching: None,
            arrived: VecDeque::new(),
            listening: Listening::NotYet,
            idle_until: None,
            repair_at: None,
        }
    }

    async fn fetch(&mut self, demand: Demand) -> Result<Taken, Error> {
        let (worker, start) = (&self.worker, self.cursor.start());
        let fetching =
            self.fetching.get_or_insert_with(|| Box::pin(fetch(Arc::clone(worker), demand, start)));
        let fetched = fetching.await;
        self.fetching = None;
        Ok(fetched?.taken(&mut self.cursor))
    }

    /// Returns jobs that have arrived, within the demand.
    fn take_arrived(&mut self, demand: Demand) -> Vec<Delivery<Vec<u8>, PgReceipt>> {
        let mut bytes = 0_usize;
        let fits = |(index, delivery): &(usize, &Delivery<Vec<u8>, PgReceipt>)| {
            bytes = bytes.saturating_add(delivery.size);
            *index < demand.items && (*index == 0 || bytes <= demand.bytes)
        };
        let count = self.arrived.iter().enumerate().take_while(fits).count();
        self.arrived.drain(..count).collect()
    }

    /// Looks after other workers, and after keys whose next job was not let go.
    async fn maintain(&mut self) -> Result<(), Error> {
        const REPAIR: Duration = Duration::from_secs(10);
        self.worker.sweep().await?;
        let now = Instant::now();
        if self.repair_at.is_none_or(|at| now >= at) {
            ack::repair(&self.worker.queue).await?;
            self.repair_at = now.checked_add(REPAIR);
        }
        Ok(())
    }

    /// Waits for a notification, at most until this instant; without those of the server, for one of this process.
    async fn wait(&mut self, end: Instant) {
        let PgQueue { db, channel, changed, poll, .. } = &self.worker.queue;
        let listening = &mut self.listening;
        let is_to_begin = match listening {
            Listening::NotYet => true,
            Listening::Failed(again_at) => Instant::now() >= *again_at,
            _ => false,
        };
        if is_to_begin {
            let (db, channel) = (db.clone(), Arc::clone(channel));
            *listening = Listening::Begun(Box::pin(async move { db.listen([&*channel]).await }));
        }
        let notified = async {
            if let Listening::Begun(begun) = listening {
                let begun = race(begun.as_mut(), changed.notified()).await;
                let First::A(begun) = begun else { return };
                *listening = match begun {
                    Ok(listener) => Listening::On(Box::new(listener)),
                    Err(Error::Unsupported(_)) => Listening::Off,
                    Err(_) => {
                        let now = Instant::now();
                        Listening::Failed(now.checked_add(*poll).unwrap_or_else(|| far_future(now)))
                    }
                };
                // Nothing tells of jobs that were enqueued before: a fetch follows.
                if matches!(listening, Listening::On(_)) {
                    return;
                }
            }
            match listening {
                Listening::On(listener) => {
                    if !next(listener).await {
                        *listening = Listening::NotYet;
                    }
                }
                _ => changed.notified().await,
            }
        };
        race(notified, sleep_until(end)).await;
    }

    /// Drops the notifications that have come, since a fetch follows.
    async fn drop_notifications(&mut self) {
        let Listening::On(listener) = &mut self.listening else { return };
        let has_ended = poll_fn(|cx| {
            loop {
                match Pin::new(&mut **listener).poll_next(cx) {
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(_) => return Poll::Ready(true),
                    Poll::Pending => return Poll::Ready(false),
                }
            }
        });
        if has_ended.await {
            self.listening = Listening::NotYet;
        }
    }
}

/// Waits for an event; returns `false` at the end.
async fn next(listener: &mut Listener) -> bool {
    poll_fn(|cx| Pin::new(&mut *listener).poll_next(cx).map(|event| matches!(event, Some(Ok(_))))).await
}

impl Source for PgSource {
    type Item = Vec<u8>;
    type Ack = PgAck;

    async fn pull(&mut self, demand: Demand) -> Result<Vec<Delivery<Vec<u8>, PgReceipt>>, SourceError> {
        loop {
            if !self.arrived.is_empty() {
                return Ok(self.take_arrived(demand));
            }
            if let Some(end) = self.idle_until {
                self.wait(end).await;
                self.idle_until = None;
            }
            self.maintain().await.map_err(source_error)?;
            self.drop_notifications().await;
            match self.fetch(demand).await.map_err(source_error)? {
                Taken::Jobs(jobs) => self.arrived.extend(jobs),
                Taken::Again => {}
                Taken::Nothing(next) => {
                    let queue = &self.worker.queue;
                    let longest = queue.poll.min(queue.sweep_pause()).max(SHORTEST_POLL);
                    let (now, longest) = (Instant::now(), next.map_or(longest, |next| longest.min(next)));
                    self.idle_until = Some(now.checked_add(longest).unwrap_or_else(|| far_future(now)));
                }
            }
        }
    }

    fn ack(&self) -> PgAck {
        PgAck::new(Arc::clone(&self.worker))
    }

    fn may_block(&self) -> bool {
        false
    }

    async fn check(&mut self, workload: &Workload) -> Result<Vec<Warning>, SourceError> {
        check(&self.worker.queue, workload).await.map_err(source_error)
    }

    async fn pause(&mut self) {
        self.idle_until = None;
        if let Some(fetching) = &mut self.fetching {
            let fetched = fetching.await;
            self.fetching = None;
            if let Ok(Taken::Jobs(jobs)) = fetched.map(|fetched| fetched.taken(&mut self.cursor)) {
                self.arrived.extend(jobs);
            }
        }
        let back: Vec<_> = self.arrived.iter().map(|job| (job.receipt, Settle::Release)).collect();
        // If the server does not answer, they are for the next pull.
        if !back.is_empty() && self.ack().settle(&back).await.is_ok() {
            self.arrived.clear();
        }
    }

    async fn stop(&mut self) {
        if let Some(fetching) = &mut self.fetching {
            let _ = fetching.await;
            self.fetching = None;
        }
        self.arrived.clear();
        // If the server does not answer, the lease runs out.
        let _ = self.worker.leave().await;
    }
}

impl fmt::Debug for PgSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgSource").field("queue", &self.worker.queue).finish_non_exhaustive()
    }
}
