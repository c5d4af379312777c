//! The check of an object before it is lent again, and its reset when it is returned.
//!
//! # How it works
//!
//! A check begins in the task of the caller that takes the object, as most checks are ready at once. If it is pending it
//! moves to a task of the pool, together with its object, so that the caller can give up or take another one. So the
//! future of a check owns its object, and stands in a box; each object keeps its box for its next check, and a checkout
//! allocates nothing.
//!
//! A reset works in the same way, in the task that returns the object.
//!
//! A manager without a check or a reset has a future that is never pending. It is recognized by the name of its type, and needs no
//! box; a name that is not recognized costs time, and no promise.

use std::{
    any::type_name,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use evenkeel_task::{CatchPanic, catch_panic};
use pin_project_lite::pin_project;
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

use super::{Failure, shared::Shared, slot::SlottedObject, text_of};
use crate::{BoxError, DiscardReason, GetError, Manager, Panic, PoolEvent};

/// A check under way. It owns its object, so that it can move from the caller to a task of the pool.
pub(crate) type Check<M> = Pin<Box<dyn CheckBox<M>>>;

/// The box of the last check of an object, for the next one.
pub(crate) struct SavedCheck<M: Manager>(
    // The lock makes it `Sync`; it is never held.
    Mutex<Option<Check<M>>>,
);

impl<M: Manager> Default for SavedCheck<M> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<M: Manager> SavedCheck<M> {
    fn slot(&mut self) -> &mut Option<Check<M>> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

type Checked<M> = Result<(SlottedObject<M>, Result<(), BoxError>), Panic>;

/// A box in which the checks of an object run, one after the other.
pub(crate) trait CheckBox<M: Manager>: Send {
    fn begin(self: Pin<&mut Self>, object: SlottedObject<M>);

    /// Polls the check that has begun.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Checked<M>>;

    /// Drops the check, and its object.
    fn cancel(self: Pin<&mut Self>);
}

pin_project! {
    struct CheckRun<F, C> {
        check: F,
        #[pin]
        running: Option<CatchPanic<C>>,
    }
}

impl<M, F, C> CheckBox<M> for CheckRun<F, C>
where
    M: Manager,
    F: Fn(SlottedObject<M>) -> C + Send,
    C: Future<Output = (SlottedObject<M>, Result<(), BoxError>)> + Send,
{
    fn begin(self: Pin<&mut Self>, object: SlottedObject<M>) {
        let mut this = self.project();
        let check = (this.check)(object);
        this.running.set(Some(catch_panic(check)));
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Checked<M>> {
        self.project().running.as_pin_mut().expect("a check has begun").poll(cx)
    }

    fn cancel(self: Pin<&mut Self>) {
        self.project().running.set(None);
    }
}

fn new_check<M: Manager>() -> Check<M> {
    let check = |mut object: SlottedObject<M>| async move {
        let SlottedObject { pooled, slot } = &mut object;
        let verdict = slot.shared().manager.check(&mut pooled.object).await;
        (object, verdict)
    };
    Box::pin(CheckRun { check, running: None })
}

fn new_reset<M: Manager>() -> Check<M> {
    let check = |mut object: SlottedObject<M>| async move {
        let SlottedObject { pooled, slot } = &mut object;
        let verdict = slot.shared().manager.reset(&mut pooled.object).await;
        (object, verdict)
    };
    Box::pin(CheckRun { check, running: None })
}

/// The result of the first poll of a check.
pub(crate) enum CheckStart<M: Manager> {
    Passed(SlottedObject<M>),
    Failed,
    Panicked(Panic),
    /// With the slot of its object.
    Pending(Check<M>, usize),
}

/// Begins to check an object, in the task of the caller.
#[inline(always)]
pub(crate) fn begin_check<M: Manager>(mut object: SlottedObject<M>, cx: &mut Context<'_>) -> CheckStart<M> {
    if !object.slot.shared().is_plain {
        object = match judge(object) {
            Ok(object) => object,
            Err(start) => return start,
        };
    }
    let SlottedObject { pooled, slot } = &mut object;
    let (manager, value) = (&slot.shared().manager, &mut pooled.object);
    let check = move || {
        // Moved, so that the future may keep it.
        let value = value;
        manager.check(value)
    };
    if !is_ready(&check) {
        return begin_boxed(object, cx);
    }
    match Panic::catch(|| pin!(check()).poll(cx)) {
        Ok(Poll::Ready(Ok(()))) => CheckStart::Passed(object),
        Ok(Poll::Ready(Err(error))) => failed(object, &error),
        Ok(Poll::Pending) => begin_boxed(object, cx),
        Err(panic) => panicked(object, panic),
    }
}

/// Returns an object that has to be checked.
#[inline(never)]
fn judge<M: Manager>(object: SlottedObject<M>) -> Result<SlottedObject<M>, CheckStart<M>> {
    let limits = &object.slot.shared().limits;
    if !limits.times_returns() {
        return Ok(object);
    }
    let now = Instant::now();
    if object.pooled.has_expired(now) {
        object.discard(DiscardReason::Expired);
        return Err(CheckStart::Failed);
    }
    let idle = object.pooled.idle_since.map(|since| now.saturating_duration_since(since));
    match idle {
        Some(idle) if idle < limits.validate_after => Err(CheckStart::Passed(object)),
        _ => Ok(object),
    }
}

/// Returns whether a call returns a future that is always ready. The compiler works it out.
#[inline]
fn is_ready<T>(_: &impl FnOnce() -> T) -> bool {
    const READY: &[u8] = b"core::future::ready::Ready<";
    type_name::<T>().as_bytes().starts_with(READY)
}

#[cold]
fn failed<M: Manager>(object: SlottedObject<M>, error: &BoxError) -> CheckStart<M> {
    reject(object, "a check", error);
    CheckStart::Failed
}

#[cold]
fn panicked<M: Manager>(object: SlottedObject<M>, panic: Panic) -> CheckStart<M> {
    // Its destructor may panic as well; of several panics the first one says most.
    drop(Panic::catch(|| drop(object)));
    CheckStart::Panicked(panic)
}

#[inline(never)]
fn begin_boxed<M: Manager>(mut object: SlottedObject<M>, cx: &mut Context<'_>) -> CheckStart<M> {
    let slot = object.slot.key();
    let mut check = object.pooled.check.slot().take().unwrap_or_else(new_check);
    check.as_mut().begin(object);
    match check.as_mut().poll(cx) {
        Poll::Ready(Ok((mut object, Ok(())))) => {
            *object.pooled.check.slot() = Some(check);
            CheckStart::Passed(object)
        }
        Poll::Ready(Ok((object, Err(error)))) => failed(object, &error),
        Poll::Ready(Err(panic)) => CheckStart::Panicked(panic),
        Poll::Pending => CheckStart::Pending(check, slot),
    }
}

/// Goes on with a check, as a task of the pool.
pub(crate) async fn finish_check<M: Manager>(shared: Arc<Shared<M>>, mut check: Check<M>) {
    if let Some(mut object) = finish(&shared, "a check", &mut check).await {
        *object.pooled.check.slot() = Some(check);
        object.offer();
    }
}

/// Goes on with a reset, as a task of the pool.
async fn finish_reset<M: Manager>(shared: Arc<Shared<M>>, mut reset: Check<M>) {
    if let Some(mut object) = finish(&shared, "a reset", &mut reset).await {
        *object.pooled.reset.slot() = Some(reset);
        object.put_back();
    }
}

/// Ends a check or a reset, and returns its object if that has passed; it is dropped if not.
async fn finish<M: Manager>(
    shared: &Arc<Shared<M>>,
    name: &str,
    check: &mut Check<M>,
) -> Option<SlottedObject<M>> {
    let limit = shared.limits.check_timeout;
    match timeout(limit, poll_fn(|cx| check.as_mut().poll(cx))).await {
        Ok(Ok((object, Ok(())))) => return Some(object),
        Ok(Ok((object, Err(error)))) => reject(object, name, &error),
        Ok(Err(panic)) => shared.fail(GetError::Panic(panic)),
        Err(_) => {
            shared.tell(&PoolEvent::Discarded { reason: DiscardReason::Unfit });
            check.as_mut().cancel();
            let failure = Failure::text(format!("{name} took longer than {limit:?}"));
            shared.update(|state| state.record_failure(failure));
        }
    }
    None
}

/// Drops an object that failed its check or its reset.
fn reject<M: Manager>(object: SlottedObject<M>, name: &str, error: &BoxError) {
    let failure = Failure::text(format!("{name} failed: {}", text_of(error.as_ref())));
    object.slot.shared().tell(&PoolEvent::Discarded { reason: DiscardReason::Unfit });
    object.slot.shared().update(|state| state.record_failure(failure));
}

/// Ends a lease: puts the object back, unless it is broken or cannot be reset.
#[inline]
pub(crate) fn end_lease<M: Manager>(mut object: SlottedObject<M>) {
    let SlottedObject { pooled, slot } = &mut object;
    let (manager, value) = (&slot.shared().manager, &mut pooled.object);
    match Panic::catch(move || judge_returned(manager, value)) {
        Ok(Returned::Clean) => object.put_back(),
        Ok(Returned::Unclean) => begin_reset(object),
        Ok(Returned::Broken) => object.discard(DiscardReason::Broken),
        Ok(Returned::Unfit(error)) => reject(object, "a reset", &error),
        Err(panic) => object.fail(panic),
    }
}

enum Returned {
    Clean,
    /// Its reset is not ready at once.
    Unclean,
    Broken,
    Unfit(BoxError),
}

#[inline]
fn judge_returned<M: Manager>(manager: &M, value: &mut M::Object) -> Returned {
    if manager.is_broken(value) {
        return Returned::Broken;
    }
    let reset = move || {
        // Moved, so that the future may keep it.
        let value = value;
        manager.reset(value)
    };
    if !is_ready(&reset) {
        return Returned::Unclean;
    }
    match pin!(reset()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Err(error)) => Returned::Unfit(error),
        Poll::Ready(Ok(())) | Poll::Pending => Returned::Clean,
    }
}

/// Begins a reset in the task that returns the object; its first poll needs no waker, as a task polls it again.
#[inline(never)]
fn begin_reset<M: Manager>(mut object: SlottedObject<M>) {
    let (shared, slot) = (Arc::clone(object.slot.shared()), object.slot.key());
    if shared.closing.is_draining() {
        return object.put_back();
    }
    let mut reset = object.pooled.reset.slot().take().unwrap_or_else(new_reset);
    reset.as_mut().begin(object);
    match reset.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok((mut object, Ok(())))) => {
            *object.pooled.reset.slot() = Some(reset);
            object.put_back();
        }
        Poll::Ready(Ok((object, Err(error)))) => reject(object, "a reset", &error),
        Poll::Ready(Err(panic)) => shared.fail(GetError::Panic(panic)),
        Poll::Pending if Handle::try_current().is_ok() => {
            shared.update(|state| state.move_check_to_task(slot, None));
            shared.spawn("a reset", finish_reset(Arc::clone(&shared), reset));
        }
        Poll::Pending => {
            shared.tell(&PoolEvent::Discarded { reason: DiscardReason::Unfit });
            drop(reset);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::is_ready;

    #[test]
    fn a_future_that_is_always_ready_is_recognized() {
        assert!(is_ready(&|| ready(7)));
        assert!(!is_ready(&|| async { 7 }));
        assert!(!is_ready(&|| 7));
    }
}
