//! Batches of items.

use std::rc::Rc;

use evenkeel_testkit::cancel;
use tokio::sync::Mutex;

use super::prelude::*;
use crate::stream::{Batch, Item, Operator, operator::BoxStream};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "STREAM-47" stream_47 "Batches are full, hold each item once, and in order; the rest comes when the source ends."),
    rule!(Must "STREAM-48" stream_48 "A batch of which the time is over comes, though the source is silent."),
    rule!(Must "STREAM-49" stream_49 "A batch of which the time is over comes, though the source is always ready.").needs(Needs::BUSY),
    rule!(Must "STREAM-50" stream_50 "The time of a batch counts from its own first item.")
        .after("STREAM-48"),
    rule!(Must "STREAM-51" stream_51 "No batch is empty."),
    rule!(Should "STREAM-52" stream_52 "A batch takes memory for its items, not for its maximum.").needs(Needs::MEMORY),
    rule!(Must "STREAM-53" alone stream_53 "Dropping the wait for a batch loses no item.").needs(Needs::CUT),
    rule!(Must "STREAM-54" stream_54 "A batch of zero items is refused, or is no reason to wait or to compute for ever."),
    rule!(Must "STREAM-55" stream_55 "Batches have true size hints, and do not poll a source that has ended."),
    rule!(Must "STREAM-56" stream_56 "No batch weighs more than the maximum, unless it is one item."),
    rule!(Must "STREAM-57" stream_57 "A batch ends with the item that ends it."),
];

/// Batches, and their record.
struct Batches {
    stream: BoxStream<Vec<Item>>,
    record: Record,
    _operator: Operator,
}

impl Batches {
    fn start(subject: &Subject, batch: &Batch, supply: Supply) -> Checked<Self> {
        let operator = configure(subject, &Settings::Batch(batch.clone()))?;
        Self::of(operator, supply)
    }

    fn of(operator: Operator, supply: Supply) -> Checked<Self> {
        let record = Record::start();
        let stream = operator.batches(Source::new(supply, &record))?;
        Ok(Self { stream, record, _operator: operator })
    }

    /// Takes a batch, if there is another one.
    async fn take(&mut self) -> bool {
        let batch = next(&mut self.stream).await;
        if let Some(batch) = &batch {
            self.record.note(Event::TookBatch(batch.iter().map(Item::number).collect()));
        }
        batch.is_some()
    }

    /// Takes all batches, for a minute at most.
    async fn all(mut self) -> Checked<Record> {
        let all = timeout(secs(60), async { while self.take().await {} }).await;
        self.record.require(all.is_ok(), "an end within a minute", "none")?;
        Ok(self.record)
    }
}

fn numbers(record: &Record) -> Vec<Vec<u32>> {
    record.batches().into_iter().map(|(items, _)| items).collect()
}

async fn stream_47(subject: &Subject) -> Checked {
    let record = Batches::start(subject, &Batch::items(3), items(8, ms(0)))?.all().await?;
    record.equal("batches of 3", numbers(&record), vec![vec![1, 2, 3], vec![4, 5, 6], vec![7, 8]])?;
    record.equal("the last one at", record.batches()[2].1, ms(0))
}

async fn stream_48(subject: &Subject) -> Checked {
    let batch = Batch::items(10).within(ms(100));
    let supply = Supply::of([]).later(ms(50), item(1)).later(ms(30), item(2)).later(secs(1), item(3));
    let record = Batches::start(subject, &batch, supply)?.all().await?;
    let first = record.batches().into_iter().next();
    record.equal("a batch of items of 50ms and 80ms, within 100ms,", first, Some((vec![1, 2], ms(150))))
}

async fn stream_49(subject: &Subject) -> Checked {
    let batch = Batch::items(1000).within(ms(100));
    let supply = items(50, ms(0)).busy(ms(10));
    let record = Batches::start(subject, &batch, supply)?.all().await?;
    let first = record.batches().first().map(|(items, at)| (items.len() <= 11, *at <= ms(120)));
    let expected = "of a source that gives an item each 10ms, and is always ready, a batch by 120ms";
    record.require(first == Some((true, true)), expected, format_args!("{:?}", record.batches().first()))
}

async fn stream_50(subject: &Subject) -> Checked {
    // The first batch is full at 60ms, so that its time is never over.
    let batch = Batch::items(2).within(ms(100));
    let supply = Supply::of([item(1)]).later(ms(60), item(2)).later(ms(20), item(3)).later(secs(1), item(4));
    let record = Batches::start(subject, &batch, supply)?.all().await?;
    let second = record.batches().into_iter().nth(1);
    record.equal("a batch within 100ms of its first item at 80ms,", second, Some((vec![3], ms(180))))
}

