//! The views of a run. A run without a queue has the numbers of one worker, whose stages are the pages, the documents and the
//! store.

use std::{collections::VecDeque, sync::Arc};

use evenkeel::task::Stop;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{Names, PERIOD, Page, View};
use crate::{
    board::{Board, StageState, WorkerState, Workers},
    error::Fatal,
    process::hostname,
    report::Ended,
    stats::{Counts, Stage, StageCounts, Stats},
    timeline::Wait,
};

/// The number of seconds over which rates are taken.
const SECONDS: usize = 5;

/// The stages, in order.
const STAGES: [&str; 3] = ["pages", "documents", "store"];

/// A run and its page.
#[derive(Debug)]
pub(crate) struct LiveRun {
    pub(crate) page: Page,
    pub(crate) names: Names,
    pub(crate) stats: Arc<Stats>,
    pub(crate) numbers: Numbers,
}

/// Where the numbers of the workers are.
#[derive(Clone, Debug)]
pub(crate) enum Numbers {
    /// In the counts: this process is all.
    Own(OwnNumbers),
    /// On the board, where the workers write them.
    Board(Board),
}

/// The numbers of a run in one process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnNumbers {
    /// The limit of calls in flight.
    pub(crate) concurrency: u32,
    /// The maximum number of documents in a transaction.
    pub(crate) batch: u32,
}

impl LiveRun {
    /// Shows the run on the page until `end` drains.
    pub(crate) async fn show(self, stop: Stop, end: Stop) -> Result<(), Fatal> {
        let Self { page, names, stats, numbers } = self;
        let (sender, views) = watch::channel(View { names: names.clone(), ..View::default() });
        let publish = async {
            publish(&names, &stats, numbers, sender, stop, end).await;
            Ok(())
        };
        tokio::try_join!(page.serve(views), publish).map(drop)
    }
}

/// Sends a view each second until `end` drains, and then the last one.
async fn publish(
    names: &Names,
    stats: &Stats,
    numbers: Numbers,
    views: watch::Sender<View>,
    stop: Stop,
    end: Stop,
) {
    let own = Board::default();
    let started = Instant::now();
    let (mut recent, mut workers) = (Recent::default(), Workers::default());
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_over = tokio::select! {
            biased;
            () = end.draining() => true,
            _ = ticks.tick() => false,
        };
        let board = match &numbers {
            Numbers::Board(board) => board,
            Numbers::Own(numbers) => {
                let now = Instant::now();
                let state =
                    stats.with(|counts| numbers.state(counts, recent.rates(now, done(counts)), is_over));
                // A board in memory takes all.
                let _ = own.publish(&state).await;
                &own
            }
        };
        // Without the server of the board, the numbers from before are shown.
        if let Ok(Ok(read)) = timeout(PERIOD, board.read()).await {
            workers = read;
        }
        let mut view = View::new(names.clone(), stats, workers.clone(), started.elapsed().as_secs_f64());
        view.is_stopping = stop.is_draining();
        let is_cut = view.is_stopping && !stats.with(|counts| counts.is_complete);
        view.ended = is_over.then_some(if is_cut { Ended::Drained } else { Ended::Complete });
        views.send_replace(view);
        if is_over {
            return;
        }
    }
}

impl OwnNumbers {
    fn state(&self, counts: &Counts, rates: [f64; 3], ended: bool) -> WorkerState {
        let [pages, documents] = [Stage::Pages, Stage::Documents].map(|stage| &counts.stages[stage as usize]);
        let in_store = pages.waiting[Wait::Store as usize] + documents.waiting[Wait::Store as usize];
        let until_stored = pages.time[Wait::Store as usize] + documents.time[Wait::Store as usize];
        let store = StageState {
            limit: self.batch,
            in_flight: counts.store.in_flight,
            queued: in_store.saturating_sub(counts.store.in_flight),
            waiting: until_stored.saturating_sub(counts.store.time).as_secs_f64(),
            working: counts.store.time.as_secs_f64(),
            done: counts.store.done,
            retries: counts.store_retries,
            ..StageState::default()
        };
        let stages = [before_the_store(pages, 1), before_the_store(documents, self.concurrency), store];
        let named = stages.into_iter().zip(STAGES).zip(rates);
        WorkerState {
            id: "this run".into(),
            pid: std::process::id(),
            host: hostname(),
            users: counts.totals.users - counts.before.users,
            calls: counts.calls,
            retries: counts.retries.values().sum(),
            failures: counts.failures.len() as u64,
            in_flight: counts.in_flight,
            rate: rates[2],
            stages: named
                .map(|((stage, name), rate)| StageState { name: name.into(), rate, ..stage })
                .collect(),
            bottleneck: bottleneck(counts, self.concurrency),
            ended,
            ..WorkerState::default()
        }
    }
}

