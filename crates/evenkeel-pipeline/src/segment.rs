//! Segments: the parallel maps that carry items through chains, batches and splits.

use std::{
    convert::Infallible,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use evenkeel_base::error_chain;
use evenkeel_stream::{Batch, ItemError, prelude::*};
use evenkeel_task::{BoxError, Panic};
use futures_core::Stream;

use crate::{
    SinkError,
    settings::PathSettings,
    stage::Stage,
    threads::leave_thread,
    token::{Carried, Token},
    work::{judge, work},
};

/// The error of streams that have none.
pub(crate) type Never = Infallible;

/// Items on their way from one segment to the next.
pub(crate) type Items<T> = Pin<Box<dyn Stream<Item = Result<Carried<T>, Never>> + Send>>;

/// Returns the hash of the key of an item. Keys whose hashes are the same share an order.
pub(crate) type KeyHash<T> = Box<dyn FnMut(&T) -> u64 + Send>;

/// Runs `f` over the items, on at most `limit` workers. `f` has no error: it says so itself, since a future around its own
/// would be one more to move each item to.
pub(crate) fn map_items<T, I, V, F, Fut, U>(
    items: I,
    limit: usize,
    keys: Option<KeyHash<T>>,
    f: F,
) -> Items<V>
where
    T: Send + 'static,
    I: Stream<Item = Result<T, Never>> + Send + 'static,
    V: Send + 'static,
    F: FnOnce(T) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<U, Never>> + Send + 'static,
    U: IntoIterator<Item: Into<Carried<V>>, IntoIter: Send> + Send + 'static,
{
    let map = items.try_par_map(limit, f);
    // The stages describe themselves.
    #[cfg(feature = "inspect")]
    let map = map.unlisted();
    let map = map.settled();
    match keys {
        Some(keys) => Box::pin(Outputs { map: map.keyed(keys), outputs: None, carried: PhantomData }),
        None => Box::pin(Outputs { map, outputs: None, carried: PhantomData }),
    }
}

/// The outputs of a map, one by one.
struct Outputs<S, U: IntoIterator, V> {
    map: S,
    outputs: Option<U::IntoIter>,
    carried: PhantomData<fn() -> V>,
}

impl<S, V, U> Stream for Outputs<S, U, V>
where
    S: Stream<Item = Result<U, ItemError<Never>>> + Unpin,
    U: IntoIterator<Item: Into<Carried<V>>>,
    Self: Unpin,
{
    type Item = Result<Carried<V>, Never>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(output) = self.outputs.as_mut().and_then(Iterator::next) {
                return Poll::Ready(Some(Ok(output.into())));
            }
            match ready!(Pin::new(&mut self.map).poll_next(cx)) {
                None => return Poll::Ready(None),
                Some(Ok(outputs)) => self.outputs = Some(outputs.into_iter()),
                // The panic of a destructor: the token was dropped with the item, and has told it.
                Some(Err(_)) => {}
            }
        }
    }
}

impl<S, U: IntoIterator, V> Unpin for Outputs<S, U, V> {}

/// Items with the hashes of their keys. A key that panics is the failure of its item.
pub(crate) struct Keying<T> {
    pub(crate) items: Items<T>,
    pub(crate) keys: KeyHash<T>,
    pub(crate) settings: Arc<PathSettings>,
}

// Nothing is pinned in it.
impl<T> Unpin for Keying<T> {}

impl<T> Stream for Keying<T> {
    type Item = Result<(u64, Carried<T>), Never>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { items, keys, settings } = &mut *self;
        loop {
            let Some(Ok(mut carried)) = ready!(items.as_mut().poll_next(cx)) else {
                return Poll::Ready(None);
            };
            match Panic::catch(|| keys(&carried.item)) {
                Ok(key) => return Poll::Ready(Some(Ok((key, carried)))),
                Err(panic) => {
                    let retry_after = settings.retry_after(carried.token.attempt());
                    carried.token.fail(format!("its key: {panic}"), retry_after);
                    // The panic of a destructor adds nothing.
                    drop(Panic::catch(|| drop(carried)));
                }
            }
        }
    }
}

/// Splits each item into the parts that `f` returns.
pub(crate) fn split<T, U, P, F, Fut, E>(
    items: Items<T>,
    stage: Arc<Stage>,
    settings: Arc<PathSettings>,
    f: F,
) -> Items<U>
where
    T: Send + 'static,
    U: Send + 'static,
    P: IntoIterator<Item = U> + Send + 'static,
    F: FnOnce(T) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<P, E>> + Send + 'static,
    E: Into<BoxError> + 'static,
{
    let workers = settings.workers;
    map_items(items, workers, None, async move |Carried { mut token, item }| {
        let turn = match stage.try_enter() {
            Some(turn) => turn,
            None => match stage.wait(&mut token).await {
                Some(turn) => turn,
                None => {
                    if token.end() {
                        leave_thread().await;
                    }
                    return Ok(Vec::new());
                }
            },
        };
        // Collected inside, as the iterator is the user's as well.
        let parts = || async move {
            Ok::<_, BoxError>(f(item).await.map_err(Into::into)?.into_iter().collect::<Vec<U>>())
        };
        let result = work(&stage, &mut token, parts).await;
        if turn.is_awaited() {
            token.set_woken();
        }
        let parts = match judge(turn, &stage, result) {
            Ok(parts) => token.split(parts),
            Err(reason) => {
                if let Some(reason) = reason {
                    let retry_after = settings.retry_after(token.attempt());
                    token.fail(reason, retry_after);
                }
                Vec::new()
            }
        };
        if token.end() {
            leave_thread().await;
        }
        Ok(parts)
    })
}

