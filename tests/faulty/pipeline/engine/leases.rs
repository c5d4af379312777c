//! Leases and settlements.

use std::time::Duration;

use tokio::time::Instant;

use super::{Engine, Fault, Settle};

impl Engine {
    /// Drops what has lost its lease.
    pub(super) fn lapse(&mut self) {
        let now = Instant::now();
        let grace = if self.fault == Fault::DropsLate { self.settings.ack_wait } else { Duration::ZERO };
        if matches!(self.fault, Fault::GoesOnWithoutALease | Fault::FailsLate) {
            return;
        }
        let lapsed: Vec<u64> = self
            .hand
            .iter()
            .filter(|(_, held)| held.lease_ends + grace <= now)
            .map(|(key, _)| *key)
            .collect();
        for key in lapsed {
            if self.fault == Fault::BeginsLapsed && self.hand[&key].running == 0 {
                continue;
            }
            self.drop_held(key);
        }
        let before = self.decided.len();
        self.decided.retain(|(.., ends)| *ends > now);
        self.count_lapses(before - self.decided.len());
    }

    fn drop_held(&mut self, key: u64) {
        if self.fault == Fault::StoresLapsed && self.batch.contains(&key) {
            return;
        }
        if let Some(mut held) = self.hand.remove(&key) {
            held.abort();
            self.lost_keys.push(held.delivery.item.key);
            self.queue.retain(|(queued, _)| *queued != key);
            self.batch.retain(|batched| *batched != key);
            self.batch_since = self.batch_since.filter(|_| !self.batch.is_empty());
            self.count_lapses(1);
        }
    }

    fn count_lapses(&mut self, lapses: usize) {
        if self.fault == Fault::CountsLapsesAsAcked {
            self.report.acked += lapses as u64;
        }
    }

    pub(super) fn settle(&mut self) {
        let (is_cut, loses_answers) = (self.orders.get().is_cut(), self.orders.get().loses_answers());
        let decided = std::mem::take(&mut self.decided);
        for (receipt, settle, ends) in decided {
            let settled = if is_cut { None } else { self.server(receipt).settle(receipt, settle).ok() };
            let settled = settled.filter(|_| !loses_answers);
            let counts = settled.unwrap_or(self.fault == Fault::CountsUnconfirmed);
            match settle {
                Settle::Ack => self.report.acked += u64::from(counts),
                Settle::Retry(_) => self.report.nacked += u64::from(counts),
                Settle::Term => self.report.dead += u64::from(counts),
                Settle::Release => self.released += u64::from(counts),
            }
            if settled.is_none() && self.fault != Fault::ForgetsSettlements {
                self.decided.push((receipt, settle, ends));
            }
        }
    }

    pub(super) fn extend(&mut self) {
        let now = Instant::now();
        if self.next_extension.is_some_and(|at| at > now) {
            return;
        }
        self.next_extension = Some(now + self.settings.ack_wait / 3);
        if self.fault == Fault::NeverExtends || self.orders.get().is_cut() {
            return;
        }
        let loses_answers = self.orders.get().loses_answers();
        let mut lost = Vec::new();
        for (key, held) in &mut self.hand {
            let server = &self.servers[held.delivery.receipt.source];
            let is_skipped = match self.fault {
                Fault::ExtendsRunningOnly => held.running == 0,
                Fault::ExtendsOnce => held.extensions > 0,
                _ => false,
            };
            if is_skipped {
                continue;
            }
            match server.extend(held.delivery.receipt) {
                _ if loses_answers => {}
                Ok(true) => {
                    held.lease_ends = now + self.settings.ack_wait;
                    held.extensions += 1;
                }
                Ok(false) if self.fault == Fault::TrustsItsClock => {
                    held.lease_ends = now + self.settings.ack_wait
                }
                Ok(false) => lost.push(*key),
                Err(_) => {}
            }
        }
        if self.fault == Fault::EndsWhenForgotten && !lost.is_empty() {
            self.error = Some("the server does not know the worker".to_owned());
        }
        if !matches!(self.fault, Fault::GoesOnWithoutALease | Fault::FailsLate | Fault::BeginsLapsed) {
            lost.into_iter().for_each(|key| self.drop_held(key));
        }
    }
}
