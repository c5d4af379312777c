//! A server and its workers, done right in the fewest lines, and wrong in every way that a rule looks for.

mod engine;
mod hand;
mod orders;
mod server;

use std::{collections::BTreeSet, iter, sync::Arc, time::Duration};

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    pipeline::{Capability, End, Item, LowWater, Queue, Settings, Snapshot, Work, Worker},
};
use tokio::{task::JoinHandle, time::Instant};

use self::{engine::Engine, orders::Orders, server::Server};
use super::Planted;

faults! {
    LosesAMessage "PIPELINE-01",
    AcksAtDelivery "PIPELINE-02",
    AcksFailures "PIPELINE-03",
    RetriesAtOnce "PIPELINE-04",
    AlwaysSaysFirst "PIPELINE-05",
    EndsAtAPanic "PIPELINE-06",
    ChangesTheIdentity "PIPELINE-07",
    PollsForMessages "PIPELINE-08",
    LeasesToOthersToo "PIPELINE-09",
    NeverTimesOut "PIPELINE-10",
    TakesOneMore "PIPELINE-11",
    WaitsForAnEmptyWindow "PIPELINE-12",
    AsksForAWholeWindow "PIPELINE-13",
    CountsRunningOnly "PIPELINE-14",
    IgnoresTheLimit "PIPELINE-15",
    IgnoresTheBudget "PIPELINE-16",
    StarvesLargeMessages "PIPELINE-17",
    DropsWhenFull "PIPELINE-18",
    IgnoresPauses "PIPELINE-19",
    FinishesThePull "PIPELINE-20",
    ResumesLate "PIPELINE-21",
    RaisesLate "PIPELINE-22",
    NeverLowers "PIPELINE-23",
    NeverExtends "PIPELINE-24",
    ExtendsRunningOnly "PIPELINE-25",
    ExtendsOnce "PIPELINE-26",
    NeverExpires "PIPELINE-27",
    ForgetsLapses "PIPELINE-28",
    LeavesItsTasks "PIPELINE-29",
    AcksWhenKilled "PIPELINE-30",
    ForgetsSettlements "PIPELINE-31",
    GoesOnWithoutALease "PIPELINE-32",
    DropsLate "PIPELINE-33",
    FailsLate "PIPELINE-34",
    BeginsLapsed "PIPELINE-35",
    CountsLapsesAsAcked "PIPELINE-36",
    DrainsTheQueue "PIPELINE-37",
    DrainsLonger "PIPELINE-38",
    KeepsLeases "PIPELINE-39",
    CountsHandBacks "PIPELINE-40",
    HandsBackRunningOnly "PIPELINE-41",
    WaitsWithoutTime "PIPELINE-42",
    CountsRetriesTwice "PIPELINE-43",
    CountsUnconfirmed "PIPELINE-44",
    WaitsForTheBatch "PIPELINE-45",
    TriesOnceMore "PIPELINE-46",
    ForgetsTheReason "PIPELINE-47",
    TermsFirst "PIPELINE-48",
    DropsFailedLetters "PIPELINE-49",
    ForgetsTheLetter "PIPELINE-50",
    RunsTheDead "PIPELINE-51",
    HoldsForLetters "PIPELINE-52",
    IgnoresKeys "PIPELINE-53",
    RunsInTurn "PIPELINE-54",
    KeepsWhatIsFilteredOut "PIPELINE-55",
    AcksAtTheFirstPart "PIPELINE-56",
    AcksFailedParts "PIPELINE-57",
    WaitsForNoParts "PIPELINE-58",
    StoresOneMore "PIPELINE-59",
    CountsFromTheLast "PIPELINE-60",
    AcksBeforeTheStore "PIPELINE-61",
    FailsTheWholeBatch "PIPELINE-62",
    EndsAtAnError "PIPELINE-63",
    ForgetsInACrash "PIPELINE-64",
    HidesTheLoss "PIPELINE-65",
    ForgetsRevived "PIPELINE-66",
    DropsWorkAtAnError "PIPELINE-67",
    RenamesDuplicates "PIPELINE-68",
    LosesTheOvertaken "PIPELINE-69",
    MarksTheHighest "PIPELINE-70",
    CountsQueuedTwice "PIPELINE-71",
    ForgetsWhatIsInHand "PIPELINE-72",
    GivesUpQuietly "PIPELINE-73",
    CountsTheWait "PIPELINE-74",
    StoresLapsed "PIPELINE-75",
    DrainsWhenResumed "PIPELINE-76",
    WaitsForTheServer "PIPELINE-77",
    DropsLettersInADrain "PIPELINE-78",
    EndsAtAPanicOfAStore "PIPELINE-79",
    EndsAtAPanicOfABurial "PIPELINE-80",
    IgnoresTheLimitOfStores "PIPELINE-81",
    GivesUpLapsed "PIPELINE-82",
    CountsHandBacksAsNacked "PIPELINE-83",
    KeepsThePlaceOfLapsed "PIPELINE-84",
    KeepsTheKeyOfLapsed "PIPELINE-85",
    PausesBetweenPulls "PIPELINE-86",
    LosesTheTailInAKill "PIPELINE-87",
    EndsWhenForgotten "PIPELINE-88",
    WritesLettersTwice "PIPELINE-89",
    CountsSomeHandBacks "PIPELINE-90",
    KeepsLostDeliveries "PIPELINE-91",
    CountsRepeatedFailures "PIPELINE-92",
    DoubtsRepeatedAcks "PIPELINE-93",
    SettlesAtTheFirst "PIPELINE-94",
    CountsEachSource "PIPELINE-95",
    SharesNothing "PIPELINE-96",
    WaitsForEachSource "PIPELINE-97",
    NamesTheFirst "PIPELINE-98",
    EndsWithTheFirst "PIPELINE-99",
    HandsBackTheFirst "PIPELINE-100",
    TrustsItsClock "PIPELINE-101",
    ForgetsWhatTheClockEnds "PIPELINE-102",
    WaitsForItsOldTime "PIPELINE-103",
}

