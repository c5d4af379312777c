//! The state of a queue: its items, and those who wait, each with a ticket.

use std::{
    collections::{HashMap, VecDeque},
    task::Waker,
};

use evenkeel_tck::stream::{Item, Queue};

use super::Fault;

pub(super) struct State {
    fault: Fault,
    queue: Queue,
    pub(super) items: VecDeque<Item>,
    pub(super) pushes: Waiting,
    pub(super) pops: Waiting,
    /// Items that were handed to a consumer which has not been polled since.
    pub(super) handed: HashMap<u64, Item>,
    pub(super) is_closed: bool,
    pub(super) has_producers: bool,
    pub(super) consumers: usize,
    /// Accepted and not finished.
    pub(super) unfinished: usize,
    pub(super) finished: usize,
    pub(super) joins: Vec<Waker>,
    tickets: u64,
}

/// The tickets of those who wait, in the order in which they came.
#[derive(Default)]
pub(super) struct Waiting(VecDeque<(u64, Waker)>);

impl Waiting {
    /// Returns whether this one is next.
    fn is_next(&self, ticket: u64) -> bool {
        self.0.front().is_none_or(|(first, _)| *first == ticket)
    }

    pub(super) fn set(&mut self, ticket: u64, waker: &Waker, at_front: bool) {
        match self.0.iter_mut().find(|(known, _)| *known == ticket) {
            Some((_, known)) => known.clone_from(waker),
            None if at_front => self.0.push_front((ticket, waker.clone())),
            None => self.0.push_back((ticket, waker.clone())),
        }
    }

    pub(super) fn remove(&mut self, ticket: u64) {
        self.0.retain(|(known, _)| *known != ticket);
    }

    fn wake_next(&self) {
        if let Some((_, waker)) = self.0.front() {
            waker.wake_by_ref();
        }
    }

    pub(super) fn wake_all(&self) {
        self.0.iter().for_each(|(_, waker)| waker.wake_by_ref());
    }
}

impl State {
    pub(super) fn new(fault: Fault, queue: Queue) -> Self {
        Self {
            fault,
            queue,
            items: VecDeque::new(),
            pushes: Waiting::default(),
            pops: Waiting::default(),
            handed: HashMap::new(),
            is_closed: false,
            has_producers: true,
            consumers: 1,
            unfinished: 0,
            finished: 0,
            joins: Vec::new(),
            tickets: 0,
        }
    }

    pub(super) fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    fn has_room(&self, item: &Item) -> bool {
        if self.queue.by_weight && self.fault != Fault::IgnoresWeight {
            let weight: usize = self.items.iter().map(Item::weight).sum();
            return self.items.is_empty() || weight + item.weight() <= self.queue.capacity;
        }
        let more = usize::from(self.fault == Fault::AcceptsOneMore);
        self.items.len() < self.queue.capacity + more
    }

    /// Accepts an item if it is its turn and there is room.
    pub(super) fn try_push(&mut self, ticket: u64, item: Item) -> Result<(), Item> {
        if !self.pushes.is_next(ticket) || !self.has_room(&item) {
            return Err(item);
        }
        self.pushes.remove(ticket);
        self.unfinished += 1;
        if self.fault == Fault::HandsOverToWaits
            && let Some((consumer, waker)) = self.pops.0.pop_front()
        {
            self.handed.insert(consumer, item);
            waker.wake();
        } else {
            self.items.push_back(item);
        }
        self.wake();
        Ok(())
    }

    /// Takes an item if it is this one's turn and there is one.
    pub(super) fn try_pop(&mut self, ticket: u64) -> Option<Item> {
        if let Some(item) = self.handed.remove(&ticket) {
            return Some(item);
        }
        if !self.pops.is_next(ticket) {
            return None;
        }
        let item = match self.fault {
            Fault::LastComesFirst => self.items.pop_back(),
            _ => self.items.pop_front(),
        };
        if item.is_some() {
            self.pops.remove(ticket);
            self.wake();
        }
        item
    }

    /// Wakes the next producer and the next consumer, which look whether it is their turn, and all at the end.
    pub(super) fn wake(&self) {
        self.pushes.wake_next();
        if self.is_over() && self.is_sound_at_its_end() {
            self.pops.wake_all();
        } else if !self.items.is_empty() {
            self.pops.wake_next();
        }
    }

    fn is_sound_at_its_end(&self) -> bool {
        !matches!(self.fault, Fault::TellsNobodyOfTheLastProducer | Fault::TellsNobodyOfAClose)
    }

    /// Returns whether consumers are told that there are no more.
    pub(super) fn is_over(&self) -> bool {
        let ends = self.is_closed || !self.has_producers;
        ends && (self.items.is_empty() || self.fault == Fault::LosesItemsWithItsProducers)
    }

    pub(super) fn takes_no_more(&self) -> bool {
        self.is_closed || self.consumers == 0 && self.fault != Fault::PushesWithoutConsumers
    }

    pub(super) fn close(&mut self) {
        self.is_closed = true;
        if self.fault != Fault::ClosesForLaterPushesOnly {
            self.pushes.wake_all();
        }
        if self.fault != Fault::TellsNobodyOfAClose {
            self.pops.wake_all();
        }
    }

    pub(super) fn finish(&mut self) {
        self.unfinished = self.unfinished.saturating_sub(1);
        self.finished += 1;
        if self.unfinished == 0 {
            self.joins.drain(..).for_each(Waker::wake);
        }
    }
}
