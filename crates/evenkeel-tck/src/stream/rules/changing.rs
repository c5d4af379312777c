//! Steps while an operator runs: a batch that is given up, a source that is added, an item that comes late.

use std::future::poll_fn;

use super::prelude::*;
use crate::stream::{Batch, Item};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "STREAM-100" stream_100 "The items of an unfinished batch can be taken back, each once and in order."),
    rule!(Must "STREAM-101" stream_101 "A source that is added to a merge that waits is merged at once."),
    rule!(Should "STREAM-102" stream_102 "An item that the source gives while the consumer is busy begins at once, if there is room."),
];

async fn stream_100(subject: &Subject) -> Checked {
    needs(subject, Capability::BatchRest)?;
    let operator = configure(subject, &Settings::Batch(Batch::items(3)))?;
    let record = Record::start();
    let mut batches = operator.batches_with_rest(Source::new(items(5, ms(0)).open(), &record))?;
    let first = poll_fn(|cx| batches.as_mut().poll_next(cx)).await;
    record.equal(
        "items of the first batch",
        first.iter().flatten().map(Item::number).collect(),
        vec![1, 2, 3],
    )?;
    let silent = timeout(secs(1), poll_fn(|cx| batches.as_mut().poll_next(cx))).await;
    record.require(silent.is_err(), "no batch of the 2 items that are left", "one")?;
    let rest = batches.rest();
    record.equal("items back", rest.iter().map(Item::number).collect(), vec![4, 5])
}

async fn stream_101(subject: &Subject) -> Checked {
    needs(subject, Capability::AddSources)?;
    let operator = configure(subject, &Settings::Merge)?;
    let record = Record::start();
    let silent = Source::new(Supply::of([]).later(secs(60), item(1)), &record);
    let (mut stream, add) = operator.merged_with_handle(vec![silent])?;
    let another = Source::new(Supply::of([item(2), item(3)]), &record);
    tokio::spawn(async move {
        sleep(ms(10)).await;
        add(another);
    });
    let all = timeout(secs(3600), async {
        while let Some(item) = next(&mut stream).await {
            record.note(Event::Took(item.number()));
        }
    });
    let ended = all.await.is_ok();
    record.require(ended, "an end with the last source", "none")?;
    let times = [2, 3, 1].map(|number| record.first(&Event::Took(number)));
    record.equal(
        "items of a source that is added at 10ms, and of one of 60s",
        times,
        [10, 10, 60_000].map(ms).map(Some),
    )
}

async fn stream_102(subject: &Subject) -> Checked {
    for map in maps(subject, 2)? {
        let supply = Supply::of([item(1).taking(ms(10))]).later(ms(20), item(2).taking(ms(10)));
        let run = Run::of(subject, &map, supply, Busy::First(secs(1))).await?;
        let begun = run.first(&Event::Began(2));
        run.is(
            "an item that the source has at 20ms begins, where the consumer is busy, at",
            begun,
            Some(ms(20)),
        )?;
    }
    Ok(())
}
