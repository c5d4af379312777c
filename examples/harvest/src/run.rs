//! The job: pages are read one after another, the users on them enriched many at a time, and stored in batches.

use std::{pin::pin, sync::Arc, time::Duration};

use evenkeel::{
    shutdown::{Outcome, Reason, Shutdown},
    stream::{Batch, ItemError, PageError, paginate, prelude::*},
    task::{Stop, group},
};
use futures::StreamExt as _;
use reqwest::Url;

use crate::{
    api::Api,
    error::Fatal,
    model::{Record, User},
    progress,
    report::Ended,
    stats::{Failure, Stats},
    store::Store,
};

/// Pages that are read ahead of the one whose users are worked on.
const PAGES_AHEAD: usize = 2;

/// What goes into the database at once.
const BATCH: Batch = Batch::items(500).within(Duration::from_millis(200));

/// Batches on their way into the database: one is stored while the next one waits for the connection.
const BATCHES: usize = 2;

/// What the parts of the job share.
#[derive(Clone, Debug)]
pub(crate) struct Harvest {
    pub(crate) api: Arc<Api>,
    pub(crate) store: Store,
    pub(crate) stats: Arc<Stats>,
    /// Users that are worked on at a time.
    pub(crate) window: usize,
}

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

    /// The pipeline and what watches it: neither outlives the other.
    async fn work(self, stop: Stop) -> Result<(), Fatal> {
        let done = group(async |g| {
            g.task("progress").spawn(progress::show(self.stats.clone(), stop.clone(), g.stop().clone()));
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
        let (reader, worker, keeper) = (self.clone(), self.clone(), self.clone());
        let (reading, working) = (stop.clone(), stop.clone());

        let stored = paginate(self.api.first_page(), async move |url| reader.page(url, reading).await)
            .prefetch(PAGES_AHEAD)
            .try_par_map(self.window, async move |user| {
                // What was not begun when the stop came stays undone.
                Ok::<_, PageError>(if working.is_draining() { None } else { Some(worker.enrich(user).await) })
            })
            .settled()
            .batch(BATCH)
            .par_map(BATCHES, async move |outcomes| keeper.keep(outcomes).await);

        let mut stored = pin!(stored);
        while let Some(outcome) = stored.next().await {
            outcome?;
        }
        Ok(())
    }

    /// Reads a page: its users, and where the next one is.
    async fn page(&self, url: Url, stop: Stop) -> Result<(Vec<User>, Option<Url>), Fatal> {
        let page = tokio::select! {
            page = self.api.page(&url) => page,
            () = stop.draining() => return Ok((Vec::new(), None)),
        };
        let page = match page {
            Ok(page) => page,
            Err(failure) => return self.end_of_pages(&url, failure).map(|()| (Vec::new(), None)),
        };
        let next = match next_page(&url, page.next.as_deref()) {
            Ok(next) => next,
            Err(failure) => self.end_of_pages(&url, failure).map(|()| None)?,
        };
        self.stats.with(|counts| {
            counts.pages += 1;
            counts.listed += page.items.len() as u64;
        });
        Ok((page.items, next))
    }

    /// A page that fails is the last one, since it alone knows the next. If it is the first, there is nothing to do;
    /// a later one is a failure among others.
    fn end_of_pages(&self, page: &Url, failure: Failure) -> Result<(), Fatal> {
        if *page == self.api.first_page() {
            return Err(Fatal::Input(failure.to_string()));
        }
        self.stats.list(failure);
        Ok(())
    }

    /// Reads what belongs to a user, all at the same time. What fails is listed, and missing in the record.
    async fn enrich(&self, user: User) -> Record {
        let (orders, prefs) = tokio::join!(self.api.orders(&user), self.api.prefs(&user));
        let orders = self.stats.or_list(orders).unwrap_or_default();
        let prefs = self.stats.or_list(prefs);
        Record { user, orders, prefs }
    }

    /// Stores a batch of what came out of the window.
    async fn keep(&self, outcomes: Vec<Result<Option<Record>, ItemError<PageError>>>) -> Result<(), Fatal> {
        let mut records = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            match outcome {
                Ok(record) => records.extend(record),
                Err(ItemError::Error(PageError::Fetch { source, .. })) => {
                    return Err(Fatal::from_error(source));
                }
                Err(ItemError::Error(circle)) => {
                    let (url, reason) = (self.api.first_page().into(), circle.to_string());
                    self.stats.list(Failure { url, reason });
                }
                Err(ItemError::Panic(panic)) => panic.resume(),
                Err(other) => return Err(Fatal::Broken(other.to_string())),
            }
        }
        if records.is_empty() { Ok(()) } else { self.store.save(records).await }
    }
}

/// Where a page says that the next one is.
fn next_page(page: &Url, next: Option<&str>) -> Result<Option<Url>, Failure> {
    let Some(next) = next else { return Ok(None) };
    let failure = |reason| Failure { url: page.to_string(), reason };
    match page.join(next) {
        Err(error) => Err(failure(format!("its next page is {next:?}: {error}"))),
        Ok(next) if next == *page => Err(failure("it is its own next page".into())),
        Ok(next) => Ok(Some(next)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_relative_to_the_page() {
        let page = Url::parse("http://h/api/users.json?key=1").unwrap();
        let next = |next: &str| next_page(&page, Some(next)).map(|url| url.unwrap().to_string());
        assert_eq!(next("users-2.json").unwrap(), "http://h/api/users-2.json");
        assert_eq!(next("?page=2").unwrap(), "http://h/api/users.json?page=2");
        assert_eq!(next("/v2/users").unwrap(), "http://h/v2/users");
        assert_eq!(next("https://other/users").unwrap(), "https://other/users");
        assert_eq!(next_page(&page, None).unwrap(), None);
    }

    #[test]
    fn a_page_that_leads_nowhere_is_a_failure_with_its_url() {
        let page = Url::parse("http://h/users.json").unwrap();
        for next in ["users.json", "http://h:x/", ""] {
            assert_eq!(next_page(&page, Some(next)).unwrap_err().url, "http://h/users.json", "{next:?}");
        }
    }
}
