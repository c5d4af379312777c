//! Verdicts of the frame on implementations that fail in ways of their own, seen by one rule of retry.

use std::{
    cell::Cell,
    process::Command,
    rc::Rc,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    time::Duration,
};

use evenkeel_tck::{
    Adapter, AdapterError, Report, Verdict,
    retry::{Capability, Operation, Policy, Refused, SUITE, Settings},
};

/// An implementation that is one function.
struct Function<F>(F);

impl<F, Fut> Adapter<Settings> for Function<F>
where
    F: Fn(Operation) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Result<u32, Refused>> + 'static,
{
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Err("it is one function")
    }

    fn configure(&self, _: &Settings) -> Result<Policy, AdapterError> {
        Ok(Policy::new(self.0))
    }
}

async fn once(operation: Operation) -> Result<u32, Refused> {
    operation.call().await
}

fn check(rule: &str, subject: &(dyn Adapter<Settings> + 'static)) -> Verdict {
    SUITE.rule(rule).expect("a rule").check(subject)
}

fn got(verdict: Verdict) -> String {
    match verdict {
        Verdict::Fail { got, .. } => got,
        other => panic!("{other}"),
    }
}

#[test]
fn what_holds_passes() {
    assert_eq!(check("RETRY-01", &Function(once)), Verdict::Pass);
}

#[test]
fn futures_of_retry_need_not_be_send() {
    let counted = async |operation: Operation| {
        let attempts = Rc::new(Cell::new(1));
        loop {
            match once(operation.clone()).await {
                Err(_) if attempts.get() < 4 => attempts.set(attempts.get() + 1),
                outcome => break outcome,
            }
        }
    };
    let report = SUITE.run(&Function(counted));
    let holds = |id: &str| report.findings.iter().any(|rule| rule.id == id && rule.verdict.passed());
    // It makes four attempts, and knows neither delays nor permanent errors. RETRY-09 spawns calls.
    assert!(holds("RETRY-01") && holds("RETRY-09"), "{report}");
    assert!(!holds("RETRY-08") && !holds("RETRY-10"), "{report}");
}

#[test]
fn a_failure_tells_what_happened_and_when() {
    let late = async |operation: Operation| {
        tokio::time::sleep(Duration::from_millis(30)).await;
        once(operation).await
    };
    let Verdict::Fail { expected, got, timeline } = check("RETRY-01", &Function(late)) else {
        panic!("it passed")
    };
    assert_eq!((expected.as_str(), got.as_str()), ("attempts at [0ns]", "[30ms]"));
    assert_eq!(timeline.len(), 4);
    assert_eq!(timeline[0].trim(), "30ms attempt 1 is called");
}

#[test]
fn panics_leaks_and_deadlocks_are_failures() {
    let panics = async |_| panic!("boom");
    assert_eq!(got(check("RETRY-01", &Function(panics))), "boom");
    let leaks = async |operation| {
        tokio::spawn(std::future::pending::<()>());
        once(operation).await
    };
    assert!(got(check("RETRY-01", &Function(leaks))).starts_with("1 task(s) still alive"));
    let hangs = async |_| std::future::pending().await;
    assert_eq!(got(check("RETRY-01", &Function(hangs))), "no end, with 0 attempts so far");
    assert!(got(check("RETRY-23", &Function(hangs))).starts_with("deadlock"));
}

#[test]
fn a_rule_that_passes_in_some_runs_is_nondeterministic() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let sometimes = async |operation| {
        let late = u64::from(RUNS.fetch_add(1, SeqCst) == 1);
        tokio::time::sleep(Duration::from_millis(late)).await;
        once(operation).await
    };
    let verdict = check("RETRY-01", &Function(sometimes));
    assert_eq!(verdict, Verdict::Nondeterministic { passed: 2, of: 3 });
    assert_eq!(RUNS.load(SeqCst), 3);
    assert!(!verdict.passed() && !verdict.failed());
}

fn verdict<'r>(report: &'r Report, id: &str) -> &'r Verdict {
    &report.findings.iter().find(|finding| finding.id == id).expect("a rule").verdict
}

#[test]
fn a_report_counts_what_was_put_to_the_test() {
    let report = SUITE.run(&Function(once));
    assert_eq!(report.findings.len(), SUITE.rules().count());
    let unsupported = Verdict::Unsupported("jitter: it is one function".to_owned());
    assert_eq!(verdict(&report, "RETRY-25"), &unsupported);
    // It makes no retry, so it does not grow, and whether it grows exactly is no question.
    assert!(verdict(&report, "RETRY-10").failed());
    assert_eq!(
        verdict(&report, "RETRY-11").to_string(),
        "untested: it builds on RETRY-10, which does not hold"
    );
    let of =
        |test: fn(&Verdict) -> bool| report.findings.iter().filter(|finding| test(&finding.verdict)).count();
    let score = report.score();
    assert_eq!((score.passed, score.failed), (of(Verdict::passed), of(Verdict::failed)));
    assert!(score.passed > 0 && score.failed > 0 && score.passed + score.failed < report.findings.len());
    assert!(!report.is_clean());
    let text = report.to_string();
    assert!(text.contains(
        "RETRY-04 (must): A call that fails makes all its attempts, and no more.\n    fail: expected"
    ));
    assert!(!text.contains("RETRY-01 "));
    assert!(text.ends_with(&format!("{score} rules hold\n")));
}

#[test]
fn a_child_that_cannot_be_started_is_no_verdict_on_the_rule() {
    let report = SUITE.run_with_children(&Function(once), |rule| {
        (rule.id == "RETRY-01").then(|| Command::new("./no-such-program"))
    });
    assert!(matches!(verdict(&report, "RETRY-01"), Verdict::Untested(_)));
    assert!(verdict(&report, "RETRY-02").passed());
}
