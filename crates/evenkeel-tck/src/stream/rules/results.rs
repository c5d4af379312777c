//! The results of a map: all of them, in their order, at their time.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "STREAM-01" stream_01 "Every item has one result."),
    rule!(Must "STREAM-02" stream_02 "The results of an ordered map come in the order of the items."),
    rule!(Must "STREAM-03" stream_03 "The results of an unordered map come at the instants at which they are there."),
    rule!(Should "STREAM-04" stream_04 "A map that is not polled takes nothing from its source.")
        .needs(Needs::LAZY),
    rule!(Must "STREAM-05" stream_05 "A map of no items ends at once."),
    rule!(Must "STREAM-06" stream_06 "A silent source holds up no result."),
    rule!(Must "STREAM-07" stream_07 "A limit of zero is refused, or every item has its result nevertheless."),
];

/// Items of different times: those in the middle of each five are the fastest.
fn mixed(number: u32) -> Supply {
    Supply::of((1..=number).map(|number| item(number).taking(ms(u64::from(number * 7 % 5)) * 10)))
}

async fn stream_01(subject: &Subject) -> Checked {
    for map in maps(subject, 4)? {
        let run = Run::of(subject, &map, mixed(20), Busy::No).await?;
        run.is("results of 20 items", sorted(run.taken()), Vec::from_iter(1..=20))?;
    }
    Ok(())
}

async fn stream_02(subject: &Subject) -> Checked {
    needs(subject, Capability::Ordered)?;
    for map in maps(subject, 4)?.into_iter().filter(|map| map.ordered) {
        let run = Run::of(subject, &map, mixed(20), Busy::No).await?;
        run.is("results of 20 items", run.taken(), Vec::from_iter(1..=20))?;
    }
    Ok(())
}

async fn stream_03(subject: &Subject) -> Checked {
    needs(subject, Capability::Unordered)?;
    for map in maps(subject, 3)?.into_iter().filter(|map| !map.ordered) {
        let supply =
            Supply::of([(1, 30), (2, 10), (3, 20)].map(|(number, time)| item(number).taking(ms(time))));
        let run = Run::of(subject, &map, supply, Busy::No).await?;
        let taken = run.pick(|at, event| match event {
            Event::Took(number) => Some((*number, at)),
            _ => None,
        });
        run.is(
            "results of items of 30ms, 10ms and 20ms",
            taken,
            vec![(2, ms(10)), (3, ms(20)), (1, ms(30))],
        )?;
    }
    Ok(())
}

async fn stream_04(subject: &Subject) -> Checked {
    for map in maps(subject, 3)? {
        let (run, future) = Run::begin(subject, &map, items(5, ms(10)), Busy::No)?;
        sleep(secs(1)).await;
        run.is("items taken before the first poll", run.given(), Vec::new())?;
        drop(future);
    }
    Ok(())
}

async fn stream_05(subject: &Subject) -> Checked {
    for map in maps(subject, 3)? {
        let run = Run::of(subject, &map, items(0, ms(0)), Busy::No).await?;
        run.is("the end at", run.first(&Event::Returned), Some(ms(0)))?;
    }
    Ok(())
}

async fn stream_06(subject: &Subject) -> Checked {
    for map in maps(subject, 3)? {
        let supply = Supply::of([item(1).taking(ms(10))]).later(secs(1), item(2).taking(ms(10)));
        let run = Run::of(subject, &map, supply, Busy::No).await?;
        let got = [1, 2].map(|number| run.first(&Event::Took(number)));
        run.is("results of items of 10ms that are given at 0s and at 1s", got, [10, 1010].map(ms).map(Some))?;
    }
    Ok(())
}

async fn stream_07(subject: &Subject) -> Checked {
    for map in maps(subject, 0)? {
        if let Some(operator) = unless_refused(subject, &Settings::Map(map.clone()))? {
            let record = Record::start();
            let consumer = crate::stream::Consumer::new(Busy::No, false, &record);
            let future = operator.run(Source::new(items(3, ms(10)), &record), consumer)?;
            let run = Run { record, map, _operator: operator };
            run.end(future).await?;
            // A panic refuses, too.
            let all = run.taken().len() == 3 || !run.told().is_empty();
            run.asks(all, "with a limit of zero, results of 3 items or a refusal", run.taken())?;
        }
    }
    Ok(())
}
