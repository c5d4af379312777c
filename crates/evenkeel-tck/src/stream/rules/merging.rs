//! Merges of sources.

use std::{
    collections::BTreeMap,
    rc::Rc,
    task::{Context, Waker},
};

use evenkeel_testkit::cancel;
use tokio::sync::Mutex;

use super::prelude::*;
use crate::stream::{Item, Operator, operator::BoxStream};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "STREAM-58" stream_58 "A merge gives each item of each source once, those of one source in their order, and ends with the last."),
    rule!(Must "STREAM-59" stream_59 "Of sources that are always ready, none gives less than half of its share, or more than twice of it."),
    rule!(Must "STREAM-60" stream_60 "A silent source holds up no other."),
    rule!(Must "STREAM-61" stream_61 "A merge of no sources, and one of sources without items, ends at once."),
    rule!(Must "STREAM-62" alone stream_62 "Dropping the wait for the next item of a merge loses no item.")
        .needs(Needs::CUT),
    rule!(Must "STREAM-63" stream_63 "A merge has a true size hint, and does not poll a source that has ended."),
    rule!(Must "STREAM-64" stream_64 "A merge that is dropped drops its sources.").needs(Needs::CANCEL),
];

/// A merge, and its record. Source n gives the items 1000 n + 1 and so on.
struct Merge {
    stream: BoxStream<Item>,
    record: Record,
    operator: Operator,
}

impl Merge {
    fn start(subject: &Subject, supplies: impl IntoIterator<Item = Supply>) -> Checked<Self> {
        let operator = configure(subject, &Settings::Merge)?;
        let record = Record::start();
        let sources = supplies.into_iter().map(|supply| Source::new(supply, &record)).collect();
        let stream = operator.merged(sources)?;
        Ok(Self { stream, record, operator })
    }

    async fn take(&mut self) -> bool {
        let item = next(&mut self.stream).await;
        if let Some(item) = &item {
            self.record.note(Event::Took(item.number()));
        }
        item.is_some()
    }

    /// Takes all items, for a minute at most.
    async fn all(&mut self) -> Checked {
        let all = timeout(secs(60), async { while self.take().await {} }).await;
        self.record.require(all.is_ok(), "an end within a minute", "none")
    }
}

/// The items of a source, each after this time of silence.
fn timed(source: u32, number: u32, silence: Duration) -> Supply {
    (1..=number).fold(Supply::of([]), |supply, number| supply.later(silence, item(1000 * source + number)))
}

/// The items of each source, in the order in which they were taken.
fn by_source(record: &Record) -> BTreeMap<u32, Vec<u32>> {
    let mut by_source: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for number in record.taken() {
        by_source.entry(number / 1000).or_default().push(number);
    }
    by_source
}

async fn stream_58(subject: &Subject) -> Checked {
    let mut merge =
        Merge::start(subject, (1..=5).map(|source| timed(source, 6, ms(u64::from(source % 3) * 5))))?;
    merge.all().await?;
    let expected = (1..=5).map(|source| (source, (1..=6).map(|number| 1000 * source + number).collect()));
    merge.record.equal("the items of 5 sources", by_source(&merge.record), expected.collect())?;
    merge.record.equal("the end at", merge.record.elapsed(), ms(60))
}

async fn stream_59(subject: &Subject) -> Checked {
    let mut merge = Merge::start(subject, (1..=5).map(|source| timed(source, 500, ms(0))))?;
    for _ in 0..500 {
        merge.take().await;
    }
    let taken: Vec<_> = by_source(&merge.record).into_values().map(|items| items.len()).collect();
    let holds = taken.len() == 5 && taken.iter().all(|taken| (50..=200).contains(taken));
    merge.record.require(holds, "about 100 of 500 items from each of 5 sources", format_args!("{taken:?}"))
}

async fn stream_60(subject: &Subject) -> Checked {
    let mut merge = Merge::start(
        subject,
        [Supply::of([]).open(), timed(2, 3, ms(10)), Supply::of([]).later(secs(1), item(3001))],
    )?;
    let four =
        timeout(secs(60), async { while merge.record.taken().len() < 4 && merge.take().await {} }).await;
    let times = merge.record.pick(|at, event| matches!(event, Event::Took(_)).then_some(at));
    merge.record.require(four.is_ok(), "4 items", format_args!("{}", times.len()))?;
    merge.record.equal("items beside a silent source at", times, [10, 20, 30, 1000].map(ms).to_vec())
}

async fn stream_61(subject: &Subject) -> Checked {
    for empty in [0, 1, 3] {
        let mut merge = Merge::start(subject, (0..empty).map(|_| Supply::of([])))?;
        merge.all().await?;
        merge.record.equal("the end at", merge.record.elapsed(), ms(0))?;
    }
    Ok(())
}

fn stream_62(subject: &Subject) -> Checked {
    configurable(subject, &Settings::Merge)?;
    let setup = async || {
        let sources = [timed(1, 3, ms(10)), timed(2, 3, ms(10)), timed(3, 2, ms(7))];
        Rc::new(Mutex::new(unwrap(Merge::start(subject, sources))))
    };
    let operation = async |merge: Rc<Mutex<Merge>>| unwrap(merge.lock().await.all().await);
    let check = async |merge: Rc<Mutex<Merge>>| {
        let mut merge = merge.lock().await;
        unwrap(merge.all().await);
        let taken = sorted(merge.record.taken());
        assert_eq!(taken, [1001, 1002, 1003, 2001, 2002, 2003, 3001, 3002], "items after a wait was dropped");
    };
    explored(|| cancel::every_point(setup, operation, check))
}

async fn stream_63(subject: &Subject) -> Checked {
    let mut merge = Merge::start(subject, [timed(1, 2, ms(10)), timed(2, 3, ms(0)), timed(3, 1, ms(30))])?;
    for left in (0..=6).rev() {
        let (lower, upper) = merge.stream.size_hint();
        let holds = lower <= left && upper.is_none_or(|upper| left <= upper);
        let expected = format_args!("a size hint that is true where {left} items are left");
        merge.record.require(holds, expected, format_args!("{lower} to {upper:?}"))?;
        merge.take().await;
    }
    let record = &merge.record;
    record.equal("polls of a source after its end", record.count(&Event::PolledAfterEnd), 0)
}

async fn stream_64(subject: &Subject) -> Checked {
    let mut merge = Merge::start(subject, [timed(1, 3, ms(10)), timed(2, 3, ms(10)).open()])?;
    let polled = merge.stream.poll_next(&mut Context::from_waker(Waker::noop()));
    merge.record.require(polled.is_pending(), "no item before 10ms", "one")?;
    let Merge { stream, record, operator: _operator } = merge;
    drop(stream);
    tokio::task::yield_now().await;
    record.equal("sources dropped", record.count(&Event::SourceFreed), 2)
}
