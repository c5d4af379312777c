//! The worker: one task that pulls, begins, extends and settles.

mod leases;
mod pulls;
mod runs;

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use evenkeel_tck::pipeline::{End, Item, Letter, Report, Settings, Shape, Snapshot, Work};
use futures::FutureExt as _;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    Fault,
    hand::{Hand, Held},
    orders::Orders,
    server::{Delivery, Receipt, Server, Settle},
};

/// The end of a task of the worker.
enum Ended {
    Run(u64, Result<(), String>),
    /// With the indices that have failed; `None` for a panic.
    Store(Vec<u64>, Option<Vec<usize>>),
    Bury(u64, Option<bool>),
}

/// A decision that the server has not confirmed, and the end of the lease.
type Decided = (Receipt, Settle, Instant);

pub(super) struct Engine {
    fault: Fault,
    settings: Settings,
    /// One for each source.
    servers: Vec<Arc<Server>>,
    orders: Arc<Orders>,
    work: Work,
    hand: Hand,
    /// Runs that have not begun.
    queue: VecDeque<(u64, Item)>,
    batch: Vec<u64>,
    batch_since: Option<Instant>,
    decided: Vec<Decided>,
    tasks: JoinSet<Ended>,
    storing: usize,
    next_extension: Option<Instant>,
    pull_waits: bool,
    /// Which of the sources have ended.
    over: Vec<bool>,
    error: Option<String>,
    error_source: Option<usize>,
    report: Report,
    /// Deliveries that were handed back.
    released: u64,
    /// The keys of deliveries whose leases were lost, kept by a fault.
    lost_keys: Vec<u32>,
    next_pull: Option<Instant>,
}

impl Engine {
    pub(super) fn new(servers: Vec<Arc<Server>>, orders: Arc<Orders>, work: Work) -> Self {
        let Server { fault, settings, .. } = &*servers[0];
        Self {
            fault: *fault,
            settings: settings.clone(),
            over: vec![false; servers.len()],
            servers,
            orders,
            work,
            hand: Hand::new(),
            queue: VecDeque::new(),
            batch: Vec::new(),
            batch_since: None,
            decided: Vec::new(),
            tasks: JoinSet::new(),
            storing: 0,
            next_extension: None,
            pull_waits: false,
            error: None,
            error_source: None,
            report: Report::default(),
            released: 0,
            lost_keys: Vec::new(),
            next_pull: None,
        }
    }

    pub(super) async fn run(mut self) -> End {
        loop {
            let all_changes = self.servers[0].changed.clone();
            let mut changed = Box::pin(all_changes.notified());
            changed.as_mut().enable();
            self.lapse();
            self.settle();
            self.extend();
            self.pull();
            self.begin();
            self.store();
            self.settle();
            self.orders.tell(self.snapshot());
            if self.has_ended() {
                self.tasks.shutdown().await;
                return End { report: self.account(), error: self.error.take(), source: self.error_source };
            }
            let due = self.next_due();
            let far = Instant::now() + Duration::from_secs(30 * 24 * 60 * 60);
            tokio::select! {
                () = changed => {}
                () = self.orders.changed.notified() => {}
                Some(ended) = self.tasks.join_next() => {
                    if let Ok(ended) = ended {
                        self.ended(ended);
                    }
                }
                () = sleep_until(due.unwrap_or(far)) => {}
            }
        }
    }

    fn has_ended(&mut self) -> bool {
        let orders = self.orders.get();
        if self.error.is_some() && (self.hand.is_empty() || self.fault == Fault::DropsWorkAtAnError) {
            return true;
        }
        let is_held = orders.is_paused && self.fault == Fault::DrainsWhenResumed;
        let Some(drain_by) = orders.drain_by.filter(|_| !is_held) else {
            return self.is_over() && self.hand.is_empty() && self.decided.is_empty();
        };
        if self.hand.is_empty() && self.decided.is_empty() {
            return true;
        }
        let leaves_letters =
            self.fault == Fault::DropsLettersInADrain && self.hand.values().all(|held| held.is_exhausted);
        if Instant::now() < drain_by && !leaves_letters {
            return false;
        }
        self.hand_back();
        self.settle();
        self.fault != Fault::WaitsForTheServer || self.decided.is_empty()
    }

    fn is_over(&self) -> bool {
        let mut over = self.over.iter();
        if self.fault == Fault::EndsWithTheFirst {
            over.any(|is_over| *is_over)
        } else {
            over.all(|is_over| *is_over)
        }
    }

    /// The server that a delivery comes from.
    fn server(&self, receipt: Receipt) -> &Server {
        &self.servers[if self.fault == Fault::SettlesAtTheFirst { 0 } else { receipt.source }]
    }

