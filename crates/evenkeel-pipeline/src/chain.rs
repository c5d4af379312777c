//! Stages that follow each other within one task.
//!
//! # How it works
//!
//! The stages of a segment are one function, composed by types: an item goes from one to the next inside the task of its
//! worker, without a queue, an allocation or a wake. A segment is driven by a parallel map over as many workers as the window
//! has items; each stage has a limit of its own, where items wait first come, first served. Only a batch, a split, and a new
//! order by key end a segment.

use std::{future::poll_fn, marker::PhantomData, pin::pin, sync::Arc, task::Poll};

use evenkeel_task::BoxError;

use crate::{
    Message,
    segment::{Items, KeyHash, Keying, Never, map_items},
    settings::PathSettings,
    stage::Stage,
    threads::leave_thread,
    token::{Carried, Token},
    work::{Pending, judge, poll_first},
};

/// Stages that follow each other.
///
/// It is public, in a module that is not, so that the bounds of public methods can have it.
pub trait Chain: Sized + Send + Sync + 'static {
    /// The items that enter.
    type In: Send + 'static;
    /// The items that leave.
    type Out: Send + 'static;

    /// Carries an item through; `None` if it has ended: it is done or has failed, and the token knows.
    fn run(
        &self,
        token: &mut Token,
        item: Self::In,
        settings: &PathSettings,
    ) -> impl Future<Output = Option<Self::Out>> + Send;

    /// Makes a segment of the chain.
    fn connect(
        self,
        items: Items<Self::In>,
        keys: Option<KeyHash<Self::In>>,
        settings: &Arc<PathSettings>,
    ) -> Items<Self::Out> {
        let shared = Arc::new((self, Arc::clone(settings)));
        connect(items, keys, settings, async move |Carried { mut token, item }| {
            match shared.0.run(&mut token, item, &shared.1).await {
                Some(item) => {
                    if token.must_leave() {
                        leave_thread().await;
                    }
                    Ok(Some(Carried { token, item }))
                }
                None => {
                    if token.end() {
                        leave_thread().await;
                    }
                    Ok(None)
                }
            }
        })
    }
}

/// Makes a segment of a function.
fn connect<T, V, F, Fut, U>(
    items: Items<T>,
    keys: Option<KeyHash<T>>,
    settings: &Arc<PathSettings>,
    run: F,
) -> Items<V>
where
    T: Send + 'static,
    V: Send + 'static,
    F: FnOnce(Carried<T>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<U, Never>> + Send + 'static,
    U: IntoIterator<Item: Into<Carried<V>>, IntoIter: Send> + Send + 'static,
{
    let workers = settings.workers;
    match keys {
        None => map_items(items, workers, None, run),
        Some(keys) => {
            let items = Keying { items, keys, settings: Arc::clone(settings) };
            map_items(items, workers, Some(Box::new(|(key, _)| *key)), |(_, carried)| run(carried))
        }
    }
}

/// A chain without stages.
#[derive(Debug)]
pub struct Start<T>(PhantomData<fn() -> T>);

impl<T> Start<T> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: Send + 'static> Chain for Start<T> {
    type In = T;
    type Out = T;

    async fn run(&self, _: &mut Token, item: T, _: &PathSettings) -> Option<T> {
        Some(item)
    }

    fn connect(self, items: Items<T>, _: Option<KeyHash<T>>, _: &Arc<PathSettings>) -> Items<T> {
        items
    }
}

/// A chain with one stage more.
pub(crate) struct Staged<C, F, G> {
    pub(crate) before: C,
    pub(crate) stage: Arc<Stage>,
    pub(crate) f: F,
    /// Returns `None` for an item that is done.
    pub(crate) goes_on: G,
}

impl<C, F, Fut, V, G, U, E> Chain for Staged<C, F, G>
where
    C: Chain,
    F: FnOnce(C::Out) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<V, E>> + Send + 'static,
    G: Fn(V) -> Option<U> + Send + Sync + 'static,
    U: Send + 'static,
    E: Into<BoxError>,
{
    type In = C::In;
    type Out = U;

    async fn run(&self, token: &mut Token, item: C::In, settings: &PathSettings) -> Option<U> {
        let item = self.before.run(token, item, settings).await?;
        if token.must_leave() {
            leave_thread().await;
        }
        let stage = &*self.stage;
        let turn = match stage.try_enter() {
            Some(turn) => turn,
            None => stage.wait(&mut *token).await?,
        };
        // As `work` does it, which would be a future more for each item to move about.
        let mut future = pin!(None);
        let mut call = Some(|| (self.f.clone())(item));
        let result = 'work: {
            let first = poll_fn(|cx| {
                Poll::Ready(poll_first(stage, &mut &mut *token, future.as_mut(), &mut call, cx))
            });
            match first.await {
                Poll::Ready(result) => break 'work result,
                Poll::Pending => {}
            }
            Pending::new(future, stage, &mut *token).await
        };
        if turn.is_awaited() {
            token.set_woken();
        }
        match judge(turn, stage, result) {
            Ok(output) => {
                let item = (self.goes_on)(output);
                if item.is_none() {
                    token.set_done();
                }
                item
            }
            Err(None) => None,
            Err(Some(reason)) => {
                token.fail(reason, settings.retry_after(token.attempt()));
                None
            }
        }
    }
}

/// A chain whose items leave it with their identity.
pub(crate) struct Identified<C>(pub(crate) C);

impl<C: Chain> Chain for Identified<C> {
    type In = C::In;
    type Out = Message<C::Out>;

    async fn run(&self, token: &mut Token, item: C::In, settings: &PathSettings) -> Option<Message<C::Out>> {
        let item = self.0.run(token, item, settings).await?;
        Some(Message { id: token.id(), attempt: token.attempt(), item })
    }
}

/// A chain whose items are done at its end. None leaves it, so that the results of its map have no size.
pub(crate) struct Finished<C>(pub(crate) C);

impl<C: Chain> Chain for Finished<C> {
    type In = C::In;
    type Out = Never;

    async fn run(&self, token: &mut Token, item: C::In, settings: &PathSettings) -> Option<Never> {
        if self.0.run(token, item, settings).await.is_some() {
            token.set_done();
        }
        None
    }

    /// Without a [`Carried`], which has a size even if it cannot be.
    fn connect(
        self,
        items: Items<C::In>,
        keys: Option<KeyHash<C::In>>,
        settings: &Arc<PathSettings>,
    ) -> Items<Never> {
        let shared = Arc::new((self, Arc::clone(settings)));
        connect(items, keys, settings, async move |Carried { mut token, item }| {
            let ended = shared.0.run(&mut token, item, &shared.1).await;
            if token.end() {
                leave_thread().await;
            }
            Ok(ended)
        })
    }
}
