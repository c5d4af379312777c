//! The specification and the README against the rules.

use evenkeel_tck::{
    Level, Pattern, Suite, Tier, inspect, limit, pipeline, pool, retry, shutdown, stream, task, testkit,
};

/// A test for every suite, whatever its pattern.
macro_rules! for_every_suite {
    ($test:ident) => {
        $test(&retry::SUITE);
        $test(&task::SUITE);
        $test(&shutdown::SUITE);
        $test(&limit::SUITE);
        $test(&stream::SUITE);
        $test(&pool::SUITE);
        $test(&pipeline::SUITE);
        $test(&inspect::SUITE);
        $test(&testkit::SUITE);
    };
}

/// The parts under each heading of a rule, in their order.
fn headings(spec: &str) -> Vec<(&str, &str, &str)> {
    let rules = spec.split("\n### ").skip(1);
    let parts = rules.map(|rule| {
        let mut paragraphs = rule.split("\n\n").map(str::trim);
        let mut next = || paragraphs.next().unwrap_or_default();
        (next(), next(), next())
    });
    parts.collect()
}

#[test]
fn the_specification_and_the_rules_say_the_same_in_the_same_order() {
    fn test<S: Pattern>(suite: &Suite<S>) {
        let kind = |level: Level, tier: Tier| format!("{} · {tier}", level.to_string().to_uppercase());
        let rules: Vec<_> =
            suite.rules().map(|rule| (rule.id, kind(rule.level, rule.tier), rule.text)).collect();
        let rules: Vec<_> = rules.iter().map(|(id, kind, text)| (*id, kind.as_str(), *text)).collect();
        assert_eq!(headings(suite.spec), rules);
    }
    for_every_suite!(test);
}

#[test]
fn a_rule_builds_on_an_earlier_one_and_the_specification_says_so() {
    fn test<S: Pattern>(suite: &Suite<S>) {
        let position = |id: &str| suite.rules().position(|rule| rule.id == id);
        for rule in suite.rules() {
            let heading = format!("### {}\n", rule.id);
            let text = suite.spec.split(&heading).nth(1).unwrap().split("\n#").next().unwrap();
            let said = text.split("Builds on ").nth(1).map(|rest| rest.trim().trim_end_matches('.'));
            assert_eq!(said, rule.after, "{}", rule.id);
            assert!(rule.after.is_none_or(|earlier| position(earlier) < position(rule.id)));
        }
    }
    for_every_suite!(test);
}

#[test]
fn rules_are_numbered_without_a_gap() {
    fn test<S: Pattern>(suite: &Suite<S>) {
        for (index, rule) in suite.rules().enumerate() {
            assert_eq!(rule.id, format!("{}-{:02}", suite.pattern, index + 1));
        }
    }
    for_every_suite!(test);
}

#[test]
fn the_protocol_lists_every_capability() {
    let spec = include_str!("../../spec/PROTOCOL.md");
    for pattern in ["retry", "limit", "task", "shutdown", "stream", "pool", "testkit"] {
        let known = evenkeel_tck::protocol::capabilities(pattern);
        assert!(!known.is_empty(), "{pattern}");
        let rows: Vec<String> = known.iter().map(|(name, about)| format!("| `{name}` | {about} |")).collect();
        let table = spec.split(&format!("| `{pattern}` | |\n|---|---|\n")).nth(1).expect("there is a table");
        assert_eq!(table.lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>(), rows, "{pattern}");
    }
    assert_eq!(evenkeel_tck::protocol::capabilities("sunny"), []);
}

#[test]
fn the_readme_counts_right() {
    fn test<S: Pattern>(suite: &Suite<S>) {
        let count =
            |of: fn(Level, Tier) -> bool| suite.rules().filter(|rule| of(rule.level, rule.tier)).count();
        let (all, should) = (count(|_, _| true), count(|level, _| level == Level::Should));
        let name = suite.pattern.to_lowercase();
        let (threads, real) = (count(|_, tier| tier == Tier::Threads), count(|_, tier| tier == Tier::Real));
        let row = format!("| [`{name}`] | {all} | {should} | {threads} | {real} |");
        assert!(include_str!("../../README.md").contains(&row), "{row}");
    }
    for_every_suite!(test);
}
