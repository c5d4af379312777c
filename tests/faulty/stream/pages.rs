//! Pages, and generators.

use std::{
    collections::VecDeque,
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use evenkeel_tck::stream::{FailureKind, Fetch, Item, ReportedFailure, Source};
use futures::{
    Stream, StreamExt as _, TryStreamExt as _,
    stream::{BoxStream, iter, unfold},
};
use tokio::sync::mpsc;

use super::{Fault, map::AbortOnDrop};

type Page = Result<Vec<Item>, ReportedFailure>;

pub(super) fn pages(
    fault: Fault,
    ahead: usize,
    fetch: Fetch,
) -> BoxStream<'static, Result<Item, ReportedFailure>> {
    let pages = fetched(fault, fetch);
    let ahead = match fault {
        Fault::FetchesAheadUnasked => ahead.max(1),
        Fault::FetchesOneMore => ahead + 1,
        _ => ahead,
    };
    let pages = if ahead == 0 { pages } else { prefetched(fault, ahead, pages) };
    pages.map_ok(|items| iter(items.into_iter().map(Ok))).try_flatten().boxed()
}

/// The pages, each fetched when it is asked for.
fn fetched(fault: Fault, fetch: Fetch) -> BoxStream<'static, Page> {
    let state = (fetch, Some(1), Vec::new());
    unfold(state, move |(fetch, mut cursor, mut seen)| async move {
        let now = cursor.take()?;
        if seen.contains(&now) && fault != Fault::FollowsACircle {
            return Some((Err(ReportedFailure::new(FailureKind::Error)), (fetch, None, seen)));
        }
        seen.push(now);
        let page = match fetch.page(now).await {
            Ok((items, next)) => {
                cursor = next.filter(|_| !items.is_empty() || fault != Fault::EndsAtAnEmptyPage);
                Ok(items)
            }
            Err(failure) => {
                cursor = Some(now + 1).filter(|_| fault == Fault::GoesOnAfterAnError);
                Err(failure)
            }
        };
        Some((page, (fetch, cursor, seen)))
    })
    .boxed()
}

/// The pages, as many fetched ahead as this.
fn prefetched(fault: Fault, ahead: usize, mut pages: BoxStream<'static, Page>) -> BoxStream<'static, Page> {
    let (sender, mut receiver) = mpsc::channel(ahead);
    let work = async move {
        while let Ok(permit) = sender.reserve().await {
            let Some(page) = pages.next().await else { return };
            permit.send(page);
        }
    };
    // It begins with the first poll.
    let (mut work, mut task) = (Some(work), None);
    futures::stream::poll_fn(move |cx| {
        if let Some(work) = work.take() {
            let started = tokio::spawn(work);
            task = Some(AbortOnDrop(started)).filter(|_| fault != Fault::LeavesItsFetch);
        }
        let _ = &task;
        receiver.poll_recv(cx)
    })
    .boxed()
}

/// The values of a generator, whose function gives them when it is polled.
pub(super) struct Generated {
    fault: Fault,
    source: Option<Source>,
    emitted: VecDeque<Item>,
    number: usize,
}

impl Generated {
    pub(super) fn new(fault: Fault, source: Source) -> Self {
        Self { fault, source: Some(source), emitted: VecDeque::new(), number: 0 }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        let Some(source) = &mut self.source else { return Poll::Ready(None) };
        let polled = match catch_unwind(AssertUnwindSafe(|| source.poll_next_unpin(cx))) {
            Ok(polled) => polled,
            Err(_) if self.fault == Fault::SwallowsPanicsOfAGenerator => Poll::Ready(None),
            Err(payload) => resume_unwind(payload),
        };
        match &polled {
            Poll::Ready(None) => self.source = None,
            Poll::Ready(Some(_)) => self.number += 1,
            Poll::Pending => {}
        }
        polled
    }
}

impl Stream for Generated {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        while self.fault == Fault::EmitsAhead
            && self.emitted.len() < 4
            && let Poll::Ready(Some(item)) = self.poll(cx)
        {
            self.emitted.push_back(item);
        }
        if let Some(item) = self.emitted.pop_front() {
            return Poll::Ready(Some(item));
        }
        let polled = self.poll(cx);
        if self.number == 3 && self.fault == Fault::LosesAValue && matches!(polled, Poll::Ready(Some(_))) {
            return self.poll(cx);
        }
        polled
    }
}

impl Drop for Generated {
    fn drop(&mut self) {
        if self.fault == Fault::KeepsItsFunction {
            mem::forget(self.source.take());
        }
    }
}
