//! A job: a document to be read.

use std::fmt;

#[cfg(feature = "queue")]
use evenkeel::pipeline::PgJob;
use serde::{Deserialize, Serialize};

use crate::model::{Call, Part};

/// A document to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Job {
    /// A page, by its URL relative to the first one.
    Page(String),
    /// A document of a user.
    Document(Call),
}

/// A job as a queue has it that several harvests may use one after the other.
#[cfg(feature = "queue")]
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Letter {
    pub(super) harvest: String,
    pub(super) job: Job,
}

#[cfg(feature = "queue")]
impl Letter {
    /// Reads a job. Returns `None` for one of another harvest: it is over.
    pub(super) fn read(payload: &[u8], harvest: &str) -> Result<Option<Job>, String> {
        let letter: Self = serde_json::from_slice(payload).map_err(|error| format!("no job: {error}"))?;
        Ok(Some(letter.job).filter(|_| letter.harvest == harvest))
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON")
    }
}

/// Returns jobs for a queue in PostgreSQL, which has each of them once while it is to be done.
#[cfg(feature = "queue")]
pub(crate) fn letters(harvest: &str, jobs: Vec<Job>) -> impl Iterator<Item = PgJob> {
    jobs.into_iter().map(move |job| {
        let id = format!("{harvest} {job}");
        PgJob::new(Letter { harvest: harvest.to_owned(), job }.text()).dedup(id)
    })
}

/// The identity of a job within its harvest.
impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page(page) => write!(f, "page {page}"),
            Self::Document(Call { user, part: Part::Orders }) => write!(f, "orders of {user}"),
            Self::Document(Call { user, part: Part::Prefs }) => write!(f, "prefs of {user}"),
        }
    }
}

#[cfg(all(test, feature = "queue"))]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_read_as_it_was_written_and_only_by_its_harvest() {
        for job in [Job::Page("users-2.json?a=\"ż\"".into()), Job::Document(Call::both(-7)[1])] {
            let text = Letter { harvest: "a".into(), job: job.clone() }.text();
            assert_eq!(Letter::read(text.as_bytes(), "a"), Ok(Some(job)));
            assert_eq!(Letter::read(text.as_bytes(), "b"), Ok(None));
        }
        assert!(Letter::read(b"{}", "a").is_err());
    }
}
