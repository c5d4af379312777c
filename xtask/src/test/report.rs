//! The table at the end of a test run.

use super::libtest::{self, Counts};
use crate::table::Table;

/// Where a suite gets its time and its other side from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    /// Virtual time, everything in one process.
    Virtual,
    /// The examples of the documentation; most of their time is that of the compiler.
    Doc,
    /// Real time, real servers.
    Real,
}

impl Tier {
    const ALL: [Tier; 3] = [Tier::Virtual, Tier::Doc, Tier::Real];

    const fn name(self) -> &'static str {
        match self {
            Tier::Virtual => "virtual",
            Tier::Doc => "doc",
            Tier::Real => "real",
        }
    }

    /// The seconds that its suites may run in all.
    const fn budget(self) -> Option<f64> {
        match self {
            Tier::Virtual => Some(20.0),
            Tier::Doc => None,
            Tier::Real => Some(90.0),
        }
    }
}

/// A suite that ran.
#[derive(Debug)]
pub(crate) struct Suite {
    name: String,
    tier: Tier,
    pub(crate) counts: Counts,
    /// The output to repeat at the end if it failed.
    failures: String,
}

impl Suite {
    pub(crate) fn new(name: String, tier: Tier, counts: Counts, output: &str) -> Suite {
        let failures = if counts.failed > 0 { libtest::failures(output).to_owned() } else { String::new() };
        Suite { name, tier, counts, failures }
    }

    /// A suite that came to no result; it counts as one failed test.
    pub(crate) fn broken(name: String, tier: Tier, output: String) -> Suite {
        Suite { name, tier, counts: Counts { failed: 1, ..Counts::default() }, failures: output }
    }

    /// A line about the failures of a suite, if there are some.
    pub(crate) fn failure(&self) -> Option<String> {
        let failed = self.counts.failed;
        (failed > 0).then(|| format!("{}: {failed} failed", self.name))
    }

    /// Prints how it ended; nothing about a binary without tests.
    pub(crate) fn tell(&self) {
        if self.is_empty() {
            return;
        }
        let Counts { passed, failed, skipped, seconds } = &self.counts;
        let failures = match self.failures.trim_end() {
            "" => String::new(),
            failures => format!("{failures}\n"),
        };
        // At once, as other suites tell theirs.
        tell!(
            "{failures}  {}: {passed} passed, {failed} failed, {} skipped in {seconds:.2} s",
            self.name,
            skipped.len()
        );
    }
}

/// All that ran.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) suites: Vec<Suite>,
    /// Seconds of compiling.
    pub(crate) compiling: f64,
    /// The seconds of the tiers with suites that ran beside each other.
    pub(crate) beside: Vec<(Tier, f64)>,
    /// The suites that were left out as a whole, each with its reason.
    pub(crate) left_out: Vec<String>,
}

impl Report {
    pub(crate) fn failed(&self) -> usize {
        self.suites.iter().map(|suite| suite.counts.failed).sum()
    }

    /// Failures once more, then the table, then a last line in the manner of libtest.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        for suite in self.suites.iter().filter(|suite| suite.counts.failed > 0) {
            text += &format!("\n=== failed: {}\n{}\n", suite.name, suite.failures.trim_end());
        }
        text += &format!("\n{}\n", self.table().render());
        for tier in Tier::ALL {
            let seconds = self.total(tier).seconds;
            if let Some(budget) = tier.budget().filter(|budget| seconds > *budget) {
                text += &format!(
                    "warning: the {} tier ran {seconds:.1} s, its budget is {budget} s\n",
                    tier.name()
                );
            }
        }
        let Counts { passed, failed, skipped, .. } = total(&self.suites);
        text += &format!("{passed} passed, {failed} failed, {} skipped\n", skipped.len());
        text
    }

    fn total(&self, tier: Tier) -> Counts {
        let sum = total(self.suites.iter().filter(|suite| suite.tier == tier));
        match self.beside.iter().find(|(beside, _)| *beside == tier) {
            Some((_, seconds)) => Counts { seconds: *seconds, ..sum },
            None => sum,
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::new(["suite", "tier", "passed", "failed", "skipped", "seconds"]);
        let mut suites: Vec<&Suite> = self.suites.iter().filter(|suite| !suite.is_empty()).collect();
        suites.sort_by_key(|suite| (suite.tier, &suite.name));
        for suite in suites {
            table.row(row(&suite.name, suite.tier.name(), &suite.counts));
            for (reason, count) in grouped(&suite.counts.skipped) {
                table.note(format!("{count} skipped: {reason}"));
            }
        }
        table.rule();
        for tier in Tier::ALL {
            if self.suites.iter().any(|suite| suite.tier == tier) {
                let all = tier.budget().map_or("all".to_owned(), |budget| format!("all, budget {budget} s"));
                table.row(row(&all, tier.name(), &self.total(tier)));
            }
        }
        let compiling = ["compiling", "", "", "", "", &format!("{:.2}", self.compiling)];
        table.row(compiling.map(str::to_owned));
        for left_out in &self.left_out {
            table.note(left_out);
        }
        table
    }
}

