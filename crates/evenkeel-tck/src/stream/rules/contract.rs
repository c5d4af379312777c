//! The contract of every stream, as maps keep it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Wake, Waker},
};

use super::prelude::*;
use crate::{
    probe_task::catch_panic,
    stream::{
        Batch,
        operator::{BoxStream, MapResult},
        source::Hint,
    },
};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "STREAM-39" stream_39 "The size hint of a map is true at each step.").needs(Needs::HINTS),
    rule!(Must "STREAM-40" stream_40 "The size hint of a map does not overflow.").needs(Needs::HINTS),
    rule!(Should "STREAM-41" panics stream_41 "A stream that has ended stays at its end."),
    rule!(Must "STREAM-42" stream_42 "A source that has ended is not polled again."),
    rule!(Must "STREAM-43" stream_43 "A map that is polled with another waker wakes that one.")
        .needs(Needs::POLLS),
];

/// The maps of the implementation that are streams, with a limit of 3.
fn stream_maps(subject: &Subject) -> Checked<Vec<Map>> {
    needs(subject, Capability::Stream)?;
    maps(subject, 3)
}

/// The streams of these maps.
fn streams(subject: &Subject, supply: &Supply) -> Checked<Vec<(Run, BoxStream<MapResult>)>> {
    let stream = |map: Map| {
        let record = Record::start();
        let operator = operator(subject, &map)?;
        let stream = operator.stream(Source::new(supply.clone(), &record))?;
        Ok((Run { record, map, _operator: operator }, stream))
    };
    stream_maps(subject)?.into_iter().map(stream).collect()
}

async fn stream_39(subject: &Subject) -> Checked {
    for hint in [Hint::Exact, Hint::Unknown] {
        for fails in [false, true] {
            // The source ends while several are in flight, and one of them may be the failure.
            let last = item(9).taking(ms(10));
            let last = if fails { last.failing() } else { last };
            let supply = items(6, ms(10)).later(ms(25), item(7)).later(ms(1), item(8).taking(ms(5)));
            let supply = supply.later(ms(0), last).hinting(hint);
            for (run, mut stream) in streams(subject, &supply)? {
                let mut hints = vec![stream.size_hint()];
                while next(&mut stream).await.is_some() {
                    hints.push(stream.size_hint());
                }
                for (left, (lower, upper)) in hints.into_iter().rev().enumerate() {
                    let holds = lower <= left && upper.is_none_or(|upper| left <= upper);
                    let expected = format!("a size hint that is true where {left} results are left");
                    run.asks(holds, &expected, (lower, upper))?;
                }
            }
        }
    }
    Ok(())
}

async fn stream_40(subject: &Subject) -> Checked {
    let supply = items(6, ms(10)).hinting(Hint::Huge);
    for (run, mut stream) in streams(subject, &supply)? {
        for left in (4..=6).rev() {
            let upper = stream.size_hint().1;
            let holds = upper.is_none_or(|upper| upper >= left);
            run.asks(holds, "an upper bound of at least as many as are left, or none", upper)?;
            next(&mut stream).await;
        }
    }
    Ok(())
}

async fn stream_41(subject: &Subject) -> Checked {
    let mut ends = Vec::new();
    for (run, stream) in unless_unsupported(streams(subject, &items(4, ms(10))))? {
        ends.push((run.map.to_string(), stays_at_its_end(stream).await));
    }
    if let Some(operator) =
        unless_unsupported(configure(subject, &Settings::Batch(Batch::items(3))).map(Some))?
    {
        ends.push(("batches".to_owned(), stays_at_its_end(operator.batches(source())?).await));
    }
    if let Some(operator) = unless_unsupported(configure(subject, &Settings::Merge).map(Some))? {
        ends.push(("a merge".to_owned(), stays_at_its_end(operator.merged(vec![source(), source()])?).await));
    }
    if let Some(operator) = unless_unsupported(configure(subject, &Settings::Generate).map(Some))? {
        ends.push(("a generator".to_owned(), stays_at_its_end(operator.generated(source())?).await));
    }
    if ends.is_empty() {
        needs(subject, Capability::Stream)?;
    }
    let moved = ends.into_iter().find(|(_, stays)| !stays);
    moved.map_or(Ok(()), |(stream, _)| {
        Err(Verdict::fail(format_args!("{stream} at its end, when polled again"), "a panic, an item or none"))
    })
}

fn source() -> Source {
    Source::new(items(4, ms(10)), &Record::start())
}

/// The streams of a capability, or none.
fn unless_unsupported<T: Default>(checked: Checked<T>) -> Checked<T> {
    match checked {
        Err(Verdict::Unsupported(_) | Verdict::NotExpressible(_)) => Ok(T::default()),
        other => other,
    }
}

/// Returns whether a stream that has ended says so again, twice.
async fn stays_at_its_end<T: Send + 'static>(mut stream: BoxStream<T>) -> bool {
    while next(&mut stream).await.is_some() {}
    let again =
        Box::pin(timeout(
            secs(1),
            async move { next(&mut stream).await.or(next(&mut stream).await).is_none() },
        ));
    matches!(catch_panic(again).await, Ok(Ok(true)))
}

async fn stream_42(subject: &Subject) -> Checked {
    for map in maps(subject, 3)? {
        let supply = items(4, ms(10)).later(ms(5), item(5).taking(ms(50)));
        let run = Run::of(subject, &map, supply, Busy::Each(ms(3))).await?;
        run.is("polls of the source after its end", run.count(&Event::PolledAfterEnd), 0)?;
    }
    Ok(())
}

/// Counts its wakes.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

async fn stream_43(subject: &Subject) -> Checked {
    // Once an item is awaited, once the source.
    let silent = Supply::of([]).later(ms(10), item(1));
    for supply in [items(1, ms(10)), silent] {
        for map in stream_maps(subject)? {
            let record = Record::start();
            let operator = operator(subject, &map)?;
            let mut stream = operator.stream(Source::new(supply.clone(), &record))?;
            let run = Run { record, map, _operator: operator };
            let wakes = [(); 2].map(|()| Arc::new(Wakes::default()));
            for wakes in &wakes {
                let waker = Waker::from(wakes.clone());
                let polled = stream.poll_next(&mut Context::from_waker(&waker));
                run.asks(polled.is_pending(), "no result before 10ms", polled.is_ready())?;
            }
            sleep(ms(20)).await;
            let woken = wakes[1].0.load(Relaxed) > 0;
            let counts = wakes.map(|wakes| wakes.0.load(Relaxed));
            run.asks(woken, "a wake of the waker of the last poll, at 10ms", counts)?;
        }
    }
    Ok(())
}
