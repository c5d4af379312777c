//! Stages that follow each other within one task.
//!
//! # How it works
//!
//! The stages of a segment are one function, composed by types: an item goes from one to the next inside the task of its
//! worker, without a queue, an allocation or a wake. A segment is driven by a parallel map over as many workers as the window
//! has items; each stage has a limit of its own, where items wait first come, first served. Only a batch, a split, and a new
//! order by key end a segment.

use std::{marker::PhantomData, sync::Arc};

use evenkeel_task::BoxError;

use crate::{
    Message,
    segment::{Items, KeyHash, Never, map_items},
    settings::PathSettings,
    stage::Stage,
    token::{Carried, Token},
    work::{Work, judge},
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
        let (chain, settings) = (Arc::new(self), Arc::clone(settings));
        let keys = keys.map(|mut keys| {
            Box::new(move |carried: &Carried<Self::In>| keys(&carried.item)) as KeyHash<Carried<Self::In>>
        });
        map_items(items, settings.limits.window, keys, async move |Carried { mut token, item }| {
            let item = chain.run(&mut token, item, &settings).await?;
            Some(Carried { token, item })
        })
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

/// A chain with one stage more. The function returns `None` for an item that is done.
pub(crate) struct Staged<C, F> {
    pub(crate) before: C,
    pub(crate) stage: Arc<Stage>,
    pub(crate) f: F,
}

impl<C, F, Fut, U, E> Chain for Staged<C, F>
where
    C: Chain,
    F: FnOnce(C::Out) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Option<U>, E>> + Send + 'static,
    U: Send + 'static,
    E: Into<BoxError>,
{
    type In = C::In;
    type Out = U;

    async fn run(&self, token: &mut Token, item: C::In, settings: &PathSettings) -> Option<U> {
        let item = self.before.run(token, item, settings).await?;
        let turn = match self.stage.try_enter() {
            Some(turn) => turn,
            None => self.stage.wait(&mut *token).await?,
        };
        let result = Work::new(&self.stage, &mut *token, (self.f.clone())(item)).await;
        match judge(turn, &self.stage, result) {
            Ok(Some(item)) => Some(item),
            Ok(None) => {
                token.set_done();
                None
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
}
