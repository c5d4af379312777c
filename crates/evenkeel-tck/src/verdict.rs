//! The verdict of one rule.

use std::{fmt, time::Duration};

/// The verdict of one rule on one implementation.
///
/// Only [`Pass`](Self::Pass) is a pass, and only [`Fail`](Self::Fail), [`Crashed`](Self::Crashed) and
/// [`Hung`](Self::Hung) are failures. The others say why the rule was not tested; a score does not count them,
/// and a report shows them.
///
/// # Examples
/// ```
/// use evenkeel_tck::Verdict;
///
/// let verdict = Verdict::Unsupported("seed: it has no seed".to_owned());
/// assert!(!verdict.passed() && !verdict.failed());
/// assert_eq!(verdict.name(), "unsupported");
/// assert_eq!(verdict.to_string(), "unsupported: seed: it has no seed");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a verdict that nobody reads may be a failure"]
#[non_exhaustive]
pub enum Verdict {
    /// The rule holds.
    Pass,
    /// The rule is broken.
    Fail {
        /// The behavior that the rule asks for.
        expected: String,
        /// The behavior that was seen instead.
        got: String,
        /// All recorded events, in virtual time.
        timeline: Vec<String>,
    },
    /// The implementation cannot express the settings of the rule; the text names them.
    NotExpressible(String),
    /// The implementation lacks the capability that the rule is about.
    Unsupported(String),
    /// The rule was not run, and why.
    Untested(String),
    /// The same rule passed in some of several runs, each in a fresh world, and not in the others.
    Nondeterministic {
        /// How many runs passed.
        passed: u32,
        /// Of how many.
        of: u32,
    },
    /// The process that ran the rule ended without a verdict.
    Crashed(String),
    /// The process that ran the rule did not end within this time.
    Hung(Duration),
    /// The adapter does not keep the [protocol](crate::protocol), which says nothing about the implementation.
    BadAdapter(String),
}

/// The result of a check. Every verdict but a pass is an error, so that checks can end with `?`.
pub(crate) type Checked<T = ()> = Result<T, Verdict>;

impl Verdict {
    /// A failure without a timeline.
    pub(crate) fn fail(expected: impl fmt::Display, got: impl fmt::Display) -> Self {
        Self::Fail { expected: expected.to_string(), got: got.to_string(), timeline: Vec::new() }
    }

    /// Whether the rule holds.
    #[must_use]
    pub fn passed(&self) -> bool {
        *self == Self::Pass
    }

    /// Whether the rule is broken.
    #[must_use]
    pub const fn failed(&self) -> bool {
        matches!(self, Self::Fail { .. } | Self::Crashed(_) | Self::Hung(_))
    }

    /// The kind of the verdict, in lower case.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail { .. } => "fail",
            Self::NotExpressible(_) => "not expressible",
            Self::Unsupported(_) => "unsupported",
            Self::Untested(_) => "untested",
            Self::Nondeterministic { .. } => "nondeterministic",
            Self::Crashed(_) => "crashed",
            Self::Hung(_) => "hung",
            Self::BadAdapter(_) => "bad adapter",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Pass => Ok(()),
            Self::Fail { expected, got, .. } => write!(f, ": expected {expected}; got {got}"),
            Self::NotExpressible(why)
            | Self::Unsupported(why)
            | Self::Untested(why)
            | Self::Crashed(why)
            | Self::BadAdapter(why) => {
                write!(f, ": {why}")
            }
            Self::Nondeterministic { passed, of } => write!(f, ": passed {passed} of {of} runs"),
            Self::Hung(limit) => write!(f, ": still running after {limit:?}"),
        }
    }
}
