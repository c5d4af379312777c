//! Retry, done right in the fewest lines, and wrong in every way that a rule looks for.

mod attempts;
mod backoff;
mod budget;
mod clock;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    retry::{Capability, Growth, Jitter, Operation, Outcome, Policy, Settings},
};
use tokio::{runtime::Handle, time::Instant};

use self::{attempts::Attempts, budget::FaultyBudget};
use super::Planted;

faults! {
    WaitsFirst "RETRY-01",
    CallsUnpolled "RETRY-02",
    RepeatsSuccess "RETRY-03",
    MakesOneMore "RETRY-04",
    ZeroIsEndless "RETRY-05",
    WaitsAtTheEnd "RETRY-06",
    KeepsTheFirstError "RETRY-07",
    TellsTheMostFrequentError "RETRY-07",
    RepeatsPermanent "RETRY-08",
    SpinsOnPermanent "RETRY-08" isolated,
    CountsForAllCalls "RETRY-09",
    GrowsLinearly "RETRY-10",
    RoundsToFloats "RETRY-11",
    CallsEarly "RETRY-12",
    HasNoCap "RETRY-13",
    FirstHasNoCap "RETRY-14",
    Overflows "RETRY-15",
    SticksBelowTheCap "RETRY-16",
    TakesZeroForTheCap "RETRY-17",
    TakesNanForZero "RETRY-18",
    PanicsOnLongDelays "RETRY-19",
    HogsTheThread "RETRY-20",
    ArmsTimersForZero "RETRY-21",
    ArmsTimersAlways "RETRY-22",
    PollsBusily "RETRY-23",
    Recurses "RETRY-24" isolated,
    JitterExceedsTheCap "RETRY-25",
    JitterIsClamped "RETRY-26",
    JitterCompounds "RETRY-27",
    JitterIsShared "RETRY-28",
    ForgetsTheSeed "RETRY-29",
    JitterReachesZero "RETRY-30",
    JitterIsInSeconds "RETRY-31",
    ReadsTheWallClock "RETRY-32",
    SumsUpDelays "RETRY-33",
    LooksAfterFailuresOnly "RETRY-33",
    WaitsForTheEnd "RETRY-34",
    HalvesTheElapsedTime "RETRY-34",
    OverrunsTheTotalTime "RETRY-35",
    GivesUpOnSlowAttempts "RETRY-36",
    ComesBackEarly "RETRY-37",
    ObeysForever "RETRY-38",
    ObeysBeyondTheTotalTime "RETRY-39",
    ObeysAnyWait "RETRY-40",
    KeepsObeying "RETRY-41",
    ObservesTheEnd "RETRY-42",
    ObservesTheSum "RETRY-43",
    Detaches "RETRY-44",
    HoldsTheAttempt "RETRY-45",
    StopsLate "RETRY-46",
    IgnoresTheBudget "RETRY-47",
    QuantisesTheBudget "RETRY-48",
    KeepsTheToken "RETRY-49",
    HasABudgetPerCall "RETRY-50",
    NeverRefills "RETRY-51",
    ChecksThenTakes "RETRY-52",
    GivesTheWrongReason "RETRY-53",
    BlamesTheAttempts "RETRY-53",
    RepeatsWhatWasSent "RETRY-54",
    AttemptsTooLate "RETRY-55",
    OverrunsTheDeadline "RETRY-56",
    WaitsBeyondTheDeadline "RETRY-57",
    WaitsUpToTheDeadline "RETRY-57",
    ObeysBeyondTheDeadline "RETRY-57",
    CountsFromTheFirstPoll "RETRY-58",
    TakesTheDeadlineAlone "RETRY-59",
    TakesTheTotalTimeAlone "RETRY-59",
    KeepsTheCount "RETRY-60",
    KeepsTheDelays "RETRY-61",
    BeginsAnewEarly "RETRY-62",
    CountsTheWaits "RETRY-63",
    CountsOtherAttempts "RETRY-63",
    RenewsTheTotalTime "RETRY-64",
    RenewsTheDeadline "RETRY-64",
    TakesZeroForHealthy "RETRY-65",
    KeepsEveryResponse "RETRY-66",
    HurriesAfterResponses "RETRY-66",
    RepeatsResponsesForEver "RETRY-67",
    KeepsTheFirstResponse "RETRY-68",
    DropsTheResponse "RETRY-68",
    IgnoresWhatResponsesAsk "RETRY-69",
    RepeatsResponsesForFree "RETRY-70",
    JitterOverflows "RETRY-71",
    PanicsOnLongLimits "RETRY-72",
    PanicsOnLongWaits "RETRY-73",
    PanicsOnLargeFactors "RETRY-74",
    JitterBeginsAtAConstant "RETRY-75",
    JitterShortensWhatIsAsked "RETRY-76",
    ObeysForFree "RETRY-77",
    KeepsTheTokenWhenStopped "RETRY-78",
    Hoards "RETRY-79",
    WrapsTheTime "RETRY-80",
    RepeatsSlowAttemptsForEver "RETRY-81",
    StarvesTheLimit "RETRY-82",
    StarvesTheTotalTime "RETRY-83",
    StarvesTheDeadline "RETRY-84",
    LosesTheErrorWhenLate "RETRY-85",
    TriesOnceMoreWhenLate "RETRY-85",
    KeepsTheTokenWhenLate "RETRY-86",
    PanicsAtTheLastMoment "RETRY-87",
    HasAKeyForEachAttempt "RETRY-88",
    DrawsKeysFromTheSeed "RETRY-89",
    CountsKeys "RETRY-89",
}

