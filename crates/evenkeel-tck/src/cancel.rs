//! Rules that drop a future at each of its await points.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use evenkeel_testkit::cancel;

use crate::{
    Adapter, Configured, Pattern, Verdict,
    adapter::{configurable, configure},
    probe_task::{End, Event, Outcome, Record},
    rule::panic_message,
    verdict::Checked,
};

/// Runs an exploration of all await points, and turns its panic into a failure whose timeline lists the await points
/// that failed.
pub(crate) fn explored<T>(explore: impl FnOnce() -> T) -> Checked {
    // Each await point runs in a world of its own; the message of the panic is a table of the failed ones.
    catch_unwind(AssertUnwindSafe(explore)).map(drop).map_err(|payload| {
        let table = panic_message(&*payload);
        let (head, rows) = table.split_once('\n').unwrap_or((&table, ""));
        let timeline = rows.lines().map(str::to_owned).collect();
        Verdict::Fail { expected: "nothing left behind".to_owned(), got: head.to_owned(), timeline }
    })
}

/// Drops a group or a program at each of its await points. The rule asks that none of its tasks goes on.
pub(crate) fn leaves_no_task<S, I>(subject: &dyn Adapter<S>, settings: &S, work: fn(&Record) -> I) -> Checked
where
    S: Pattern<Configured = Configured<I, Outcome>>,
    I: 'static,
{
    configurable(subject, settings)?;
    let setup = async || {
        let configured = configure(subject, settings).unwrap_or_else(|verdict| panic!("{verdict}"));
        Rc::new((configured, Record::start()))
    };
    let run = move |state: Rc<(S::Configured, Record)>| async move { state.0.call(work(&state.1)).await };
    let check = async |state: Rc<(S::Configured, Record)>| {
        let record = &state.1;
        let freed = record.pick(|_, event| matches!(event, Event::Freed(1..)).then_some(())).len();
        assert_eq!(record.spawned(), freed, "a task goes on after its owner was dropped");
        let ended = record.ended(End::Ok).len();
        assert!(ended == 0 || ended == record.spawned(), "a task went on to its end");
    };
    explored(|| cancel::every_point(setup, run, check))
}
