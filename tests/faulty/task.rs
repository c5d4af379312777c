//! Task groups, done right in the fewest lines, and wrong in every way that a rule looks for.

mod group;

use evenkeel_tck::{
    Adapter, AdapterError, Configured,
    task::{Body, Capability, Outcome, Settings},
};
use tokio::runtime::Handle;

use self::group::RunningGroup;
use super::Planted;

faults! {
    ForgetsTheLast "TASK-01",
    RunsInTurn "TASK-02",
    WaitsForAFirst "TASK-03",
    EndsAtZero "TASK-04",
    ForgetsGrandchildren "TASK-05",
    PollsEverybody "TASK-06",
    HogsTheThread "TASK-07",
    LosesAWake "TASK-08" isolated,
    KeepsErrorsToItself "TASK-09",
    GoesOnAfterAFailure "TASK-10",
    TellsTheLastFirst "TASK-11",
    TellsOneError "TASK-12",
    StopsThoughItCollects "TASK-13",
    IgnoresTheBody "TASK-14",
    LeavesTasksToABodysPanic "TASK-15",
    SwallowsPanics "TASK-16",
    AbortsOnPanics "TASK-17" isolated,
    GoesOnAfterAPanic "TASK-17",
    TellsOnePanic "TASK-18",
    SwallowsSorePanics "TASK-19",
    SwallowsLatePanics "TASK-20",
    LeavesTasksToAFailure "TASK-21",
    StopsLate "TASK-22",
    IgnoresAStopWhileItCollects "TASK-22",
    LeavesTasksToAStop "TASK-23",
    TellsWhoWasStopped "TASK-24",
    DetachesInnerTasks "TASK-25",
    StopsOnlyWhoIsThere "TASK-26",
    RunsWhatIsLate "TASK-27",
    DetachesWhenDropped "TASK-28",
    WaitsForTheWholeGrace "TASK-29",
    HasNoEndOfGrace "TASK-30",
    TellsTheAnswerFirst "TASK-31",
    BeginsWhileItStops "TASK-32",
    HasNoReason "TASK-33",
    HasNoLimit "TASK-34",
    BeginsTheNextAfterAFailure "TASK-35",
    WaitsWithALimitOfZero "TASK-36",
    HasNoDeadline "TASK-37",
    WaitsForTheDeadline "TASK-38",
    TellsPanicsAsErrors "TASK-39",
    ForgetsNames "TASK-40",
    CountsWhatWasDroppedAsFinished "TASK-41",
    CutsShields "TASK-42",
    ShieldsForEver "TASK-43",
    LeavesBlockingCalls "TASK-44",
    TellsNothingToBlockingCalls "TASK-45",
    SwallowsTheEndOfARuntime "TASK-46",
}

struct Faulty(Fault);

impl Adapter<Settings> for Faulty {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &Settings) -> Result<Configured<Body, Outcome>, AdapterError> {
        let Self(fault) = *self;
        if settings.limit == Some(0) && fault != Fault::WaitsWithALimitOfZero {
            return Err(AdapterError::Refused("nothing would ever run".to_owned()));
        }
        // As a group may do that keeps its runtime: each rule configures it within one.
        let _runtime = Handle::current();
        let settings = settings.clone();
        Ok(Configured::new(move |body: Body| RunningGroup::run(fault, settings.clone(), body)))
    }
}
