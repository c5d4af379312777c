//! Maps with order within a key.

use std::sync::Arc;

use super::prelude::*;
use crate::stream::item::KeyCount;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "STREAM-44" stream_44 "Items of one key run one after the other, in the order of the source."),
    rule!(Must "STREAM-45" stream_45 "Items of different keys run beside each other, as far as the limit allows."),
    rule!(Must "STREAM-46" stream_46 "However many keys there were, a map keeps no more than a few times its limit.").needs(Needs::DROPS),
];

fn keyed(subject: &Subject, limit: usize) -> Checked<Vec<Map>> {
    needs(subject, Capability::Keys)?;
    Ok(maps(subject, limit)?.into_iter().filter(|map| map.keyed).collect())
}

async fn stream_44(subject: &Subject) -> Checked {
    for map in keyed(subject, 6)? {
        let time = |number: u32| ms(u64::from(number * 7 % 5) * 10);
        let script = |number: u32| item(number).taking(time(number)).of_key(number % 3);
        let run = Run::of(subject, &map, Supply::of((1..=30).map(script)), Busy::No).await?;
        for key in 0..3 {
            let steps = run.numbers(|event| match event {
                Event::Began(number) | Event::Ended(number) if number % 3 == key => Some(*number),
                _ => None,
            });
            let in_turn: Vec<_> =
                (1..=30).filter(|number| number % 3 == key).flat_map(|number| [number, number]).collect();
            run.is("begins and ends of the items of one key", steps, in_turn)?;
        }
        run.is("results of 30 items", run.taken().len(), 30)?;
    }
    Ok(())
}

async fn stream_45(subject: &Subject) -> Checked {
    for map in keyed(subject, 4)?.into_iter().filter(|map| !map.ordered) {
        // Key 0 is slow: one of its items runs beside those of other keys.
        let slow = [item(1).taking(secs(1)).of_key(0)];
        let fast = (2..=10).map(|number| item(number).taking(ms(10)).of_key(number));
        let run = Run::of(subject, &map, Supply::of(slow.into_iter().chain(fast)), Busy::No).await?;
        let last = run.first(&Event::Took(10));
        run.is(
            "9 items of 10ms and of other keys, beside one of 1s, 4 at a time, the last at",
            last,
            Some(ms(30)),
        )?;
    }
    Ok(())
}

async fn stream_46(subject: &Subject) -> Checked {
    for map in keyed(subject, 4)? {
        let keys = Arc::new(KeyCount);
        let script =
            |number| Script { keys: Some(keys.clone()), ..item(number).taking(ms(10)).of_key(number) };
        let supply = Supply::of((1..=200).map(script)).open();
        let (run, mut future) = Run::begin(subject, &map, supply, Busy::No)?;
        drop(timeout(secs(60), &mut future).await);
        run.is("results of 200 items of as many keys", run.taken().len(), 200)?;
        let kept = Arc::strong_count(&keys) - 1;
        run.asks(kept <= 32, "at most 32 keys kept, with a limit of 4 and no item in flight", kept)?;
    }
    Ok(())
}
