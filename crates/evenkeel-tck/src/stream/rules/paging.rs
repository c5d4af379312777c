//! Pages, and generators.

use super::prelude::*;
use crate::stream::{
    Fetch, Item, Operator, Pages,
    fetch::Page,
    operator::{BoxStream, PageResult},
};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "STREAM-65" stream_65 "Pages give their items in order; an empty page that names another one is not the end."),
    rule!(Must "STREAM-66" stream_66 "A cursor that leads back ends the pages with an error.").after("STREAM-65"),
    rule!(Must "STREAM-67" stream_67 "An error of a page comes after all items before it, and ends the pages.").after("STREAM-65"),
    rule!(Must "STREAM-68" stream_68 "Without fetching ahead, a page is asked for when its first item is."),
    rule!(Must "STREAM-69" stream_69 "While the consumer is busy, as many pages are fetched ahead as were asked for, and no more."),
    rule!(Must "STREAM-70" stream_70 "Pages that are dropped drop the fetch in flight.").needs(Needs::CANCEL_AND_ABORT),
    rule!(Must "STREAM-71" stream_71 "A generator gives each value that its function emits once and in order."),
    rule!(Must "STREAM-72" stream_72 "The function of a generator is no more than one value ahead, and does not begin before the first poll."),
    rule!(Must "STREAM-73" stream_73 "A generator that is dropped drops its function.").needs(Needs::CANCEL),
    rule!(Must "STREAM-74" panics stream_74 "A panic of the function of a generator goes on.").after("STREAM-71"),
];

/// A page of two items that takes 10ms; those of page n are 10 n + 1 and 10 n + 2.
fn page(number: u32, next: Option<u32>) -> Page {
    let items = [1, 2].map(|index| item(10 * number + index)).to_vec();
    Page { items, next, takes: ms(10), fails: false }
}

/// A stream of items, and its record.
struct Stream<T> {
    stream: BoxStream<T>,
    record: Record,
    operator: Operator,
}

fn pages(subject: &Subject, ahead: usize, pages: Vec<Page>) -> Checked<Stream<PageResult>> {
    let operator = configure(subject, &Settings::Pages(Pages { ahead }))?;
    let record = Record::start();
    let stream = operator.paged(Fetch::new(pages, &record))?;
    Ok(Stream { stream, record, operator })
}

impl Stream<PageResult> {
    /// Takes this number of items, or all; a minute at most.
    async fn take(&mut self, number: usize) -> Checked {
        let all = async {
            for _ in 0..number {
                match next(&mut self.stream).await {
                    Some(Ok(item)) => self.record.note(Event::Took(item.number())),
                    Some(Err(failure)) => self.record.note(Event::Told(failure)),
                    None => return,
                }
            }
        };
        let ended = timeout(secs(60), all).await;
        self.record.require(ended.is_ok(), "an end within a minute", "none")
    }

    fn asked(&self) -> usize {
        self.record.pick(|_, event| matches!(event, Event::Asked(_)).then_some(())).len()
    }
}

/// The numbers of pages to fetch ahead that the implementation has.
fn aheads(subject: &Subject) -> Checked<Vec<usize>> {
    needs(subject, Capability::Pages)?;
    Ok([0, 2].into_iter().filter(|ahead| has(subject, &Settings::Pages(Pages { ahead: *ahead }))).collect())
}

async fn stream_65(subject: &Subject) -> Checked {
    for ahead in aheads(subject)? {
        let empty = Page { items: Vec::new(), ..page(2, Some(3)) };
        let mut stream =
            pages(subject, ahead, vec![page(1, Some(2)), empty, page(3, Some(4)), page(4, None)])?;
        stream.take(100).await?;
        stream.record.equal("items", stream.record.taken(), vec![11, 12, 31, 32, 41, 42])?;
        stream.record.equal("failures told", stream.record.told().len(), 0)?;
    }
    Ok(())
}

async fn stream_66(subject: &Subject) -> Checked {
    for ahead in aheads(subject)? {
        for back in [1, 2, 3] {
            let mut stream =
                pages(subject, ahead, vec![page(1, Some(2)), page(2, Some(3)), page(3, Some(back))])?;
            stream.take(100).await?;
            stream.record.equal("failures told", stream.record.told().len(), 1)?;
            let asked = stream.asked();
            stream.record.require(asked <= 12, "at most 12 fetches of a circle of 3 pages", asked)?;
        }
    }
    Ok(())
}

