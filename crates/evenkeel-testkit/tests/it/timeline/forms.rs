//! The forms of a timeline: what others read must be well-formed, and the same in each run.

use std::time::Duration;

use evenkeel_task::{Group, group};
use evenkeel_testkit::{
    World,
    timeline::{self, Timeline},
};
use proptest::prelude::*;
use tokio::time::sleep;

use super::{
    scenes::{SCENES, ms},
    slices::{events, slices},
};

/// The columns of a text on a terminal, where a character may have two.
fn columns(line: &str) -> usize {
    let is_narrow =
        |char: char| char < '\u{1100}' || ('\u{2010}'..='\u{27bf}').contains(&char) || char == '\u{fffd}';
    line.chars().map(|char| if is_narrow(char) { 1 } else { 2 }).sum()
}

fn assert_text(drawn: &Timeline) {
    let text = drawn.to_text();
    for line in text.lines() {
        assert!(columns(line) <= 80, "{} columns: {line}", columns(line));
        assert!(!line.contains(char::is_control), "{line:?}");
        // A soft hyphen, signs that turn the direction of the text, and tags.
        let is_unseen =
            |char| matches!(char, '\u{ad}' | '\u{61c}' | '\u{200e}' | '\u{202e}' | '\u{2066}' | '\u{e0041}');
        assert!(!line.contains(is_unseen), "{line:?}");
    }
}

/// Asserts that a text is well-formed XML, with the few things that an SVG of ours needs.
fn assert_xml(xml: &str) {
    let is_allowed = |char: char| {
        matches!(char, '\n' | ' '..='\u{fffd}' | '\u{10000}'..) && !matches!(char, '\u{7f}'..='\u{9f}')
    };
    assert!(xml.chars().all(is_allowed), "{:?}", xml.chars().find(|char| !is_allowed(*char)));
    let assert_escaped = |text: &str| {
        for rest in text.split('&').skip(1) {
            assert!(["amp;", "lt;", "gt;", "quot;"].iter().any(|entity| rest.starts_with(entity)), "&{rest}");
        }
        assert!(!text.contains('<') && !text.contains("]]>"), "{text}");
    };
    let (mut rest, mut open, mut elements) = (xml, Vec::new(), 0);
    while let Some(at) = rest.find('<') {
        assert_escaped(&rest[..at]);
        assert!(
            !open.is_empty() || rest[..at].trim().is_empty(),
            "text outside of the root: {}",
            &rest[..at]
        );
        let (tag, behind) = rest[at + 1..].split_once('>').expect("the end of a tag");
        rest = behind;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "in {xml}");
            continue;
        }
        elements += 1;
        let is_empty = tag.ends_with('/');
        let tag = tag.trim_end_matches('/');
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(name.chars().all(char::is_alphanumeric), "{name}");
        let mut names = Vec::new();
        while !attributes.trim().is_empty() {
            let (key, value) = attributes.trim_start().split_once("=\"").expect("an attribute");
            assert!(key.chars().all(|char| char.is_ascii_alphanumeric() || char == '-'), "{key}");
            assert!(!names.contains(&key), "{key} is there twice");
            names.push(key);
            let (value, behind) = value.split_once('"').expect("the end of a value");
            assert_escaped(value);
            attributes = behind;
        }
        if !is_empty {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
    assert!(elements > 5);
}

fn assert_forms(drawn: &Timeline) {
    assert_text(drawn);
    for width in [0, 390, 600, 800] {
        let svg = drawn.to_svg_of_width(width);
        assert_xml(&svg);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(
            svg.contains("<title>") && svg.contains("<desc>") && svg.contains("prefers-color-scheme:dark")
        );
        assert!(!svg.contains("<script") && !svg.contains("href"));
    }
    let _nested = slices(drawn);
}

#[test]
fn they_are_well_formed_and_the_same_in_each_run() {
    let scenes = SCENES.to_vec();
    #[cfg(feature = "http")]
    let scenes = [scenes, vec![("calls", super::scenes::calls as _)]].concat();
    for (name, scene) in scenes {
        let (first, second) = (scene(), scene());
        assert_forms(&first);
        assert_eq!(first.to_svg(), second.to_svg(), "{name}");
        assert_eq!(first.to_text(), second.to_text(), "{name}");
        assert_eq!(first.to_json(), second.to_json(), "{name}");
    }
}

