//! Reading the output of test binaries.

/// How the tests of one suite ended.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// One reason for each test that did not run, or that said `SKIPPED:` and returned.
    pub(crate) skipped: Vec<String>,
    /// As libtest measured them.
    pub(crate) seconds: f64,
}

/// The counts of a test binary that ran with `--show-output`; none if it ended without a result.
pub(crate) fn binary(output: &str) -> Option<Counts> {
    // A test may print the result of a test binary that it ran itself: the last one is the suite's.
    Some(with_skips(output.lines().filter_map(result).next_back()?, output))
}

/// Whether the output of a test binary with `--list --format terse` has a test.
pub(crate) fn lists_tests(output: &str) -> bool {
    output.lines().any(|line| line.ends_with(": test"))
}

/// The counts of one crate's documentation tests: those that were merged into one program, and the others. The seconds have those
/// of the compiler, which libtest alone does not see for the merged ones.
pub(crate) fn doctests(output: &str) -> Option<Counts> {
    let sum = output.lines().filter_map(result).reduce(|sum, result| Counts {
        passed: sum.passed + result.passed,
        failed: sum.failed + result.failed,
        seconds: sum.seconds + result.seconds,
        skipped: Vec::new(),
    })?;
    let seconds = output.lines().find_map(all_doctests).unwrap_or(sum.seconds);
    Some(with_skips(Counts { seconds, ..sum }, output))
}

/// The output of `cargo test --doc`, cut into crates.
pub(crate) fn doctest_sections(output: &str) -> Vec<(String, &str)> {
    const HEADING: &str = "   Doc-tests ";
    let starts = output.match_indices(HEADING).map(|(at, _)| at).filter(|&at| starts_line(output, at));
    let starts: Vec<usize> = starts.collect();
    let ends = starts.iter().skip(1).copied().chain([output.len()]);
    let section = |(&start, end): (&usize, usize)| {
        let (name, body) = output[start + HEADING.len()..end].split_once('\n').unwrap_or_default();
        (name.replace('_', "-"), body)
    };
    starts.iter().zip(ends).map(section).collect()
}

/// The part of a failed suite's output to show: libtest's section on failures, or everything if it did not get to it.
pub(crate) fn failures(output: &str) -> &str {
    const HEADING: &str = "failures:\n";
    match output.match_indices(HEADING).map(|(at, _)| at).find(|&at| starts_line(output, at)) {
        Some(at) => &output[at + HEADING.len()..],
        None => output,
    }
}

