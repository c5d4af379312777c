//! Errors of items and of the source.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "STREAM-21" stream_21 "The error of an item is told once."),
    rule!(Must "STREAM-22" stream_22 "In an unordered map that a failure stops, an error is returned at the instant at which it happens.").after("STREAM-21"),
    rule!(Must "STREAM-23" stream_23 "In an ordered map that a failure stops, too, whatever is before it.").after("STREAM-21"),
    rule!(Must "STREAM-24" stream_24 "Nothing begins in a map that an error has stopped."),
    rule!(Must "STREAM-25" stream_25 "When a map that an error has stopped is dropped, no item is alive.").needs(Needs::ABORT),
    rule!(Must "STREAM-26" stream_26 "In a map that no failure stops, every item has its result or its error.").after("STREAM-21"),
    rule!(Must "STREAM-27" stream_27 "An error of the source is told once, at its instant, whatever is in flight."),
    rule!(Must "STREAM-28" stream_28 "In a map that no failure stops, the items after an error of the source have their results."),
];

fn fail_fast(subject: &Subject, limit: usize) -> Checked<Vec<Map>> {
    maps_on_failure(subject, limit, FailureMode::Stop, Capability::FailFast)
}

async fn stream_21(subject: &Subject) -> Checked {
    for map in maps(subject, 2)? {
        let supply = Supply::of([item(1), item(2).taking(ms(10)).failing(), item(3).taking(ms(20))]);
        let run = Run::of(subject, &map, supply, Busy::No).await?;
        run.tells(FailureKind::Error, 2)?;
    }
    Ok(())
}

/// Item 3 of 3 fails at 10ms, behind items of 1s.
fn failing_third() -> Supply {
    Supply::of([item(1).taking(secs(1)), item(2).taking(secs(1)), item(3).taking(ms(10)).failing()])
}

async fn error_is_told_at_once(subject: &Subject, ordered: bool) -> Checked {
    needs(subject, if ordered { Capability::Ordered } else { Capability::Unordered })?;
    for map in fail_fast(subject, 3)?.into_iter().filter(|map| map.ordered == ordered) {
        let run = Run::of(subject, &map, failing_third(), Busy::No).await?;
        run.is("an error of 10ms behind items of 1s, told at", run.told_at(), Some(ms(10)))?;
    }
    Ok(())
}

async fn stream_22(subject: &Subject) -> Checked {
    error_is_told_at_once(subject, false).await
}

async fn stream_23(subject: &Subject) -> Checked {
    error_is_told_at_once(subject, true).await
}

async fn stream_24(subject: &Subject) -> Checked {
    for map in fail_fast(subject, 2)? {
        let first = [item(1).taking(ms(10)).failing(), item(2).taking(secs(1))];
        let supply = Supply::of(first.into_iter().chain((3..9).map(|number| item(number).taking(ms(10)))));
        let run = Run::of(subject, &map, supply, Busy::No).await?;
        sleep(secs(10)).await;
        run.is("items begun, where the first one fails", run.begun(), vec![1, 2])?;
    }
    Ok(())
}

async fn stream_25(subject: &Subject) -> Checked {
    for map in fail_fast(subject, 3)? {
        let run = Run::of(subject, &map, failing_third(), Busy::No).await?;
        run.is("items alive", run.alive(), Vec::new())?;
    }
    Ok(())
}

async fn stream_26(subject: &Subject) -> Checked {
    for map in maps_on_failure(subject, 3, FailureMode::GoOn, Capability::CollectAll)? {
        let odd = |number: u32| {
            let script = item(number).taking(ms(u64::from(number % 4)) * 10);
            if number % 2 == 1 { script.failing() } else { script }
        };
        let run = Run::of(subject, &map, Supply::of((1..=10).map(odd)), Busy::No).await?;
        run.is("results", sorted(run.taken()), vec![2, 4, 6, 8, 10])?;
        let told = run.told().into_iter().filter_map(|failure| failure.task).collect();
        run.is("errors told", sorted(told), vec![1, 3, 5, 7, 9])?;
    }
    Ok(())
}

async fn stream_27(subject: &Subject) -> Checked {
    needs(subject, Capability::SourceErrors)?;
    for map in fail_fast(subject, 3)? {
        let supply = Supply::of([item(1).taking(secs(1))]).error(ms(10), 7).later(ms(10), item(2));
        let run = Run::of(subject, &map, supply, Busy::No).await?;
        run.tells(FailureKind::Error, 7)?;
        run.is("an error of the source at 10ms, told at", run.told_at(), Some(ms(10)))?;
    }
    Ok(())
}

async fn stream_28(subject: &Subject) -> Checked {
    needs(subject, Capability::SourceErrors)?;
    for map in maps_on_failure(subject, 3, FailureMode::GoOn, Capability::CollectAll)? {
        let supply = Supply::of([item(1).taking(ms(30))]).error(ms(10), 7).later(ms(10), item(2));
        let run = Run::of(subject, &map, supply, Busy::No).await?;
        run.tells(FailureKind::Error, 7)?;
        run.is("results", sorted(run.taken()), vec![1, 2])?;
    }
    Ok(())
}
