//! The check of an object before it is used again.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use evenkeel_task::catch_panic;
use tokio::time::timeout;

use crate::seat::Seated;
use crate::shared::{Shared, chain, told};
use crate::{BoxError, GetError, Manager, Panic};

/// A check under way. It owns the object, so it can move from the getter to a task of the pool.
pub(crate) type Check<M> =
    Pin<Box<dyn Future<Output = Result<(Seated<M>, Result<(), BoxError>), Panic>> + Send>>;

/// How far a check has come.
pub(crate) enum Checked<M: Manager> {
    Fit(Seated<M>),
    Unfit,
    Panicked(Panic),
    Unready(Check<M>),
}

/// Begins to check an object in the caller's task.
pub(crate) fn begin<M: Manager>(mut seated: Seated<M>, cx: &mut Context<'_>) -> Checked<M> {
    let mut check: Check<M> = Box::pin(catch_panic(async move {
        let verdict = seated.seat.shared().manager.check(&mut seated.object).await;
        (seated, verdict)
    }));
    match check.as_mut().poll(cx) {
        Poll::Ready(Ok((seated, Ok(())))) => Checked::Fit(seated),
        Poll::Ready(Ok((seated, Err(error)))) => {
            reject(seated, &error);
            Checked::Unfit
        }
        Poll::Ready(Err(panic)) => Checked::Panicked(panic),
        Poll::Pending => Checked::Unready(check),
    }
}

/// Ends a check, as a task of the pool.
pub(crate) async fn end<M: Manager>(shared: Arc<Shared<M>>, check: Check<M>) {
    let limit = shared.limits.check_timeout;
    let work = async {
        match timeout(limit, check).await {
            Ok(Ok((seated, Ok(())))) => seated.offer(),
            Ok(Ok((seated, Err(error)))) => reject(seated, &error),
            Ok(Err(panic)) => shared.fail(GetError::Panic(panic)),
            Err(_) => {
                let failure = told(format!("a check took longer than {limit:?}"));
                shared.update(|state| state.note(failure));
            }
        }
    };
    shared.own(work).await;
}

fn reject<M: Manager>(seated: Seated<M>, error: &BoxError) {
    let failure = told(format!("a check failed: {}", chain(error.as_ref())));
    seated.seat.shared().update(|state| state.note(failure));
}