    /// Gives everything back.
    fn hand_back(&mut self) {
        for (_, mut held) in std::mem::take(&mut self.hand) {
            let is_kept = match self.fault {
                Fault::KeepsLeases => true,
                Fault::HandsBackRunningOnly => held.running == 0,
                Fault::HandsBackTheFirst => held.delivery.receipt.source > 0,
                _ => false,
            };
            held.abort();
            if !is_kept {
                self.decided.push((held.delivery.receipt, Settle::Release, held.lease_ends));
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let orders = self.orders.get();
        let now = Instant::now();
        let batch = self.batch_due();
        let leases = self.hand.values().map(|held| held.lease_ends);
        let extension = self.next_extension.filter(|_| !self.hand.is_empty());
        let times = [
            self.next_pull,
            orders.drain_by,
            orders.cut_until,
            orders.lost_until,
            orders.paused_until,
            batch,
            extension,
        ];
        let servers = self.servers.iter().filter_map(|server| server.next_due());
        times.into_iter().flatten().chain(servers).chain(leases).filter(|at| *at > now).min()
    }

    fn account(&self) -> Report {
        let Report { accepted, acked, nacked, dead, .. } = self.report;
        let mut report = self.report;
        report.left = accepted.saturating_sub(acked + nacked + dead);
        if self.fault == Fault::CountsRetriesTwice {
            report.nacked *= 2;
        }
        if self.fault == Fault::CountsHandBacksAsNacked {
            report.nacked += self.released;
        }
        report
    }

    fn in_flight(&self) -> usize {
        self.hand.values().map(|held| held.running).sum::<usize>() + self.storing
    }

    fn snapshot(&self) -> Snapshot {
        let mut report = self.account();
        if self.fault == Fault::ForgetsWhatIsInHand {
            report.left = report.left.saturating_sub(self.hand.len() as u64);
        }
        let queued = self.queue.len() * if self.fault == Fault::CountsQueuedTwice { 2 } else { 1 };
        Snapshot { in_hand: self.hand.len(), in_flight: self.in_flight(), queued, report }
    }

    fn decide(&mut self, key: u64, settle: Settle) {
        if let Some(held) = self.hand.remove(&key) {
            self.queue.retain(|(queued, _)| *queued != key);
            self.decided.push((held.delivery.receipt, settle, held.lease_ends));
        }
    }

    fn ended(&mut self, ended: Ended) {
        match ended {
            Ended::Run(key, result) => {
                self.orders.apply_later_limit();
                if result.as_ref().is_err_and(|error| error == "!") {
                    self.error = Some("a panic".to_owned());
                }
                let Some(held) = self.hand.get_mut(&key) else { return };
                held.running -= 1;
                held.open -= 1;
                let first = held.failure.is_none();
                if let Err(error) = result
                    && first
                {
                    held.failure = Some(error);
                }
                if held.open == 0 || self.fault == Fault::AcksAtTheFirstPart {
                    self.judge(key);
                }
            }
            Ended::Store(keys, failed) => {
                self.storing -= 1;
                let has_panicked = failed.is_none();
                let failed = failed.unwrap_or_else(|| (0..keys.len()).collect());
                let fails_all = self.fault == Fault::FailsTheWholeBatch && !failed.is_empty();
                for (index, key) in keys.into_iter().enumerate() {
                    if let Some(held) = self.hand.get_mut(&key)
                        && (fails_all || failed.contains(&index))
                    {
                        held.failure = Some("it is refused".to_owned());
                    }
                    self.judge(key);
                }
                if has_panicked && self.fault == Fault::EndsAtAPanicOfAStore {
                    self.error = Some("a panic".to_owned());
                }
            }
            Ended::Bury(key, is_buried) => {
                let Some(held) = self.hand.get(&key) else { return };
                let retry = Settle::Retry(self.settings.backoff * held.delivery.attempt);
                let is_gone = is_buried.unwrap_or_default() || self.fault == Fault::DropsFailedLetters;
                self.decide(key, if is_gone { Settle::Term } else { retry });
                if is_buried.is_none() && self.fault == Fault::EndsAtAPanicOfABurial {
                    self.error = Some("a panic".to_owned());
                }
            }
        }
    }

    /// Decides about a message whose parts have ended.
    fn judge(&mut self, key: u64) {
        let Some(held) = self.hand.get(&key) else { return };
        let attempt = held.delivery.attempt;
        let forgives = match self.settings.shape {
            Shape::Split => matches!(self.fault, Fault::AcksFailures | Fault::AcksFailedParts),
            _ => self.fault == Fault::AcksFailures,
        };
        let gives_up = self.fault == Fault::GivesUpQuietly && attempt >= 5;
        let Some(reason) = held.failure.clone().filter(|_| !forgives && !gives_up) else {
            return self.decide(key, Settle::Ack);
        };
        let max = self.settings.max_attempts.map(|max| max + u32::from(self.fault == Fault::TriesOnceMore));
        if max.is_some_and(|max| attempt >= max) {
            return self.bury(key, reason);
        }
        let after =
            if self.fault == Fault::RetriesAtOnce { Duration::ZERO } else { self.settings.backoff * attempt };
        self.decide(key, Settle::Retry(after));
    }

    fn bury(&mut self, key: u64, reason: String) {
        let Some(held) = self.hand.get_mut(&key) else { return };
        held.is_exhausted = true;
        let Delivery { id, attempt, item, receipt } = held.delivery.clone();
        let reason = if self.fault == Fault::ForgetsTheReason { String::new() } else { reason };
        let attempts = self.settings.max_attempts.map_or(attempt, |max| attempt.min(max));
        let letter = Letter { id, attempts, reason, item };
        if self.settings.letter_store {
            self.servers[receipt.source].store_letter(&letter.id);
        }
        let work = self.work.clone();
        held.tasks.push(self.tasks.spawn(async move {
            let buried = AssertUnwindSafe(work.bury(vec![letter])).catch_unwind().await;
            Ended::Bury(key, buried.ok().map(|result| result.is_ok()))
        }));
        if self.fault == Fault::TermsFirst {
            self.decide(key, Settle::Term);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.fault == Fault::LeavesItsTasks {
            self.tasks.detach_all();
        }
        if self.fault == Fault::AcksWhenKilled {
            for held in self.hand.values() {
                let _ = self.server(held.delivery.receipt).settle(held.delivery.receipt, Settle::Ack);
            }
        }
    }
}
