//! Maps that are dropped.

use std::{cell::RefCell, rc::Rc};

use evenkeel_testkit::cancel;
use tokio::sync::Mutex;

use super::prelude::*;
use crate::{
    BoxFuture,
    stream::{
        operator::{BoxStream, MapResult},
        queue_harness::settle,
    },
};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "STREAM-34" stream_34 "A map that is dropped takes no more items, and its source is dropped.").needs(Needs::CANCEL),
    rule!(Must "STREAM-35" stream_35 "When a map is dropped, its items in flight are dropped in the same instant.").needs(Needs::CANCEL_AND_ABORT),
    rule!(Must "STREAM-36" stream_36 "A map that is dropped while its source is silent drops the source.").needs(Needs::CANCEL),
    rule!(Must "STREAM-37" alone stream_37 "A map dropped at any await leaves no item that goes on.").needs(Needs::CANCEL_AND_ABORT),
    rule!(Must "STREAM-38" alone stream_38 "Dropping the wait for the next result loses no result.").needs(Needs::CUT),
];

/// Runs a map for this time, and drops it.
async fn cut(subject: &Subject, map: &Map, supply: Supply, after: Duration) -> Checked<Run> {
    let (run, future) = Run::begin(subject, map, supply, Busy::No)?;
    drop(timeout(after, future).await);
    run.note(Event::Returned);
    // A task that is aborted is dropped in its next turn.
    settle().await;
    Ok(run)
}

async fn stream_34(subject: &Subject) -> Checked {
    for map in maps(subject, 3)? {
        let run = cut(subject, &map, items(20, ms(10)), ms(25)).await?;
        let given = run.given();
        run.is("sources dropped", run.count(&Event::SourceFreed), 1)?;
        sleep(secs(10)).await;
        run.is("items given, also after the drop", run.given(), given)?;
    }
    Ok(())
}

async fn stream_35(subject: &Subject) -> Checked {
    for map in maps(subject, 3)? {
        let run = cut(subject, &map, items(20, ms(10)), ms(25)).await?;
        run.is("items alive", run.alive(), Vec::new())?;
        run.is("items that ended", run.ended().len(), 6)?;
    }
    Ok(())
}

async fn stream_36(subject: &Subject) -> Checked {
    for map in maps(subject, 3)? {
        let run = cut(subject, &map, items(2, ms(10)).open(), secs(1)).await?;
        run.is("sources dropped", run.count(&Event::SourceFreed), 1)?;
    }
    Ok(())
}

/// Notes when a map is dropped.
struct NoteDrop(Record);

impl Drop for NoteDrop {
    fn drop(&mut self) {
        self.0.note(Event::Returned);
    }
}

fn stream_37(subject: &Subject) -> Checked {
    for map in maps(subject, 2)? {
        configurable(subject, &Settings::Map(map.clone()))?;
        let setup = async || {
            let supply = items(5, ms(10)).later(ms(5), item(6).taking(ms(10)));
            let (run, future) = unwrap(Run::begin(subject, &map, supply, Busy::No));
            Rc::new((run, RefCell::new(Some(future))))
        };
        let operation = async |state: Rc<(Run, RefCell<Option<BoxFuture<'static, _>>>)>| {
            let _noted = NoteDrop(state.0.record.clone());
            if let Some(future) = state.1.take() {
                drop(future.await);
            }
        };
        let check = async |state: Rc<(Run, RefCell<Option<_>>)>| {
            drop(state.1.take());
            let run = &state.0;
            settle().await;
            assert_eq!(run.alive(), Vec::<u32>::new(), "items alive after the drop");
            let dropped_at = run.first(&Event::Returned);
            let later = run.pick(|at, event| match event {
                Event::Given(number) | Event::Ended(number) if Some(at) > dropped_at => Some(*number),
                _ => None,
            });
            assert_eq!(later, Vec::<u32>::new(), "items given or ended after the drop");
        };
        explored(|| cancel::every_point(setup, operation, check))?;
    }
    Ok(())
}

/// A stream of results that is cut while it waits for the next one.
struct Cut {
    stream: Mutex<BoxStream<MapResult>>,
    record: Record,
}

impl Cut {
    /// Takes all results.
    async fn take(&self) {
        while let Some(result) = next(&mut *self.stream.lock().await).await {
            if let Ok(number) = result {
                self.record.note(Event::Took(number));
            }
        }
    }
}

fn stream_38(subject: &Subject) -> Checked {
    needs(subject, Capability::Stream)?;
    for map in maps(subject, 2)? {
        configurable(subject, &Settings::Map(map.clone()))?;
        let setup = async || {
            let record = Record::start();
            let supply = items(3, ms(10)).later(ms(15), item(4).taking(ms(10)));
            let stream = unwrap(unwrap(operator(subject, &map)).stream(Source::new(supply, &record)));
            Rc::new(Cut { stream: Mutex::new(stream), record })
        };
        let check = async |cut: Rc<Cut>| {
            cut.take().await;
            assert_eq!(
                sorted(cut.record.taken()),
                [1, 2, 3, 4],
                "results after the wait for one was dropped"
            );
        };
        explored(|| cancel::every_point(setup, async |cut: Rc<Cut>| cut.take().await, check))?;
    }
    Ok(())
}