async fn stream_67(subject: &Subject) -> Checked {
    for ahead in aheads(subject)? {
        let failing = Page { fails: true, ..page(3, Some(4)) };
        let mut stream =
            pages(subject, ahead, vec![page(1, Some(2)), page(2, Some(3)), failing, page(4, None)])?;
        stream.take(100).await?;
        let events = stream.record.numbers(|event| match event {
            Event::Took(number) => Some(*number),
            Event::Told(_) => Some(0),
            _ => None,
        });
        stream.record.equal("items, and 0 for an error,", events, vec![11, 12, 21, 22, 0])?;
    }
    Ok(())
}

async fn stream_68(subject: &Subject) -> Checked {
    let mut stream = pages(subject, 0, (1..9).map(|number| page(number, Some(number + 1))).collect())?;
    sleep(secs(1)).await;
    stream.record.equal("pages asked for before the first poll", stream.asked(), 0)?;
    stream.take(2).await?;
    sleep(secs(1)).await;
    stream.record.equal("pages asked for, with all items of one taken,", stream.asked(), 1)?;
    stream.take(1).await?;
    stream.record.equal("pages asked for, with an item of the second taken,", stream.asked(), 2)
}

async fn stream_69(subject: &Subject) -> Checked {
    let mut stream = pages(subject, 2, (1..20).map(|number| page(number, Some(number + 1))).collect())?;
    stream.take(1).await?;
    sleep(secs(1)).await;
    stream.record.equal("pages asked for, with 2 ahead of the first,", stream.asked(), 3)
}

async fn stream_70(subject: &Subject) -> Checked {
    for ahead in aheads(subject)? {
        let slow = Page { takes: secs(60), ..page(2, Some(3)) };
        let mut stream = pages(subject, ahead, vec![page(1, Some(2)), slow, page(3, None)])?;
        drop(timeout(secs(1), stream.take(3)).await);
        let Stream { stream, record, operator: _operator } = stream;
        drop(stream);
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        record.equal("fetches asked for", record.count(&Event::Asked(2)), 1)?;
        record.equal("fetches dropped", record.count(&Event::Answered(2)), 1)?;
    }
    Ok(())
}

fn generated(subject: &Subject, supply: Supply) -> Checked<Stream<Item>> {
    let operator = configure(subject, &Settings::Generate)?;
    let record = Record::start();
    let stream = operator.generated(Source::new(supply, &record))?;
    Ok(Stream { stream, record, operator })
}

impl Stream<Item> {
    async fn take(&mut self) -> bool {
        let item = next(&mut self.stream).await;
        if let Some(item) = &item {
            self.record.note(Event::Took(item.number()));
        }
        item.is_some()
    }
}

async fn stream_71(subject: &Subject) -> Checked {
    let supply = items(3, ms(0)).later(ms(10), item(4)).later(ms(10), item(5));
    let mut stream = generated(subject, supply)?;
    let ended = timeout(secs(60), async { while stream.take().await {} }).await;
    stream.record.require(ended.is_ok(), "an end within a minute", "none")?;
    stream.record.equal("items", stream.record.taken(), vec![1, 2, 3, 4, 5])
}

async fn stream_72(subject: &Subject) -> Checked {
    let mut stream = generated(subject, items(20, ms(0)))?;
    sleep(secs(1)).await;
    stream.record.equal("values made before the first poll", stream.record.given().len(), 0)?;
    for taken in 1..5 {
        stream.take().await;
        sleep(secs(1)).await;
        let given = stream.record.given().len();
        let expected = format_args!("at most {} values made, with {taken} taken", taken + 1);
        stream.record.require(given <= taken + 1, expected, given)?;
    }
    Ok(())
}

async fn stream_73(subject: &Subject) -> Checked {
    let mut stream = generated(subject, items(2, ms(0)).open())?;
    drop(timeout(secs(1), async { while stream.take().await {} }).await);
    let Stream { stream, record, operator: _operator } = stream;
    drop(stream);
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    record.equal("sources dropped", record.count(&Event::SourceFreed), 1)
}

async fn stream_74(subject: &Subject) -> Checked {
    let mut stream = generated(subject, Supply::of([item(1)]).panic(ms(10)))?;
    stream.take().await;
    let record = stream.record.clone();
    let rest = Box::pin(async move { while stream.take().await {} });
    let ended = timeout(secs(60), crate::probe_task::catch_panic(rest)).await;
    let panicked = matches!(ended, Ok(Err(_)));
    record.require(panicked, "a panic in the consumer", if ended.is_ok() { "an end" } else { "none" })
}
