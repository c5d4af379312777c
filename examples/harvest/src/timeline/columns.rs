//! Amounts over time, in fixed memory.

use std::time::Duration;

use super::Wait;

/// How many columns there are at most; at least half of them are in use once the first ones were full.
const MOST: usize = 128;

/// What happened within one column's time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Column {
    /// The seconds that documents spent in each [`Wait`], all documents together.
    pub(crate) waits: [f64; Wait::ALL.len()],
    /// Calls that brought a document.
    pub(crate) answered: f64,
    /// Calls that failed.
    pub(crate) failed: f64,
    /// Users that were stored.
    pub(crate) stored: f64,
}

impl Column {
    fn add(&mut self, other: &Self) {
        for (sum, seconds) in self.waits.iter_mut().zip(other.waits) {
            *sum += seconds;
        }
        self.answered += other.answered;
        self.failed += other.failed;
        self.stored += other.stored;
    }
}

/// Columns of the same width, which doubles when there is no room for more of them.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    width: Duration,
    columns: Vec<Column>,
}

impl Default for Columns {
    fn default() -> Self {
        Self { width: Duration::from_millis(10), columns: Vec::new() }
    }
}

impl Columns {
    /// The column of this time.
    pub(crate) fn at(&mut self, time: Duration) -> &mut Column {
        while self.index(time) >= MOST {
            self.fold();
        }
        let index = self.index(time);
        if self.columns.len() <= index {
            self.columns.resize(index + 1, Column::default());
        }
        &mut self.columns[index]
    }

    /// Adds the time of a wait to all columns that it touches.
    pub(crate) fn spread(&mut self, wait: Wait, from: Duration, to: Duration) {
        self.at(to);
        let mut from = from;
        while from < to {
            let end = to.min(self.width * (self.index(from) as u32 + 1));
            self.at(from).waits[wait as usize] += (end - from).as_secs_f64();
            from = end;
        }
    }

    pub(crate) const fn width(&self) -> Duration {
        self.width
    }

    /// The time of all columns.
    pub(crate) fn total(&self) -> Duration {
        self.width * (self.columns.len() as u32).max(1)
    }

    pub(crate) fn all(&self) -> &[Column] {
        &self.columns
    }

    fn index(&self, time: Duration) -> usize {
        (time.as_nanos() / self.width.as_nanos()) as usize
    }

    fn fold(&mut self) {
        self.width *= 2;
        let pairs = self.columns.chunks(2).map(|pair| {
            let mut sum = pair[0];
            pair[1..].iter().for_each(|other| sum.add(other));
            sum
        });
        self.columns = pairs.collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_long_run_has_wider_columns_and_the_same_sums() {
        let mut columns = Columns::default();
        for millis in (0..100_000).step_by(7) {
            columns.at(ms(millis)).answered += 1.0;
        }
        assert_eq!(columns.width(), ms(1280));
        assert_eq!(columns.all().len(), 100_000_usize.div_ceil(1280));
        let sum: f64 = columns.all().iter().map(|column| column.answered).sum();
        assert_eq!(sum, f64::from(100_000_u32.div_ceil(7)));
    }

    #[test]
    fn a_wait_is_spread_over_the_columns_that_it_touches() {
        let mut columns = Columns::default();
        columns.spread(Wait::Answer, ms(5), ms(25));
        let seconds: Vec<f64> = columns.all().iter().map(|c| c.waits[Wait::Answer as usize]).collect();
        assert_eq!(seconds, [0.005, 0.01, 0.005]);

        columns.spread(Wait::Store, ms(1000), ms(3000));
        let sum: f64 = columns.all().iter().map(|c| c.waits[Wait::Store as usize]).sum();
        assert!((sum - 2.0).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn a_wait_of_no_time_leaves_no_trace() {
        let mut columns = Columns::default();
        columns.spread(Wait::Place, ms(3), ms(3));
        assert!(columns.all().iter().all(|column| *column == Column::default()));
    }
}
