//! A merge that takes its sources in turn.

use std::{
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use evenkeel_tck::stream::{Item, Source};
use futures::{Stream, StreamExt as _};

use super::Fault;

pub(super) struct FaultyMerge {
    fault: Fault,
    sources: Vec<Source>,
    /// The next one to be asked.
    turn: usize,
    waker: Option<Waker>,
    added: MergeHandle,
}

/// Adds sources to a merge.
#[derive(Clone, Default)]
pub(super) struct MergeHandle(Arc<Mutex<(Vec<Source>, Option<Waker>)>>);

impl MergeHandle {
    fn state(&self) -> MutexGuard<'_, (Vec<Source>, Option<Waker>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, source: Source) {
        let mut state = self.state();
        state.0.push(source);
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }
}

impl FaultyMerge {
    pub(super) fn new(fault: Fault, mut sources: Vec<Source>) -> Self {
        if fault == Fault::ForgetsASource {
            sources.pop();
        }
        Self { fault, sources, turn: 0, waker: None, added: MergeHandle::default() }
    }

    pub(super) fn handle(&self) -> MergeHandle {
        self.added.clone()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        let mut added = self.added.state();
        self.sources.append(&mut added.0);
        added.1 = Some(cx.waker().clone()).filter(|_| self.fault != Fault::AddsWithoutAWake);
        drop(added);
        let mut silent = 0;
        while silent < self.sources.len() {
            let turn = self.turn % self.sources.len();
            match self.sources[turn].poll_next_unpin(cx) {
                Poll::Ready(Some(item)) => {
                    if self.fault != Fault::PrefersTheFirstSource {
                        self.turn = turn + 1;
                    }
                    return Poll::Ready(Some(item));
                }
                Poll::Ready(None) => {
                    let mut ended = self.sources.remove(turn);
                    if self.fault == Fault::PollsASourceAfterItsEnd {
                        let _ = ended.poll_next_unpin(cx);
                    }
                    self.turn = turn;
                }
                Poll::Pending if self.fault == Fault::WaitsForSourcesInTurn => return Poll::Pending,
                Poll::Pending => {
                    self.turn = turn + 1;
                    silent += 1;
                }
            }
        }
        if self.sources.is_empty() && self.fault != Fault::WaitsWithoutSources {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    }
}

impl Stream for FaultyMerge {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        let known = self.waker.replace(cx.waker().clone());
        let is_another = known.is_some_and(|known| !known.will_wake(cx.waker()));
        if is_another && self.fault == Fault::LosesAnItemToAnotherTask {
            let _ = self.poll(cx);
        }
        self.poll(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.sources.iter().map(Source::size_hint).fold((0, Some(0)), |sum, hint| {
            (sum.0 + hint.0, sum.1.zip(hint.1).and_then(|(sum, upper)| sum.checked_add(upper)))
        })
    }
}

impl Drop for FaultyMerge {
    fn drop(&mut self) {
        if self.fault == Fault::KeepsItsSources {
            mem::forget(mem::take(&mut self.sources));
        }
    }
}
