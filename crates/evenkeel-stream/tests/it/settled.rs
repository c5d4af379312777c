//! An outcome for every item, independent of the others.

use std::{error::Error as _, panic::resume_unwind};

use evenkeel_stream::{ItemError, prelude::*};
use evenkeel_testkit::{World, assert_took};
use futures::{StreamExt as _, stream};
use proptest::prelude::*;
use tokio::time::sleep;

use crate::support::{Gauge, ms, strict, timed, wait};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Ok,
    SourceError,
    Error,
    Panic,
}

fn kind(outcome: &Result<u64, ItemError<String>>) -> Kind {
    match outcome {
        Ok(_) => Kind::Ok,
        Err(ItemError::Error(error)) if error == "source" => Kind::SourceError,
        Err(ItemError::Error(error)) if error == "item" => Kind::Error,
        Err(ItemError::Panic(panic)) if panic.message() == Some("boom") => Kind::Panic,
        other => panic!("{other:?}"),
    }
}

#[test]
fn failures_stop_nothing() {
    World::run(async |_| {
        let gauge = Gauge::default();
        let inner = gauge.clone();
        let source = stream::iter((0..100).map(|n| if n % 10 == 3 { Err("source") } else { Ok(n) }));
        let outcomes = source.try_par_map(10, async move |n| {
            let _inside = inner.enter();
            sleep(ms(10)).await;
            match n % 10 {
                4 => resume_unwind(Box::new("boom")),
                5 => Err("item".to_owned()),
                _ => Ok(n),
            }
        });
        let outcomes = assert_took!(outcomes.settled().ordered().collect::<Vec<_>>(), ms(100));
        let kinds = [Kind::Ok, Kind::SourceError, Kind::Panic, Kind::Error, Kind::Ok];
        for (n, outcome) in outcomes.iter().enumerate() {
            assert_eq!(kind(outcome), kinds[(n % 10).clamp(2, 6) - 2], "{n}");
        }
        assert_eq!((outcomes.len(), gauge.total(), gauge.now()), (100, 90, 0));
    });
}

#[test]
fn an_error_of_the_source_is_there_at_once() {
    World::run(async |_| {
        let source = stream::iter([Ok(10), Err("source".to_owned()), Ok(20)]);
        let outcomes = source.try_par_map(3, async |time| {
            sleep(ms(time)).await;
            Ok::<_, String>(time)
        });
        let came = timed(outcomes.settled().map(|outcome| kind(&outcome))).await;
        assert_eq!(came, [(0, Kind::SourceError), (10, Kind::Ok), (20, Kind::Ok)]);
    });
}

#[test]
fn a_source_of_errors_only_is_bounded_too() {
    World::run(async |_| {
        let taken = Gauge::default();
        let inner = taken.clone();
        let source = stream::repeat_with(move || {
            std::mem::forget(inner.enter());
            Err::<u64, _>("source".to_owned())
        });
        let mut outcomes = source.try_par_map(4, async |n| Ok::<_, String>(n)).settled();
        for given in 0..10 {
            assert_eq!(outcomes.next().await.as_ref().map(kind), Some(Kind::SourceError));
            assert_eq!(taken.now(), given + 5);
        }
    });
}

#[test]
fn an_item_error_has_its_cause_in_source_only() {
    let error = ItemError::Error(std::io::Error::other("disk full"));
    assert_eq!(error.to_string(), "the item failed");
    assert_eq!(error.source().unwrap().to_string(), "disk full");
    World::run(async |_| {
        let source = stream::iter([Ok::<u8, std::io::Error>(1)]);
        let outcome = source
            .try_par_map(1, async |_| -> std::io::Result<()> { resume_unwind(Box::new("boom")) })
            .settled()
            .next()
            .await;
        let error = outcome.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the item panicked");
        assert_eq!(error.source().unwrap().to_string(), "panicked: boom");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Nothing is lost and nothing is doubled: outcomes and inputs correspond one to one.
    #[test]
    fn as_many_outcomes_as_items(
        limit in 1_usize..6,
        items in prop::collection::vec(
            (0..20_u64, prop::sample::select(vec![Kind::Ok, Kind::SourceError, Kind::Error, Kind::Panic])),
            0..30,
        ),
    ) {
        let expected: Vec<Kind> = items.iter().map(|(_, kind)| *kind).collect();
        World::run(async |_| {
            let source = |items: Vec<(u64, Kind)>| {
                strict(stream::iter(items).map(|(time, kind)| match kind {
                    Kind::SourceError => Err("source"),
                    kind => Ok((time, kind)),
                }))
            };
            let work = async |(time, kind)| {
                wait(ms(time)).await;
                match kind {
                    Kind::Panic => resume_unwind(Box::new("boom")),
                    Kind::Error => Err("item".to_owned()),
                    _ => Ok(time),
                }
            };
            let outcomes = source(items.clone()).try_par_map(limit, work).settled();
            let mut kinds: Vec<Kind> = outcomes.map(|outcome| kind(&outcome)).collect().await;
            let outcomes = source(items).try_par_map(limit, work).ordered().settled();
            let ordered: Vec<Kind> = outcomes.map(|outcome| kind(&outcome)).collect().await;
            assert_eq!(ordered, expected);
            let mut expected = expected;
            kinds.sort_by_key(|kind| *kind as u8);
            expected.sort_by_key(|kind| *kind as u8);
            assert_eq!(kinds, expected);
        });
    }
}
