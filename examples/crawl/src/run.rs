//! The job: takes URLs from the frontier, asks for many at a time, stores their links, and checks all links at the
//! end.
//!
//! # How it works
//!
//! One pipeline of streams. Its source is the frontier, which waits while too much is in flight or nothing is known;
//! `try_par_map` asks the servers; `ready_chunks` collects every outcome that is ready into one transaction, which adds
//! the links that were found to the frontier. A URL counts as in flight until that transaction ends, so that a crash
//! loses the outcomes of those alone.
//!
//! The frontier reads the store, which has one connection, and a batch waits for that one. The map goes on with its
//! source while a batch is being stored, so neither waits for the other.
//!
//! A stop ends the source. Everything in flight is finished and stored, except URLs that wait for the rate of
//! their host or for another attempt: they count as not begun.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel::{
    shutdown::{Outcome as TaskOutcome, Reason, Shutdown},
    stream::prelude::*,
    task::{Stop, group},
};
use futures::{StreamExt as _, stream};

use crate::{
    check::Check,
    dumps::{self, DumpServer},
    error::Fatal,
    fetch::Fetcher,
    frontier::{Frontier, InFlight},
    outcome::{Entry, Loaded, Outcome},
    progress,
    scope::Role,
    stats::Stats,
    store::{Store, Stored},
};

/// The maximum number of outcomes in one transaction. A page has some hundred links.
const BATCH: usize = 64;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Every page was visited, and every link was checked.
    Complete,
    /// It was stopped, and finished what it had begun.
    Drained,
    /// It was cut off.
    Aborted,
}

/// The parts that all steps of the job share.
#[derive(Clone, Debug)]
pub(crate) struct Crawl {
    pub(crate) store: Store,
    pub(crate) frontier: Arc<Frontier>,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) check: Check,
    pub(crate) stats: Arc<Stats>,
    /// The number of hosts, for the progress.
    pub(crate) hosts: usize,
    /// The number of URLs in flight.
    pub(crate) max_in_flight: usize,
    pub(crate) is_complete: Arc<AtomicBool>,
}

/// A URL with its outcome; `None` if a stop came first.
type Fetched = (Entry, Option<Outcome>, InFlight);

impl Crawl {
    /// Does the job, or as much of it as the signals allow, and returns how it ended and why.
    pub(crate) async fn run(
        self,
        grace: Duration,
        dumps: Option<DumpServer>,
    ) -> Result<(Ended, Reason), Fatal> {
        let is_complete = self.is_complete.clone();
        let job = async move |stop| self.work(stop, dumps).await;
        let report = dumps::at_signal(Shutdown::new()).grace(grace).task("crawl", job).run().await;
        let outcome = report.tasks.into_iter().next().map(|task| task.outcome);
        let ended = match outcome {
            Some(TaskOutcome::Finished) if is_complete.load(Relaxed) => Ended::Complete,
            Some(TaskOutcome::Finished) => Ended::Drained,
            Some(TaskOutcome::Failed(error)) => return Err(Fatal::from_error(error)),
            Some(TaskOutcome::Panicked(panic)) => panic.resume(),
            _ => Ended::Aborted,
        };
        Ok((ended, report.reason))
    }

    /// Runs the pipeline and then the check, with the progress lines and the dumps beside them; all of them end together.
    async fn work(self, stop: Stop, dumps: Option<DumpServer>) -> Result<(), Fatal> {
        let done = group(async |g| {
            let progress = progress::show(self.stats.clone(), self.hosts, stop.clone(), g.stop().clone());
            g.task("progress").spawn(progress);
            if let Some(dumps) = dumps {
                g.task("dumps").spawn(dumps.serve(g.stop().clone()));
            }
            self.pipeline(&stop).await?;
            if !stop.is_draining() && self.check.run(&stop).await?.is_continue() {
                self.is_complete.store(true, Relaxed);
            }
            g.stop().drain("the work is done");
            Ok(())
        });
        done.await.map_err(|error| match error.downcast_ref::<Fatal>() {
            Some(fatal) => fatal.clone(),
            None => Fatal::Broken(format!("{error:#}")),
        })
    }

    async fn pipeline(&self, stop: &Stop) -> Result<(), Fatal> {
        let urls = stream::try_unfold(
            (self.frontier.clone(), stop.clone()),
            async |(frontier, stop)| -> Result<_, Fatal> {
                let next = frontier.next(&stop).await?;
                Ok(next.map(|next| (next, (frontier, stop))))
            },
        );
        let (fetcher, stopping, stats) = (self.fetcher.clone(), stop.clone(), self.stats.clone());
        let fetched = Box::pin(urls)
            .try_par_map(self.max_in_flight, async move |(entry, in_flight): (Entry, InFlight)| {
                stats.with(|counts| counts.in_flight += 1);
                let outcome = fetcher.fetch(&entry, &stopping).await;
                stats.with(|counts| counts.in_flight -= 1);
                Ok::<Fetched, Fatal>((entry, outcome, in_flight))
            })
            // Outcomes that arrive while a batch is being stored are the next batch: none waits longer than needed.
            .ready_chunks(BATCH);
        let mut fetched = pin!(fetched);
        while let Some(batch) = fetched.next().await {
            self.save(batch.into_iter().collect::<Result<_, _>>()?).await?;
        }
        Ok(())
    }

    async fn save(&self, batch: Vec<Fetched>) -> Result<(), Fatal> {
        // The guards are held until the outcomes are stored.
        let (mut results, mut in_flight) = (Vec::new(), Vec::new());
        for (entry, outcome, guard) in batch {
            in_flight.push(guard);
            if let Some(outcome) = outcome {
                results.push(Stored { entry, outcome });
            }
        }
        if results.is_empty() {
            return Ok(());
        }
        let done = results.len() as i64;
        self.stats.with(|counts| {
            for stored in &results {
                match &stored.outcome {
                    Outcome::Loaded(Loaded { document, bytes, .. }) => {
                        counts.bytes += bytes;
                        if let Some(document) =
                            document.as_ref().filter(|_| stored.entry.role == Role::Follow)
                        {
                            counts.pages += 1;
                            counts.links += document.count;
                            counts.too_long += document.too_long;
                        }
                    }
                    Outcome::NotModified => counts.unchanged += 1,
                    Outcome::Failed(_) => counts.failed += 1,
                    Outcome::Redirect(_) | Outcome::Disallowed => {}
                }
            }
        });
        let queued = self.store.write(results).await?;
        self.stats.with(|counts| {
            counts.done += done;
            counts.known += queued;
        });
        if queued > 0 {
            self.frontier.added();
        }
        Ok(())
    }
}
