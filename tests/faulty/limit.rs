//! Limits of rate and of concurrency, done right in the fewest lines, and wrong in every way that a rule looks for.

mod algorithm;
mod keyed;
mod limiter;
mod state;

use evenkeel_tck::{
    Adapter, AdapterError,
    limit::{Capability, Change, Denied, Limit, Limiter, Permit, Rate, Request, Settings},
};

use self::{keyed::KeyedLimiter, limiter::FaultyLimiter};
use super::Planted;

faults! {
    GrantsOneMore "LIMIT-01",
    CountsInWindows "LIMIT-02",
    SavesAFraction "LIMIT-03",
    ForgetsRefusedTime "LIMIT-08",
    EarnsInLumps "LIMIT-04",
    ForgetsFractions "LIMIT-05",
    RoundsToNanoseconds "LIMIT-06",
    CountsInFloats "LIMIT-07",
    HasNoBrim "LIMIT-09",
    BeginsFull "LIMIT-10",
    BurstIsTheRate "LIMIT-11",
    OverflowsBursts "LIMIT-12",
    ZeroIsNoLimit "LIMIT-13",
    TakesWhatItRefuses "LIMIT-14",
    SaysBusyToAll "LIMIT-15",
    RoundsTheWaitDown "LIMIT-16",
    RoundsTheWaitUp "LIMIT-17",
    WaitsFirst "LIMIT-18",
    SleepsElsewhere "LIMIT-19",
    WakesLate "LIMIT-20",
    LastComesFirst "LIMIT-21",
    SmallComesFirst "LIMIT-22",
    TryOvertakes "LIMIT-23",
    WakesEverybody "LIMIT-24",
    CountsFromTheTimer "LIMIT-25",
    WaitsForWhatNeverFits "LIMIT-26",
    CountsNobodyBefore "LIMIT-27",
    KeepsThePlaceOfWhoLeft "LIMIT-28",
    LosesWhatWasCollected "LIMIT-29",
    ChargesWhoLeaves "LIMIT-30",
    NeedsTheFirst "LIMIT-31",
    RefusesAtTheDeadline "LIMIT-32",
    TakesTheDeadlineForLate "LIMIT-33",
    ChargesWhoIsLate "LIMIT-34",
    HasNoBound "LIMIT-35",
    CountsWhoLeft "LIMIT-36",
    CountsThePastAnew "LIMIT-37",
    ChangesForNewOnly "LIMIT-38",
    FillsALargerBurst "LIMIT-39",
    KeepsALargerBurst "LIMIT-40",
    RefundsBeyondTheBurst "LIMIT-41",
    RefundsForNewOnly "LIMIT-42",
    BurstsAfterAPenalty "LIMIT-43",
    ClosesForNewOnly "LIMIT-44",
    WindowIsABucket "LIMIT-45",
    WindowIsTooLong "LIMIT-46",
    KeysShare "LIMIT-47",
    ForgetsKeysInUse "LIMIT-48",
    KeepsAllKeys "LIMIT-49",
    HasNoBoundForKeys "LIMIT-50",
    ForgetsAllAtTheBound "LIMIT-51",
    WaitsForOtherKeys "LIMIT-52",
    ChangesNewKeysOnly "LIMIT-53",
    LetsOneMoreRun "LIMIT-54",
    LetsOneLessRun "LIMIT-55",
    LastRunsFirst "LIMIT-56",
    LosesPermitsOfPanics "LIMIT-57",
    LosesPermitsOfWhoLeft "LIMIT-58",
    LightRunsFirst "LIMIT-59",
    WaitsForTheImpossible "LIMIT-60",
    TryRunsFirst "LIMIT-61",
    WakesAllForOne "LIMIT-62",
    ForgetsWhoRuns "LIMIT-63",
    RaisesForNewOnly "LIMIT-64",
    ClosesForNewRunsOnly "LIMIT-65",
    ZeroLetsAllRun "LIMIT-66",
    TakesInTurn "LIMIT-67",
    ChecksThenTakes "LIMIT-68",
    ChecksThenRuns "LIMIT-69",
    TakesWhenSettled "LIMIT-70",
    SpendsWhatWasDropped "LIMIT-71",
    KeepsWhatWasNotUsed "LIMIT-72",
    SettlesBeyondTheBurst "LIMIT-73",
    ForgivesWhatWasMissing "LIMIT-74",
    SettlesForNewOnly "LIMIT-75",
    SettlesForAnotherWindow "LIMIT-76",
}

struct Faulty(Fault);

impl Adapter<Settings> for Faulty {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Limiter>, AdapterError> {
        let Self(fault) = *self;
        let is_senseless = match settings.limit {
            Limit::Bucket { rate: Rate { permits: 0, .. }, .. } => fault != Fault::ZeroIsNoLimit,
            Limit::Concurrency(0) => fault != Fault::ZeroLetsAllRun,
            _ => false,
        };
        if is_senseless {
            return Err(AdapterError::Refused("nothing would ever be granted".to_owned()));
        }
        Ok(if settings.keyed {
            Box::new(KeyedLimiter::new(fault, settings))
        } else if let Some(limit) = settings.also {
            let mut other = settings.clone();
            other.limit = limit;
            Box::new(Both {
                fault,
                limiters: [FaultyLimiter::new(fault, settings), FaultyLimiter::new(fault, &other)],
            })
        } else {
            Box::new(FaultyLimiter::new(fault, settings))
        })
    }
}

/// Two limits at once.
struct Both {
    fault: Fault,
    limiters: [FaultyLimiter; 2],
}

impl Limiter for Both {
    fn try_acquire(&self, request: Request) -> Result<Permit, Denied> {
        let [first, second] = &self.limiters;
        let permit = first.try_acquire(request)?;
        second.try_acquire(request).map(|_| permit).inspect_err(|_| {
            if self.fault != Fault::TakesInTurn {
                first.change(Change::Refund(request.permits));
            }
        })
    }
}
