//! A worker: one process at a harvest, with the state that its tasks share.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel::{
    shutdown::{Reason, Shutdown},
    task::{Stop, group},
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::{
    Job, Opened, Queue,
    consume::consume,
    numbers::{Numbers, publish_numbers},
    sweep::sweep,
    writer::{Write, write_all},
};
use crate::{
    api::Api,
    board::{Board, Workers},
    error::Fatal,
    progress,
    report::Ended,
    run::{Shown, until_stop},
    stats::Stats,
    store::{Store, Written},
};

/// The time for the last look at the store and the board.
const LAST: Duration = Duration::from_secs(2);

/// One process at a harvest. A handle: clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    documents: Arc<Mutex<Option<mpsc::Receiver<Write>>>>,
    jobs: Vec<Job>,
    is_complete: bool,
}

/// The state that the tasks of a worker share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) api: Arc<Api>,
    pub(super) store: Store,
    pub(super) stats: Arc<Stats>,
    pub(super) queue: Queue,
    pub(super) board: Board,
    /// The time after which the jobs of a process that has gone are delivered again.
    pub(super) lease: Duration,
    /// The documents in hand at a time: more than calls in flight, since some wait for their next attempt.
    pub(super) max_documents: usize,
    pub(super) documents: mpsc::Sender<Write>,
    /// The jobs that were begun and are not stored.
    pub(super) begun: watch::Sender<usize>,
    pub(super) is_complete: watch::Sender<bool>,
    /// The reason to end before the harvest is complete.
    fatal: watch::Sender<Option<Fatal>>,
    /// The users that this worker has completed.
    pub(super) users: AtomicU64,
    pub(super) dead_letters: AtomicU64,
    pub(super) numbers: Numbers,
}

impl Worker {
    pub(crate) fn new(
        api: Arc<Api>,
        store: Store,
        stats: Arc<Stats>,
        opened: Opened,
        max_documents: usize,
    ) -> Self {
        let (documents, receiver) = mpsc::channel(max_documents);
        let Opened { queue, board, lease, jobs, is_complete, .. } = opened;
        let shared = Shared {
            api,
            store: store.with_jobs(),
            stats,
            queue,
            board,
            lease,
            max_documents,
            documents,
            begun: watch::Sender::default(),
            is_complete: watch::Sender::default(),
            fatal: watch::Sender::default(),
            users: AtomicU64::new(0),
            dead_letters: AtomicU64::new(0),
            numbers: Numbers::default(),
        };
        Self { shared: Arc::new(shared), documents: Arc::new(Mutex::new(Some(receiver))), jobs, is_complete }
    }

    /// Works until the harvest is complete or a signal comes, and returns how it ended and why. The harvest is shown
    /// meanwhile.
    pub(crate) async fn run(&self, grace: Duration, shown: Shown) -> Result<(Ended, Reason), Fatal> {
        if self.is_complete {
            return Ok((Ended::Complete, Reason::Ended));
        }
        let worker = self.clone();
        let shutdown = Shutdown::new().grace(grace);
        until_stop(shutdown, async move |stop| worker.work(stop, grace, shown).await).await
    }

    async fn work(self, stop: Stop, grace: Duration, shown: Shown) -> Result<(), Fatal> {
        let Self { shared, documents, jobs, .. } = self;
        let documents = documents.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(documents) = documents else { return Err(Fatal::Broken("a worker works once".into())) };
        let done = group(async |g| {
            let end = || g.stop().clone();
            if shown.progress {
                g.task("progress").spawn(progress::show(shared.stats.clone(), stop.clone(), end()));
            }
            g.task("chaos").spawn(shared.store.clone().disturb(end()));
            g.task("writer").spawn(write_all(shared.clone(), documents, end()));
            g.task("numbers").spawn(publish_numbers(shared.clone(), end()));
            g.task("sweep").spawn(sweep(shared.clone(), end()));
            g.task("first jobs").spawn(publish_first(shared.clone(), jobs, end()));
            if let Some(page) = shown.page {
                g.task("page").spawn(page.show(stop.clone(), end()));
            }
            if let Some(dumps) = shown.dumps {
                g.task("dumps").spawn(dumps.serve(end()));
            }
            consume(&shared, &stop, grace).await?;
            g.stop().drain("there is no more to do here");
            Ok(())
        });
        done.await.map_err(|error| match error.downcast_ref::<Fatal>() {
            Some(fatal) => fatal.clone(),
            None => Fatal::Broken(format!("{error:#}")),
        })
    }

    /// Says that this worker has ended, and reads the numbers of all, and the failures of the harvest, for the report.
    pub(crate) async fn finish(&self, ended: Ended) -> Option<Workers> {
        let shared = &self.shared;
        if ended == Ended::Complete {
            // Beyond this time another harvest does it.
            let _ = timeout(LAST, shared.queue.clean_up(&shared.store)).await;
        }
        let look = async {
            let _ = shared.board.publish(&shared.numbers(true)).await;
            let _ = shared.store.state().await;
            if let Ok(failures) = shared.store.failures().await {
                shared.stats.with(|counts| counts.failures = failures);
            }
            shared.board.read().await.ok()
        };
        timeout(LAST, look).await.ok().flatten()
    }
}

/// Publishes the jobs of a harvest that begins, or whose queue has lost them.
async fn publish_first(shared: Arc<Shared>, jobs: Vec<Job>, end: Stop) -> Result<(), Fatal> {
    let publish = async {
        if jobs.is_empty() {
            return Ok(());
        }
        shared.queue.publish(jobs).await.map_err(|error| error.to_string())?;
        shared.store.published().await.map_err(|error| error.to_string())
    };
    tokio::select! {
        published = publish => {
            published.map_err(|error| Fatal::Broken(format!("cannot publish the first jobs: {error}")))
        }
        () = end.draining() => Ok(()),
    }
}

impl Shared {
    /// Notes a transaction.
    pub(super) fn stored(&self, written: &Written) {
        self.users.fetch_add(written.users, Relaxed);
        if written.state.is_complete {
            self.complete();
        }
    }

    /// Notes that the harvest is complete.
    pub(super) fn complete(&self) {
        self.is_complete.send_if_modified(|is_complete| !std::mem::replace(is_complete, true));
    }

    /// Ends the worker, unless something has before.
    pub(super) fn fail(&self, fatal: Fatal) {
        self.fatal.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(fatal);
            is_first
        });
    }

    /// Waits until the harvest is complete.
    pub(super) async fn completed(&self) {
        // The sender is here, so that there is no error.
        let _ = self.is_complete.subscribe().wait_for(|is_complete| *is_complete).await;
    }

    /// Waits for what ends the worker.
    pub(super) async fn failed(&self) -> Fatal {
        let mut fatal = self.fatal.subscribe();
        // The sender is here, so that there is no error.
        let first = fatal.wait_for(Option::is_some).await.ok().and_then(|fatal| fatal.clone());
        match first {
            Some(fatal) => fatal,
            None => std::future::pending().await,
        }
    }
}
