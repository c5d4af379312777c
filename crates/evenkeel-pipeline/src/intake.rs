//! One source of a pipeline: its account, and the tasks around it before they start.
//!
//! A pipeline has one intake for each source. All that is theirs alone is in it, so that leases, settlements and marks of
//! one source have nothing to do with those of another; they share the stages and the orders.

use std::{pin::Pin, sync::Arc, time::Duration};

use tokio::sync::mpsc;

#[cfg(feature = "inspect")]
use crate::AtServer;
use crate::{
    Ack as _, InvalidPipeline, Source, SourceError, Workload,
    dead_letters::DeadLetterTask,
    deliveries::{Deliveries, DeliveriesOf},
    edges::{CallPlace, Caller, SourceEdges},
    in_hand::{InHand, Limits},
    leases::extend,
    orders::OrderSender,
    pull::Puller,
    race::patiently,
    random::Random,
    settings::{Copying, PathSettings},
    settle::settle,
    status::Status,
    token::Carried,
};

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The tasks of one source, which do not run yet.
pub(crate) struct Intake {
    pub(crate) number: Option<usize>,
    pub(crate) in_hand: Arc<InHand>,
    #[cfg_attr(not(feature = "inspect"), expect(dead_code, reason = "it is for dumps"))]
    pub(crate) edges: SourceEdges,
    #[cfg(feature = "inspect")]
    pub(crate) at_server: Option<AtServer>,
    pub(crate) settle: BoxFuture<Result<(), SourceError>>,
    pub(crate) extend: Option<BoxFuture<Result<(), SourceError>>>,
    pub(crate) dead_letters: Option<BoxFuture<()>>,
    pub(crate) pull: BoxFuture<PullsEnded>,
}

/// The end of the pulls of a source. The types of tasks must not name boxed futures, whose lifetime the compiler forgets.
pub(crate) struct PullsEnded {
    pub(crate) stop: BoxFuture<()>,
    pub(crate) result: Result<(), SourceError>,
}

/// All that a source gets from its pipeline.
pub(crate) struct Opening<'a, T> {
    /// Its number from 1 on, if there are several.
    pub(crate) number: Option<usize>,
    /// The place at which it was given to the builder.
    pub(crate) call: CallPlace,
    /// The bounds of its share of the window and of the budget.
    pub(crate) limits: Limits,
    /// The sum of the timeouts of all stages.
    pub(crate) timeout: Option<Duration>,
    pub(crate) items: mpsc::UnboundedSender<Vec<Carried<T>>>,
    pub(crate) orders: OrderSender,
    pub(crate) status: Status,
    pub(crate) settings: Arc<PathSettings>,
    pub(crate) random: Random,
    pub(crate) copy: Option<Copying<T>>,
    pub(crate) dead_letters: Option<&'a DeadLetterTask<T>>,
}

/// A source whose type is forgotten.
pub(crate) trait AnySource<T>: Send {
    fn open(self: Box<Self>, opening: Opening<'_, T>) -> Result<Intake, InvalidPipeline>;
}

impl<S: Source> AnySource<S::Item> for S {
    fn open(self: Box<Self>, opening: Opening<'_, S::Item>) -> Result<Intake, InvalidPipeline> {
        let Opening {
            number,
            call,
            limits,
            timeout,
            items,
            orders,
            status,
            settings,
            random,
            copy,
            dead_letters,
        } = opening;
        let ack = self.ack();
        #[cfg(feature = "inspect")]
        let at_server = self.at_server();
        let ack_wait = ack.ack_wait();
        if ack_wait == Some(Duration::ZERO) {
            return Err(InvalidPipeline(
                "the ack wait of the source is zero: every lease would be lost at once".into(),
            ));
        }
        let deliveries: Arc<DeliveriesOf<S>> = Arc::new(Deliveries::new());
        let in_hand = Arc::new(InHand::new(
            limits,
            ack_wait,
            ack.is_fenced(),
            Arc::clone(&deliveries) as _,
            copy.is_some(),
        ));
        let status = Arc::new(status.of_source(number, call));
        let edges = status.edges.clone();
        let dead_letters = dead_letters
            .map(|task| task(Arc::clone(&in_hand), Arc::clone(&deliveries) as _, Arc::clone(&status)));
        let extend = ack_wait.map(|wait| {
            let extend =
                extend(ack.clone(), wait, Arc::clone(&in_hand), Arc::clone(&deliveries), Arc::clone(&status));
            Box::pin(extend) as BoxFuture<_>
        });
        let puller = Puller {
            source: *self,
            in_hand: Arc::clone(&in_hand),
            deliveries: Arc::clone(&deliveries),
            items,
            orders: orders.subscribe(),
            status: Arc::clone(&status),
            workload: Workload { timeout, ..Workload::new(limits.window) },
            settings,
            copy,
            random: random.part(0),
        };
        let told = Arc::clone(&status);
        let pull = async move {
            let mut end_of_pulls = EndOfPulls { orders, has_ended_well: false };
            let (mut source, result) = puller.run().await;
            end_of_pulls.has_ended_well = result.is_ok();
            let stop = async move {
                let tell = |waited| {
                    let text = format!("the source has not stopped for {waited:?}, and is waited for");
                    told.note(&SourceError::transient(text));
                };
                let _calling = told.edges.call(Caller::Pull, "the stop of the source", 1);
                patiently(source.stop(), tell).await;
            };
            PullsEnded { stop: Box::pin(stop), result }
        };
        let settle = settle(ack, Arc::clone(&in_hand), deliveries, status, random.part(1));
        let (settle, pull) = (Box::pin(settle), Box::pin(pull));
        Ok(Intake {
            number,
            in_hand,
            edges,
            #[cfg(feature = "inspect")]
            at_server,
            settle,
            extend,
            dead_letters,
            pull,
        })
    }
}

/// Ends the pulls of all sources, unless this one has ended well: it may have panicked.
struct EndOfPulls {
    orders: OrderSender,
    has_ended_well: bool,
}

impl Drop for EndOfPulls {
    fn drop(&mut self) {
        if !self.has_ended_well {
            self.orders.send_modify(|orders| orders.has_failed = true);
        }
    }
}
