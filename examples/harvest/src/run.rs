//! The job: reads pages one after another, enriches their users many at a time, and stores them in batches.
//!
//! # How it works
//!
//! One pipeline of streams: `paginate` reads pages, `prefetch` stays ahead of the workers, `try_par_map` reads the
//! documents of the users, and `ready_chunks` collects everything that is ready into one batch.
//!
//! A page is stored before its users are read, with the cursor of the next page; a document is stored with the note that
//! it was read. So the store is always a checkpoint: the next run begins at its cursor, and first reads the documents
//! that are missing on the pages before. An [`InFlightGuard`](crate::api::InFlightGuard) keeps a slot for each document
//! until it is stored, which bounds the work that a crash can lose.
//!
//! A stop ends `paginate` and the start of further documents; all documents in flight are finished and stored.

use std::{collections::BTreeSet, pin::pin, sync::Arc};

use evenkeel::{
    shutdown::{Outcome, Reason, Shutdown},
    stream::{ItemError, PageError, paginate, prelude::*},
    task::{Stop, group},
};
use futures::StreamExt as _;
use reqwest::Url;

use crate::{
    api::{self, Answer, Api, Fetched},
    dumps::{self, DumpServer},
    error::Fatal,
    live::LiveRun,
    model::Call,
    pages::{self, ReadPage},
    progress,
    report::Ended,
    stats::{Failure, Stats},
    store::{Checkpoint, Entry, Store},
};

/// The number of pages read ahead of the one whose users are being read.
const PAGES_AHEAD: usize = 2;

/// The maximum number of documents in one transaction.
pub(crate) const BATCH: usize = 256;

/// The parts that all steps of the job share.
#[derive(Clone, Debug)]
pub(crate) struct Harvest {
    pub(crate) api: Arc<Api>,
    pub(crate) store: Store,
    pub(crate) stats: Arc<Stats>,
    /// The work that earlier runs have left.
    pub(crate) checkpoint: Arc<Checkpoint>,
    /// The number of documents read at a time: more than calls in flight, since some wait for their next attempt.
    pub(crate) max_documents: usize,
}

/// The source of the next calls.
#[derive(Clone, Debug, PartialEq)]
enum Cursor {
    /// The missing documents of the pages that earlier runs have read.
    Checkpoint,
    Page(Url),
}

/// The calls of a page, and the next cursor.
type FetchedPage = (Vec<Call>, Option<Cursor>);

/// The places where a run is shown meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// Whether there are progress lines.
    pub(crate) progress: bool,
    pub(crate) page: Option<LiveRun>,
    pub(crate) dumps: Option<DumpServer>,
}

/// Does a job until its end or a stop, and returns how it ended and why.
pub(crate) async fn until_stop<F, Fut>(shutdown: Shutdown, job: F) -> Result<(Ended, Reason), Fatal>
where
    F: FnOnce(Stop) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), Fatal>> + Send + 'static,
{
    let report = dumps::at_signal(shutdown).task("harvest", job).run().await;
    let complete = report.reason == Reason::Ended;
    let outcome = report.tasks.into_iter().next().map(|task| task.outcome);
    let ended = match outcome {
        Some(Outcome::Finished) if complete => Ended::Complete,
        Some(Outcome::Finished) => Ended::Drained,
        Some(Outcome::Failed(error)) => return Err(Fatal::from_error(error)),
        Some(Outcome::Panicked(panic)) => panic.resume(),
        _ => Ended::Aborted,
    };
    Ok((ended, report.reason))
}

impl Harvest {
    /// Does the job, or as much of it as a stop allows, and returns how it ended and why.
    pub(crate) async fn run(self, shutdown: Shutdown, shown: Shown) -> Result<(Ended, Reason), Fatal> {
        until_stop(shutdown, async move |stop| self.work(stop, shown).await).await
    }

    /// Runs the pipeline, with the progress lines, the page, the dumps and the chaos beside it; all of them end together.
    async fn work(self, stop: Stop, shown: Shown) -> Result<(), Fatal> {
        let done = group(async |g| {
            g.task("chaos").spawn(self.store.clone().disturb(g.stop().clone()));
            let Shown { progress, page, dumps } = shown;
            if progress {
                g.task("progress").spawn(progress::show(self.stats.clone(), stop.clone(), g.stop().clone()));
            }
            if let Some(page) = page {
                g.task("page").spawn(page.show(stop.clone(), g.stop().clone()));
            }
            if let Some(dumps) = dumps {
                g.task("dumps").spawn(dumps.serve(g.stop().clone()));
            }
            self.pipeline(&stop).await?;
            g.stop().drain("all is stored");
            Ok(())
        });
        done.await.map_err(|error| match error.downcast_ref::<Fatal>() {
            Some(fatal) => fatal.clone(),
            None => Fatal::Broken(format!("{error:#}")),
        })
    }