struct Faulty(Fault);

impl Adapter<Settings> for Faulty {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Queue>, AdapterError> {
        let changed = Arc::default();
        let server = |source| Arc::new(Server::new(self.0, settings, source, &changed));
        let merged = (1..=settings.merged).map(|source| Shared(server(source), Vec::new()));
        Ok(Box::new(Shared(server(0), merged.collect())))
    }
}

/// A server, and the sources beside it.
struct Shared(Arc<Server>, Vec<Shared>);

impl Queue for Shared {
    fn publish(&self, item: Item) -> BoxFuture<'_, ()> {
        Box::pin(self.0.publish(item))
    }

    fn merged(&self, number: usize) -> &dyn Queue {
        &self.1[number]
    }

    fn set_clock_forward(&self, by: Duration) -> BoxFuture<'_, ()> {
        self.0.set_clock_forward(by);
        Box::pin(async {})
    }

    fn set_clock_back(&self, by: Duration) -> BoxFuture<'_, ()> {
        self.0.set_clock_back(by);
        Box::pin(async {})
    }

    fn close(&self) {
        self.0.close();
    }

    fn start(&self, work: Work) -> BoxFuture<'_, Result<Box<dyn Worker>, AdapterError>> {
        Box::pin(async move {
            let orders = Arc::new(Orders::new(self.0.settings.limit));
            let servers = iter::once(self).chain(&self.1).map(|source| source.0.clone()).collect();
            let engine = Engine::new(servers, orders.clone(), work);
            let handle = Handle { task: tokio::spawn(engine.run()), orders, fault: self.0.fault };
            Ok(Box::new(handle) as Box<dyn Worker>)
        })
    }

    fn stored(&self) -> BoxFuture<'_, usize> {
        Box::pin(async { self.0.stored() })
    }

    fn dead_letters(&self) -> BoxFuture<'_, usize> {
        Box::pin(async { self.0.letters() })
    }

    fn crash(&self, downtime: Duration) {
        self.0.crash(downtime);
    }

    fn kill(&self, downtime: Duration) {
        self.0.kill(downtime);
    }

    fn forget_workers(&self) -> BoxFuture<'_, ()> {
        self.0.forget_workers();
        Box::pin(async {})
    }

    fn power_loss(&self, downtime: Duration) -> usize {
        self.0.power_loss(downtime)
    }

    fn low_water(&self, position: u64) -> Box<dyn LowWater> {
        Box::new(Mark { fault: self.0.fault, next: position, open: BTreeSet::new(), highest: position })
    }
}

/// The only handle of a worker.
struct Handle {
    task: JoinHandle<End>,
    orders: Arc<Orders>,
    fault: Fault,
}

impl Handle {
    async fn end(mut self: Box<Self>) -> End {
        let end = (&mut self.task).await;
        end.unwrap_or_else(|error| End { error: Some(error.to_string()), ..End::default() })
    }
}

impl Worker for Handle {
    fn finish(self: Box<Self>) -> BoxFuture<'static, End> {
        Box::pin(self.end())
    }

    fn drain(self: Box<Self>, within: Duration) -> BoxFuture<'static, End> {
        let least = match self.fault {
            Fault::DrainsLonger => Duration::from_secs(60),
            Fault::WaitsWithoutTime => Duration::from_secs(1),
            _ => Duration::ZERO,
        };
        self.orders.drain(within.max(least));
        Box::pin(self.end())
    }

    fn pause(&self) {
        self.orders.change(|state| state.is_paused = self.fault != Fault::IgnoresPauses);
    }

    fn resume(&self) {
        match self.fault {
            Fault::ResumesLate => self.orders.resume_late(),
            _ => self.orders.change(|state| state.is_paused = false),
        }
    }

    fn set_limit(&self, limit: usize) {
        self.orders.set_limit(limit, self.fault);
    }

    fn snapshot(&self) -> Snapshot {
        self.orders.snapshot()
    }

    fn cut(&self, time: Duration) {
        self.orders.cut(time);
    }

    fn lose_answers(&self, time: Duration) {
        self.orders.change(|state| state.lost_until = Some(Instant::now() + time));
    }

    fn delete(&self, source: usize) -> BoxFuture<'_, ()> {
        self.orders.change(|state| state.deleted = Some(source));
        Box::pin(async {})
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Mark {
    fault: Fault,
    next: u64,
    open: BTreeSet<u64>,
    highest: u64,
}

impl LowWater for Mark {
    fn begin(&mut self, position: u64) {
        self.open.insert(position);
        self.next = position + 1;
    }

    fn settle(&mut self, position: u64) {
        self.open.remove(&position);
        self.highest = self.highest.max(position + 1);
    }

    fn mark(&self) -> u64 {
        match self.fault {
            Fault::MarksTheHighest => self.highest,
            _ => self.open.first().copied().unwrap_or(self.next),
        }
    }
}
