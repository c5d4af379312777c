//! Lanes: one for each document that is being read, and what happens in it one after the other.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

/// Lanes that are kept; documents in others are not drawn.
const MOST_LANES: usize = 200;
/// Spans that are kept; if there are more, those close to each other become one.
const MOST_SPANS: usize = 12_000;

/// What a document does for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A call that brings it.
    Answered,
    /// A call that fails.
    Failed,
    /// The wait for the next attempt.
    Rest,
    /// The wait until it is stored.
    Store,
}

/// Some time in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) lane: usize,
    pub(crate) kind: Kind,
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

/// The lanes, and what is known of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lanes {
    free: BinaryHeap<Reverse<usize>>,
    count: usize,
    spans: Vec<Span>,
    /// Spans of one lane that are closer than this were made one.
    grain: Duration,
}

impl Lanes {
    /// The first free lane.
    pub(crate) fn take(&mut self) -> usize {
        self.free.pop().map_or_else(
            || {
                self.count += 1;
                self.count - 1
            },
            |Reverse(lane)| lane,
        )
    }

    pub(crate) fn give(&mut self, lane: usize) {
        self.free.push(Reverse(lane));
    }

    pub(crate) fn record(&mut self, span: Span) {
        if span.lane >= MOST_LANES || span.from == span.to {
            return;
        }
        self.spans.push(span);
        while self.spans.len() > MOST_SPANS {
            self.coarsen();
        }
    }

    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// How many lanes there were, and how many of them are kept.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.count, self.count.min(MOST_LANES))
    }

    pub(crate) const fn grain(&self) -> Duration {
        self.grain
    }

    /// A span goes into the one before it in its lane if there is little between them, and it is alike or short.
    fn coarsen(&mut self) {
        while self.spans.len() > MOST_SPANS / 2 {
            self.grain = (2 * self.grain).max(Duration::from_millis(1));
            let grain = self.grain;
            self.spans.sort_by_key(|span| (span.lane, span.from));
            self.spans.dedup_by(|span, before| {
                let is_close = span.lane == before.lane && span.from <= before.to + grain;
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

    fn span(lane: usize, kind: Kind, from: u64, to: u64) -> Span {
        Span { lane, kind, from: Duration::from_millis(from), to: Duration::from_millis(to) }
    }

    #[test]
    fn the_lowest_free_lane_is_taken() {
        let mut lanes = Lanes::default();
        assert_eq!([lanes.take(), lanes.take(), lanes.take()], [0, 1, 2]);
        lanes.give(1);
        lanes.give(0);
        assert_eq!([lanes.take(), lanes.take(), lanes.take()], [0, 1, 3]);
        assert_eq!(lanes.counts(), (4, 4));
    }

    #[test]
    fn a_short_run_is_kept_as_it_was() {
        let mut lanes = Lanes::default();
        let spans = [span(0, Kind::Failed, 0, 5), span(0, Kind::Rest, 5, 9), span(0, Kind::Answered, 9, 12)];
        spans.into_iter().for_each(|span| lanes.record(span));
        lanes.record(span(0, Kind::Store, 12, 12));
        lanes.record(span(MOST_LANES, Kind::Answered, 0, 5));
        assert_eq!(lanes.spans(), spans);
        assert_eq!(lanes.grain(), Duration::ZERO);
    }

    #[test]
    fn a_long_run_takes_bounded_memory_and_keeps_its_ends() {
        let mut lanes = Lanes::default();
        for call in 0..10_000 {
            for lane in 0..4 {
                lanes.record(span(lane, Kind::Answered, 10 * call, 10 * call + 8));
                lanes.record(span(lane, Kind::Store, 10 * call + 8, 10 * call + 9));
                assert!(lanes.spans().len() <= MOST_SPANS);
            }
        }
        assert!(!lanes.spans().is_empty() && lanes.grain() > Duration::ZERO);
        for lane in 0..4 {
            let own = || lanes.spans().iter().filter(|span| span.lane == lane);
            assert_eq!(own().map(|span| span.from).min(), Some(Duration::ZERO));
            assert_eq!(own().map(|span| span.to).max(), Some(Duration::from_millis(99_999)));
        }
    }
}
