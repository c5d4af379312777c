//! Runs one map with the implementation under test.

use std::ops::Deref;

use super::{
    Capability, Consumer, Map, Operator, Settings, Source,
    consumer::Busy,
    record::{Event, Record},
    source::Supply,
};
use crate::{
    Adapter, BoxFuture, Verdict,
    adapter::{configure, has, needs},
    agenda::timeout,
    duration::WEEK,
    probe_task::{FailureKind, ReportedFailure, catch_panic},
    task::FailureMode,
    verdict::Checked,
};

/// A map, and the record of its run.
pub(crate) struct Run {
    pub(crate) record: Record,
    pub(crate) map: Map,
    /// Lives as long: in another process its items may be seen after its end.
    pub(crate) _operator: Operator,
}

/// The maps of the implementation with this limit: of each order that it has, for each effect of a failure, and with keys.
/// Each item has a key of its own, unless a rule gives it another one.
pub(crate) fn maps(subject: &dyn Adapter<Settings>, limit: usize) -> Checked<Vec<Map>> {
    needs(subject, Capability::Map)?;
    let mut maps = Vec::new();
    for ordered in [false, true] {
        for on_failure in [FailureMode::Usual, FailureMode::Stop, FailureMode::GoOn] {
            for keyed in [false, true] {
                let map = Map { limit, ordered, on_failure, keyed };
                if has(subject, &Settings::Map(map.clone())) {
                    maps.push(map);
                }
            }
        }
    }
    Ok(maps)
}

/// As [`maps`], with this effect of a failure.
pub(crate) fn maps_on_failure(
    subject: &dyn Adapter<Settings>,
    limit: usize,
    on_failure: FailureMode,
    capability: Capability,
) -> Checked<Vec<Map>> {
    let mut maps = maps(subject, limit)?;
    needs(subject, capability)?;
    maps.retain(|map| map.on_failure == on_failure);
    Ok(maps)
}

/// A configured map.
pub(crate) fn operator(subject: &dyn Adapter<Settings>, map: &Map) -> Checked<Operator> {
    configure(subject, &Settings::Map(map.clone()))
}

impl Run {
    /// Runs a map to its end, for a week at most. A panic that goes on in the consumer is one of which it is told.
    pub(crate) async fn of(
        subject: &dyn Adapter<Settings>,
        map: &Map,
        supply: Supply,
        busy: Busy,
    ) -> Checked<Self> {
        let (run, future) = Self::begin(subject, map, supply, busy)?;
        run.end(future).await?;
        Ok(run)
    }

    /// The future of a map, not yet polled.
    pub(crate) fn begin(
        subject: &dyn Adapter<Settings>,
        map: &Map,
        supply: Supply,
        busy: Busy,
    ) -> Checked<(Self, BoxFuture<'static, Result<(), ReportedFailure>>)> {
        let operator = operator(subject, map)?;
        let record = Record::start();
        let consumer = Consumer::new(busy, map.on_failure == FailureMode::Stop, &record);
        let future = operator.run(Source::new(supply, &record), consumer)?;
        Ok((Self { record, map: map.clone(), _operator: operator }, future))
    }

    /// Waits for the end of a map, and drops it.
    pub(crate) async fn end(&self, future: BoxFuture<'static, Result<(), ReportedFailure>>) -> Checked {
        let Ok(ended) = timeout(WEEK, catch_panic(future)).await else {
            let expected = format!("an end of {} within {WEEK:?}", self.map);
            return Err(self.failure(expected, format_args!("none, with {:?} taken", self.taken().len())));
        };
        if let Err(message) = ended {
            self.note(Event::Told(ReportedFailure::panic(&message)));
        }
        self.note(Event::Returned);
        Ok(())
    }

    /// The rule asks for equality; the failure names the map.
    pub(crate) fn is<T: PartialEq + std::fmt::Debug>(&self, what: &str, got: T, want: T) -> Checked {
        self.equal(&format!("{}, {what}", self.map), got, want)
    }

    /// The rule asks for this; the failure names the map.
    pub(crate) fn asks(&self, holds: bool, what: &str, got: impl std::fmt::Debug) -> Checked {
        self.require(holds, format_args!("{}, {what}", self.map), format_args!("{got:?}"))
    }

    /// The rule asks that the consumer was told once of a failure of this kind, and names the item where it is told.
    pub(crate) fn tells(&self, kind: FailureKind, number: u32) -> Checked {
        let told = self.told();
        let is_it = |failure: &ReportedFailure| {
            failure.kind == kind && failure.task.is_none_or(|task| task == number)
        };
        let expected = format!("told once of the {kind:?} of item {number}");
        self.asks(told.len() == 1 && is_it(&told[0]), &expected, told)
    }
}

impl Deref for Run {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}

/// A verdict inside an exploration of await points, which reports by panicking.
pub(crate) fn unwrap<T>(checked: Checked<T>) -> T {
    checked.unwrap_or_else(|verdict: Verdict| panic!("{verdict}"))
}
