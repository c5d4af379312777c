//! An observer and a test kit that claim every capability, and see nothing.

use std::sync::Arc;

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    inspect::{self, Inspectable, ProgramBody, Shared, SharedKind, Site, Spawned, Tasks, View},
    testkit::{self, Program, TestKit},
};

struct Idle;

impl Adapter<inspect::Settings> for Idle {
    fn supports(&self, _: inspect::Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, _: &inspect::Settings) -> Result<Arc<dyn Inspectable>, AdapterError> {
        Ok(Arc::new(Self))
    }
}

impl Inspectable for Idle {
    fn run(&self, body: ProgramBody) -> BoxFuture<'static, ()> {
        body(Arc::new(Self))
    }

    fn resource(&self, _: SharedKind, _: &'static str, _: usize) -> Arc<dyn Shared> {
        Arc::new(Self)
    }

    fn look(&self) -> View {
        View::default()
    }
}

impl Tasks for Idle {
    fn spawn(&self, _: String, _: BoxFuture<'static, ()>) -> Box<dyn Spawned> {
        Box::new(Self)
    }
}

impl Spawned for Idle {
    fn abort(&self) {}

    fn ended(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

impl Shared for Idle {
    fn hold(&self, _: Site, inside: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        inside
    }
}

#[test]
fn an_observer_that_sees_nothing() {
    let report = inspect::SUITE.run(&Idle);
    let passed: Vec<_> =
        report.findings.iter().filter(|rule| rule.verdict.passed()).map(|rule| rule.id).collect();
    // Each of these asks that nothing is found in a program that goes on.
    assert_eq!(passed, ["INSPECT-11", "INSPECT-12", "INSPECT-13"]);
}

impl Adapter<testkit::Settings> for Idle {
    fn supports(&self, _: testkit::Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, _: &testkit::Settings) -> Result<Box<dyn TestKit>, AdapterError> {
        Ok(Box::new(Self))
    }
}

impl TestKit for Idle {
    fn run(&self, _: Program) {}
}

#[test]
fn a_kit_that_runs_no_test() {
    let report = testkit::SUITE.run(&Idle);
    let passed: Vec<_> = report.findings.iter().filter(|rule| rule.verdict.passed()).collect();
    assert!(passed.is_empty(), "{passed:?}");
}