async fn stream_51(subject: &Subject) -> Checked {
    let batch = Batch::items(2).within(ms(10));
    let supply = Supply::of([]).later(secs(1), item(1)).later(secs(1), item(2)).later(ms(5), item(3));
    let record = Batches::start(subject, &batch, supply)?.all().await?;
    record.equal(
        "batches of a source that is silent for a second",
        numbers(&record),
        vec![vec![1], vec![2, 3]],
    )
}

async fn stream_52(subject: &Subject) -> Checked {
    let mut batches = Batches::start(subject, &Batch::items(100_000), items(3, ms(0)))?;
    let capacity = next(&mut batches.stream).await.map(|batch| batch.capacity());
    let holds = capacity.is_some_and(|capacity| capacity <= 64);
    batches.record.require(holds, "room for at most 64 items, in a batch of 3", format_args!("{capacity:?}"))
}

fn stream_53(subject: &Subject) -> Checked {
    let mut batches = vec![Batch::items(3)];
    let timed = Batch::items(3).within(ms(12));
    if has(subject, &Settings::Batch(timed.clone())) {
        batches.push(timed);
    }
    for batch in batches {
        let settings = Settings::Batch(batch);
        configurable(subject, &settings)?;
        let setup = async || {
            let supply = (1..=8).fold(Supply::of([]), |supply, number| supply.later(ms(5), item(number)));
            Rc::new(Mutex::new(unwrap(Batches::of(unwrap(configure(subject, &settings)), supply))))
        };
        let operation = async |batches: Rc<Mutex<Batches>>| while batches.lock().await.take().await {};
        let check = async |batches: Rc<Mutex<Batches>>| {
            let mut batches = batches.lock().await;
            while batches.take().await {}
            let items = numbers(&batches.record).concat();
            assert_eq!(items, Vec::from_iter(1..=8), "items after the wait for a batch was dropped");
        };
        explored(|| cancel::every_point(setup, operation, check))?;
    }
    Ok(())
}

async fn stream_54(subject: &Subject) -> Checked {
    let refused = unless_refused(subject, &Settings::Batch(Batch::items(0)))?;
    let Some(operator) = refused else { return Ok(()) };
    // The operator of futures panics when it is made.
    let made =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Batches::of(operator, items(3, ms(0)))));
    match made {
        Ok(batches) => batches?.all().await.map(drop),
        Err(_) => Ok(()),
    }
}

async fn stream_55(subject: &Subject) -> Checked {
    let mut batches = Batches::start(subject, &Batch::items(3), items(8, ms(0)))?;
    for left in (0..=3).rev() {
        let (lower, upper) = batches.stream.size_hint();
        let holds = lower <= left && upper.is_none_or(|upper| left <= upper);
        let expected = format_args!("a size hint that is true where {left} batches are left");
        batches.record.require(holds, expected, format_args!("{lower} to {upper:?}"))?;
        batches.take().await;
    }
    let record = &batches.record;
    record.equal("polls of the source after its end", record.count(&Event::PolledAfterEnd), 0)
}

async fn stream_56(subject: &Subject) -> Checked {
    let batch = Batch { weight: Some(10), ..Batch::items(100) };
    let weights = [4, 4, 4, 10, 1, 12, 3, 3, 3, 1, 1];
    let script = |(index, weight)| item(index as u32 + 1).weighing(weight);
    let supply = Supply::of(weights.into_iter().enumerate().map(script));
    let record = Batches::start(subject, &batch, supply)?.all().await?;
    record.equal("items in the batches", numbers(&record).concat(), Vec::from_iter(1..=11))?;
    for numbers in numbers(&record) {
        let weight: usize = numbers.iter().map(|number| weights[*number as usize - 1]).sum();
        let expected = "no batch of several items that weighs more than 10";
        record.require(
            weight <= 10 || numbers.len() == 1,
            expected,
            format_args!("{numbers:?} weighs {weight}"),
        )?;
    }
    let count = numbers(&record).len();
    record.require(count <= 7, "at most 7 batches", count)
}

async fn stream_57(subject: &Subject) -> Checked {
    let batch = Batch { until: true, ..Batch::items(4) };
    let script = |number| Script { ends_batch: matches!(number, 2 | 3 | 8), ..item(number) };
    let record = Batches::start(subject, &batch, Supply::of((1..=9).map(script)))?.all().await?;
    let expected = vec![vec![1, 2], vec![3], vec![4, 5, 6, 7], vec![8], vec![9]];
    record.equal("batches of 4, and that items 2, 3 and 8 end,", numbers(&record), expected)
}
