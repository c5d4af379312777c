//! One rule, and its check.
//!
//! A check runs one implementation and returns a verdict. Three kinds of checks differ in their environment: in a fresh
//! `World` with virtual time, where a leaked task, a deadlock and a panic fail the rule by themselves; the same with
//! panics allowed; or alone, for a rule that makes worlds or runtimes of its own.
//!
//! A paused rule is run three times. Virtual time makes each run the same, so runs that disagree show that the
//! implementation reads a real clock or draws unseeded chance: the verdict then is `Nondeterministic`, neither a pass
//! nor a failure. A panic of the implementation is caught here, and is a failure; an abort or an endless loop is not,
//! which is why `child` runs such rules in a process.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    thread,
};

use evenkeel_testkit::World;
use tokio::runtime::Builder;

use crate::{Adapter, Pattern, Verdict, runtime::runtime, timeline::traced, verdict::Checked};

/// How often a paused rule is run.
const RUNS: u32 = 3;

/// How much a rule matters, as in RFC 2119.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// Breaking it is a bug.
    Must,
    /// Breaking it needs a reason.
    Should,
}

/// The environment that a rule needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tier {
    /// A single thread with virtual time: every run is the same.
    Paused,
    /// Several threads: a run may miss a race.
    Threads,
    /// Real time, and a process of its own, to which it may send signals.
    Real,
}

/// One rule of a specification, for implementations behind an [`Adapter`].
///
/// # Examples
/// ```
/// use evenkeel_tck::{Level, Tier, retry};
///
/// let rule = retry::SUITE.rule("RETRY-10").unwrap();
/// assert_eq!((rule.level, rule.tier), (Level::Must, Tier::Paused));
/// assert_eq!(rule.text, "The delays grow by the factor, to within one percent.");
/// ```
#[non_exhaustive]
pub struct Rule<S: Pattern> {
    /// Its number, never given to another rule: the heading in the specification, and the name of the test function.
    pub id: &'static str,
    /// How much it matters.
    pub level: Level,
    /// The environment that it needs.
    pub tier: Tier,
    /// The rule itself, in one sentence.
    pub text: &'static str,
    /// The rule that this one builds on: where that does not hold, this one is not tested.
    pub after: Option<&'static str>,
    /// The conditions under which it can be put to an implementation in another process.
    pub(crate) needs: &'static [Needs],
    runs: u32,
    pub(crate) check: Check<S>,
}

/// A condition of a rule for an implementation in another process.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needs {
    /// The rule cannot be put to another process, since it is about this.
    InProcess(&'static str),
    /// The runtime of the implementation has to have this.
    Runtime(Runtime),
}

/// A feature of an asynchronous runtime that not all languages have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// A call that is made does nothing until it is awaited.
    Lazy,
    /// A call can be cancelled wherever it stands.
    Cancel,
    /// The runtime tells when an attempt or an item is let go.
    Drops,
    /// Work in flight can be ended from outside.
    Abort,
    /// The wait for the next result of a stream can be cancelled, and made again.
    Cut,
}

impl Runtime {
    pub(crate) const ALL: [Self; 5] = [Self::Lazy, Self::Cancel, Self::Drops, Self::Abort, Self::Cut];

    /// Its name in the protocol.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Lazy => "lazy",
            Self::Cancel => "cancel",
            Self::Drops => "drops",
            Self::Abort => "abort",
            Self::Cut => "cut",
        }
    }
}

