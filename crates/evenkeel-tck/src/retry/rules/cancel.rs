//! Calls that are dropped or told to stop.

use std::{cell::Cell, rc::Rc};

use evenkeel_testkit::cancel;

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "RETRY-44" alone retry_44 "A call dropped at any await drops its attempt, makes no other, and leaves nothing.").needs(Needs::CANCEL),
    rule!(Should "RETRY-45" retry_45 "Resources of an attempt are free during the wait for the next.").needs(Needs::DROPS),
    rule!(Must "RETRY-46" retry_46 "A signal to stop ends the wait at once, and the last error comes back."),
];

/// The state of one call that is dropped at each await point.
struct Cut {
    policy: Policy,
    record: Record,
    /// The number of attempts that had been called when the call was dropped.
    left: Cell<Option<usize>>,
}

struct CountOnDrop(Rc<Cut>);

impl Drop for CountOnDrop {
    fn drop(&mut self) {
        self.0.left.set(Some(self.0.record.called().len()));
    }
}

fn retry_44(subject: &Subject) -> Checked {
    let settings = Settings::doubling().attempts(3);
    configurable(subject, &settings)?;
    let setup = async || {
        let policy = configure(subject, &settings).unwrap_or_else(|verdict| panic!("{verdict}"));
        Rc::new(Cut { policy, record: Record::start(), left: Cell::default() })
    };
    let call = async |cut: Rc<Cut>| {
        let _leaving = CountOnDrop(cut.clone());
        let operation = Operation::new(&cut.record, |_| Step::TRANSIENT.taking(ms(10)));
        cut.policy.call(operation).await
    };
    let check = async |cut: Rc<Cut>| {
        let (called, freed) = (cut.record.called().len(), cut.record.freed().len());
        assert_eq!(called, freed, "an attempt outlived its call");
        if let Some(left) = cut.left.get() {
            assert_eq!(called, left, "an attempt was made after the call was left");
        }
    };
    explored(|| cancel::every_point(setup, call, check))
}

async fn retry_45(subject: &Subject) -> Checked {
    let run = run_call(subject, &Settings::doubling(), |_| Step::TRANSIENT.taking(ms(10))).await?;
    run.equal("attempts dropped when they end,", run.freed(), run.ended())
}

async fn retry_46(subject: &Subject) -> Checked {
    let settings = Settings { stop_after: Some(ms(1500)), ..Settings::fixed(secs(1)) };
    let run = run_call(subject, &settings, |_| Step::TRANSIENT).await?;
    run.equal("stopped at", run.elapsed, ms(1500))?;
    run.returns(Expected::ErrorOf(2))
}
