//! A line for each request, with the time of its start.

use std::{
    io::{self, Write as _},
    path::Path,
    sync::{Mutex, PoisonError},
};

use command_line::Output;
use reqwest::Url;
use tokio::time::Instant;

/// The log of requests: the microseconds since the beginning of the run, and the URL.
#[derive(Debug)]
pub(crate) struct RequestLog {
    file: Option<Mutex<Output>>,
    since: Instant,
}

/// The line of a request that waits for its turn.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    log: &'a RequestLog,
    url: &'a Url,
}

impl RequestLog {
    /// Creates the file, if there is to be one.
    pub(crate) fn new(path: Option<&Path>) -> io::Result<Self> {
        let file = path.map(Output::create).transpose()?;
        Ok(Self { file: file.map(Mutex::new), since: Instant::now() })
    }

    pub(crate) const fn line<'a>(&'a self, url: &'a Url) -> Line<'a> {
        Line { log: self, url }
    }
}

impl Line<'_> {
    /// Writes the line at the start of the request.
    pub(crate) fn begin(self, also: impl FnOnce()) {
        also();
        let Some(file) = &self.log.file else { return };
        let line = format!("{} {}\n", self.log.since.elapsed().as_micros(), self.url);
        // A log that cannot be written stops no work.
        let _ = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
    }
}