impl Needs {
    pub(crate) const LAZY: &'static [Self] = &[Self::Runtime(Runtime::Lazy)];
    pub(crate) const CANCEL: &'static [Self] = &[Self::Runtime(Runtime::Cancel)];
    pub(crate) const DROPS: &'static [Self] = &[Self::Runtime(Runtime::Drops)];
    pub(crate) const ABORT: &'static [Self] = &[Self::Runtime(Runtime::Abort)];
    pub(crate) const CANCEL_AND_ABORT: &'static [Self] =
        &[Self::Runtime(Runtime::Cancel), Self::Runtime(Runtime::Abort)];
    pub(crate) const CUT: &'static [Self] = &[Self::Runtime(Runtime::Cut)];
    pub(crate) const POLLS: &'static [Self] = &[Self::InProcess("polls")];
    pub(crate) const HINTS: &'static [Self] = &[Self::InProcess("size hints")];
    pub(crate) const MEMORY: &'static [Self] = &[Self::InProcess("the memory of a value")];
    pub(crate) const BUSY: &'static [Self] = &[Self::InProcess("time that goes by without a wait")];
    pub(crate) const TIMERS: &'static [Self] = &[Self::InProcess("the timers of its runtime")];
    pub(crate) const BESIDE: &'static [Self] = &[Self::InProcess("the other tasks of its runtime")];
    pub(crate) const THREADS: &'static [Self] = &[Self::InProcess("several threads")];
}

/// The test of a rule.
pub(crate) enum Check<S: Pattern> {
    /// Runs in a fresh world.
    InWorld(InWorld<S>),
    /// Runs in a fresh world whose tasks may panic.
    WithPanics(InWorld<S>),
    /// Makes its own worlds or runtimes.
    Alone(fn(&Subject<S>) -> Checked),
    /// Runs in real time, or in a fresh world where the implementation is in another process.
    InPlace(for<'a> fn(&'a Subject<S>, Place) -> Checking<'a>),
}

/// The place of the implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// This process.
    Here,
    /// Another process, with a virtual clock.
    Apart,
}

type Subject<S> = dyn Adapter<S>;

type Checking<'a> = Pin<Box<dyn Future<Output = Checked> + 'a>>;

type InWorld<S> = for<'a> fn(&'a Subject<S>) -> Checking<'a>;

/// A rule whose id is the name of its function: `rule!(Must "RETRY-01" retry_01 "…")`.
macro_rules! rule {
    ($level:ident $id:literal $function:ident $text:literal) => {
        rule!(@ $level Paused $id $function $text $crate::rule::Check::InWorld(|subject| Box::pin($function(subject))))
    };
    ($level:ident $id:literal panics $function:ident $text:literal) => {
        rule!(@ $level Paused $id $function $text $crate::rule::Check::WithPanics(|subject| Box::pin($function(subject))))
    };
    ($level:ident $id:literal alone $function:ident $text:literal) => {
        rule!(@ $level Paused $id $function $text $crate::rule::Check::Alone($function))
    };
    ($level:ident $id:literal threads $function:ident $text:literal) => {
        rule!(@ $level Threads $id $function $text $crate::rule::Check::Alone($function))
    };
    ($level:ident $id:literal real $function:ident $text:literal) => {
        rule!(@ $level Real $id $function $text
            $crate::rule::Check::InPlace(|subject, place| Box::pin($function(subject, place))))
    };
    (@ $level:ident $tier:ident $id:literal $function:ident $text:literal $check:expr) => {{
        const { assert!($crate::rule::is_named($id, stringify!($function))) };
        $crate::Rule::new($id, $crate::Level::$level, $crate::Tier::$tier, $text, $check)
    }};
}
pub(crate) use rule;

/// Whether `RETRY-01` is the id for `retry_01`.
pub(crate) const fn is_named(id: &str, function: &str) -> bool {
    let (id, function) = (id.as_bytes(), function.as_bytes());
    let mut at = 0;
    while at < id.len() && at < function.len() {
        let expected = if id[at] == b'-' { b'_' } else { id[at].to_ascii_lowercase() };
        if function[at] != expected {
            return false;
        }
        at += 1;
    }
    id.len() == function.len()
}

impl<S: Pattern> Rule<S> {
    pub(crate) const fn new(
        id: &'static str,
        level: Level,
        tier: Tier,
        text: &'static str,
        check: Check<S>,
    ) -> Self {
        let (runs, needs): (u32, &[Needs]) = match tier {
            Tier::Paused => (RUNS, &[]),
            Tier::Threads => (1, Needs::THREADS),
            Tier::Real => (1, &[]),
        };
        Self { id, level, tier, text, after: None, needs, runs, check }
    }