struct Faulty(Fault);

impl Adapter<Settings> for Faulty {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &Settings) -> Result<Policy, AdapterError> {
        let Self(fault) = *self;
        // As one may do that keeps its runtime: each rule configures it within one.
        let _runtime = Handle::current();
        let senseless = match settings {
            Settings { max_attempts: 0, .. } => fault != Fault::ZeroIsEndless,
            Settings { growth: Growth::Exponential(factor), .. } if factor.is_nan() || *factor < 1.0 => {
                fault != Fault::TakesNanForZero
            }
            Settings { growth: Growth::Exponential(factor), .. } if factor.is_infinite() || *factor > 1e9 => {
                fault != Fault::PanicsOnLargeFactors
            }
            Settings { reset_after: Some(Duration::ZERO), .. } => fault != Fault::TakesZeroForHealthy,
            Settings { jitter: Some(Jitter::Percent(101..)), .. } => fault != Fault::JitterReachesZero,
            Settings { initial, cap, growth: Growth::Exponential(_), .. } if initial > cap => {
                fault != Fault::FirstHasNoCap
            }
            _ => false,
        };
        if senseless {
            return Err(AdapterError::Refused("it makes no sense".to_owned()));
        }
        let tokens = FaultyBudget::new(fault, settings);
        let (attempts, calls) = (Arc::new(AtomicU32::new(0)), AtomicU32::new(0));
        let policy = settings.clone();
        Ok(Policy::new(move |operation: Operation| {
            let call = Attempts {
                fault,
                settings: policy.clone(),
                tokens: if fault == Fault::HasABudgetPerCall {
                    FaultyBudget::new(fault, &policy)
                } else {
                    tokens.clone()
                },
                attempts: if fault == Fault::CountsForAllCalls { attempts.clone() } else { Arc::default() },
                nth: calls.fetch_add(1, SeqCst),
                made: Instant::now(),
            };
            let first = (fault == Fault::CallsUnpolled).then(|| operation.call());
            async move {
                match fault {
                    Fault::Recurses => recurse(operation, call.settings.max_attempts).await,
                    Fault::Detaches => tokio::task::spawn_local(call.make(operation, first))
                        .await
                        .expect("it does not panic"),
                    _ => call.make(operation, first).await,
                }
            }
        }))
    }
}

fn recurse(operation: Operation, left: u32) -> BoxFuture<'static, Outcome> {
    Box::pin(async move {
        match operation.call().await {
            Err(_) if left > 1 => recurse(operation, left - 1).await,
            result => result.into(),
        }
    })
}
