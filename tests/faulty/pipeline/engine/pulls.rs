//! Pulls, and the begin of what they bring.

use std::time::Duration;

use evenkeel_tck::pipeline::Shape;
use tokio::time::Instant;

use super::{Delivery, Engine, Fault, Held, Settle};

impl Engine {
    /// The room for a source in the window, and in the budget.
    fn room(&self, source: usize) -> (usize, usize) {
        let in_hand = match self.fault {
            Fault::CountsRunningOnly => self.in_flight(),
            Fault::KeepsThePlaceOfLapsed => self.hand.len() + self.lost_keys.len(),
            _ => self.hand.len(),
        };
        let window = self.settings.window + usize::from(self.fault == Fault::TakesOneMore);
        let free = match self.fault {
            Fault::WaitsForAnEmptyWindow if in_hand > 0 => 0,
            Fault::AsksForAWholeWindow if in_hand < window => window,
            _ => window.saturating_sub(in_hand),
        };
        let of_source = self.hand.values().filter(|held| held.delivery.receipt.source == source).count();
        let free = match self.servers.len() {
            1 => free,
            _ if self.fault == Fault::SharesNothing => free,
            sources => free.min((window / sources).saturating_sub(of_source)),
        };
        let bytes: usize = self.hand.values().map(|held| held.delivery.item.size).sum();
        (free, self.settings.budget.map_or(usize::MAX, |budget| budget.saturating_sub(bytes)))
    }

    pub(super) fn pull(&mut self) {
        let orders = self.orders.get();
        if let Some(source) = orders.deleted {
            self.error = Some("the queue is deleted".to_owned());
            self.error_source = Some(if self.fault == Fault::NamesTheFirst { 0 } else { source });
        }
        let finishes_pull = self.fault == Fault::FinishesThePull && self.pull_waits;
        let drains = orders.drain_by.is_some() && self.fault != Fault::DrainsTheQueue;
        if drains || orders.holds_pulls() && !finishes_pull || orders.is_cut() || self.error.is_some() {
            return;
        }
        if self.fault == Fault::PausesBetweenPulls {
            if self.next_pull.is_some_and(|at| Instant::now() < at) {
                return;
            }
            self.next_pull = Some(Instant::now() + Duration::from_millis(10));
        }
        if self.fault == Fault::WaitsForEachSource && self.servers.iter().any(|server| server.is_down()) {
            return;
        }
        for source in 0..self.servers.len() {
            self.pull_from(source, orders.loses_answers());
        }
    }

    fn pull_from(&mut self, source: usize, loses_answers: bool) {
        let server = self.servers[source].clone();
        loop {
            let (free, bytes) = self.room(source);
            if free == 0 {
                return;
            }
            let worker = std::ptr::from_ref(&*self.orders).addr();
            match server.take(worker, free, bytes, self.hand.is_empty()) {
                Ok(Some(taken)) => {
                    self.pull_waits = taken.is_empty();
                    if taken.is_empty() {
                        return;
                    }
                    if loses_answers {
                        return taken.iter().for_each(|delivery| server.lose(delivery.receipt));
                    }
                    taken.into_iter().for_each(|delivery| self.accept(delivery));
                }
                Ok(None) => {
                    self.over[source] = true;
                    return;
                }
                Err(_) => {
                    if self.fault == Fault::EndsAtAnError {
                        self.error = Some("the server is down".to_owned());
                    }
                    return;
                }
            }
        }
    }

    pub(super) fn accept(&mut self, delivery: Delivery) {
        self.report.accepted += 1;
        let now = Instant::now();
        if self.hand.is_empty() {
            self.next_extension = Some(now + self.settings.ack_wait / 3);
        }
        let (key, item, attempt) = (delivery.receipt.delivery, delivery.item, delivery.attempt);
        let mut held = Held::new(delivery, now + self.settings.ack_wait);
        if self.fault == Fault::AcksAtDelivery {
            let receipt = held.delivery.receipt;
            let _ = self.server(receipt).settle(receipt, Settle::Ack);
        }
        let is_spent = self.settings.max_attempts.is_some_and(|max| attempt > max);
        let runs_spent = matches!(self.fault, Fault::RunsTheDead | Fault::TriesOnceMore);
        if is_spent && !runs_spent {
            self.hand.insert(key, held);
            match self.fault {
                Fault::ForgetsTheLetter => self.decide(key, Settle::Term),
                _ => self.bury(key, "it was delivered too often".to_owned()),
            }
            return;
        }
        match self.settings.shape {
            Shape::Filter if !self.work.keeps(&item) => {
                self.hand.insert(key, held);
                if self.fault != Fault::KeepsWhatIsFilteredOut {
                    self.decide(key, Settle::Ack);
                }
            }
            Shape::Split => {
                let parts = self.work.parts(item);
                held.open = parts.len();
                self.queue.extend(parts.iter().map(|part| (key, *part)));
                self.hand.insert(key, held);
                if parts.is_empty() && self.fault != Fault::WaitsForNoParts {
                    self.decide(key, Settle::Ack);
                }
            }
            Shape::Batch { .. } => {
                self.hand.insert(key, held);
                self.batch.push(key);
                if self.batch_since.is_none() || self.fault == Fault::CountsFromTheLast {
                    self.batch_since = Some(now);
                }
            }
            _ => {
                held.open = 1;
                self.queue.push_back((key, item));
                self.hand.insert(key, held);
            }
        }
    }
}
