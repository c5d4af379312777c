//! Batches.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use evenkeel_tck::stream::{Batch, Item, Source};
use futures::{Stream, StreamExt as _};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Fault;

pub(super) struct FaultyBatches {
    fault: Fault,
    batch: Batch,
    source: Option<Source>,
    items: Vec<Item>,
    /// It came too late for the last batch, and begins the next one.
    next: Option<Item>,
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    waker: Option<Waker>,
}

impl FaultyBatches {
    pub(super) fn new(fault: Fault, batch: Batch, source: Source) -> Self {
        let (items, source) = (Vec::new(), Some(source));
        Self { fault, batch, source, items, next: None, deadline: None, timer: None, waker: None }
    }

    pub(super) fn into_rest(self) -> Vec<Item> {
        if self.is(Fault::LosesTheRestOfABatch) { Vec::new() } else { self.items }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn emit(&mut self) -> Poll<Option<Vec<Item>>> {
        if !self.is(Fault::KeepsTheOldTimer) {
            self.deadline = None;
            self.timer = None;
        }
        Poll::Ready(Some(mem::take(&mut self.items)))
    }

    fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    fn start_timer(&mut self) {
        if self.deadline.is_none() {
            self.deadline = self.batch.within.map(|within| Instant::now() + within);
        }
    }

    /// Adds an item; returns whether the batch is full.
    fn add(&mut self, item: Item) -> bool {
        if self.items.is_empty() {
            self.start_timer();
            if self.is(Fault::ReservesTheMaximum) {
                self.items.reserve(self.batch.items);
            }
        }
        let ends = self.batch.until && item.ends_batch();
        let comes_late = match self.batch.weight {
            Some(weight) if !self.items.is_empty() && !self.is(Fault::OverloadsBatches) => {
                self.weight() + item.weight() > weight
            }
            _ => false,
        };
        if comes_late || ends && self.is(Fault::BeginsWithTheItemThatEnds) && !self.items.is_empty() {
            self.next = Some(item);
            return true;
        }
        self.items.push(item);
        let is_heavy = self.batch.weight.is_some_and(|weight| self.weight() >= weight);
        self.items.len() == self.batch.items || is_heavy || ends
    }

    fn weight(&self) -> usize {
        self.items.iter().map(Item::weight).sum()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Vec<Item>>> {
        if self.batch.items == 0 {
            return Poll::Pending;
        }
        if let Some(item) = self.next.take()
            && self.add(item)
        {
            return self.emit();
        }
        if self.is(Fault::EmitsEmptyBatches) {
            self.start_timer();
        }
        loop {
            if self.is_over() && !self.is(Fault::LooksAtTheClockWhenSilent) && !self.is(Fault::HasNoTimer) {
                return self.emit();
            }
            let Some(source) = &mut self.source else { return Poll::Ready(None) };
            match source.poll_next_unpin(cx) {
                Poll::Ready(Some(item)) => {
                    if self.add(item) {
                        return self.emit();
                    }
                }
                Poll::Ready(None) => {
                    self.source = None;
                    if self.items.is_empty() || self.is(Fault::LosesTheRest) {
                        return Poll::Ready(None);
                    }
                    return self.emit();
                }
                Poll::Pending => {
                    let Some(deadline) = self.deadline.filter(|_| !self.is(Fault::HasNoTimer)) else {
                        return Poll::Pending;
                    };
                    let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                    if timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    return self.emit();
                }
            }
        }
    }
}

impl Stream for FaultyBatches {
    type Item = Vec<Item>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Vec<Item>>> {
        let known = self.waker.get_or_insert_with(|| cx.waker().clone());
        if !known.will_wake(cx.waker()) && self.is(Fault::LosesABatchToAnotherTask) {
            self.items.clear();
        }
        self.waker = Some(cx.waker().clone());
        self.poll(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (lower, upper) = self.source.as_ref().map_or((0, Some(0)), Source::size_hint);
        let held = self.items.len() + usize::from(self.next.is_some());
        if self.is(Fault::CountsItemsAsBatches) {
            return (lower + held, upper);
        }
        ((lower + held).div_ceil(self.batch.items.max(1)), upper.and_then(|upper| upper.checked_add(held)))
    }
}
