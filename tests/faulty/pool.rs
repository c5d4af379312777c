//! A pool, done right in the fewest lines, and wrong in every way that a rule looks for.

mod getting;
mod jobs;
mod lease;
mod shared;
mod state;
mod upkeep;

use std::{sync::Arc, time::Duration};

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    pool::{Capability, Get, Lease, Pool, Settings, Snapshot},
};
use tokio::time::Instant;

use self::{getting::Getting, shared::Shared};
use super::Planted;

faults! {
    LendsTwice "POOL-01",
    CreatesOneMore "POOL-02",
    LeavesASlotFree "POOL-03",
    DropsWhatIsReturned "POOL-04",
    CreatesAtOnce "POOL-05",
    LosesLeasesOfPanics "POOL-06",
    WaitsWithAMaximumOfZero "POOL-07",
    ServesLate "POOL-08",
    LastComesFirst "POOL-09",
    LetsNewcomersOvertake "POOL-10",
    WaitsForItsOwnCreation "POOL-11",
    DropsASpareObject "POOL-12",
    WakesEverybody "POOL-13",
    HogsTheThread "POOL-14",
    TimesOutLate "POOL-15",
    ForgetsTheTimeInChecks "POOL-16",
    NeverEndsCreations "POOL-17",
    NeverEndsChecks "POOL-18",
    MixesTimeouts "POOL-19",
    IgnoresDeadlines "POOL-20",
    RefusesAPastDeadline "POOL-21",
    HidesTheCause "POOL-22",
    KeepsTheSlotOfADroppedGet "POOL-23",
    KeepsThePlaceOfADroppedGet "POOL-24",
    IdlesWhatWasOnItsWay "POOL-25",
    WaitsWhenItIsMade "POOL-26",
    CutsCreations "POOL-27",
    LosesTheRoomOfACheck "POOL-28",
    DropsWhatIsChecked "POOL-29",
    KeepsErrors "POOL-30",
    LosesTheRoomOfFailures "POOL-31",
    ForgetsWaitersOfFailures "POOL-32",
    PausesEverLonger "POOL-33",
    LosesTheRoomOfPanics "POOL-34",
    SwallowsPanics "POOL-35",
    HasNoPause "POOL-36",
    AttemptsTogether "POOL-37",
    GivesTheFirstToTheLast "POOL-38",
    CreatesInTurn "POOL-39",
    IgnoresMaxCreating "POOL-40",
    TellsOneOfAFatalError "POOL-41",
    SkipsChecks "POOL-42",
    TellsOfADeadObject "POOL-43",
    LendsBrokenObjects "POOL-44",
    WakesNobodyForRoom "POOL-45",
    LosesTheRoomOfCheckPanics "POOL-46",
    CountsAfterTheDestructor "POOL-47",
    DropsUnderTheLock "POOL-48" isolated,
    AlwaysChecks "POOL-49",
    SkipsResets "POOL-50",
    LendsWhatCannotBeReset "POOL-51",
    NeverEndsResets "POOL-52",
    ReturnsWhatIsDiscarded "POOL-53",
    CountsWhatIsDetached "POOL-54",
    LeaksLeasesOfADroppedPool "POOL-55",
    KeepsItself "POOL-56",
    ReturnsInATask "POOL-57",
    LosesTheRoomOfARuntime "POOL-58",
    LendsTheOldest "POOL-59",
    LendsTheNewest "POOL-60",
    NeverDropsIdleObjects "POOL-61",
    CountsUseAsIdle "POOL-62",
    KeepsNoneIdle "POOL-63",
    DropsAllIdleObjects "POOL-64",
    LendsExpiredObjects "POOL-65",
    ExpiresInUseOnly "POOL-66",
    ExpiresTogether "POOL-67",
    ReplacesAfterTheEnd "POOL-68",
    WarmsBeyondTheMaximum "POOL-69",
    ShrinksIdleObjectsOnly "POOL-70",
    KeepsTooMany "POOL-71",
    GrowsByTheDifference "POOL-72",
    GrowsForNewOnly "POOL-73",
    RetiresIdleObjectsOnly "POOL-74",
    LendsWhenClosed "POOL-75",
    TellsNoWaiterOfTheClose "POOL-76",
    KeepsWhatIsReturnedLate "POOL-77",
    KeepsLateCreations "POOL-78",
    ClosesAtOnce "POOL-79",
    IgnoresTheDeadlineOfAClose "POOL-80",
    WaitsInTheFirstCloseOnly "POOL-81",
    TellsWaitersAtTheEnd "POOL-82",
    CountsLeasesAsIdle "POOL-83",
    CountsDroppedWaiters "POOL-84",
    ListsReturnedLeases "POOL-85",
    TryCreates "POOL-86",
    TryOvertakes "POOL-87",
    SeesNoDeadlock "POOL-88",
    SeesADeadlockTooSoon "POOL-89",
    ChecksThenCreates "POOL-90",
    MovesAWaiterBack "POOL-91",
    TellsTheLast "POOL-92",
    LosesAnObjectToATimeout "POOL-93",
    CutsLateDeadlines "POOL-94",
    KeepsTheFirstWaker "POOL-95",
    KeepsWhatIsCreatedAbove "POOL-96",
    RetiresNoCreations "POOL-97",
    KeepsLateChecks "POOL-98",
    GivesUpTheMinimum "POOL-99",
    LosesARoomInFive "POOL-100",
}

