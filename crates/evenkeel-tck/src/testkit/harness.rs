//! Runs one test of a kit, and looks at its events and at its end.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::Duration,
};

use super::{Calls, Connector, Event, FakeServer, Program, Route, Settings, Step, TestKit};
use crate::{
    Adapter, Verdict, adapter::configure, rule::panic_message, timeline::Timeline, verdict::Checked,
};

type Subject = dyn Adapter<Settings>;

/// A test that has ended.
pub(crate) struct Ran {
    pub(crate) record: Timeline<Event>,
    /// The words with which the kit failed it.
    pub(crate) failure: Option<String>,
}

/// Runs a program as a test with these settings.
pub(crate) fn run_with(subject: &Subject, settings: &Settings, steps: &[Step]) -> Checked<Ran> {
    let kit = configure(subject, settings)?;
    Ok(run_on(&*kit, steps))
}

/// Runs a program as a test that takes at most this time.
pub(crate) fn run(subject: &Subject, lasts: Duration, steps: &[Step]) -> Checked<Ran> {
    run_with(subject, &Settings { lasts, ..Settings::default() }, steps)
}

pub(crate) fn run_on(kit: &dyn TestKit, steps: &[Step]) -> Ran {
    let program = Program::new(steps);
    let record = program.record().clone();
    Ran { record, failure: failure(|| kit.run(program)) }
}

/// The text of the panic, if it does.
pub(crate) fn failure(run: impl FnOnce()) -> Option<String> {
    catch_unwind(AssertUnwindSafe(run)).err().map(|payload| panic_message(&*payload))
}

/// The rule asks that a test passes, which had this failure.
pub(crate) fn passes(failure: Option<String>) -> Checked {
    failure
        .map_or(Ok(()), |text| Err(Verdict::fail("that the test passes", format_args!("it fails: {text}"))))
}

impl Ran {
    /// The rule asks that the test passes.
    pub(crate) fn passes(&self) -> Checked {
        match &self.failure {
            None => Ok(()),
            Some(text) => Err(self.record.failure("that the test passes", format_args!("it fails: {text}"))),
        }
    }

    /// The rule asks that the test fails. Returns its words.
    pub(crate) fn fails(&self, why: &str) -> Checked<&str> {
        let passed = || self.record.failure(format_args!("that the test fails: {why}"), "it passes");
        self.failure.as_deref().ok_or_else(passed)
    }

    /// The rule asks for these events, in this order, and that the test passes.
    pub(crate) fn has(&self, wanted: &[(Duration, Event)]) -> Checked {
        self.passes()?;
        self.record.equal("the events", self.record.pick(|at, event| Some((at, *event))), wanted.to_vec())
    }

    /// The rule asks for these times of the noted numbers, whatever their order at one time, and that the test passes.
    pub(crate) fn notes(&self, wanted: &[(Duration, u32)]) -> Checked {
        let wanted: Vec<_> = wanted.iter().map(|(at, number)| (*at, Event::Noted(*number))).collect();
        self.has(&wanted)
    }
}

/// Runs a test with a fake server. Returns the output of its body, and the words with which the kit failed it.
pub(crate) fn serve<T: 'static>(
    subject: &Subject,
    routes: &[Route],
    body: impl AsyncFnOnce(Rc<dyn FakeServer>) -> T + 'static,
) -> Checked<(T, Option<String>)> {
    let kit = configure(subject, &Settings { lasts: Duration::from_secs(60), ..Settings::default() })?;
    let output = Rc::new(RefCell::new(None));
    let inner = output.clone();
    let calls: Calls = Box::new(move |server| {
        Box::pin(async move {
            let told = body(server.clone()).await;
            *inner.borrow_mut() = Some(told);
            // Its drop may fail the test.
            drop(server);
        })
    });
    let failure = failure(|| kit.serve(routes.to_vec(), calls));
    match (output.take(), failure) {
        (Some(output), failure) => Ok((output, failure)),
        (None, why) => Err(Verdict::fail(
            "that the body of the test runs to its end",
            format_args!("it did not: {}", why.unwrap_or_else(|| "nothing was told".to_owned())),
        )),
    }
}

/// Runs a test over a network of this seed. Returns the output of its body.
pub(crate) fn simulate<T: 'static>(
    kit: &dyn TestKit,
    seed: u64,
    body: impl AsyncFnOnce(Connector) -> T + 'static,
) -> Checked<T> {
    let output = Rc::new(RefCell::new(None));
    let inner = output.clone();
    let failure = failure(|| {
        kit.simulate(
            seed,
            Box::new(move |connect| {
                Box::pin(async move {
                    let told = body(connect).await;
                    *inner.borrow_mut() = Some(told);
                })
            }),
        );
    });
    match (output.take(), failure) {
        (Some(output), None) => Ok(output),
        (_, why) => Err(Verdict::fail(
            "that the test passes",
            format_args!("it fails: {}", why.unwrap_or_else(|| "its body did not run to its end".to_owned())),
        )),
    }
}
