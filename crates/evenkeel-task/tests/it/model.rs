//! Groups against an exact model of what they promise.

use std::time::Duration;

use evenkeel_task::{BoxError, catch_panic, group};
use evenkeel_testkit::{World, took};
use proptest::{collection::vec, prelude::*};
use tokio::time::sleep;

use crate::{Alive, alive, failures, ms, throw};

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Ok,
    Error,
    Panic,
}

#[derive(Clone, Debug)]
struct Work {
    /// The time of its end, unless it is aborted.
    at: u64,
    end: End,
    /// Whether it panics when it is aborted.
    sore: bool,
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![6 => Just(End::Ok), 1 => Just(End::Error), 1 => Just(End::Panic)]
}

/// Returns plans for the body, then for the tasks; no two end at the same time.
fn works() -> impl Strategy<Value = Vec<Work>> {
    let work = (end(), any::<bool>()).prop_map(|(end, sore)| Work { at: 0, end, sore });
    (vec(work, 1..12), any::<prop::sample::Index>()).prop_perturb(|(mut works, _), mut random| {
        for index in 0..works.len() {
            works[index].at = index as u64 + 1;
            let other = random.random_range(0..=index);
            let at = works[other].at;
            works[other].at = works[index].at;
            works[index].at = at;
        }
        works
    })
}

struct Guard(bool, #[expect(dead_code, reason = "counts the futures that are alive")] Alive);

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0 && !std::thread::panicking() {
            throw("sore")
        }
    }
}

async fn perform(work: Work, alive: Alive) -> Result<(), BoxError> {
    let mut guard = Guard(work.sore, alive);
    sleep(ms(work.at)).await;
    guard.0 = false;
    match work.end {
        End::Ok => Ok(()),
        End::Error => Err("error".into()),
        End::Panic => throw("panic"),
    }
}

/// The outcome that a group must have.
#[derive(Debug, PartialEq)]
enum Expected {
    Ok,
    BodyPanic,
    Failed { failures: Vec<String>, finished: usize, cancelled: usize },
}

fn name(index: usize) -> String {
    if index == 0 { "body".to_owned() } else { index.to_string() }
}

fn model(works: &[Work]) -> (Duration, Expected) {
    let first =
        works.iter().enumerate().filter(|(_, work)| work.end != End::Ok).min_by_key(|(_, work)| work.at);
    let Some((first, Work { at, end, .. })) = first else {
        return (ms(works.iter().map(|work| work.at).max().unwrap_or(0)), Expected::Ok);
    };
    if (first, *end) == (0, End::Panic) {
        return (ms(*at), Expected::BodyPanic);
    }
    let text = if *end == End::Panic { "panicked: panic" } else { "error" };
    let late = || works.iter().enumerate().filter(|(_, work)| work.at > *at);
    let sore = late().filter(|(_, work)| work.sore);
    let failures = std::iter::once(format!("{}: {text}", name(first)))
        .chain(sore.map(|(index, _)| format!("{}: panicked: sore", name(index))));
    let finished = works.iter().skip(1).filter(|work| work.at < *at).count();
    let cancelled = late().filter(|(index, work)| *index > 0 && !work.sore).count();
    (ms(*at), Expected::Failed { failures: failures.collect(), finished, cancelled })
}

async fn run(works: Vec<Work>) -> (Duration, Expected) {
    let left = Alive::default();
    let mine = left.clone();
    let run = group(async move |g| {
        for (index, work) in works.iter().enumerate().skip(1) {
            g.task(index.to_string()).spawn(perform(work.clone(), mine.clone()));
        }
        perform(works[0].clone(), mine).await
    });
    let (output, time) = took(catch_panic(run)).await;
    assert_eq!(alive(&left), 0, "a destructor has not run");
    let expected = match output {
        Ok(Ok(())) => Expected::Ok,
        Err(_) => Expected::BodyPanic,
        Ok(Err(error)) => {
            assert!(error.failures().skip(1).all(|failure| failure.after == time));
            let (finished, cancelled) = (error.finished(), error.cancelled());
            Expected::Failed { failures: failures(&error), finished, cancelled }
        }
    };
    (time, expected)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_group_does_what_the_model_does(works in works()) {
        let expected = model(&works);
        prop_assert_eq!(World::run(async |_| run(works).await), expected);
    }
}
