//! The database: the frontier, the pages and their links. Nothing that grows with the site is kept in memory.

mod check;
mod location;
mod postgres;
mod sql;
mod sqlite;

use std::{fmt, sync::Arc, time::Duration};

use evenkeel::{
    postgres::FromRow,
    retry::{GaveUp, Policy, RetryError},
};
use futures::future::BoxFuture;
use postgres::Postgres;
use reqwest::Url;
use rusqlite::Row;
use sqlite::Sqlite;

pub(crate) use self::{
    check::{Broken, Page, Totals},
    location::{Choice, Location},
};
use crate::{
    error::Fatal,
    outcome::{Entry, Outcome, Validators},
    scope::{Role, Scope, host},
    stats::Stats,
};

/// The retry policy of a transaction, for lost connections. An index over all links takes its time.
static POLICY: Policy = Policy::exponential(Duration::from_millis(50), Duration::from_secs(1))
    .named("store")
    .max_attempts(6)
    .attempt_timeout(Duration::from_secs(600));

/// The outcome of one URL, as it is stored.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) entry: Entry,
    pub(crate) outcome: Outcome,
}

/// The results of one transaction.
#[derive(Debug)]
struct Batch {
    results: Vec<Stored>,
    scope: Arc<Scope>,
    pass: i64,
}

impl Batch {
    /// Returns the host and the role of a URL with this distance from the start.
    fn place(&self, url: &str, depth: i64) -> (String, Role) {
        // The texts of the store were written by the parser.
        let parsed = Url::parse(url).ok();
        parsed
            .map_or_else(|| (String::new(), Role::External), |url| (host(&url), self.scope.role(&url, depth)))
    }
}

/// The columns of an outcome.
struct Columns<'a> {
    outcome: &'static str,
    detail: Option<&'a str>,
    read_as: Option<i64>,
    etag: Option<&'a str>,
    modified: Option<&'a str>,
    links: Option<i64>,
    bytes: i64,
}

impl Stored {
    /// Returns the columns that change; `None` if the content is the same as before.
    fn columns(&self) -> Option<Columns<'_>> {
        let columns = |outcome, detail| Columns {
            outcome,
            detail,
            read_as: None,
            etag: None,
            modified: None,
            links: None,
            bytes: 0,
        };
        Some(match &self.outcome {
            Outcome::NotModified => return None,
            Outcome::Redirect(_) => columns("redirect", None),
            Outcome::Disallowed => columns("disallowed", None),
            Outcome::Failed(problem) => columns(problem.kind.name(), Some(&*problem.detail)),
            Outcome::Loaded(loaded) => Columns {
                read_as: Some(self.entry.role as i64),
                etag: loaded.validators.etag.as_deref(),
                modified: loaded.validators.modified.as_deref(),
                links: loaded.document.as_ref().map(|document| document.count),
                bytes: loaded.bytes,
                ..columns("ok", None)
            },
        })
    }

    /// The distance of its targets from the start: a redirect is a link, too.
    const fn depth_of_targets(&self) -> i64 {
        self.entry.depth + 1
    }

    fn links(&self) -> &[crate::page::Link] {
        match &self.outcome {
            Outcome::Redirect(link) => std::slice::from_ref(link),
            Outcome::Loaded(loaded) => loaded.document.as_ref().map_or(&[], |document| &document.links),
            _ => &[],
        }
    }
}

/// A value of a statement.
#[derive(Clone, Debug)]
enum Value {
    Int(i64),
    Text(String),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A statement with its values.
type Statement = (&'static str, Vec<Value>);

/// A row that both databases can be read as.
trait Record: FromRow + for<'r> TryFrom<&'r Row<'r>, Error = rusqlite::Error> + Send + 'static {}

impl<R: FromRow + for<'r> TryFrom<&'r Row<'r>, Error = rusqlite::Error> + Send + 'static> Record for R {}

/// The error of an attempt to read or write.
#[derive(Clone, Debug)]
struct StoreError {
    reason: String,
    /// Whether another attempt may succeed.
    is_transient: bool,
}

impl StoreError {
    fn permanent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_transient: false }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for StoreError {}

/// The state in which a run finds the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// The number of the pass; every complete one is followed by another.
    pub(crate) pass: i64,
    /// Whether an earlier run has begun this pass.
    pub(crate) is_continued: bool,
    /// URLs with an outcome in this pass.
    pub(crate) done: i64,
    /// URLs in the frontier.
    pub(crate) queued: i64,
}

/// The open database. A handle: clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    backend: Backend,
    scope: Arc<Scope>,
    stats: Arc<Stats>,
    pass: i64,
}

#[derive(Clone, Debug)]
enum Backend {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Store {
    /// Opens or creates the database, and locks it for this run.
    pub(crate) async fn open(location: &Location, scope: Arc<Scope>, stats: Arc<Stats>) -> Opened {
        let backend = match location {
            Location::Sqlite(path) => Sqlite::open(path).await.map(Backend::Sqlite),
            Location::Postgres { config, .. } => Postgres::open(config).await.map(Backend::Postgres),
        };
        let backend =
            backend.map_err(|error| Fatal::Input(format!("cannot use the store {location}: {error}")))?;
        Ok(Self { backend, scope, stats, pass: 0 })
    }