/// Returns the state of a stage of calls.
fn before_the_store(counts: &StageCounts, limit: u32) -> StageState {
    let waits = [Wait::RateLimit, Wait::Slot, Wait::NextAttempt].map(|wait| wait as usize);
    StageState {
        limit,
        in_flight: counts.waiting[Wait::Answer as usize],
        queued: waits.iter().map(|&wait| counts.waiting[wait]).sum(),
        waiting: waits.iter().map(|&wait| counts.time[wait].as_secs_f64()).sum(),
        working: counts.time[Wait::Answer as usize].as_secs_f64(),
        done: counts.done,
        errors: counts.errors,
        retries: counts.retries,
        ..StageState::default()
    }
}

/// Returns what most of the documents wait for.
fn bottleneck(counts: &Counts, concurrency: u32) -> Option<String> {
    let waiting = |wait: Wait| counts.stages.iter().map(|stage| stage.waiting[wait as usize]).sum::<u64>();
    let next_attempt = waiting(Wait::NextAttempt).saturating_sub(counts.paused);
    let (mut slot, mut rate) = (waiting(Wait::Slot), waiting(Wait::RateLimit));
    if rate > waiting(Wait::Answer) {
        // Most of the slots are in the hands of documents that wait for the rate, and so do those behind them.
        rate += std::mem::take(&mut slot);
    }
    let (number, place) = [
        (waiting(Wait::Answer), "the API: {} calls wait for its answer".to_owned()),
        (waiting(Wait::Store), "the store: {} documents wait for it".into()),
        (next_attempt, "failed calls: {} documents wait for their next attempt".into()),
        (slot, format!("--concurrency {concurrency}: {{}} documents wait for a call to end")),
        (rate, "--rate: {} documents wait for it".into()),
        (counts.paused, "the limit of the API: {} documents were told to wait".into()),
    ]
    .into_iter()
    .max_by_key(|(number, _)| *number)?;
    (number > 0).then(|| place.replace("{}", &number.to_string()))
}

fn done(counts: &Counts) -> [u64; 3] {
    let [pages, documents] = &counts.stages;
    [pages.done, documents.done, counts.store.done]
}

/// The documents done in each of the last seconds.
#[derive(Debug, Default)]
struct Recent(VecDeque<(Instant, [u64; 3])>);