fn starts_line(text: &str, at: usize) -> bool {
    at == 0 || text.as_bytes()[at - 1] == b'\n'
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.12s`
fn result(line: &str) -> Option<Counts> {
    let words: Vec<&str> = line.strip_prefix("test result: ")?.split_whitespace().collect();
    let before = |word: &str| words.windows(2).find(|pair| pair[1] == word)?[0].parse().ok();
    Some(Counts {
        passed: before("passed;")?,
        failed: before("failed;")?,
        seconds: words.last()?.strip_suffix('s')?.parse().ok()?,
        skipped: Vec::new(),
    })
}

/// `all doctests ran in 0.96s; merged doctests compilation took 0.15s`, in seconds.
fn all_doctests(line: &str) -> Option<f64> {
    let (seconds, _) = line.strip_prefix("all doctests ran in ")?.split_once("s;")?;
    seconds.parse().ok()
}

/// Moves tests that printed `SKIPPED:` from passed to skipped, and adds the ignored ones.
fn with_skips(result: Counts, output: &str) -> Counts {
    let told: Vec<String> = outside_failures(output).filter_map(skip).collect();
    let ignored = outside_failures(output).filter_map(ignored);
    Counts {
        passed: result.passed.saturating_sub(told.len()),
        skipped: ignored.chain(told.iter().cloned()).collect(),
        ..result
    }
}

/// The lines that do not belong to failed tests, whose output is repeated under `failures:`.
fn outside_failures(output: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    output.lines().filter(move |line| {
        inside = *line == "failures:" || inside && !line.starts_with("running ");
        !inside
    })
}

/// `SKIPPED: no server`, on a line of its own or behind the name of the test.
fn skip(line: &str) -> Option<String> {
    let (before, reason) = line.split_once("SKIPPED:")?;
    let is_whole = before.trim().is_empty() || before.starts_with("test ") && before.ends_with(" ... ");
    is_whole.then(|| reason.trim().to_owned())
}

/// `test name ... ignored, reason`
fn ignored(line: &str) -> Option<String> {
    let (name, reason) = line.strip_prefix("test ")?.split_once(" ... ignored")?;
    Some(reason.strip_prefix(", ").map_or_else(|| format!("ignored: {name}"), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::{Counts, binary, doctest_sections, doctests, failures, lists_tests};

    #[test]
    fn a_result_is_read() {
        let output = "
running 5 tests
test a ... ok
test b ... ignored, soak: an hour
test c ... ignored
test d::e ... ok
test f ... ok

test result: ok. 3 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 1.25s
";
        let skipped = vec!["soak: an hour".to_owned(), "ignored: c".to_owned()];
        assert_eq!(binary(output), Some(Counts { passed: 3, failed: 0, skipped, seconds: 1.25 }));
    }

    #[test]
    fn a_list_has_tests_or_none() {
        assert!(lists_tests("a::b: test\n"));
        assert!(!lists_tests(""));
        assert!(!lists_tests("a::b: benchmark\n"));
    }

    #[test]
    fn a_crash_has_no_result() {
        assert_eq!(binary("running 2 tests\nthread 'a' has overflowed its stack\n"), None);
        assert_eq!(binary(""), None);
        assert_eq!(doctests("error[E0425]: cannot find value\n"), None);
    }

    #[test]
    fn the_last_result_is_the_suite_s() {
        let output = "---- child stdout ----
test result: FAILED. 0 passed; 9 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
";
        let counts = binary(output).unwrap();
        assert_eq!((counts.passed, counts.failed), (1, 0));
    }

    #[test]
    fn a_test_that_says_skipped_has_not_passed() {
        let output = "test broken ... FAILED
successes:

---- redis stdout ----
SKIPPED: no redis

test alone ... SKIPPED: no nats
it was SKIPPED: this is prose
failures:

---- broken stdout ----
SKIPPED: half of it

test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
";
        let counts = binary(output).unwrap();
        assert_eq!((counts.passed, counts.failed), (1, 1));
        assert_eq!(counts.skipped, ["no redis", "no nats"]);
    }

    #[test]
    fn documentation_tests_are_cut_into_crates() {
        let output = "   Compiling x v0.1.0
   Doc-tests evenkeel_retry

running 2 tests
test crates/evenkeel-retry/src/lib.rs - (line 3) ... ok
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.50s


running 1 test
test src/p.rs - P (line 9) - compile fail ... ok
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.25s

all doctests ran in 0.96s; merged doctests compilation took 0.15s
   Doc-tests evenkeel
error: could not compile
";
        let sections = doctest_sections(output);
        let names: Vec<&str> = sections.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["evenkeel-retry", "evenkeel"]);
        assert_eq!(
            doctests(sections[0].1),
            Some(Counts { passed: 3, failed: 0, skipped: Vec::new(), seconds: 0.96 })
        );
        let (alone, _) = sections[0].1.split_once("all doctests").unwrap();
        assert_eq!(doctests(alone).map(|counts| counts.seconds), Some(0.75));
        assert_eq!(doctests(sections[1].1), None);
        assert!(doctest_sections("error: no such package\n").is_empty());
    }

    #[test]
    fn only_the_failures_are_repeated() {
        assert_eq!(failures("running 1 test\nfailures:\n\n---- a ----\n"), "\n---- a ----\n");
        assert_eq!(failures("thread panicked\n"), "thread panicked\n");
    }
}
