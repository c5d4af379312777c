//! Taking items from the source, by the consumer or by the worker that waits for it.

use std::task::{Context, Poll};

use evenkeel_task::Panic;
use futures_core::Stream;

use super::{
    shared::Shared,
    source::{Pulled, Source},
    workers::Call,
};

/// The reason why no more items were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    NoRoom,
    Pending,
    /// The source has ended or panicked, or the map has failed or is gone: the source is of no more use.
    Over,
}

/// Takes items from the source as long as there is room for them, and calls workers for them.
pub(super) fn pull<S: Stream, V, T, E>(
    shared: &Shared<S, V, T, E>,
    source: &mut Source<S, V, E>,
    mut perform: impl FnMut(Call),
    cx: &mut Context<'_>,
) -> Stopped {
    loop {
        if shared.has_failed() {
            return Stopped::Over;
        }
        if source.room == 0 {
            return Stopped::NoRoom;
        }
        let Poll::Ready(pulled) = source.poll(cx) else { return Stopped::Pending };
        match pulled {
            Pulled::Item { value, key } => {
                let span = source.span.clone();
                let ((call, refused), idle) = shared.with(|state| {
                    let pushed = state.push(value, key, span);
                    (pushed, key.and_then(|_| state.keys.take_idle()))
                });
                if refused.is_some() {
                    // The map is closed, so another item would be lost as well.
                    drop(Panic::catch(|| drop(refused)));
                    return Stopped::Over;
                }
                perform(call);
                if let Some(idle) = idle
                    && let Err(panic) = source.forget(idle)
                {
                    return over(shared, Some(panic));
                }
            }
            Pulled::Error(error) => {
                let left = shared.with(|state| state.push_error(error));
                if left.is_some() {
                    drop(Panic::catch(|| drop(left)));
                    return Stopped::Over;
                }
            }
            Pulled::End => return over(shared, None),
            Pulled::Panicked(panic) => return over(shared, Some(panic)),
        }
    }
}

fn over<S: Stream, V, T, E>(shared: &Shared<S, V, T, E>, panic: Option<Panic>) -> Stopped {
    drop(shared.with(|state| state.source_over(panic)));
    Stopped::Over
}

/// Drops a source that is of no more use, and notes the panic of its destructor.
pub(super) fn drop_source<S: Stream, V, T, E>(
    shared: &Shared<S, V, T, E>,
    source: Option<Box<Source<S, V, E>>>,
) {
    if let Err(panic) = Panic::catch(|| drop(source)) {
        drop(shared.with(|state| state.source_over(Some(panic))));
    }
}
