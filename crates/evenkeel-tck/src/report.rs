//! The report of a suite: a finding for each rule, and the score.

use std::fmt;

use crate::{Level, Pattern, Rule, Tier, Verdict};

/// The verdicts of all rules of a suite on one implementation. It displays as the list of broken rules and the score.
///
/// # Examples
/// As in [the crate's documentation](crate).
#[derive(Clone, Debug)]
#[non_exhaustive]
#[must_use = "a report says nothing unless it is read"]
pub struct Report {
    /// One for each rule, in the order of the specification.
    pub findings: Vec<Finding>,
}

/// The verdict of one rule.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The rule's id.
    pub id: &'static str,
    /// How much the rule matters.
    pub level: Level,
    /// The environment that it needs.
    pub tier: Tier,
    /// The rule.
    pub text: &'static str,
    /// The verdict.
    pub verdict: Verdict,
}

/// The number of rules that hold, of the rules that were tested.
///
/// # Examples
/// ```
/// # use evenkeel_tck::Verdict;
/// let verdicts = [Verdict::Pass, Verdict::Unsupported("jitter".into()), Verdict::Crashed("signal 6".into())];
/// assert_eq!(evenkeel_tck::Score::of(&verdicts).to_string(), "1 of 2");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Score {
    /// How many rules hold.
    pub passed: usize,
    /// How many are broken.
    pub failed: usize,
}

impl Score {
    /// Counts passes and failures; a rule that was not tested is neither.
    #[must_use]
    pub fn of<'v>(verdicts: impl IntoIterator<Item = &'v Verdict>) -> Self {
        verdicts.into_iter().fold(Self::default(), |Self { passed, failed }, verdict| Self {
            passed: passed + usize::from(verdict.passed()),
            failed: failed + usize::from(verdict.failed()),
        })
    }
}

impl Finding {
    /// The verdict on one rule.
    #[must_use]
    pub fn new<S: Pattern>(rule: &Rule<S>, verdict: Verdict) -> Self {
        Self { id: rule.id, level: rule.level, tier: rule.tier, text: rule.text, verdict }
    }
}

impl Report {
    /// A report of these findings.
    pub const fn new(findings: Vec<Finding>) -> Self {
        Self { findings }
    }

    /// The number of rules that hold, of the rules that were tested.
    #[must_use]
    pub fn score(&self) -> Score {
        Score::of(self.findings.iter().map(|finding| &finding.verdict))
    }

    /// Whether every rule that was put to the test holds, in each run.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let unclean = |v: &Verdict| {
            v.failed() || matches!(v, Verdict::Nondeterministic { .. } | Verdict::BadAdapter(_))
        };
        !self.findings.iter().any(|finding| unclean(&finding.verdict))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { id, level, text, verdict, .. } in &self.findings {
            if verdict.passed() {
                continue;
            }
            writeln!(f, "{id} ({level}): {text}\n    {}", verdict.to_string().replace('\n', "\n    "))?;
            if let Verdict::Fail { timeline, .. } = verdict {
                timeline.iter().try_for_each(|line| writeln!(f, "    {line}"))?;
            }
        }
        writeln!(f, "{} rules hold", self.score())
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.passed, self.passed + self.failed)
    }
}
