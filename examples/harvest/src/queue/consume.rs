//! The pipeline of a worker: from the source of the queue to the store.

use std::{
    future::pending,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use evenkeel::{
    pipeline::{DeadLetter, Message, Pipeline, Running, SinkError, Source},
    task::{BoxError, Stop},
};
use tokio::{
    sync::oneshot,
    time::{interval, timeout},
};

use super::{Job, Queue, worker::Shared};
use crate::{
    api::{self, Answer, Fetched},
    error::Fatal,
    model::Call,
    pages::{self, ReadPage},
    stats::Failure,
    store::Entry,
};

/// The deliveries of a job that end without a result, by crashes or an unusable store, before it is a failure. A call that
/// fails is no such end: its retries are within one delivery.
const MAX_ATTEMPTS: u32 = 10;

/// The time between two looks at the pipeline.
const LOOK: Duration = Duration::from_millis(250);

/// The part of the grace period that is kept for handing back.
const HAND_BACK: Duration = Duration::from_millis(500);

/// Works on the jobs of the queue until the harvest is complete, or a stop.
pub(super) async fn consume(shared: &Arc<Shared>, stop: &Stop, grace: Duration) -> Result<(), Fatal> {
    let running = match &shared.queue {
        Queue::Memory(broker) => start(shared, stop, broker.source(), |job: &Job| Ok(Some(job.clone()))),
        #[cfg(feature = "queue")]
        Queue::Postgres { queue, harvest } => {
            let harvest = harvest.clone();
            let read = move |payload: &Vec<u8>| super::job::Letter::read(payload, &harvest);
            start(shared, stop, queue.source(), read)
        }
        #[cfg(feature = "queue")]
        Queue::Nats(queue) => {
            let (source, queue) = (queue.source().await?, queue.clone());
            start(shared, stop, source, move |message: &_| queue.read(message))
        }
    }?;
    until_end(running, shared, stop, grace).await
}

/// Starts the pipeline. `read` returns the job of an item, or `None` if it is of a harvest that is over.
fn start<S, R>(shared: &Arc<Shared>, stop: &Stop, source: S, read: R) -> Result<Running, Fatal>
where
    S: Source<Item: Clone + Sync>,
    R: Fn(&S::Item) -> Result<Option<Job>, String> + Clone + Send + Sync + 'static,
{
    let (reader, storer, loser) = (shared.clone(), shared.clone(), shared.clone());
    let (stop, read_lost) = (stop.clone(), read.clone());
    let pipeline = Pipeline::from(source)
        .messages()
        .filter_map("read", move |message: Message<S::Item>| {
            let job = read(&message.item);
            let (shared, stop) = (reader.clone(), stop.clone());
            async move {
                match job? {
                    Some(job) => work_on(&shared, &stop, job, message.attempt).await,
                    None => Ok(None),
                }
            }
        })
        .limit(shared.max_documents)
        .stage("store", move |(document, begun)| save(storer.clone(), document, begun))
        .window(shared.max_documents)
        .max_attempts(MAX_ATTEMPTS)
        .dead_letter(move |letters: Vec<Message<DeadLetter<S::Item>>>| {
            let (shared, read) = (loser.clone(), read_lost.clone());
            async move {
                let count = letters.len();
                for (index, Message { item: DeadLetter { item, reason, attempts, .. }, .. }) in
                    letters.into_iter().enumerate()
                {
                    let reason = format!("{reason}, at attempt {attempts}");
                    let lost = lose(&shared, read(&item), reason).await;
                    lost.map_err(|error| SinkError::some(error, index..count))?;
                }
                Ok(())
            }
        });
    pipeline.start().map_err(|error| Fatal::Broken(error.to_string()))
}

/// Waits for the end, and hands back what is left then.
async fn until_end(
    mut running: Running,
    shared: &Arc<Shared>,
    stop: &Stop,
    grace: Duration,
) -> Result<(), Fatal> {
    let mut looks = interval(LOOK);
    let fatal = loop {
        tokio::select! {
            ended = &mut running => {
                let error = ended.err().map_or("it has no more jobs".into(), |error| error.to_string());
                // The queue of a complete harvest is deleted by its last worker.
                if shared.store.state().await.is_ok_and(|state| state.is_complete) {
                    return Ok(());
                }
                return Err(Fatal::Broken(format!("the queue: {error}")));
            }
            () = shared.completed() => break None,
            () = stop.draining() => {
                running.pause();
                let stored = async {
                    // The sender is in `shared`, so that there is no error.
                    let _ = shared.begun.subscribe().wait_for(|begun| *begun == 0).await;
                };
                tokio::select! {
                    _ = timeout(grace.saturating_sub(HAND_BACK).max(grace / 2), stored) => break None,
                    fatal = shared.failed() => break Some(fatal),
                }
            }
            fatal = shared.failed() => break Some(fatal),
            _ = looks.tick() => shared.numbers.look(running.snapshot()),
        }
    };
    shared.numbers.look(running.snapshot());
    // Work that cannot be handed back is done by others when its lease has run out.
    let _ = running.drain(Duration::ZERO).await;
    fatal.map_or(Ok(()), Err)
}

/// A job that was begun. A stop waits until it is stored.
#[derive(Debug)]
pub(super) struct Begun(Arc<Shared>);

impl Begun {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.begun.send_modify(|begun| *begun += 1);
        Self(shared.clone())
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.begun.send_modify(|begun| *begun -= 1);
    }
}

