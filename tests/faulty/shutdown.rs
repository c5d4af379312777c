//! Graceful shutdown, done right in the fewest lines, and wrong in every way that a rule looks for.

mod program;
mod task;

use evenkeel_tck::{
    Adapter, AdapterError, Configured,
    shutdown::{Capability, Outcome, Parts, Settings},
};

use self::program::RunningProgram;
use super::Planted;

faults! {
    AsksInTurn "SHUTDOWN-01",
    EndsWithTheFirst "SHUTDOWN-02",
    TellsWhoListens "SHUTDOWN-03",
    WaitsForATask "SHUTDOWN-04",
    WaitsForTheStop "SHUTDOWN-05",
    StopsWithAnyTask "SHUTDOWN-06",
    HasNoGrace "SHUTDOWN-07",
    CountsTheGraceFromTheStart "SHUTDOWN-07",
    LeavesWhatHangs "SHUTDOWN-08",
    HearsOneStop "SHUTDOWN-09",
    LeavesWhatASecondStopCuts "SHUTDOWN-10",
    KeepsErrorsToItself "SHUTDOWN-11",
    GoesOnAfterAnError "SHUTDOWN-12",
    SwallowsPanics "SHUTDOWN-13",
    AbortsOnPanics "SHUTDOWN-13" isolated,
    GoesOnAfterAPanic "SHUTDOWN-14",
    CutsTheOthersShort "SHUTDOWN-15",
    SwallowsLatePanics "SHUTDOWN-16",
    SwallowsLateErrors "SHUTDOWN-17",
    SwallowsSorePanics "SHUTDOWN-18",
    KnowsNothingVital "SHUTDOWN-19",
    BlamesEverybody "SHUTDOWN-20",
    BlamesNobody "SHUTDOWN-20",
    ExitsWithZero "SHUTDOWN-21",
    HasNoReason "SHUTDOWN-22",
    HasOnePhase "SHUTDOWN-23",
    HasOneGraceForAll "SHUTDOWN-24",
    CleansUpAtOnce "SHUTDOWN-25",
    SkipsCleanUpsAfterAHang "SHUTDOWN-26",
    EndsWithAFailedCleanUp "SHUTDOWN-27",
    HasNoDelay "SHUTDOWN-28",
    IsReadyDuringTheDelay "SHUTDOWN-29",
    IgnoresGuards "SHUTDOWN-30",
    WaitsForGuards "SHUTDOWN-31",
    DoesNotAskWhoIsLate "SHUTDOWN-32",
    DoesNotWaitForWhoIsLate "SHUTDOWN-33",
    StopsAllForOne "SHUTDOWN-34",
    DetachesWhenDropped "SHUTDOWN-35",
    IsKilledByASignal "SHUTDOWN-36" isolated,
    HearsOneSignal "SHUTDOWN-37" isolated,
    ListensOnce "SHUTDOWN-38" isolated,
    TakesACopyForASecond "SHUTDOWN-39" isolated,
    IsDeafUntilItRuns "SHUTDOWN-40" isolated,
    EndsTheProcessWithACopy "SHUTDOWN-41" isolated,
}

struct Faulty(Fault);

impl Adapter<Settings> for Faulty {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &Settings) -> Result<Configured<Parts, Outcome>, AdapterError> {
        let Self(fault) = *self;
        let settings = settings.clone();
        Ok(Configured::new(move |parts: Parts| RunningProgram::run(fault, settings.clone(), parts)))
    }
}
