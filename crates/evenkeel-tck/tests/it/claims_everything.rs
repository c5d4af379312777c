//! Implementations that claim every capability, and do nothing or grant everything: each rule has a verdict of its own, and
//! none panics.

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture, Configured, Report, Verdict,
    limit::{self, Change, Denied, Limiter, Permit, Request, Settle},
    retry::{self, Policy},
    shutdown::{self, Parts},
    task::{self, Body},
};

struct Idle;

/// Asserts that no rule panicked, and that some are broken.
#[track_caller]
fn assert_verdicts(report: &Report) {
    let panicked = |verdict: &Verdict| match verdict {
        Verdict::Fail { expected, .. } => expected.starts_with("no panic"),
        _ => false,
    };
    let panicked = report.findings.iter().find(|rule| panicked(&rule.verdict));
    assert!(panicked.is_none(), "{panicked:?}");
    assert!(report.score().failed > 5, "{report}");
}

impl Adapter<retry::Settings> for Idle {
    fn supports(&self, _: retry::Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, _: &retry::Settings) -> Result<Policy, AdapterError> {
        Ok(Policy::new(async |_| retry::Outcome::gave_up(None)))
    }
}

#[test]
fn a_retry_without_attempts() {
    assert_verdicts(&retry::SUITE.run(&Idle));
}

impl Adapter<task::Settings> for Idle {
    fn supports(&self, _: task::Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, _: &task::Settings) -> Result<Configured<Body, task::Outcome>, AdapterError> {
        Ok(Configured::new(async |_| task::Outcome::default()))
    }
}

#[test]
fn a_group_without_tasks() {
    assert_verdicts(&task::SUITE.run(&Idle));
}

impl Adapter<shutdown::Settings> for Idle {
    fn supports(&self, _: shutdown::Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(
        &self,
        _: &shutdown::Settings,
    ) -> Result<Configured<Parts, shutdown::Outcome>, AdapterError> {
        Ok(Configured::new(async |_| shutdown::Outcome::default()))
    }
}

#[test]
fn a_program_without_tasks() {
    assert_verdicts(&shutdown::SUITE.run(&Idle));
}

impl Adapter<limit::Settings> for Idle {
    fn supports(&self, _: limit::Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, _: &limit::Settings) -> Result<Box<dyn Limiter>, AdapterError> {
        Ok(Box::new(Self))
    }
}

impl Limiter for Idle {
    fn try_acquire(&self, _: Request) -> Result<Permit, Denied> {
        Err(Denied::Busy(None))
    }

    fn acquire(&self, _: Request) -> BoxFuture<'static, Result<Permit, Denied>> {
        Box::pin(async { Err(Denied::Closed) })
    }

    fn reserve(&self, _: u32) -> BoxFuture<'_, Result<Settle<'_>, Denied>> {
        Box::pin(async { Err(Denied::Closed) })
    }

    fn change(&self, _: Change) {}

    fn keys(&self) -> usize {
        0
    }
}

#[test]
fn a_limiter_without_permits() {
    assert_verdicts(&limit::SUITE.run(&Idle));
}

/// Grants everything at once.
struct Boundless;

impl Adapter<limit::Settings> for Boundless {
    fn supports(&self, _: limit::Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, _: &limit::Settings) -> Result<Box<dyn Limiter>, AdapterError> {
        Ok(Box::new(Self))
    }
}

impl Limiter for Boundless {
    fn try_acquire(&self, _: Request) -> Result<Permit, Denied> {
        Ok(Permit::new(()))
    }

    fn acquire(&self, _: Request) -> BoxFuture<'static, Result<Permit, Denied>> {
        Box::pin(async { Ok(Permit::new(())) })
    }

    fn reserve(&self, _: u32) -> BoxFuture<'_, Result<Settle<'_>, Denied>> {
        Box::pin(async { Ok(Box::new(drop) as Settle<'_>) })
    }

    fn change(&self, _: Change) {}

    fn keys(&self) -> usize {
        usize::MAX
    }
}

#[test]
fn a_limiter_without_a_limit() {
    assert_verdicts(&limit::SUITE.run(&Boundless));
}

impl Adapter<task::Settings> for Boundless {
    fn supports(&self, _: task::Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, _: &task::Settings) -> Result<Configured<Body, task::Outcome>, AdapterError> {
        Ok(Configured::new(|body: Body| async move {
            for task in body.tasks() {
                task.alone().await?;
            }
            Ok(())
        }))
    }
}

#[test]
fn a_group_that_only_runs_its_tasks() {
    assert_verdicts(&task::SUITE.run(&Boundless));
}