/// Does a job: returns a document that is to be stored, or `None` if all is done.
async fn work_on(
    shared: &Arc<Shared>,
    stop: &Stop,
    job: Job,
    attempt: u32,
) -> Result<Option<(Fetched, Begun)>, BoxError> {
    // After a stop no job is begun: it is handed back.
    if stop.is_draining() {
        return pending().await;
    }
    let begun = Begun::new(shared);
    let fetched = match job {
        Job::Page(page) => {
            return match page_of(shared, stop, &page).await? {
                true => Ok(None),
                false => {
                    drop(begun);
                    pending().await
                }
            };
        }
        Job::Document(call) => {
            if attempt > 1 && !is_missing(shared, call).await? {
                return Ok(None);
            }
            shared.api.fetch(call, stop).await
        }
    };
    let Some(fetched) = fetched else {
        drop(begun);
        return pending().await;
    };
    Ok(Some((fetched, begun)))
}

/// Whether a document is still to be stored: an earlier attempt may have stored it.
async fn is_missing(shared: &Shared, call: Call) -> Result<bool, BoxError> {
    Ok(shared.store.missing(vec![call.user]).await?.contains(&call))
}

/// Reads a page, stores its users, and publishes the jobs that it leads to. Returns `false` if a stop came before.
async fn page_of(shared: &Shared, stop: &Stop, page: &str) -> Result<bool, BoxError> {
    let url = match pages::resolve(&shared.api, page) {
        Ok(url) => url,
        Err(failure) => return end(shared, page, failure).await.map(|()| true),
    };
    // The guard is held until the page is stored.
    let Some(Answer { outcome, guard: _guard }) = pages::read(&shared.api, &url, stop).await else {
        return Ok(false);
    };
    let ReadPage { page: read, .. } = match outcome {
        Ok(read) => read,
        Err(failure) if url == shared.api.first_page() => {
            shared.fail(Fatal::Input(failure.to_string()));
            return Ok(false);
        }
        Err(failure) => return end(shared, page, failure).await.map(|()| true),
    };
    shared.stats.with(|counts| counts.pages += 1);
    read.failures.iter().for_each(|failure| shared.stats.list(failure.clone()));
    let next = read.next.clone();
    let (jobs, is_circle) = write(shared, Entry::Page(read)).await?;
    shared.queue.publish(jobs).await?;
    if let Some(next) = next.filter(|_| is_circle) {
        let failure = api::failure(&url, "its next page was read before: the pages run in a circle".into());
        end(shared, &next, failure).await?;
    }
    Ok(true)
}

/// Records a failure that ends the pages, if this page is the next one.
async fn end(shared: &Shared, page: &str, failure: Failure) -> Result<(), BoxError> {
    shared.stats.list(failure.clone());
    write(shared, Entry::End { page: Some(page.to_owned()), failure }).await.map(drop)
}

/// Stores an entry, and returns the jobs that are to be published, and whether the pages run in a circle.
async fn write(shared: &Shared, entry: Entry) -> Result<(Vec<Job>, bool), BoxError> {
    match shared.store.write(entry).await {
        Ok(written) => {
            shared.stored(&written);
            Ok((written.jobs, written.is_circle))
        }
        Err(error) if error.is_transient => Err(error.into()),
        Err(error) => {
            shared.fail(error.into());
            pending().await
        }
    }
}

/// Stores a document.
async fn save(shared: Arc<Shared>, document: Fetched, begun: Begun) -> Result<(), BoxError> {
    let (answer, stored) = oneshot::channel();
    // They end with the pipeline.
    if shared.documents.send((document, answer)).await.is_err() {
        return pending().await;
    }
    match stored.await {
        Ok(result) => {
            drop(begun);
            result.map_err(Into::into)
        }
        Err(_) => pending().await,
    }
}

/// Records a job that has failed too often as a failure of its document.
async fn lose(shared: &Shared, job: Result<Option<Job>, String>, reason: String) -> Result<(), BoxError> {
    match job {
        Ok(Some(Job::Document(call))) => {
            let lost = shared.api.given_up(call, reason);
            lost.failures.iter().for_each(|failure| shared.stats.list(failure.clone()));
            write(shared, Entry::Batch(vec![lost])).await?;
        }
        Ok(Some(Job::Page(page))) => {
            let url = pages::resolve(&shared.api, &page).unwrap_or_else(|_| shared.api.first_page());
            end(shared, &page, api::failure(&url, reason)).await?;
        }
        // It is of a harvest that is over, or of another program.
        Ok(None) | Err(_) => return Ok(()),
    }
    shared.dead_letters.fetch_add(1, Relaxed);
    Ok(())
}