    pub(crate) const fn after(mut self, id: &'static str) -> Self {
        self.after = Some(id);
        self
    }

    /// With its conditions for an implementation in another process.
    pub(crate) const fn needs(mut self, needs: &'static [Needs]) -> Self {
        self.needs = needs;
        self
    }

    /// Whether tasks of the rule panic.
    pub(crate) const fn panics(&self) -> bool {
        matches!(self.check, Check::WithPanics(_))
    }

    /// One run is enough: the rule takes long.
    pub(crate) const fn once(mut self) -> Self {
        self.runs = 1;
        self
    }

    /// Tests an implementation: a paused rule three times, each time in a fresh world, or once if it takes long.
    ///
    /// A task that is left alive, a deadlock, and a panic that the rule does not mean are failures, too.
    ///
    /// # Panics
    /// If called inside a runtime.
    pub fn check(&self, subject: &(dyn Adapter<S> + 'static)) -> Verdict {
        self.check_by(|| self.check_once(subject))
    }

    /// Tests an implementation once, and returns all events of the rule, too, each on a line with its time.
    ///
    /// # Panics
    /// If called inside a runtime.
    ///
    /// # Examples
    /// As in [`protocol`](crate::protocol).
    pub fn trace(&self, subject: &(dyn Adapter<S> + 'static)) -> (Verdict, Vec<String>) {
        traced(|| self.check_once(subject))
    }

    /// The verdict of all runs. An adapter that is found wanting is not run again.
    pub(crate) fn check_by(&self, once: impl Fn() -> Verdict) -> Verdict {
        let (runs, mut verdicts) = (self.runs, Vec::new());
        for _ in 0..runs {
            let verdict = once();
            if matches!(verdict, Verdict::BadAdapter(_) | Verdict::Hung(_) | Verdict::Crashed(_)) {
                return verdict;
            }
            verdicts.push(verdict);
        }
        let passed = verdicts.iter().filter(|verdict| verdict.passed()).count();
        match verdicts.into_iter().next() {
            Some(verdict) if passed == 0 || verdict.passed() && passed == runs as usize => verdict,
            _ => Verdict::Nondeterministic { passed: passed as u32, of: runs },
        }
    }

    pub(crate) fn check_once(&self, subject: &Subject<S>) -> Verdict {
        // After a panic the world is gone, and the adapter only configures the implementation again.
        let outcome = catch_unwind(AssertUnwindSafe(|| match self.check {
            Check::InWorld(check) => World::run(|_| check(subject)),
            Check::WithPanics(check) => World::builder().allow_panics(usize::MAX).run(|_| check(subject)),
            Check::Alone(check) => check(subject),
            Check::InPlace(check) => {
                runtime(Builder::new_current_thread().enable_all())?.block_on(check(subject, Place::Here))
            }
        }));
        verdict_of(outcome)
    }

    /// As [`check_once`](Self::check_once), for an implementation in another process.
    pub(crate) fn check_once_apart(&self, subject: &Subject<S>) -> Verdict {
        let Check::InPlace(check) = self.check else { return self.check_once(subject) };
        verdict_of(catch_unwind(AssertUnwindSafe(|| World::run(|_| check(subject, Place::Apart)))))
    }
}

/// The verdict of a check, which may have panicked.
pub(crate) fn verdict_of(outcome: thread::Result<Checked>) -> Verdict {
    match outcome {
        Ok(Ok(())) => Verdict::Pass,
        Ok(Err(verdict)) => verdict,
        Err(payload) => Verdict::fail("no panic, no leak and no deadlock", panic_message(&*payload)),
    }
}

/// The text of a panic.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic whose value is not text")
        .to_owned()
}

impl<S: Pattern> fmt::Debug for Rule<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("id", &self.id)
            .field("level", &self.level)
            .field("tier", &self.tier)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "must",
            Self::Should => "should",
        })
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Paused => "paused",
            Self::Threads => "threads",
            Self::Real => "real",
        })
    }
}
