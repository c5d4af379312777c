//! The two ends of a queue behind its adapter.

use std::{fmt, time::Duration};

use super::Item;
use crate::{BoxFuture, probe_task::ReportedFailure};

/// The two ends of a queue.
///
/// # Examples
/// tokio's `mpsc`, which has one consumer:
/// ```
/// use evenkeel_tck::{BoxFuture, stream::{Channel, Item, Job, Operator, QueueConsumer, QueueProducer}};
/// use tokio::sync::mpsc;
///
/// struct Sender(mpsc::Sender<Item>);
///
/// impl QueueProducer for Sender {
///     fn push(&self, item: Item) -> BoxFuture<'_, Result<(), Option<Item>>> {
///         Box::pin(async move { self.0.send(item).await.map_err(|error| Some(error.0)) })
///     }
/// }
///
/// struct Receiver(mpsc::Receiver<Item>);
///
/// impl QueueConsumer for Receiver {
///     fn pop(&mut self) -> BoxFuture<'_, Option<Box<dyn Job>>> {
///         Box::pin(async { Some(Box::new(self.0.recv().await?) as Box<dyn Job>) })
///     }
/// }
///
/// let queue = Operator::queue(|| {
///     let (sender, receiver) = mpsc::channel(10);
///     Channel::new(Sender(sender), Receiver(receiver))
/// });
/// # drop(queue);
/// ```
pub struct Channel {
    pub(crate) producer: Box<dyn QueueProducer>,
    pub(crate) consumer: Box<dyn QueueConsumer>,
}

impl Channel {
    /// The ends of one queue.
    pub fn new(producer: impl QueueProducer + 'static, consumer: impl QueueConsumer + 'static) -> Self {
        Self { producer: Box::new(producer), consumer: Box::new(consumer) }
    }
}

/// The end of a queue into which items are pushed, shared by all producers. Dropping it drops the last producer.
///
/// It has only to have what the adapter [supports](crate::Adapter::supports): the rules never call the rest.
///
/// # Examples
/// As in [`Channel`].
pub trait QueueProducer: Send + Sync {
    /// Pushes an item as soon as there is room: the implementation's own future, not yet polled.
    ///
    /// # Errors
    /// With the item, if the queue takes no more and the implementation gives it back.
    fn push(&self, item: Item) -> BoxFuture<'_, Result<(), Option<Item>>>;

    /// Waits until all accepted items are finished: the implementation's own future, not yet polled.
    ///
    /// # Errors
    /// If the implementation tells that they never will be.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn join(&self) -> BoxFuture<'_, Result<(), ()>> {
        withheld("a wait for all items")
    }
}

/// The end of a queue from which items are popped.
///
/// It has only to have what the adapter [supports](crate::Adapter::supports): the rules never call the rest.
///
/// # Examples
/// As in [`Channel`].
pub trait QueueConsumer: Send {
    /// Pops an item as soon as there is one, or `None` if there will be no more: the implementation's own future, not
    /// yet polled.
    fn pop(&mut self) -> BoxFuture<'_, Option<Box<dyn Job>>>;

    /// Returns another consumer of the same queue.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn another(&self) -> Box<dyn QueueConsumer> {
        withheld("another consumer")
    }

    /// Closes the queue: it takes no more items, and those in it are still popped.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn close(&mut self) {
        withheld("a close")
    }

    /// Closes the queue, and returns its items.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn close_now(&mut self) -> Vec<Item> {
        withheld("a close that returns the items")
    }

    /// Runs the [work](Item::run) of the items of the queue in this number of workers, until it is closed and empty, or
    /// until it is closed from outside after this time, without waiting for the work in flight.
    ///
    /// # Panics
    /// Unless it is implemented.
    #[must_use]
    fn workers(self: Box<Self>, number: usize, close_after: Option<Duration>) -> BoxFuture<'static, Worked> {
        withheld(&format!("{number} workers until {close_after:?}"))
    }
}

/// An item that was popped; dropping it finishes it.
///
/// # Examples
/// As in [`Channel`]: an [`Item`] is one.
pub trait Job: Send {
    /// The item.
    fn item(&self) -> &Item;

    /// Hands it back to its queue, to be popped again.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn put_back(self: Box<Self>) {
        withheld("an item put back")
    }
}

impl Job for Item {
    fn item(&self) -> &Item {
        self
    }
}

/// The account of the workers on a queue.
///
/// # Examples
/// ```
/// use evenkeel_tck::stream::Worked;
///
/// assert!(Worked::new([], []).failures.is_empty());
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Worked {
    /// The failures of which it tells.
    pub failures: Vec<ReportedFailure>,
    /// The items that no worker has begun.
    pub unstarted: Vec<Item>,
}

impl Worked {
    /// An account with these failures and these items left.
    pub fn new(
        failures: impl IntoIterator<Item = ReportedFailure>,
        unstarted: impl IntoIterator<Item = Item>,
    ) -> Self {
        Self { failures: Vec::from_iter(failures), unstarted: Vec::from_iter(unstarted) }
    }
}

fn withheld(what: &str) -> ! {
    unreachable!("{what} was asked of an adapter that withholds it")
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}
