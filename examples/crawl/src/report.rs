//! The report: the numbers of a run, and its broken links by their targets. The links are read from the store in
//! parts, and written as they come.

mod html;
mod json;
mod terminal;

use std::{io, time::Duration};

use serde::Serialize;

use crate::{
    error::Fatal,
    outcome::Kind,
    run::Ended,
    stats::Counts,
    store::{Broken, Store, Totals},
};

/// The number of rows that are read at a time.
const PART: i64 = 200;

/// The numbers of a run, and the way to its broken links.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) store: &'a Store,
    pub(crate) numbers: Numbers,
    pub(crate) broken: Vec<(Kind, i64)>,
}

/// The numbers of a pass and of the run that ended it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Numbers {
    ended: &'static str,
    start: String,
    pass: i64,
    /// Distinct URLs of the hosts that were crawled.
    urls: i64,
    pages: i64,
    checked: i64,
    redirects: i64,
    failed: i64,
    disallowed: i64,
    queued: i64,
    external: i64,
    links: i64,
    /// Links that are too long to be stored, and were not checked.
    links_too_long: i64,
    requests: u64,
    retries: u64,
    unchanged: i64,
    bytes: i64,
    seconds: f64,
}

impl Numbers {
    pub(crate) fn new(
        ended: Ended,
        start: &str,
        pass: i64,
        totals: &Totals,
        counts: &Counts,
        time: Duration,
    ) -> Self {
        let ended = match ended {
            Ended::Complete => "complete",
            Ended::Drained => "stopped",
            Ended::Aborted => "aborted",
        };
        Self {
            ended,
            start: start.to_owned(),
            pass,
            urls: totals.done() + totals.queued,
            pages: totals.pages,
            checked: totals.checked,
            redirects: totals.redirects,
            failed: totals.failed,
            disallowed: totals.disallowed,
            queued: totals.queued,
            external: totals.external,
            links: totals.links,
            links_too_long: counts.too_long,
            requests: counts.requests,
            retries: counts.retries,
            unchanged: counts.unchanged,
            bytes: counts.bytes,
            seconds: time.as_secs_f64(),
        }
    }

    fn is_complete(&self) -> bool {
        self.ended == "complete"
    }
}

impl Report<'_> {
    /// Returns the number of broken links: each target, and each place on one, counts once.
    pub(crate) fn broken(&self) -> i64 {
        self.broken.iter().map(|(_, count)| count).sum()
    }

    /// Calls `write` with the broken links of a kind, up to this number, with the first of their pages and the number
    /// of these.
    async fn each(
        &self,
        kind: Kind,
        mut max: i64,
        pages: i64,
        mut write: impl FnMut(&Broken, &[String], i64) -> io::Result<()>,
    ) -> Result<io::Result<()>, Fatal> {
        let mut behind = (String::new(), String::new());
        while max > 0 {
            let part = self.store.broken(kind, (&behind.0, &behind.1), max.min(PART)).await?;
            let Some(last) = part.last() else { break };
            behind = (last.url.clone(), last.fragment.clone());
            max -= part.len() as i64;
            for broken in part {
                let count = self.store.count_pages_of(&broken).await?;
                let first = self.store.pages_of(&broken, "", pages).await?;
                if let Err(error) = write(&broken, &first, count) {
                    return Ok(Err(error));
                }
            }
        }
        Ok(Ok(()))
    }
}
