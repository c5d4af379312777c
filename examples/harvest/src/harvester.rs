//! One process at a harvest: its client, its store and its counts, opened over the world that its caller gives it.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use evenkeel::{
    retry::Policy,
    shutdown::{Reason, Shutdown},
};
use reqwest::Url;
use tokio::time::timeout;

use crate::{
    api::{Api, POLICY, budget},
    error::Fatal,
    lower_bound::Job,
    quota::Quota,
    report::{Ended, Report},
    run::{Harvest, Shown},
    stats::Stats,
    store::{Checkpoint, Connect, Location, Store},
    transport::Transport,
};

/// The time for the rest of the program once all tasks have ended. Two seconds after an abort a watchdog ends the process.
pub(crate) const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The choices of a harvest.
#[derive(Debug)]
pub struct Setup {
    /// The name of the source, which is the same in every run.
    pub source: String,
    /// The URL that all documents are below.
    pub base: Url,
    /// The database.
    pub store: Location,
    /// The calls in flight at most, pages included.
    pub concurrency: usize,
    /// The calls started per second at most.
    pub rate: Option<NonZeroU32>,
    /// The latency of the API, where it is known. An answer that takes twice this time and a second more never comes.
    pub latency: Option<Duration>,
    /// The seed by which the store misbehaves.
    pub chaos: Option<u64>,
}

impl Setup {
    fn policy(&self) -> Policy {
        let policy = match self.latency {
            Some(latency) => POLICY.attempt_timeout(2 * latency + Duration::from_secs(1)),
            None => POLICY,
        };
        policy.budget(budget(self.concurrency))
    }
}

/// The numbers of things that a process has in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Connections to the store.
    pub connections: usize,
    /// Slots of calls in flight, which documents keep until they are stored.
    pub slots: usize,
    /// Calls in flight.
    pub calls: u64,
}

/// How a run ended, and why, unless it failed.
pub(crate) type End = Result<(Ended, Reason), Fatal>;

/// The client, the store and the counts of a process.
#[derive(Debug)]
pub struct Harvester {
    pub(crate) api: Arc<Api>,
    pub(crate) store: Store,
    pub(crate) stats: Arc<Stats>,
    setup: Setup,
}

impl Harvester {
    /// Opens or creates the store, and makes a client of the API.
    ///
    /// # Errors
    ///
    /// The store cannot be used.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves a store that was created or not.
    pub async fn open(
        setup: Setup,
        quota: Quota,
        transport: Arc<dyn Transport>,
        connect: Arc<dyn Connect>,
    ) -> Result<Self, Fatal> {
        Self::open_with(setup, quota, transport, connect, Arc::default()).await
    }

    /// Does the same with these counts.
    pub(crate) async fn open_with(
        setup: Setup,
        quota: Quota,
        transport: Arc<dyn Transport>,
        connect: Arc<dyn Connect>,
        stats: Arc<Stats>,
    ) -> Result<Self, Fatal> {
        let (base, policy, concurrency) = (setup.base.clone(), setup.policy(), setup.concurrency);
        let api = Arc::new(Api::new(transport, base, policy, quota, concurrency, stats.clone()));
        let store = Store::open(&setup.store, connect, stats.clone(), setup.chaos).await?;
        Ok(Self { api, store, stats, setup })
    }

    /// Harvests as the one process that has the store, until its end or a stop, and returns how it ended.
    ///
    /// # Errors
    ///
    /// The store is in use or broken, or the first page cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping it is a crash: the next run goes on from the store.
    pub async fn run(&self, shutdown: Shutdown) -> Result<Ended, Fatal> {
        self.run_alone(shutdown, |_| Shown::default()).await?.map(|(ended, _)| ended)
    }

    /// Does the same. The outer error comes before the run. A stop does not wait for a store that is in use.
    pub(crate) async fn run_alone(
        &self,
        shutdown: Shutdown,
        show: impl FnOnce(&Checkpoint) -> Shown,
    ) -> Result<End, Fatal> {
        let Self { api, store, stats, setup } = self;
        let (stop, first) = (shutdown.handle().stop().clone(), api.relative(&api.first_page()));
        let checkpoint = tokio::select! {
            biased;
            () = stop.draining() => return Ok(Ok((Ended::Drained, shutdown.run().await.reason))),
            begun = store.begin(&setup.source, &first) => begun?,
        };
        let shown = show(&checkpoint);
        stats.resume(&checkpoint);
        let harvest = Harvest {
            api: api.clone(),
            store: store.clone(),
            stats: stats.clone(),
            checkpoint: Arc::new(checkpoint),
            max_documents: 2 * setup.concurrency,
        };
        Ok(self.recount(harvest.run(shutdown, shown).await).await)
    }

    /// Reads the counts from the store if the run was cut off: a write may have been committed. Returns the end: a stop that
    /// came when everything was begun, and has left nothing, has not kept the run from being complete.
    pub(crate) async fn recount(&self, end: End) -> End {
        if !matches!(end, Ok((Ended::Complete | Ended::Drained, _))) {
            let _ = timeout(EXIT_TIMEOUT, self.store.recount()).await;
        }
        match end {
            Ok((_, reason)) if self.stats.with(|counts| counts.is_complete) => Ok((Ended::Complete, reason)),
            end => end,
        }
    }

    /// Returns what is in use at this moment: nothing, before and after a run.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            connections: self.store.connections(),
            slots: self.api.slots_in_use(),
            calls: self.stats.with(|counts| counts.in_flight),
        }
    }

    /// Returns the report of a run that took this time.
    #[must_use]
    pub fn report(&self, ended: Ended, took: Duration) -> Report {
        let Setup { latency, concurrency, rate, store, .. } = &self.setup;
        let counts = self.stats.with(|counts| counts.clone());
        let job = Job {
            documents: counts.documents,
            pages: counts.pages,
            // The latency of another server is known only from its answers.
            latency: latency.unwrap_or_else(|| counts.latencies.mean()),
            concurrency: *concurrency as u64,
            rate: *rate,
        };
        Report::new(ended, counts, took, &job, store.to_string())
    }
}
