//! The orders to the tasks of a pipeline.

use std::sync::{Arc, Mutex};

use evenkeel_base::lock;
use tokio::{sync::watch, time::Instant};

/// The orders of the handle, and of a source that has failed, to the tasks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Orders {
    pub(crate) is_paused: bool,
    /// Set with the drain: the instant at which work is aborted.
    pub(crate) drain_by: Option<Instant>,
    /// Nothing is pulled any more, as a source has failed for good.
    pub(crate) has_failed: bool,
    /// The number of changes, as two of them may be sent at the same time.
    version: u64,
}

impl Orders {
    pub(crate) const fn ends_pulls(&self) -> bool {
        self.drain_by.is_some() || self.has_failed
    }
}

/// Sends orders to all tasks.
///
/// Each receiver has a channel of its own: one channel wakes its receivers in an order that is random, by which two runs of
/// the same seed would differ.
#[derive(Clone, Debug, Default)]
pub(crate) struct OrderSender {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    orders: Orders,
    /// In the order in which they subscribed.
    channels: Vec<watch::Sender<Orders>>,
}

impl OrderSender {
    /// Changes the orders, and wakes the receivers, in the order in which they subscribed.
    pub(crate) fn send_modify(&self, modify: impl FnOnce(&mut Orders)) {
        let (new, channels) = {
            let mut state = lock(&self.state);
            modify(&mut state.orders);
            state.orders.version += 1;
            (state.orders, state.channels.clone())
        };
        for channel in channels {
            channel.send_if_modified(|orders| {
                let is_newer = orders.version < new.version;
                if is_newer {
                    *orders = new;
                }
                is_newer
            });
        }
    }

    /// Returns a receiver, for one task.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Orders> {
        let mut state = lock(&self.state);
        let (channel, receiver) = watch::channel(state.orders);
        state.channels.push(channel);
        receiver
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use evenkeel_base::lock;
    use evenkeel_testkit::World;
    use tokio::task::JoinSet;

    use super::OrderSender;

    #[test]
    fn receivers_are_woken_in_the_order_in_which_they_subscribed() {
        for _ in 0..50 {
            World::run(async |world| {
                let (orders, woken) = (OrderSender::default(), Arc::new(Mutex::new(Vec::new())));
                let mut tasks = JoinSet::new();
                for index in 0..5 {
                    let (mut receiver, woken) = (orders.subscribe(), Arc::clone(&woken));
                    tasks.spawn(async move {
                        let paused = receiver.wait_for(|orders| orders.is_paused).await.is_ok();
                        lock(&woken).push((index, paused));
                    });
                }
                world.settle().await;
                orders.send_modify(|orders| orders.is_paused = true);
                tasks.join_all().await;
                assert_eq!(*lock(&woken), [0, 1, 2, 3, 4].map(|index| (index, true)));
            });
        }
    }

    #[test]
    fn a_receiver_that_subscribes_later_has_the_orders_of_now() {
        let orders = OrderSender::default();
        let first = orders.subscribe();
        orders.send_modify(|orders| orders.has_failed = true);
        let second = orders.clone().subscribe();
        assert!(first.borrow().ends_pulls() && second.borrow().ends_pulls());
    }
}
