//! The work on one message, as all of these peers leave it to their users.

use evenkeel_tck::pipeline::{Settings, Shape, Work, WorkError, WorkItem};
use tokio::{task::JoinSet, time::timeout};

use crate::servers::read;

/// The work of a worker, and its settings.
#[derive(Clone, Debug)]
pub(crate) struct Handler {
    pub(crate) work: Work,
    pub(crate) settings: Settings,
}

impl Handler {
    /// Works on a message, within its time.
    pub(crate) async fn within_its_time(&self, id: &str, attempt: u32, payload: &[u8]) -> Result<(), String> {
        let run = self.run(id, attempt, payload);
        match self.settings.timeout {
            Some(limit) => timeout(limit, run).await.map_err(|_| "it timed out".to_owned())?,
            None => run.await,
        }
        .map_err(|error| error.to_string())
    }

    /// Works on a message: on all parts of it at the same time, if it is split.
    pub(crate) async fn run(&self, id: &str, attempt: u32, payload: &[u8]) -> Result<(), WorkError> {
        let Self { work, settings } = self;
        let item = read(payload);
        let items = match settings.shape {
            Shape::Filter if !work.keeps(&item) => return Ok(()),
            Shape::Split => work.parts(item),
            _ => return work.run(WorkItem { id: id.to_owned(), attempt, item }).await,
        };
        let mut parts = JoinSet::new();
        for item in items {
            let (work, id) = (work.clone(), format!("{id}/{}", item.part));
            parts.spawn(async move { work.run(WorkItem { id, attempt, item }).await });
        }
        while let Some(ended) = parts.join_next().await {
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        }
        Ok(())
    }
}
