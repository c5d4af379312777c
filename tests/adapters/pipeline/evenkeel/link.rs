//! The link from a worker to its server in memory, which a rule can cut.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use evenkeel::pipeline::{Ack, Delivery, Demand, Settle, SettleOutcome, Source, SourceError};
use evenkeel_tck::BoxFuture;
use tokio::{sync::Notify, time::Instant};

use super::Line;

/// The state of a link.
#[derive(Debug, Default)]
pub(super) struct Link {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    cut_until: Option<Instant>,
    lost_until: Option<Instant>,
    is_deleted: bool,
}

impl Link {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to a call that the server has carried out, unless it is lost.
    fn answer<T>(&self, answer: Result<T, SourceError>) -> Result<T, SourceError> {
        if self.state().lost_until.is_some_and(|until| Instant::now() < until) {
            return Err(SourceError::transient("the answer is lost"));
        }
        answer
    }

    fn check(&self) -> Result<(), SourceError> {
        let state = self.state();
        if state.cut_until.is_some_and(|until| Instant::now() < until) {
            return Err(SourceError::transient("the link is cut"));
        }
        Ok(())
    }

    fn check_pull(&self) -> Result<(), SourceError> {
        let state = self.state();
        if state.is_deleted {
            return Err(SourceError::permanent("the queue is deleted"));
        }
        self.check()
    }
}

impl Line for Arc<Link> {
    fn cut(&self, time: Duration) {
        self.change(|state| state.cut_until = Some(Instant::now() + time));
    }

    fn lose_answers(&self, time: Duration) {
        self.change(|state| state.lost_until = Some(Instant::now() + time));
    }

    fn delete(&self) -> BoxFuture<'_, ()> {
        self.change(|state| state.is_deleted = true);
        Box::pin(async {})
    }
}

/// A source, or its ack, behind a link.
#[derive(Clone, Debug)]
pub(super) struct Linked<S> {
    inner: S,
    link: Arc<Link>,
}

impl<S> Linked<S> {
    pub(super) const fn new(inner: S, link: Arc<Link>) -> Self {
        Self { inner, link }
    }
}

impl<S: Source> Source for Linked<S> {
    type Item = S::Item;
    type Ack = Linked<S::Ack>;

    async fn pull(
        &mut self,
        demand: Demand,
    ) -> Result<Vec<Delivery<S::Item, <S::Ack as Ack>::Receipt>>, SourceError> {
        self.link.check_pull()?;
        loop {
            tokio::select! {
                biased;
                () = self.link.changed.notified() => self.link.check_pull()?,
                pulled = self.inner.pull(demand) => return self.link.answer(pulled),
            }
        }
    }

    fn ack(&self) -> Self::Ack {
        Linked::new(self.inner.ack(), Arc::clone(&self.link))
    }
}

impl<A: Ack> Ack for Linked<A> {
    type Receipt = A::Receipt;

    fn ack_wait(&self) -> Option<Duration> {
        self.inner.ack_wait()
    }

    fn linger(&self) -> Duration {
        self.inner.linger()
    }

    async fn settle(&self, batch: &[(A::Receipt, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        self.link.check()?;
        self.link.answer(self.inner.settle(batch).await)
    }

    async fn extend(&self, receipts: &[A::Receipt]) -> Result<Vec<usize>, SourceError> {
        self.link.check()?;
        self.link.answer(self.inner.extend(receipts).await)
    }
}