    /// Begins a pass over this job, or continues the unfinished one.
    pub(crate) async fn begin(&mut self, job: &str, start: &Url) -> Result<Checkpoint, Fatal> {
        let found: Vec<(String, i64, i64)> = self.fetch(sql::CRAWL, vec![]).await?;
        let (pass, is_same) = match found.first() {
            Some((of, pass, 0)) if of == job => {
                self.pass = *pass;
                return self.checkpoint(true).await;
            }
            Some((of, pass, _)) if of == job => (pass + 1, true),
            _ => (1, false),
        };
        let mut statements: Vec<Statement> = Vec::new();
        if !is_same {
            statements.extend(sql::FORGET.map(|forget| (forget, vec![])));
        }
        let role = self.scope.role_of_start() as i64;
        statements.push((sql::DROP_INDEX, vec![]));
        statements.push((sql::CLEAR_BROKEN, vec![]));
        statements.push((sql::BEGIN_PASS, vec![job.into(), pass.into()]));
        let (text, host) = (start.as_str(), host(start));
        statements.push((sql::SEE, vec![text.into(), (&*host).into(), role.into(), 0.into(), pass.into()]));
        statements.push((sql::QUEUE, vec![text.into()]));
        self.transaction(statements).await?;
        self.pass = pass;
        self.checkpoint(false).await
    }

    async fn checkpoint(&self, is_continued: bool) -> Result<Checkpoint, Fatal> {
        let totals = self.totals().await?;
        Ok(Checkpoint { pass: self.pass, is_continued, done: totals.done(), queued: totals.queued })
    }

    /// Returns the next URLs of a host in the frontier, behind this position.
    pub(crate) async fn take(&self, host: &str, behind: i64, limit: i64) -> Result<Vec<Entry>, Fatal> {
        type Row = (i64, i64, String, i64, i64, Option<i64>, Option<String>, Option<String>);
        let rows: Vec<Row> = self.fetch(sql::TAKE, vec![host.into(), behind.into(), limit.into()]).await?;
        let entries = rows.into_iter().map(|(position, id, url, role, depth, read_as, etag, modified)| {
            let url = Url::parse(&url)
                .map_err(|error| Fatal::Broken(format!("the store has the URL {url:?}: {error}")))?;
            // Links are stored only for the role in which a page was read.
            let validators =
                if read_as == Some(role) { Validators { etag, modified } } else { Validators::default() };
            Ok(Entry { position, id, url, role: Role::from_code(role), depth, validators })
        });
        entries.collect()
    }

    /// Stores results with their links in one transaction. Returns the number of URLs that were added to the frontier.
    pub(crate) async fn write(&self, results: Vec<Stored>) -> Result<i64, Fatal> {
        let batch = Arc::new(Batch { results, scope: self.scope.clone(), pass: self.pass });
        self.run(|| {
            let batch = batch.clone();
            Box::pin(async move {
                match &self.backend {
                    Backend::Sqlite(sqlite) => sqlite.write(batch).await,
                    Backend::Postgres(postgres) => postgres.write(&batch).await,
                }
            })
        })
        .await
    }

    async fn fetch<R: Record>(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<R>, Fatal> {
        self.run(|| {
            let values = values.clone();
            Box::pin(async move {
                match &self.backend {
                    Backend::Sqlite(sqlite) => sqlite.fetch(sql, values).await,
                    Backend::Postgres(postgres) => postgres.fetch(sql, &values).await,
                }
            })
        })
        .await
    }

    async fn transaction(&self, statements: Vec<Statement>) -> Result<(), Fatal> {
        let statements = Arc::new(statements);
        self.run(|| {
            let statements = statements.clone();
            Box::pin(async move {
                match &self.backend {
                    Backend::Sqlite(sqlite) => sqlite.transaction(statements).await,
                    Backend::Postgres(postgres) => postgres.transaction(&statements).await,
                }
            })
        })
        .await
    }

    async fn run<'a, T>(
        &self,
        operation: impl FnMut() -> BoxFuture<'a, Result<T, StoreError>> + Send,
    ) -> Result<T, Fatal> {
        let done = POLICY
            .run(operation)
            .when(|error: &StoreError| error.is_transient)
            .observe(|_| self.stats.with(|counts| counts.store_retries += 1));
        done.await.map_err(|gave_up| Fatal::Broken(format!("cannot use the store: {}", reason(&gave_up))))
    }
}

type Opened = Result<Store, Fatal>;

fn reason(gave_up: &RetryError<StoreError>) -> String {
    let last = gave_up.last.as_ref().map_or("it took too long".into(), StoreError::to_string);
    match gave_up.reason {
        GaveUp::Permanent => last,
        _ => format!("{last}, at attempt {}", gave_up.attempts),
    }
}