impl Recent {
    /// Adds the counts of each stage, and returns how many were done per second lately.
    fn rates(&mut self, now: Instant, done: [u64; 3]) -> [f64; 3] {
        if self.0.len() > SECONDS {
            self.0.pop_front();
        }
        self.0.push_back((now, done));
        let (since, before) = self.0[0];
        let seconds = (now - since).as_secs_f64().max(PERIOD.as_secs_f64());
        [0, 1, 2].map(|stage| (done[stage] - before[stage]) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use evenkeel::task::Stop;

    use super::*;
    use crate::{stats::Failure, store::State};

    const NUMBERS: OwnNumbers = OwnNumbers { concurrency: 8, batch: 256 };

    #[tokio::test(start_paused = true)]
    async fn the_stages_are_those_of_the_run() {
        let stats = Arc::new(Stats::default());
        let mut page = stats.trace(Stage::Pages);
        page.wait_for(Wait::Answer);
        let mut documents: Vec<_> = (0..5).map(|_| stats.trace(Stage::Documents)).collect();
        for (document, wait) in
            documents.iter_mut().zip([Wait::Slot, Wait::Slot, Wait::RateLimit, Wait::Store])
        {
            document.wait_for(wait);
        }
        documents[4].wait_for(Wait::Store);
        let storing = stats.storing(1);
        tokio::time::advance(Duration::from_secs(2)).await;
        let state = stats.with(|counts| NUMBERS.state(counts, [1.0, 2.0, 3.0], false));
        let [pages, documents, store] = &state.stages[..] else { panic!("{state:?}") };
        assert_eq!((&*pages.name, pages.in_flight, pages.queued, pages.limit), ("pages", 1, 0, 1));
        assert_eq!((&*documents.name, documents.in_flight, documents.queued), ("documents", 0, 3));
        assert_eq!((&*store.name, store.in_flight, store.queued), ("store", 1, 1));
        assert_eq!((pages.rate, documents.rate, store.rate, state.rate), (1.0, 2.0, 3.0, 3.0));
        assert_eq!(state.bottleneck.unwrap(), "--concurrency 8: 2 documents wait for a call to end");
        drop(storing);
    }

    #[test]
    fn the_bottleneck_has_most_of_the_documents() {
        let of = |waiting: [u64; 5], paused| {
            let mut counts = Counts { paused, ..Counts::default() };
            counts.stages[1].waiting = waiting;
            bottleneck(&counts, 8)
        };
        assert_eq!(of([0; 5], 0), None);
        for (waiting, paused, place) in [
            ([9, 1, 1, 1, 1], 0, "--rate: 10 documents wait for it"),
            ([7, 8, 1, 0, 0], 0, "--rate: 15 documents wait for it"),
            ([3, 8, 5, 0, 0], 0, "--concurrency 8: 8 documents wait for a call to end"),
            ([0, 8, 8, 1, 1], 0, "--concurrency 8: 8 documents wait for a call to end"),
            ([1, 1, 8, 7, 1], 0, "the API: 8 calls wait for its answer"),
            ([1, 1, 1, 7, 1], 1, "failed calls: 6 documents wait for their next attempt"),
            ([1, 1, 1, 7, 1], 5, "the limit of the API: 5 documents were told to wait"),
            ([1, 1, 1, 1, 4], 0, "the store: 4 documents wait for it"),
        ] {
            assert_eq!(of(waiting, paused).as_deref(), Some(place));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_view_each_second_and_one_at_the_end() {
        let stats = Arc::new(Stats::default());
        let (sender, mut views) = watch::channel(View::default());
        let (stop, end) = (Stop::new(), Stop::new());
        let (numbers, shared) = (Numbers::Own(NUMBERS), stats.clone());
        let (stopping, ending) = (stop.clone(), end.clone());
        let publisher = tokio::spawn(async move {
            publish(&Names::default(), &shared, numbers, sender, stopping, ending).await;
        });
        for second in 0..3_u64 {
            views.changed().await.unwrap();
            let view = views.borrow_and_update().clone();
            assert_eq!((view.seconds, view.ended, view.board.workers.len()), (second as f64, None, 1));
            stats.with(|counts| counts.store.done += 4);
        }
        views.changed().await.unwrap();
        assert_eq!(views.borrow_and_update().sums.rate, 4.0);
        stats.list(Failure::new("http://h/1", "gone"));
        stop.drain("asked");
        end.drain("all is stored");
        publisher.await.unwrap();
        let view = views.borrow_and_update().clone();
        assert_eq!((view.ended, view.sums.ended, view.failures_in_all), (Some(Ended::Drained), 1, 1));
        assert!(views.changed().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_that_leaves_nothing_is_shown_as_complete() {
        let stats = Stats::default();
        stats.stored(State { is_complete: true, ..State::default() });
        let (sender, views) = watch::channel(View::default());
        let (stop, end) = (Stop::new(), Stop::new());
        stop.drain("asked");
        end.drain("all is stored");
        publish(&Names::default(), &stats, Numbers::Own(NUMBERS), sender, stop, end).await;
        assert_eq!(views.borrow().ended, Some(Ended::Complete));
    }
}
