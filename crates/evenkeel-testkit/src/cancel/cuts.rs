//! Where an operation was cut, and what came of it.

use std::{fmt, time::Duration};

/// More rows than this are not printed.
const PRINTED: usize = 60;

/// All the runs in which [`every_point`](super::every_point) cut an operation short; displayed as a table.
///
/// # Examples
///
/// ```
/// # use evenkeel_testkit::cancel;
/// let cuts = cancel::every_point(async || (), |()| tokio::task::yield_now(), async |()| ());
/// assert_eq!(cuts.points(), 1);
/// assert!(cuts.to_string().starts_with("0 of 5 runs failed, at 1 suspension point(s)"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "an operation without suspension points was never cut: assert how many there were"]
pub struct Cuts {
    points: usize,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    cut: Cut,
    at: Duration,
    verdict: Result<(), String>,
}

/// What is done with the operation, at which of its points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// It is not even created.
    Unstarted,
    /// It is created, and dropped.
    Unpolled,
    /// It is dropped at its point.
    Dropped(usize),
    /// It is dropped when it was woken at its point, and not polled since.
    Woken(usize),
    /// Its task is aborted at its point.
    Aborted(usize),
    /// It completes.
    Uncut,
}

impl Cuts {
    pub(super) fn new(points: usize) -> Self {
        Cuts { points, rows: Vec::new() }
    }

    pub(super) fn add(&mut self, cut: Cut, at: Duration, verdict: Result<(), String>) {
        self.rows.push(Row { cut, at, verdict });
    }

    pub(super) fn sound(&self) -> bool {
        self.rows.iter().all(|row| row.verdict.is_ok())
    }

    /// How often the operation was suspended, in the run that completed.
    #[must_use]
    pub fn points(&self) -> usize {
        self.points
    }
}

impl fmt::Display for Cuts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.rows.iter().filter(|row| row.verdict.is_err()).count();
        writeln!(f, "{failed} of {} runs failed, at {} suspension point(s)", self.rows.len(), self.points)?;
        writeln!(f, "{:>5}  {:<15}  {:>12}  verdict", "point", "cut", "virtual time")?;
        // Of a long table, only what failed.
        let all = self.rows.len() <= PRINTED;
        let shown = self.rows.iter().filter(|row| all || row.verdict.is_err());
        for Row { cut, at, verdict } in shown.take(PRINTED) {
            let (point, name) = match cut {
                Cut::Unstarted => (0, "not started"),
                Cut::Unpolled => (0, "never polled"),
                Cut::Dropped(point) => (*point, "dropped"),
                Cut::Woken(point) => (*point, "dropped on wake"),
                Cut::Aborted(point) => (*point, "aborted"),
                Cut::Uncut => (self.points, "completed"),
            };
            let verdict = verdict.as_ref().map_or_else(String::as_str, |()| "ok");
            let verdict = verdict.lines().map(str::trim).collect::<Vec<_>>().join("; ");
            writeln!(f, "{point:>5}  {name:<15}  {:>12}  {verdict}", format!("{at:?}"))?;
        }
        Ok(())
    }
}
