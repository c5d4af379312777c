//! Programs that are dropped.

use std::rc::Rc;

use evenkeel_testkit::cancel;

use super::prelude::*;

pub(super) const RULES: &[Rule<dyn Adapter>] = &[
    rule!(Must "SHUTDOWN-35" alone shutdown_35 "A program dropped at any await leaves no task that goes on."),
];

/// A lifetime so long that a task which is not dropped is still alive an hour after its program was dropped.
const HOURS: Duration = secs(5 * 3600);

fn shutdown_35(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::Tasks)?;
    let settings = Settings::stopped(HOURS);
    configure(subject, &settings)?;
    let setup = async || {
        let program = configure(subject, &settings).unwrap_or_else(|verdict| panic!("{verdict}"));
        Rc::new((program, Record::start()))
    };
    let run = async |state: Rc<(Program, Record)>| {
        let scene = Scene::of([1, 2].map(|number| task(number).taking(2 * HOURS)));
        state.0.call(Parts::new(scene, &state.1)).await
    };
    let check = async |state: Rc<(Program, Record)>| {
        let record = &state.1;
        let freed = record.pick(|_, event| matches!(event, Event::Freed(_)).then_some(())).len();
        assert_eq!(record.spawned(), freed, "a task goes on after its program was dropped");
        let ended = record.ended(End::Ok).len();
        assert!(ended == 0 || ended == record.spawned(), "a task went on to its end");
    };
    explored(|| cancel::every_point(setup, run, check))
}
