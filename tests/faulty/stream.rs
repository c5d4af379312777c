//! Operators on streams, done right in the fewest lines, and wrong in every way that a rule looks for.

mod batches;
mod map;
mod merge;
mod pages;
mod queue;
mod queue_state;
mod refill;
mod work;

use evenkeel_tck::{
    Adapter, AdapterError,
    stream::{Capability, Operator, Settings},
};
use tokio::runtime::Handle;

use self::{batches::FaultyBatches, map::FaultyMap, merge::FaultyMerge, refill::RefilledMap};
use super::Planted;

faults! {
    LosesAResult "STREAM-01",
    IgnoresTheOrder "STREAM-02",
    OrdersEverything "STREAM-03",
    TakesBeforeItIsPolled "STREAM-04",
    EndsLate "STREAM-05",
    WaitsForTheSource "STREAM-06",
    WaitsWithALimitOfZero "STREAM-07",
    IgnoresTheLimit "STREAM-08",
    LeavesAPlaceFree "STREAM-09",
    RunsInBatches "STREAM-10",
    CountsOnlyWhatRuns "STREAM-11",
    StartsAllAtOnce "STREAM-12",
    RefillsWhenItComesBack "STREAM-13",
    RunsInTheConsumer "STREAM-14",
    StandsStillWithTheConsumer "STREAM-15",
    StopsBehindAFullOutput "STREAM-16",
    PollsEverything "STREAM-17",
    HogsTheThread "STREAM-18",
    LosesAWake "STREAM-19" isolated,
    RunsOnOneThread "STREAM-20" isolated,
    LosesErrors "STREAM-21",
    TellsErrorsAtTheEnd "STREAM-22",
    TellsErrorsInOrder "STREAM-23",
    BeginsTheNextAfterAFailure "STREAM-24",
    AbortsWithoutWaiting "STREAM-25",
    StopsThoughItCollects "STREAM-26",
    TellsErrorsOfTheSourceAtTheEnd "STREAM-27",
    EndsAtAnErrorOfTheSource "STREAM-28",
    SwallowsPanics "STREAM-29",
    StopsAtAPanic "STREAM-30",
    LeavesItemsToAPanic "STREAM-31",
    SwallowsPanicsOfTheFunction "STREAM-32",
    SwallowsPanicsOfTheSource "STREAM-33",
    GoesOnWhenDropped "STREAM-34",
    DetachesWhenDropped "STREAM-35",
    KeepsASilentSource "STREAM-36",
    DetachesWhenDroppedEarly "STREAM-37",
    LosesAResultToAnotherTask "STREAM-38",
    ForgetsItemsInFlightInItsSize "STREAM-39",
    OverflowsItsSize "STREAM-40",
    PanicsAfterItsEnd "STREAM-41",
    PollsTheSourceAfterItsEnd "STREAM-42",
    KeepsTheFirstWaker "STREAM-43",
    IgnoresKeys "STREAM-44",
    RunsKeysInTurn "STREAM-45",
    RemembersKeys "STREAM-46",
    LosesTheRest "STREAM-47",
    HasNoTimer "STREAM-48",
    LooksAtTheClockWhenSilent "STREAM-49",
    KeepsTheOldTimer "STREAM-50" isolated,
    EmitsEmptyBatches "STREAM-51",
    ReservesTheMaximum "STREAM-52",
    LosesABatchToAnotherTask "STREAM-53",
    WaitsForZeroItems "STREAM-54",
    CountsItemsAsBatches "STREAM-55",
    OverloadsBatches "STREAM-56",
    BeginsWithTheItemThatEnds "STREAM-57",
    ForgetsASource "STREAM-58",
    PrefersTheFirstSource "STREAM-59",
    WaitsForSourcesInTurn "STREAM-60",
    WaitsWithoutSources "STREAM-61",
    LosesAnItemToAnotherTask "STREAM-62",
    PollsASourceAfterItsEnd "STREAM-63",
    KeepsItsSources "STREAM-64",
    EndsAtAnEmptyPage "STREAM-65",
    FollowsACircle "STREAM-66",
    GoesOnAfterAnError "STREAM-67",
    FetchesAheadUnasked "STREAM-68",
    FetchesOneMore "STREAM-69",
    LeavesItsFetch "STREAM-70",
    LosesAValue "STREAM-71",
    EmitsAhead "STREAM-72",
    KeepsItsFunction "STREAM-73",
    SwallowsPanicsOfAGenerator "STREAM-74",
    LastComesFirst "STREAM-75",
    AcceptsOneMore "STREAM-76",
    LastPushComesFirst "STREAM-77",
    PopsLate "STREAM-78",
    HandsOverToWaits "STREAM-79",
    KeepsAWakeToItself "STREAM-80",
    KeepsThePlaceOfADroppedPush "STREAM-81",
    WaitsWithACapacityOfZero "STREAM-82",
    IgnoresWeight "STREAM-83",
    ChecksThenWaits "STREAM-84" isolated,
    LosesItemsWithItsProducers "STREAM-85",
    TellsNobodyOfTheLastProducer "STREAM-86",
    PushesWithoutConsumers "STREAM-87",
    KeepsItemsThatItRefuses "STREAM-88",
    ClosesForLaterPushesOnly "STREAM-89",
    TellsNobodyOfAClose "STREAM-90",
    LosesItemsAtAClose "STREAM-91",
    FinishesWhatIsPopped "STREAM-92",
    WaitsForAFirstItem "STREAM-93",
    ForgetsItemsOfPanics "STREAM-94",
    FinishesWhatIsPutBack "STREAM-95",
    HasOneWorker "STREAM-96",
    LosesWorkersToFailures "STREAM-97",
    LosesWhatIsNotStarted "STREAM-98",
    LeavesItsWorkers "STREAM-99",
    LosesTheRestOfABatch "STREAM-100",
    AddsWithoutAWake "STREAM-101",
    AsksItsSourceWhenPolled "STREAM-102",
}

