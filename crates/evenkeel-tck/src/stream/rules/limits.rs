//! The number of items in flight: never more than the limit, and no fewer.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "STREAM-08" stream_08 "No more items are in flight than the limit."),
    rule!(Must "STREAM-09" stream_09 "As many items are in flight as the limit allows, as long as the source has some and the consumer waits."),
    rule!(Must "STREAM-10" stream_10 "In an unordered map a slow item holds up no item but itself."),
    rule!(Must "STREAM-11" stream_11 "In an ordered map, no more than the limit are begun and not returned, however slow the first of them."),
    rule!(Must "STREAM-12" stream_12 "While the consumer is busy, no more than four times the limit are begun and not returned."),
    rule!(Should "STREAM-13" stream_13 "A result that is returned makes room for the next item at once, not when the consumer comes back."),
];

async fn stream_08(subject: &Subject) -> Checked {
    for limit in [1, 3] {
        for map in maps(subject, limit)? {
            let run = Run::of(subject, &map, items(20, ms(10)), Busy::No).await?;
            run.asks(run.peak() <= limit, &format!("at most {limit} in flight"), run.peak())?;
        }
    }
    Ok(())
}

async fn stream_09(subject: &Subject) -> Checked {
    for map in maps(subject, 4)? {
        let run = Run::of(subject, &map, items(20, ms(10)), Busy::No).await?;
        run.is("the end of 20 items of 10ms, 4 at a time, at", run.first(&Event::Returned), Some(ms(50)))?;
    }
    Ok(())
}

async fn stream_10(subject: &Subject) -> Checked {
    needs(subject, Capability::Unordered)?;
    for map in maps(subject, 2)?.into_iter().filter(|map| !map.ordered) {
        let times = |number| ms(if number == 1 { 100 } else { 10 });
        let supply = Supply::of((1..=9).map(|number| item(number).taking(times(number))));
        let run = Run::of(subject, &map, supply, Busy::No).await?;
        let last = run.first(&Event::Took(9));
        run.is("8 items of 10ms beside one of 100ms, 2 at a time, the last at", last, Some(ms(80)))?;
    }
    Ok(())
}

async fn stream_11(subject: &Subject) -> Checked {
    needs(subject, Capability::Ordered)?;
    for map in maps(subject, 4)?.into_iter().filter(|map| map.ordered) {
        let times = |number| ms(if number == 1 { 1000 } else { 1 });
        let supply = Supply::of((1..=100).map(|number| item(number).taking(times(number))));
        let run = Run::of(subject, &map, supply, Busy::No).await?;
        let peak = run.untaken_peak();
        run.asks(peak <= 4, "at most 4 begun and not returned, behind an item of 1s", peak)?;
    }
    Ok(())
}

async fn stream_12(subject: &Subject) -> Checked {
    for map in maps(subject, 4)? {
        let run = Run::of(subject, &map, items(100, ms(1)), Busy::First(secs(1))).await?;
        let peak = run.untaken_peak();
        run.asks(peak <= 16, "at most 16 begun and not returned, while the consumer is busy", peak)?;
    }
    Ok(())
}

async fn stream_13(subject: &Subject) -> Checked {
    for map in maps(subject, 2)? {
        let run = Run::of(subject, &map, items(4, ms(10)), Busy::Each(secs(1))).await?;
        run.is(
            "item 3 begins, where the first result is returned at 10ms, at",
            run.first(&Event::Began(3)),
            Some(ms(10)),
        )?;
    }
    Ok(())
}
