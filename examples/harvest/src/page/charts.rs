//! The four charts of a run.

use std::time::Duration;

use super::plot::{Plot, WIDTH};
use crate::{
    histogram::Histogram,
    timeline::{Gantt, Kind, TimeBucket, TimeBuckets, Wait},
};

/// The distance of rows, and the height of a call and of a wait, in pixels.
const ROW: f64 = 4.0;
const CALL: f64 = 3.0;
const LOW: f64 = 1.0;
const HEIGHT: f64 = 160.0;
/// The approximate number of bars of a rate or a distribution.
const BARS: usize = 40;

/// Draws the calls and waits of documents: one row for each document that is being read.
pub(super) fn gantt(gantt: &Gantt, total: Duration) -> String {
    let (_, kept) = gantt.counts();
    let mut plot = Plot::new((kept.max(1) as f64) * ROW, "every call in its row, over time");
    plot.times(total);
    let x = |time: Duration| time.as_secs_f64() / total.as_secs_f64() * WIDTH;
    // Waits are low, calls are high, and rare spans are drawn last, so that nothing hides them.
    for (kind, class, height) in [
        (Kind::Store, "store", LOW),
        (Kind::Rest, "rest", LOW),
        (Kind::Answered, "answer", CALL),
        (Kind::Failed, "failed", CALL),
    ] {
        let spans = gantt.spans().iter().filter(|span| span.kind == kind);
        plot.boxes(
            class,
            spans.map(|span| {
                let top = span.row as f64 * ROW + (CALL - height) / 2.0;
                [x(span.from), top, x(span.to) - x(span.from), height]
            }),
        );
    }
    plot.html("")
}

/// Draws the calls per second, and the users stored per second.
pub(super) fn rates(buckets: &TimeBuckets) -> String {
    let together = buckets.all().len().div_ceil(BARS).max(1);
    let secs = together as f64 * buckets.width().as_secs_f64();
    let sum = |group: &[TimeBucket], of: fn(&TimeBucket) -> f64| group.iter().map(of).sum::<f64>() / secs;
    let groups: Vec<_> = buckets
        .all()
        .chunks(together)
        .map(|group| [sum(group, |c| c.answered), sum(group, |c| c.failed), sum(group, |c| c.stored)])
        .collect();
    let most =
        groups.iter().map(|[answered, failed, users]| users.max(answered + failed)).fold(1.0, f64::max);
    let scale = 0.95 * HEIGHT / most;
    let width = WIDTH * together as f64 / buckets.all().len().max(1) as f64;

    let mut plot = Plot::new(HEIGHT, "calls that ended and users that were stored, per second");
    plot.times(buckets.total());
    let bar = |index: usize, from: f64, height: f64| {
        let x = index as f64 * width;
        [x, HEIGHT - (from + height) * scale, (0.85 * width).min(WIDTH - x), height * scale]
    };
    let nonzero = |[_, _, _, height]: &[f64; 4]| *height > 0.0;
    let answered = groups.iter().enumerate().map(|(index, [answered, ..])| bar(index, 0.0, *answered));
    plot.boxes("answer", answered.filter(nonzero));
    let failed = groups.iter().enumerate().map(|(index, [below, failed, _])| bar(index, *below, *failed));
    plot.boxes("failed", failed.filter(nonzero));
    plot.steps("users", groups.iter().map(|[_, _, users]| (width, users * scale)));
    plot.html(&format!("up to {most:.0} per second"))
}

/// Draws the documents in progress by their waits.
pub(super) fn waits(buckets: &TimeBuckets) -> String {
    let secs = buckets.width().as_secs_f64();
    let height = |bucket: &TimeBucket| bucket.waits.iter().sum::<f64>() / secs;
    let most = buckets.all().iter().map(height).fold(1.0, f64::max);
    let (scale, width) = (0.95 * HEIGHT / most, WIDTH / buckets.all().len().max(1) as f64);
    let mut plot = Plot::new(HEIGHT, "documents that were begun, by what they waited for, over time");
    plot.times(buckets.total());
    let mut below = vec![0.0; buckets.all().len()];
    for (wait, class) in [
        (Wait::Answer, "answer"),
        (Wait::Store, "store"),
        (Wait::NextAttempt, "rest"),
        (Wait::RateLimit, "rate"),
        (Wait::Slot, "place"),
    ] {
        let boxes =
            buckets.all().iter().zip(&mut below).enumerate().filter_map(|(index, (bucket, below))| {
                let number = bucket.waits[wait as usize] / secs;
                let top = HEIGHT - (*below + number) * scale;
                *below += number;
                (number > 0.0).then_some([index as f64 * width, top, width, number * scale])
            });
        plot.boxes(class, boxes);
    }
    plot.html(&format!("up to {most:.0} documents"))
}

/// Draws the distribution of the latencies of successful calls.
pub(super) fn latencies(latencies: &Histogram) -> String {
    let [least, p50, p99] = [0.0, 0.5, 0.99].map(|share| latencies.percentile(share).as_secs_f64());
    let from = 0.98 * least;
    let to = (1.05 * p99).max(1.1 * least).max(from + 0.001);
    let mut bars = [0.0_f64; BARS];
    for (value, count) in latencies.counts() {
        let at = (value.as_secs_f64() - from) / (to - from) * BARS as f64;
        bars[(at.max(0.0) as usize).min(BARS - 1)] += count as f64;
    }
    let most = bars.iter().copied().fold(1.0, f64::max);
    let (scale, width) = (0.95 * HEIGHT / most, WIDTH / BARS as f64);
    let mut plot = Plot::new(HEIGHT, "calls by the time until their answer");
    plot.boxes(
        "answer",
        bars.iter().enumerate().filter(|(_, count)| **count > 0.0).map(|(index, count)| {
            [index as f64 * width, HEIGHT - count * scale, 0.85 * width, (count * scale).max(1.0)]
        }),
    );
    for share in [0.0, 0.5, 1.0] {
        plot.line(share, format!("{:.0} ms", (from + share * (to - from)) * 1e3));
    }
    for quantile in [p50, p99] {
        plot.mark((quantile - from) / (to - from));
    }
    plot.html(&format!("up to {most:.0} calls; the slowest are in the last bar"))
}