impl Suite {
    fn is_empty(&self) -> bool {
        self.counts.passed + self.counts.failed + self.counts.skipped.len() == 0
    }
}

fn row(name: &str, tier: &str, counts: &Counts) -> [String; 6] {
    let Counts { passed, failed, skipped, seconds } = counts;
    let numbers = [passed, failed, &skipped.len()].map(usize::to_string);
    let [passed, failed, skipped] = numbers;
    [name.to_owned(), tier.to_owned(), passed, failed, skipped, format!("{seconds:.2}")]
}

fn total<'a>(suites: impl IntoIterator<Item = &'a Suite>) -> Counts {
    suites.into_iter().fold(Counts::default(), |mut sum, Suite { counts, .. }| {
        sum.passed += counts.passed;
        sum.failed += counts.failed;
        sum.seconds += counts.seconds;
        sum.skipped.extend_from_slice(&counts.skipped);
        sum
    })
}

/// Equal reasons once, with how often they came, in the order of their first coming.
fn grouped(reasons: &[String]) -> Vec<(&str, usize)> {
    let mut groups: Vec<(&str, usize)> = Vec::new();
    for reason in reasons {
        match groups.iter_mut().find(|(known, _)| known == reason) {
            Some((_, count)) => *count += 1,
            None => groups.push((reason, 1)),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::{Counts, Report, Suite, Tier};

    fn suite(name: &str, tier: Tier, passed: usize, failed: usize, skipped: &[&str], seconds: f64) -> Suite {
        let skipped = skipped.iter().map(|&reason| reason.to_owned()).collect();
        Suite::new(name.to_owned(), tier, Counts { passed, failed, skipped, seconds }, "failures:\n\nboom\n")
    }

    #[test]
    fn the_report_repeats_failures_and_ends_with_the_totals() {
        let report = Report {
            suites: vec![
                suite("retry unit", Tier::Virtual, 0, 0, &[], 0.0),
                suite("retry it", Tier::Virtual, 40, 0, &[], 20.5),
                suite("pool it", Tier::Virtual, 7, 1, &["later"], 1.0),
                suite("pool real", Tier::Real, 0, 0, &["no redis", "no redis"], 0.25),
            ],
            compiling: 12.0,
            beside: vec![(Tier::Virtual, 20.75)],
            left_out: Vec::new(),
        };
        assert_eq!(report.failed(), 1);
        let expected = "
=== failed: pool it

boom

suite             tier     passed  failed  skipped  seconds
-----------------------------------------------------------
pool it           virtual       7       1        1     1.00
    1 skipped: later
retry it          virtual      40       0        0    20.50
pool real         real          0       0        2     0.25
    2 skipped: no redis
-----------------------------------------------------------
all, budget 20 s  virtual      47       1        1    20.75
all, budget 90 s  real          0       0        2     0.25
compiling                                             12.00

warning: the virtual tier ran 20.8 s, its budget is 20 s
47 passed, 1 failed, 3 skipped
";
        assert_eq!(report.render(), expected);
    }
}
