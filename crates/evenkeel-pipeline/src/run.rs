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
    error::Error,
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use evenkeel_base::{far_future, sleep_until};
use evenkeel_task::{Background, BoxError, Panic, background_named};
use tokio::{sync::watch, time::Instant};

#[cfg(feature = "inspect")]
use crate::inspect::Objects;
use crate::{
    DrainReport, PipelineError, SourceError,
    in_hand::InHand,
    intake::{Intake, PullsEnded},
    orders::{OrderSender, Orders},
    race::{First, race},
    segment::{Items, Never},
};

/// The time behind the deadline of a drain for handing back the rest.
pub(crate) const HAND_BACK: Duration = Duration::from_secs(5);

/// The parts of a pipeline that starts.
pub(crate) struct Run {
    pub(crate) intakes: Vec<Intake>,
    pub(crate) items: Items<Never>,
    pub(crate) orders: OrderSender,
    /// In the registry as long as it runs.
    #[cfg(feature = "inspect")]
    pub(crate) _objects: Objects,
}

type Outcome = Result<Result<(), SourceError>, Panic>;

/// The tasks of one source.
struct Tasks {
    number: Option<usize>,
    in_hand: Arc<InHand>,
    settler: Background<Result<(), SourceError>>,
    extender: Option<Background<Result<(), SourceError>>>,
    letters: Option<Background<()>>,
    puller: Option<Background<PullsEnded>>,
}

impl Tasks {
    fn start(intake: Intake) -> Self {
        let Intake { number, in_hand, settle, extend, dead_letters, pull, .. } = intake;
        let settler = background_named(Some("decisions"), |_| settle);
        let extender = extend.map(|task| background_named(Some("leases"), |_| task));
        let letters = dead_letters.map(|task| background_named(Some("dead letters"), |_| task));
        Self {
            number,
            in_hand,
            settler,
            extender,
            letters,
            puller: Some(background_named(Some("pulls"), |_| pull)),
        }
    }
}

/// Runs a pipeline to its end.
pub(crate) async fn run(run: Run) -> Result<DrainReport, PipelineError> {
    let Run { intakes, items, orders, .. } = run;
    let mut sources: Vec<Tasks> = intakes.into_iter().map(Tasks::start).collect();
    let in_hand: Vec<_> = sources.iter().map(|source| Arc::clone(&source.in_hand)).collect();
    let mut driver = background_named(Some("items"), |_| drive(items));

    let mut failure = None;
    // The work, and the dead letters of what has failed.
    let work = async {
        let driven = (&mut driver).await;
        if driven.is_ok() {
            wait_until_idle(&in_hand).await;
        }
        driven
    };
    match race(race(work, deadline(orders.subscribe())), broken(&mut sources)).await {
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
    in_hand.iter().for_each(|in_hand| in_hand.abort());
    // Whatever may still decide about an item ends before the last decision is settled: the pulls, the stages, the letters.
    let mut stops = Vec::new();
    for source in &mut sources {
        let Some(puller) = source.puller.take() else { continue };
        match race(puller, &mut end).await {
            First::A(Ok(PullsEnded { stop, result })) => {
                stops.push((source.number, stop));
                failure = failure.or(error_of(Ok(result), source.number));
            }
            First::A(Err(panic)) => failure = failure.or(error_of(Err(panic), source.number)),
            First::B(()) => {}
        }
    }
    drop(race(driver.stop(Duration::ZERO), &mut end).await);
    for source in &mut sources {
        race(source.in_hand.wait_until_aborted(), &mut end).await;
        if let Some(letters) = source.letters.take() {
            drop(race(letters.stop(Duration::ZERO), &mut end).await);
        }
        source.in_hand.close();
    }
    for mut source in sources {
        if !source.settler.is_finished()
            && let First::A(outcome) = race(&mut source.settler, &mut end).await
        {
            failure = failure.or(error_of(outcome, source.number));
        }
    }
    // A task for each: one that blocks its thread keeps neither the others nor the end.
    let stops: Vec<_> = stops
        .into_iter()
        .map(|(number, stop)| (number, background_named(Some("decisions that are left"), |_| stop)))
        .collect();
    for (number, stop) in stops {
        if let First::A(outcome) = race(stop, &mut end).await {
            failure = failure.or(error_of(outcome.map(Ok), number));
        }
    }
    let report = in_hand.iter().map(|in_hand| in_hand.report()).sum();
    match failure {
        None => Ok(report),
        Some(error) => Err(PipelineError::new(error, report)),
    }
}

/// The failure of one of several sources.
#[derive(Debug)]
struct OneFailed {
    number: usize,
    error: BoxError,
}

impl fmt::Display for OneFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "source {}: {}", self.number, self.error)
    }
}

impl Error for OneFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

fn error_of(outcome: Outcome, number: Option<usize>) -> Option<BoxError> {
    let error: BoxError = match outcome {
        Ok(Ok(())) => return None,
        Ok(Err(error)) => error.into(),
        Err(panic) => panic.into(),
    };
    Some(match number {
        Some(number) => OneFailed { number, error }.into(),
        None => error,
    })
}

async fn wait_until_idle(in_hand: &[Arc<InHand>]) {
    for in_hand in in_hand {
        in_hand.wait_until_idle().await;
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

/// Waits for a failure that ends the work: nothing of a source can be settled or extended any more.
async fn broken(sources: &mut [Tasks]) -> BoxError {
    poll_fn(|cx| {
        for source in &mut *sources {
            for task in [&mut source.settler].into_iter().chain(&mut source.extender) {
                if let Poll::Ready(outcome) = Pin::new(task).poll(cx) {
                    let error = error_of(outcome, source.number);
                    return Poll::Ready(error.unwrap_or_else(|| "a task of the pipeline has ended".into()));
                }
            }
        }
        Poll::Pending
    })
    .await
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
