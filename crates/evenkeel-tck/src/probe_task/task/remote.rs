//! A task or a body whose script is in another process: it does as it is told, and tells each of its steps.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    thread,
};

use evenkeel_base::lock;

use super::{
    super::{record::End, reported_failure::ReportedFailure},
    Task,
};
use crate::BoxFuture;

/// An order of the script.
pub(crate) enum Order {
    /// It looks at the signal to drain from now on.
    Look,
    /// It spawns this task into its group or program.
    Spawn(Task),
    /// It awaits a group of its own.
    Await(BoxFuture<'static, ()>),
    /// It ends in this way.
    End(End),
}

/// A step of the task, as the script is told of it.
pub(crate) enum Step {
    Began,
    Drained(Option<String>),
    Ended,
    Dropped,
}

/// The orders that a task has not carried out yet.
#[derive(Default)]
pub(crate) struct Orders(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    orders: VecDeque<Order>,
    waker: Option<Waker>,
    /// Nobody carries them out any more.
    is_over: bool,
}

impl Orders {
    pub(crate) fn give(&self, order: Order) {
        let waker = {
            let mut waiting = lock(&self.0);
            if waiting.is_over {
                drop(waiting);
                // A task that it was to spawn is dropped.
                return drop(order);
            }
            waiting.orders.push_back(order);
            waiting.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Order> {
        let waker = cx.waker().clone();
        let (order, old) = {
            let mut waiting = lock(&self.0);
            (waiting.orders.pop_front(), waiting.waker.replace(waker))
        };
        drop(old);
        order.map_or(Poll::Pending, Poll::Ready)
    }

    fn close(&self) {
        let (orders, waker) = {
            let mut waiting = lock(&self.0);
            waiting.is_over = true;
            (std::mem::take(&mut waiting.orders), waiting.waker.take())
        };
        drop((orders, waker));
    }
}

/// A task or a body that carries out orders. Its drop is told, unless it has ended.
pub(crate) struct Remote {
    number: u32,
    panics_on_drop: bool,
    has_begun: bool,
    has_ended: bool,
    orders: Arc<Orders>,
    tell: Box<dyn Fn(Step) + Send + Sync>,
}

impl Remote {
    pub(crate) fn new(
        number: u32,
        panics_on_drop: bool,
        orders: Arc<Orders>,
        tell: impl Fn(Step) + Send + Sync + 'static,
    ) -> Self {
        Self { number, panics_on_drop, has_begun: false, has_ended: false, orders, tell: Box::new(tell) }
    }

    /// Nothing of it is told any more.
    pub(crate) fn forget(mut self) {
        self.has_ended = true;
    }

    pub(crate) async fn run(
        mut self,
        drained: impl Future<Output = Option<String>>,
        mut spawn: impl FnMut(Task),
    ) -> Result<(), ReportedFailure> {
        self.has_begun = true;
        (self.tell)(Step::Began);
        let (mut drained, mut looks) = (pin!(drained), false);
        loop {
            let order = poll_fn(|cx| {
                if let Poll::Ready(order) = self.orders.poll(cx) {
                    return Poll::Ready(order);
                }
                if looks && let Poll::Ready(reason) = drained.as_mut().poll(cx) {
                    looks = false;
                    (self.tell)(Step::Drained(reason));
                }
                Poll::Pending
            });
            match order.await {
                Order::Look => looks = true,
                Order::Spawn(task) => spawn(task),
                Order::Await(group) => group.await,
                Order::End(end) => return self.ends(end),
            }
        }
    }

    fn ends(&mut self, end: End) -> Result<(), ReportedFailure> {
        self.has_ended = true;
        (self.tell)(Step::Ended);
        match end {
            End::Ok => Ok(()),
            End::Error => Err(ReportedFailure::error(self.number)),
            End::Panic => panic!("task {} panicked", self.number),
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.orders.close();
        if self.has_ended {
            return;
        }
        (self.tell)(Step::Dropped);
        if self.panics_on_drop && self.has_begun && !thread::panicking() {
            panic!("task {} panicked", self.number);
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("number", &self.number).finish_non_exhaustive()
    }
}