    /// Moves documents from the API to the database. It ends after the last page, or after a stop when all work in
    /// flight is stored.
    async fn pipeline(&self, stop: &Stop) -> Result<(), Fatal> {
        let (reader, worker) = (self.clone(), self.clone());
        let (reading, working) = (stop.clone(), stop.clone());

        let fetched = paginate(self.first_cursor(), async move |cursor| reader.read(cursor, reading).await)
            .prefetch(PAGES_AHEAD)
            .try_par_map(self.max_documents, async move |call| -> Result<_, PageError> {
                // After a stop no document is begun.
                Ok(if working.is_draining() { None } else { worker.api.fetch(call, &working).await })
            })
            .settled()
            // The documents that arrive while a batch is being stored are the next batch: none waits longer than needed.
            .ready_chunks(BATCH);

        let mut fetched = pin!(fetched);
        while let Some(outcomes) = fetched.next().await {
            self.save_batch(outcomes).await?;
        }
        Ok(())
    }

    fn first_cursor(&self) -> Cursor {
        match self.checkpoint_page() {
            Ok(Some(next)) if self.checkpoint.calls.is_empty() => Cursor::Page(next),
            _ => Cursor::Checkpoint,
        }
    }

    /// Returns the page that an earlier run would have read next.
    fn checkpoint_page(&self) -> Result<Option<Url>, Failure> {
        self.checkpoint.next.as_deref().map(|next| pages::resolve(&self.api, next)).transpose()
    }

    /// Reads the calls of a cursor, and the next cursor.
    async fn read(&self, cursor: Cursor, stop: Stop) -> Result<FetchedPage, Fatal> {
        match cursor {
            Cursor::Checkpoint => {
                let next = match self.checkpoint_page() {
                    Ok(next) => next,
                    Err(failure) => self.end(failure).await.map(|()| None)?,
                };
                Ok((self.checkpoint.calls.clone(), next.map(Cursor::Page)))
            }
            Cursor::Page(url) => self.page(url, stop).await,
        }
    }

    /// Reads a page, stores its users and the link to the next page, and returns the calls for the users.
    async fn page(&self, url: Url, stop: Stop) -> Result<FetchedPage, Fatal> {
        // The guard is held until the page is stored.
        let Some(Answer { outcome, guard: _guard }) = pages::read(&self.api, &url, &stop).await else {
            return Ok((Vec::new(), None));
        };
        // A page that fails is the last one, since only the page itself links to the next. If it is the first one, the
        // run fails; a later one is a failure among others.
        let ReadPage { page, next } = match outcome {
            Ok(read) => read,
            Err(failure) if url == self.api.first_page() => return Err(Fatal::Input(failure.to_string())),
            Err(failure) => return self.end(failure).await.map(|()| (Vec::new(), None)),
        };
        self.stats.with(|counts| counts.pages += 1);
        page.failures.iter().for_each(|failure| self.stats.list(failure.clone()));
        // A user that is on the page twice is read once.
        let ids: BTreeSet<_> = page.users.iter().map(|user| user.id).collect();
        let calls = ids.into_iter().flat_map(Call::both).collect();
        self.store.write(Entry::Page(page)).await?;
        Ok((calls, next.map(Cursor::Page)))
    }

    /// Records a failure that ends the pages.
    async fn end(&self, failure: Failure) -> Result<(), Fatal> {
        self.stats.list(failure.clone());
        self.store.write(Entry::End { page: None, failure }).await?;
        Ok(())
    }

    /// Stores the documents that are ready.
    async fn save_batch(
        &self,
        outcomes: Vec<Result<Option<Fetched>, ItemError<PageError>>>,
    ) -> Result<(), Fatal> {
        let mut batch = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            match outcome {
                Ok(fetched) => batch.extend(fetched),
                Err(ItemError::Error(PageError::Fetch { source, .. })) => {
                    return Err(Fatal::from_error(source));
                }
                Err(ItemError::Error(cycle)) => {
                    self.end(api::failure(&self.api.first_page(), cycle.to_string())).await?;
                }
                Err(ItemError::Panic(panic)) => panic.resume(),
                Err(other) => return Err(Fatal::Broken(other.to_string())),
            }
        }
        for failure in batch.iter().flat_map(|fetched| fetched.failures.clone()) {
            self.stats.list(failure);
        }
        if !batch.is_empty() {
            self.store.write(Entry::Batch(batch)).await?;
        }
        Ok(())
    }
}
