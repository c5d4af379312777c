//! A Gantt chart: one row for each document that is being read, with the spans of its calls and waits.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

/// The number of rows that are kept; documents in further rows are not drawn.
const MAX_ROWS: usize = 200;
/// The number of spans that are kept; if there are more, spans close to each other are merged.
const MAX_SPANS: usize = 12_000;

/// The kind of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A successful call.
    Answered,
    /// A call that failed.
    Failed,
    /// The wait for the next attempt.
    Rest,
    /// The wait until it is stored.
    Store,
}

/// A span of time in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) row: usize,
    pub(crate) kind: Kind,
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

/// The rows and their spans.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gantt {
    free: BinaryHeap<Reverse<usize>>,
    count: usize,
    spans: Vec<Span>,
    /// Spans of a row that are closer than this were merged.
    grain: Duration,
}

impl Gantt {
    /// Takes the first free row.
    pub(crate) fn take(&mut self) -> usize {
        self.free.pop().map_or_else(
            || {
                self.count += 1;
                self.count - 1
            },
            |Reverse(row)| row,
        )
    }

    pub(crate) fn release(&mut self, row: usize) {
        self.free.push(Reverse(row));
    }

    pub(crate) fn record(&mut self, span: Span) {
        if span.row >= MAX_ROWS || span.from == span.to {
            return;
        }
        self.spans.push(span);
        while self.spans.len() > MAX_SPANS {
            self.coarsen();
        }
    }

    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Returns the number of rows, and how many of them are kept.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.count, self.count.min(MAX_ROWS))
    }

    pub(crate) const fn grain(&self) -> Duration {
        self.grain
    }

    /// Merges each span into the one before it in its row if they are close, and the span is of the same kind or short.
    fn coarsen(&mut self) {
        while self.spans.len() > MAX_SPANS / 2 {
            self.grain = (2 * self.grain).max(Duration::from_millis(1));
            let grain = self.grain;
            self.spans.sort_by_key(|span| (span.row, span.from));
            self.spans.dedup_by(|span, before| {
                let is_close = span.row == before.row && span.from <= before.to + grain;
                let joins = is_close && (span.kind == before.kind || span.to - span.from < grain);
                if joins {
                    before.to = span.to;
                }
                joins
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(row: usize, kind: Kind, from: u64, to: u64) -> Span {
        Span { row, kind, from: Duration::from_millis(from), to: Duration::from_millis(to) }
    }

    #[test]
    fn the_lowest_free_lane_is_taken() {
        let mut gantt = Gantt::default();
        assert_eq!([gantt.take(), gantt.take(), gantt.take()], [0, 1, 2]);
        gantt.release(1);
        gantt.release(0);
        assert_eq!([gantt.take(), gantt.take(), gantt.take()], [0, 1, 3]);
        assert_eq!(gantt.counts(), (4, 4));
    }

    #[test]
    fn a_short_run_is_kept_as_it_was() {
        let mut gantt = Gantt::default();
        let spans = [span(0, Kind::Failed, 0, 5), span(0, Kind::Rest, 5, 9), span(0, Kind::Answered, 9, 12)];
        spans.into_iter().for_each(|span| gantt.record(span));
        gantt.record(span(0, Kind::Store, 12, 12));
        gantt.record(span(MAX_ROWS, Kind::Answered, 0, 5));
        assert_eq!(gantt.spans(), spans);
        assert_eq!(gantt.grain(), Duration::ZERO);
    }

    #[test]
    fn a_long_run_takes_bounded_memory_and_keeps_its_ends() {
        let mut gantt = Gantt::default();
        for call in 0..10_000 {
            for row in 0..4 {
                gantt.record(span(row, Kind::Answered, 10 * call, 10 * call + 8));
                gantt.record(span(row, Kind::Store, 10 * call + 8, 10 * call + 9));
                assert!(gantt.spans().len() <= MAX_SPANS);
            }
        }
        assert!(!gantt.spans().is_empty() && gantt.grain() > Duration::ZERO);
        for row in 0..4 {
            let own = || gantt.spans().iter().filter(|span| span.row == row);
            assert_eq!(own().map(|span| span.from).min(), Some(Duration::ZERO));
            assert_eq!(own().map(|span| span.to).max(), Some(Duration::from_millis(99_999)));
        }
    }
}