#[test]
fn an_empty_timeline_has_all_forms() {
    assert_forms(&World::timeline(async |_| {}));
    let (_, report) = World::builder().without_timeline().run_report(async |_| timeline::mark("unseen"));
    assert_forms(&report.timeline);
    assert!(!report.timeline.to_text().contains("unseen"));
}

#[test]
fn marks_and_spans_outside_of_a_world_are_nothing() {
    timeline::mark("nowhere");
    timeline::span("nothing").done("ok");
    timeline::span_on("server", "call").fault("lost");
}

#[test]
fn a_report_has_the_timeline_and_notes_are_marks() {
    let (output, report) = World::builder().run_report(async |world| {
        sleep(ms(3)).await;
        world.record().note("a note");
        7
    });
    assert_eq!(output, 7);
    let mark = events(&report.timeline).into_iter().find(|event| event["ph"] == "i").unwrap();
    assert_eq!((mark["name"].as_str(), mark["ts"].as_u64()), (Some("a note"), Some(3_000)));
}

#[test]
fn long_times_without_events_are_broken() {
    let drawn = World::timeline(async |_| {
        for hours in [0, 1, 100] {
            sleep(Duration::from_secs(3_600 * hours)).await;
            for step in ["one", "two"] {
                timeline::mark(step);
                sleep(ms(10)).await;
            }
        }
    });
    let text = drawn.to_text();
    assert!(
        text.contains("~ : 1 h 10 ms without an event")
            && text.contains("~ : 4 d 4 h 10 ms without an event"),
        "{text}"
    );
    assert!(drawn.to_svg().contains("4 d 4 h 10 ms without an event"));
}

#[test]
fn tasks_that_look_alike_are_counted() {
    let drawn = World::builder().allow_panics(3).timeline(async |_| {
        let outcome = Group::builder().collect_all().run(async |g: Group| {
            for number in 0..3_000 {
                g.task(format!("job {number}")).spawn(async move {
                    sleep(ms(1 + number % 3)).await;
                    assert!(number % 1_000 != 999, "one of a thousand");
                });
            }
            Ok(())
        });
        outcome.await.unwrap_err();
    });
    let text = drawn.to_text();
    assert!(
        text.contains("3000 tasks") && text.contains("… and 2994 more like this: 2992 done, 2 panicked"),
        "{text}"
    );
    assert_forms(&drawn);
    assert!(events(&drawn).len() < 20_000);
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        prop::collection::vec(any::<char>(), 0..300).prop_map(|chars| chars.into_iter().collect()),
        "[<>&\"'\\]a ]{0,40}",
        "[\u{0}-\u{20}\u{7f}-\u{a0}\u{200b}-\u{202f}\u{fff0}-\u{ffff}]{0,20}",
        "[注文가힣😀]{0,60}",
        "[\u{ad}\u{61c}\u{200e}\u{202e}\u{2066}\u{e0041}אم@]{0,20}",
        prop::string::string_regex("x{1000}").expect("a pattern"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_name_fits_into_each_form(names in prop::collection::vec(name(), 1..6), title in name()) {
        let drawn = World::timeline(async move |_| {
            let limit = evenkeel_limit::ConcurrencyLimiter::new(1).named(Box::leak(names[0].clone().into_boxed_str()));
            let limit = std::sync::Arc::new(limit);
            group(async |g: Group| {
                for name in &names {
                    let (name, limit) = (name.clone(), limit.clone());
                    g.task(name.clone()).spawn(async move {
                        let _permit = limit.acquire().await;
                        let span = timeline::span(name.clone());
                        sleep(ms(7)).await;
                        span.fault(name.clone());
                        timeline::mark(name.clone());
                        timeline::span_on(&name, name.clone()).done("ok");
                    });
                }
                Ok(())
            })
            .await
            .unwrap();
        });
        assert_forms(&drawn.titled(title));
    }
}