/// Runs `f` over batches of items, whose ends the batch decides; they are done then.
pub(crate) fn batches<T, U, F, Fut>(
    items: Items<T>,
    batch: Batch<T>,
    stage: Arc<Stage>,
    settings: Arc<PathSettings>,
    convert: fn(&Token, T) -> U,
    f: F,
) -> Items<Never>
where
    T: Send + 'static,
    U: Send + 'static,
    F: FnOnce(Vec<U>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), SinkError>> + Send + 'static,
{
    let workers = settings.workers;
    let items = Carriers(items).batch(batch.by(|carried: &Carried<T>| &carried.item));
    #[cfg(feature = "inspect")]
    let items = items.titled(stage.name.to_string(), stage.edges.call.0);
    let batches = Infallibly { items, stage: Arc::clone(&stage) };
    map_items(batches, workers, None, async move |mut carried: Vec<Carried<T>>| {
        let turn = match stage.try_enter() {
            Some(turn) => turn,
            None => match stage.wait(&mut carried).await {
                Some(turn) => turn,
                None => {
                    end_all(carried.into_iter().map(|carried| carried.token)).await;
                    return Ok(None);
                }
            },
        };
        let (mut held, mut lost) = (Vec::with_capacity(carried.len()), Vec::new());
        for mut carried in carried {
            if carried.token.is_lost() {
                lost.push(carried.token);
            } else {
                held.push(carried);
            }
        }
        end_all(lost.into_iter()).await;
        let (mut tokens, items): (Vec<Token>, Vec<U>) = held
            .into_iter()
            .map(|Carried { token, item }| {
                let item = convert(&token, item);
                (token, item)
            })
            .unzip();
        if tokens.is_empty() {
            return Ok(None);
        }
        let (partial, result) = match work(&stage, &mut tokens, || f(items)).await {
            Ok(Ok(())) => (None, Ok(Ok::<_, BoxError>(()))),
            Ok(Err(error)) => {
                let text = error_chain(error.error());
                (Some(error), Ok(Err(text.into())))
            }
            Err(interrupted) => (None, Err(interrupted)),
        };
        if turn.is_awaited() {
            tokens[0].set_woken();
        }
        let judged = judge(turn, &stage, result);
        match &judged {
            Ok(()) => stage.edges.batch_done(),
            // The lease was lost, or the sink has refused some items only.
            Err(None) => {}
            Err(Some(_)) if partial.as_ref().is_some_and(|partial| !partial.is_of_all()) => {
                stage.edges.batch_done();
            }
            Err(Some(reason)) => stage.edges.batch_failed(reason),
        }
        for (index, token) in tokens.iter_mut().enumerate() {
            match &judged {
                Err(Some(reason)) if partial.as_ref().is_none_or(|partial| partial.has_failed(index)) => {
                    token.fail(reason.clone(), settings.retry_after(token.attempt()));
                }
                // The leases of all are lost.
                Err(None) => {}
                _ => token.set_done(),
            }
        }
        end_all(tokens.into_iter()).await;
        Ok(None::<Never>)
    })
}

/// Tells what became of each part, and returns from the poll if that has woken a task.
async fn end_all(tokens: impl Iterator<Item = Token>) {
    let mut has_woken = false;
    for mut token in tokens {
        has_woken |= token.end();
    }
    if has_woken {
        leave_thread().await;
    }
}

/// The items without the error that cannot be.
struct Carriers<T>(Items<T>);

impl<T> Stream for Carriers<T> {
    type Item = Carried<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Carried<T>>> {
        self.0.as_mut().poll_next(cx).map(|item| item.map(|Ok(item)| item))
    }
}

pin_project_lite::pin_project! {
    /// Batches with the error that cannot be. An item whose size panics has failed, as it is in no batch.
    struct Infallibly<S> {
        #[pin]
        items: S,
        stage: Arc<Stage>,
    }
}

impl<S: Stream> Stream for Infallibly<S> {
    type Item = Result<S::Item, Never>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            match Panic::catch(|| this.items.as_mut().poll_next(cx)) {
                Ok(polled) => return polled.map(|items| items.map(Ok)),
                // The functions of a batch are code of others; the batch goes on.
                Err(panic) => drop(this.stage.failed(&panic.to_string())),
            }
        }
    }
}
