//! The task that runs a pipeline: it starts the others, waits for the end or the order to drain, and makes the end.
//!
//! # How it works
//!
//! | step | ends with | at the latest |
//! |---|---|---|
//! | work | the end of the source, and of all that was pulled | the deadline of a drain |
//! | dead letters | the last one | the same |
//! | abort | the last future of an item dropped | [`HAND_BACK`] later |
//! | hand back | the answer to all decisions | the same |
//! | stop of the source | its return | the same |
//!
//! Without a drain the hand-back has no deadline: a server that is away is waited for. A failure is a drain without time.

use std::{
    future::{Future, pending, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use evenkeel_base::{far_future, sleep_until};
use evenkeel_task::{Background, BoxError, Panic, background};
use tokio::{sync::watch, time::Instant};

use crate::{
    DrainReport, PipelineError, Source, SourceError,
    deliveries::DeliveriesOf,
    in_hand::InHand,
    leases::extend,
    pull::Puller,
    race::{First, race},
    segment::{Items, Never},
    settle::settle,
    status::{Orders, Status},
};

/// The time behind the deadline of a drain for handing back the rest.
pub(crate) const HAND_BACK: Duration = Duration::from_secs(5);

/// The parts of a pipeline that starts.
pub(crate) struct Run<S: Source> {
    pub(crate) puller: Puller<S>,
    pub(crate) ack: S::Ack,
    pub(crate) items: Items<Never>,
    pub(crate) dead_letters: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    pub(crate) deliveries: Arc<DeliveriesOf<S>>,
    pub(crate) in_hand: Arc<InHand>,
    pub(crate) orders: watch::Sender<Orders>,
    pub(crate) status: Arc<Status>,
}

type Outcome = Result<Result<(), SourceError>, Panic>;

/// Runs a pipeline to its end.
pub(crate) async fn run<S: Source>(run: Run<S>) -> Result<DrainReport, PipelineError> {
    let Run { puller, ack, items, dead_letters, deliveries, in_hand, orders, status } = run;
    let mut settler = background(|_| {
        settle(ack.clone(), Arc::clone(&in_hand), Arc::clone(&deliveries), Arc::clone(&status))
    });
    let mut extender = in_hand.ack_wait.map(|wait| {
        background(|_| extend(ack, wait, Arc::clone(&in_hand), Arc::clone(&deliveries), Arc::clone(&status)))
    });
    let letters = dead_letters.map(|task| background(|_| task));
    let puller = background(|_| puller.run());
    let mut driver = background(|_| drive(items));

    let mut failure = None;
    // The work, and the dead letters of what has failed.
    let work = async {
        let driven = (&mut driver).await;
        if driven.is_ok() {
            in_hand.wait_until_idle().await;
        }
        driven
    };
    let broken = broken(&mut settler, extender.as_mut());
    match race(race(work, deadline(orders.subscribe())), broken).await {
        First::A(First::A(Ok(())) | First::B(_)) => {}
        First::A(First::A(Err(panic))) => failure = Some(panic.into()),
        First::B(error) => failure = Some(error),
    }

    if failure.is_some() {
        // Nothing is pulled any more, and the hand-back has a deadline.
        orders.send_modify(|orders| {
            orders.drain_by.get_or_insert_with(Instant::now);
        });
    }
    let end_orders = orders.subscribe();
    let mut end_time = pin!(async {
        let by = deadline(end_orders).await;
        sleep_until(by.checked_add(HAND_BACK).unwrap_or(by)).await;
    });
    // Each step below is raced with it, also those behind the one that it has ended.
    let mut is_over = false;
    let mut end = poll_fn(move |cx| {
        if !is_over {
            ready!(end_time.as_mut().poll(cx));
            is_over = true;
        }
        Poll::Ready(())
    });
    in_hand.abort();
    // Whatever may still decide about an item ends before the last decision is settled: the pull, the stages, the letters.
    let pulled = race(puller, &mut end).await;
    drop(driver.stop(Duration::ZERO).await);
    race(in_hand.wait_until_aborted(), &mut end).await;
    if let Some(letters) = letters {
        drop(letters.stop(Duration::ZERO).await);
    }
    in_hand.close();
    if !settler.is_finished()
        && let First::A(outcome) = race(&mut settler, &mut end).await
    {
        failure = failure.or(error_of(outcome));
    }
    drop((settler, extender));
    match pulled {
        First::A(Ok((mut source, result))) => {
            failure = failure.or(error_of(Ok(result)));
            race(source.stop(), end).await;
        }
        First::A(Err(panic)) => failure = failure.or(Some(panic.into())),
        First::B(()) => {}
    }
    let report = in_hand.report();
    match failure {
        None => Ok(report),
        Some(error) => Err(PipelineError::new(error, report)),
    }
}

fn error_of(outcome: Outcome) -> Option<BoxError> {
    match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.into()),
        Err(panic) => Some(panic.into()),
    }
}

/// Waits for the deadline of a drain, and returns it.
async fn deadline(mut orders: watch::Receiver<Orders>) -> Instant {
    let drain_by = match orders.wait_for(|orders| orders.drain_by.is_some()).await {
        Ok(orders) => orders.drain_by,
        Err(_) => None,
    };
    // Without a handle this task is dropped as well.
    let by = drain_by.unwrap_or_else(|| far_future(Instant::now()));
    sleep_until(by).await;
    by
}

/// Waits for a failure that ends the work: nothing can be settled or extended any more.
async fn broken(
    settler: &mut Background<Result<(), SourceError>>,
    extender: Option<&mut Background<Result<(), SourceError>>>,
) -> BoxError {
    let extender = async {
        match extender {
            Some(extender) => extender.await,
            None => pending().await,
        }
    };
    let (First::A(outcome) | First::B(outcome)) = race(settler, extender).await;
    error_of(outcome).unwrap_or_else(|| "a task of the pipeline has ended".into())
}

/// Drives the stages until the source has ended and all items have.
async fn drive(mut items: Items<Never>) {
    poll_fn(|cx| {
        while let Poll::Ready(item) = items.as_mut().poll_next(cx) {
            if item.is_none() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    })
    .await;
}
