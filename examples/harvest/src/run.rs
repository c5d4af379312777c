//! The job: pages are read one after another, the users on them enriched many at a time, and stored in batches.

use std::{collections::BTreeSet, pin::pin, sync::Arc, time::Duration};

use evenkeel::{
    shutdown::{Outcome, Reason, Shutdown},
    stream::{ItemError, PageError, paginate, prelude::*},
    task::{Stop, group},
};
use futures::StreamExt as _;
use reqwest::Url;

use crate::{
    api::{self, Answer, Api, Fetched},
    error::Fatal,
    link,
    model::Call,
    progress,
    report::Ended,
    stats::{Failure, Stats},
    store::{Entry, Left, Page, Store},
};

/// Pages that are read ahead of the one whose users are worked on.
const PAGES_AHEAD: usize = 2;

/// What goes into the database at once, at most.
const BATCH: usize = 256;

/// What the parts of the job share.
#[derive(Clone, Debug)]
pub(crate) struct Harvest {
    pub(crate) api: Arc<Api>,
    pub(crate) store: Store,
    pub(crate) stats: Arc<Stats>,
    /// What is to be done.
    pub(crate) left: Arc<Left>,
    /// Documents that are worked on at a time: more than calls in flight, since some wait for their next attempt.
    pub(crate) window: usize,
}

/// Where the next calls come from.
#[derive(Clone, Debug, PartialEq)]
enum Cursor {
    /// What an earlier run has left of the pages that it read.
    Left,
    Page(Url),
}

type Turned = (Vec<Call>, Option<Cursor>);

impl Harvest {
    /// Does the job, or as much of it as the signals leave time for, and says how it ended and why.
    pub(crate) async fn run(self, grace: Duration) -> Result<(Ended, Reason), Fatal> {
        let job = async move |stop| self.work(stop).await;
        let report = Shutdown::new().grace(grace).task("harvest", job).run().await;
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

    /// The pipeline and what goes on beside it: neither outlives the other.
    async fn work(self, stop: Stop) -> Result<(), Fatal> {
        let done = group(async |g| {
            g.task("progress").spawn(progress::show(self.stats.clone(), stop.clone(), g.stop().clone()));
            g.task("chaos").spawn(self.store.clone().disturb(g.stop().clone()));
            self.pipeline(&stop).await?;
            g.stop().drain("all is stored");
            Ok(())
        });
        done.await.map_err(|error| match error.downcast_ref::<Fatal>() {
            Some(fatal) => fatal.clone(),
            None => Fatal::Broken(format!("{error:#}")),
        })
    }

    /// From the API to the database. It ends when the pages do, or when a stop is asked for and what was begun is done.
    async fn pipeline(&self, stop: &Stop) -> Result<(), Fatal> {
        let (reader, worker) = (self.clone(), self.clone());
        let (reading, working) = (stop.clone(), stop.clone());

        let fetched = paginate(self.first_cursor(), async move |cursor| reader.turn(cursor, reading).await)
            .prefetch(PAGES_AHEAD)
            .try_par_map(self.window, async move |call| {
                // What was not begun when the stop came stays undone.
                Ok::<_, PageError>(if working.is_draining() {
                    None
                } else {
                    worker.api.fetch(call, &working).await
                })
            })
            .settled()
            // What has come while the last batch was stored is the next one: nothing waits longer than it must.
            .ready_chunks(BATCH);

        let mut fetched = pin!(fetched);
        while let Some(outcomes) = fetched.next().await {
            self.keep(outcomes).await?;
        }
        Ok(())
    }

    fn first_cursor(&self) -> Cursor {
        match self.next_left() {
            Ok(Some(next)) if self.left.calls.is_empty() => Cursor::Page(next),
            _ => Cursor::Left,
        }
    }

    /// The page that an earlier run would have read next.
    fn next_left(&self) -> Result<Option<Url>, Failure> {
        let (first, Some(next)) = (self.api.first_page(), self.left.next.as_deref()) else { return Ok(None) };
        // It may be the first page: then that is the next one, and no end.
        let next = link::next(&first, &first, next).map_err(|reason| api::failure(&first, reason))?;
        Ok(Some(next.unwrap_or(first)))
    }

    /// The calls that a cursor stands for, and the next cursor.
    async fn turn(&self, cursor: Cursor, stop: Stop) -> Result<Turned, Fatal> {
        match cursor {
            Cursor::Left => {
                let next = match self.next_left() {
                    Ok(next) => next,
                    Err(failure) => self.end(failure).await.map(|()| None)?,
                };
                Ok((self.left.calls.clone(), next.map(Cursor::Page)))
            }
            Cursor::Page(url) => self.page(url, stop).await,
        }
    }

    /// Reads a page and stores what is on it: the calls for its users, and where the next one is.
    async fn page(&self, url: Url, stop: Stop) -> Result<Turned, Fatal> {
        let answer = tokio::select! {
            answer = self.api.page(&url, &stop) => answer,
            () = stop.draining() => None,
        };
        // It is held until the page is stored.
        let Some(Answer { outcome, held: _held }) = answer else { return Ok((Vec::new(), None)) };
        // A page that fails is the last one, since it alone knows the next. If it is the first, there is nothing to
        // do; a later one is a failure among others.
        let (page, at) = match outcome {
            Ok(page) => page,
            Err(failure) if url == self.api.first_page() => return Err(Fatal::Input(failure.to_string())),
            Err(failure) => return self.end(failure).await.map(|()| (Vec::new(), None)),
        };
        let next = page.next().and_then(|next| next.map_or(Ok(None), |next| link::next(&url, &at, &next)));
        let (users, flaws) = page.users();
        let mut failures: Vec<_> = flaws.into_iter().map(|flaw| api::at(&url, flaw)).collect();
        let next = next.unwrap_or_else(|reason| {
            failures.push(api::failure(&url, reason));
            None
        });
        self.stats.with(|counts| counts.pages += 1);
        failures.iter().for_each(|failure| self.stats.list(failure.clone()));
        // A user may be on the page twice, and is read once.
        let ids: BTreeSet<_> = users.iter().map(|user| user.id).collect();
        let calls = ids.into_iter().flat_map(Call::both).collect();
        let (this, then) = (self.api.relative(&url), next.as_ref().map(|next| self.api.relative(next)));
        self.store.write(Entry::Page(Page { this, users, next: then, failures })).await?;
        Ok((calls, next.map(Cursor::Page)))
    }

    /// Lists a failure after which there are no more pages.
    async fn end(&self, failure: Failure) -> Result<(), Fatal> {
        self.stats.list(failure.clone());
        self.store.write(Entry::End(failure)).await
    }

    /// Stores what came out of the window.
    async fn keep(&self, outcomes: Vec<Result<Option<Fetched>, ItemError<PageError>>>) -> Result<(), Fatal> {
        let mut batch = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            match outcome {
                Ok(fetched) => batch.extend(fetched),
                Err(ItemError::Error(PageError::Fetch { source, .. })) => {
                    return Err(Fatal::from_error(source));
                }
                Err(ItemError::Error(circle)) => {
                    self.end(api::failure(&self.api.first_page(), circle.to_string())).await?;
                }
                Err(ItemError::Panic(panic)) => panic.resume(),
                Err(other) => return Err(Fatal::Broken(other.to_string())),
            }
        }
        for failure in batch.iter().flat_map(|fetched| fetched.failures.clone()) {
            self.stats.list(failure);
        }
        if batch.is_empty() { Ok(()) } else { self.store.write(Entry::Batch(batch)).await }
    }
}