struct Faulty(Fault);

impl Adapter<Settings> for Faulty {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &Settings) -> Result<Operator, AdapterError> {
        let Self(fault) = *self;
        // As one may do that keeps its runtime: each rule configures it within one.
        let _runtime = Handle::current();
        let refused = Err(AdapterError::Refused("nothing would ever come".to_owned()));
        Ok(match settings.clone() {
            Settings::Map(map) if map.limit == 0 && fault != Fault::WaitsWithALimitOfZero => return refused,
            Settings::Batch(batch) if batch.items == 0 && fault != Fault::WaitsForZeroItems => {
                return refused;
            }
            Settings::Queue(queue) if queue.capacity == 0 && fault != Fault::WaitsWithACapacityOfZero => {
                return refused;
            }
            Settings::Map(map) if fault == Fault::StopsBehindAFullOutput => {
                Operator::map(move |source| map::staged(FaultyMap::new(fault, map.clone(), source)))
            }
            Settings::Map(map) => {
                Operator::map(move |source| RefilledMap::new(FaultyMap::new(fault, map.clone(), source)))
            }
            Settings::Batch(batch) => {
                let batches = move |source| FaultyBatches::new(fault, batch.clone(), source);
                Operator::batch_with_rest(batches, FaultyBatches::into_rest)
            }
            Settings::Merge => Operator::merge_with_handle(move |sources| {
                let merge = FaultyMerge::new(fault, sources);
                let handle = merge.handle();
                (merge, move |source| handle.add(source))
            }),
            Settings::Queue(queue) => Operator::queue(move || queue::channel(fault, &queue)),
            Settings::Pages(pages) => Operator::pages(move |fetch| pages::pages(fault, pages.ahead, fetch)),
            Settings::Generate => Operator::generate(move |source| pages::Generated::new(fault, source)),
            _ => return Err(AdapterError::NotExpressible("a new operator")),
        })
    }
}