struct Faulty(Fault);

impl Adapter<Settings> for Faulty {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Pool>, AdapterError> {
        let Self(fault) = *self;
        if settings.max == 0 && fault != Fault::WaitsWithAMaximumOfZero {
            return Err(AdapterError::Refused("nobody would ever be served".to_owned()));
        }
        let shared = Shared::new(fault, settings);
        upkeep::start(&shared);
        Ok(Box::new(Handle(shared)))
    }
}

/// The only handle of a pool.
struct Handle(Arc<Shared>);

impl Pool for Handle {
    fn get(&self) -> Get {
        Box::pin(Getting::new(&self.0, None))
    }

    fn get_by(&self, deadline: Instant) -> Get {
        Box::pin(Getting::new(&self.0, Some(deadline)))
    }

    fn try_get(&self) -> Option<Box<dyn Lease>> {
        self.0.try_get()
    }

    fn warm(&self, objects: usize) -> BoxFuture<'static, ()> {
        let shared = self.0.clone();
        Box::pin(async move {
            shared.update(|state, effects| state.create_below(objects, effects));
            while shared.update(|state, _| state.creating > 0) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
    }

    fn resize(&self, max: usize) {
        self.0.resize(max);
    }

    fn retire_all(&self) {
        self.0.update(|state, effects| {
            if state.fault != Fault::RetiresIdleObjectsOnly {
                state.generation += 1;
            }
            effects.dropped.extend(state.idle.drain(..));
        });
    }

    fn close(&self, within: Option<Duration>) -> BoxFuture<'static, usize> {
        Box::pin(self.0.clone().close(within))
    }

    fn snapshot(&self) -> BoxFuture<'_, Snapshot> {
        let snapshot = self.0.update(|state, _| {
            let more = if state.fault == Fault::CountsLeasesAsIdle { state.leases.len() } else { 0 };
            let gone = if state.fault == Fault::CountsDroppedWaiters { state.left } else { 0 };
            Snapshot {
                size: Some(state.size),
                idle: Some(state.idle.len() + more),
                waiting: Some(state.waiters.len() + gone),
            }
        });
        Box::pin(async move { snapshot })
    }

    fn holders(&self) -> Vec<Duration> {
        let now = Instant::now();
        self.0.update(|state, _| {
            let held = state.leases.values().map(|lease| now - lease.since);
            let returned = state.returned.iter().map(|since| now - *since);
            match state.fault {
                Fault::ListsReturnedLeases => returned.chain(held).collect(),
                _ => held.collect(),
            }
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.end();
    }
}
