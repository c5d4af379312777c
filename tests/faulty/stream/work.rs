//! The work of one item, whose panic is a value.

use std::{
    any::Any,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::Poll,
};

use evenkeel_tck::stream::{Item, ReportedFailure};

/// How the work of an item ended.
pub(super) enum Ended {
    Ok(u32),
    Error(ReportedFailure),
    /// The flag: the call that made the work panicked.
    Panic(Box<dyn Any + Send>, bool),
}

impl Ended {
    /// The result, in which a panic is a failure like another one.
    pub(super) fn result(self) -> Result<u32, ReportedFailure> {
        match self {
            Self::Ok(number) => Ok(number),
            Self::Error(failure) => Err(failure),
            Self::Panic(payload, _) => Err(ReportedFailure::panic(&message(&*payload))),
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    payload.downcast_ref::<String>().cloned().unwrap_or_default()
}

/// Runs the work of an item; the call that makes it is a part of it. The item is dropped before this returns.
pub(super) async fn work(item: Item) -> Ended {
    let (mut item, mut running): (_, Option<Pin<Box<dyn Future<Output = _> + Send>>>) = (Some(item), None);
    poll_fn(move |cx| {
        let made = catch_unwind(AssertUnwindSafe(|| {
            if let Some(item) = item.take() {
                running = Some(Box::pin(item.run()));
            }
        }));
        if let Err(payload) = made {
            return Poll::Ready(Ended::Panic(payload, true));
        }
        let polled = catch_unwind(AssertUnwindSafe(|| match &mut running {
            Some(running) => running.as_mut().poll(cx),
            None => Poll::Pending,
        }));
        let ended = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(number))) => Ended::Ok(number),
            Ok(Poll::Ready(Err(failure))) => Ended::Error(failure),
            Err(payload) => Ended::Panic(payload, false),
        };
        running = None;
        Poll::Ready(ended)
    })
    .await
}
