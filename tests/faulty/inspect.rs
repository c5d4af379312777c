//! An observer in the fewest lines, and wrong in every way that a rule looks for.

mod find;
mod graph;
mod program;

use std::sync::Arc;

use evenkeel_tck::{
    Adapter, AdapterError,
    inspect::{Capability, Inspectable, Settings},
};
use tokio::runtime::Handle;

use self::program::Program;
use super::Planted;

faults! {
    MissesWaitsForItself "INSPECT-01",
    SeesPairsNowhere "INSPECT-02",
    LooksAtOneKindAtATime "INSPECT-03",
    KnowsNoTasks "INSPECT-04",
    KnowsSingleUnitsAlone "INSPECT-05",
    HasNoPlaces "INSPECT-06",
    TellsWhereTheyWaitAlone "INSPECT-06",
    KnowsNoDrains "INSPECT-07",
    KnowsNoUsualHold "INSPECT-08",
    KnowsNoConsumers "INSPECT-09",
    KnowsNoBatches "INSPECT-10",
    TellsEveryQueue "INSPECT-11",
    KnowsTheLastHolderAlone "INSPECT-12",
    KeepsWaitsThatWereGivenUp "INSPECT-13",
    KeepsFindings "INSPECT-14",
    ShowsNoWaits "INSPECT-15",
    ShowsWaitsThatWereGivenUp "INSPECT-16",
    KeepsTasksThatWereAborted "INSPECT-17",
    KeepsResources "INSPECT-18",
    KeepsWorkAlive "INSPECT-19",
    KnowsNoStores "INSPECT-20",
    KeepsOutages "INSPECT-20",
    KnowsNoTimers "INSPECT-21",
    TellsEveryPause "INSPECT-21",
    AsksTheTasks "INSPECT-22",
    KeepsTasksThatItHasShown "INSPECT-23",
    ShowsNothingWhileBusy "INSPECT-23",
    LooksForever "INSPECT-23",
}

struct Faulty(Fault);

impl Adapter<Settings> for Faulty {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &Settings) -> Result<Arc<dyn Inspectable>, AdapterError> {
        // As an observer may do that keeps its runtime: each rule configures it within one.
        let _runtime = Handle::current();
        Ok(Arc::new(Program::new(self.0, settings.limit)))
    }
}
