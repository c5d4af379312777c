//! Panics of items, of the function and of the source.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "STREAM-29" panics stream_29 "The panic of an item is told once, or goes on in the consumer."),
    rule!(Must "STREAM-30" panics stream_30 "Where panics are results, every item has its result or its panic.").after("STREAM-29"),
    rule!(Must "STREAM-31" panics stream_31 "A map that has ended with a panic leaves no item that goes on.").needs(Needs::ABORT).after("STREAM-29"),
    rule!(Must "STREAM-32" panics stream_32 "A panic of the function that makes the work is told once, or goes on."),
    rule!(Must "STREAM-33" panics stream_33 "A panic of the source is told once, or goes on."),
];

async fn stream_29(subject: &Subject) -> Checked {
    for map in maps(subject, 2)? {
        let supply =
            Supply::of([item(1), item(2).taking(ms(10)).panicking(), item(3).taking(ms(20)), item(4)]);
        let run = Run::of(subject, &map, supply, Busy::No).await?;
        run.tells(FailureKind::Panic, 2)?;
    }
    Ok(())
}

async fn stream_30(subject: &Subject) -> Checked {
    needs(subject, Capability::PanicResults)?;
    for map in maps_on_failure(subject, 3, FailureMode::GoOn, Capability::CollectAll)? {
        let third = |number: u32| {
            let script = item(number).taking(ms(u64::from(number % 4)) * 10);
            if number.is_multiple_of(3) { script.panicking() } else { script }
        };
        let run = Run::of(subject, &map, Supply::of((1..=10).map(third)), Busy::No).await?;
        run.is("results", sorted(run.taken()), vec![1, 2, 4, 5, 7, 8, 10])?;
        let told = run.told().into_iter().filter(|failure| failure.kind == FailureKind::Panic);
        run.is("panics told", sorted(told.filter_map(|failure| failure.task).collect()), vec![3, 6, 9])?;
    }
    Ok(())
}

async fn stream_31(subject: &Subject) -> Checked {
    for map in maps(subject, 3)? {
        let supply = Supply::of([
            item(1).taking(ms(10)).panicking(),
            item(2).taking(secs(1)),
            item(3).taking(secs(2)),
        ]);
        let run = Run::of(subject, &map, supply, Busy::No).await?;
        let ended = run.ended();
        sleep(secs(10)).await;
        run.is("items that ended, also after it", run.ended(), ended)?;
        run.is("items alive", run.alive(), Vec::new())?;
    }
    Ok(())
}

async fn stream_32(subject: &Subject) -> Checked {
    for map in maps(subject, 2)? {
        let supply = Supply::of([item(1), Script { panics_at_call: true, ..item(2) }, item(3)]);
        let run = Run::of(subject, &map, supply, Busy::No).await?;
        run.tells(FailureKind::Panic, 2)?;
    }
    Ok(())
}

async fn stream_33(subject: &Subject) -> Checked {
    for map in maps(subject, 2)? {
        let supply = Supply::of([item(1).taking(ms(10))]).panic(ms(20));
        let run = Run::of(subject, &map, supply, Busy::No).await?;
        run.tells(FailureKind::Panic, 0)?;
    }
    Ok(())
}
