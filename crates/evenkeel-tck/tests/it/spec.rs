use evenkeel_tck::{Level, Tier, retry};

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
    let rules: Vec<_> = retry::SUITE
        .rules()
        .map(|rule| {
            (rule.id, format!("{} · {}", rule.level.to_string().to_uppercase(), rule.tier), rule.text)
        })
        .collect();
    let rules: Vec<_> = rules.iter().map(|(id, kind, text)| (*id, kind.as_str(), *text)).collect();
    assert_eq!(headings(retry::SUITE.spec), rules);
}

#[test]
fn a_rule_builds_on_an_earlier_one_and_the_specification_says_so() {
    let spec = retry::SUITE.spec;
    let position = |id: &str| retry::SUITE.rules().position(|rule| rule.id == id);
    for rule in retry::SUITE.rules() {
        let text = spec.split(&format!("### {}\n", rule.id)).nth(1).unwrap().split("\n#").next().unwrap();
        let said = text.split("Builds on ").nth(1).map(|rest| rest.trim().trim_end_matches('.'));
        assert_eq!(said, rule.after, "{}", rule.id);
        assert!(rule.after.is_none_or(|earlier| position(earlier) < position(rule.id)));
    }
}

#[test]
fn the_readme_counts_right() {
    let count =
        |of: fn(Level, Tier) -> bool| retry::SUITE.rules().filter(|rule| of(rule.level, rule.tier)).count();
    let (all, should) = (count(|_, _| true), count(|level, _| level == Level::Should));
    let row = format!("| [`retry`] | {all} | {should} | {} |", count(|_, tier| tier == Tier::Threads));
    assert!(include_str!("../../README.md").contains(&row), "{row}");
}
