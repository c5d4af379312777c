//! The source of a map, as the one that polls it has it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use evenkeel_task::Panic;
use futures_core::Stream;

use super::keys::KeyIndex;
use crate::span::Span;

/// The source, with all that goes with it from the consumer to a worker and back.
pub(super) struct Source<S: Stream, V, E> {
    stream: Pin<Box<S>>,
    split: fn(S::Item) -> Result<V, E>,
    pub(super) keys: Option<Box<dyn KeyIndex<S::Item> + Send>>,
    /// The span of the consumer.
    pub(super) span: Span,
    /// The number of items that may still be taken.
    pub(super) room: usize,
}

/// A step of the source.
pub(super) enum Pulled<V, E> {
    Item {
        value: V,
        key: Option<usize>,
    },
    /// An item that has failed already.
    Error(E),
    End,
    Panicked(Panic),
}

impl<S: Stream, V, E> Source<S, V, E> {
    pub(super) fn new(stream: S, split: fn(S::Item) -> Result<V, E>, room: usize) -> Self {
        Self { stream: Box::pin(stream), split, keys: None, span: Span::current(), room }
    }

    /// Takes the next item, and its room.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Pulled<V, E>> {
        let pulled = Panic::catch(|| {
            self.stream.as_mut().poll_next(cx).map(|item| {
                let Some(item) = item else { return Pulled::End };
                let key = self.keys.as_mut().and_then(|keys| keys.number(&item));
                match (self.split)(item) {
                    Ok(value) => Pulled::Item { value, key },
                    Err(error) => Pulled::Error(error),
                }
            })
        });
        let pulled = match pulled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(pulled)) => pulled,
            Err(panic) => Pulled::Panicked(panic),
        };
        if matches!(pulled, Pulled::Item { .. } | Pulled::Error(_)) {
            self.room -= 1;
        }
        Poll::Ready(pulled)
    }

    /// Forgets keys that have no item; fails if a key's `Drop` panics.
    pub(super) fn forget(&mut self, keys: Vec<usize>) -> Result<(), Panic> {
        let Some(index) = &mut self.keys else { return Ok(()) };
        Panic::catch(|| index.forget(keys))
    }

    /// Returns the bounds of the source, or none if it panics.
    pub(super) fn size_hint(&self) -> (usize, Option<usize>) {
        Panic::catch(|| self.stream.size_hint()).unwrap_or((0, None))
    }
}
