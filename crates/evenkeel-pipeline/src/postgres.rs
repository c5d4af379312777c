//! A queue in PostgreSQL: its handle.

mod ack;
mod check;
mod cursor;
mod dead;
mod enqueue;
mod error;
mod fetch;
mod inbox;
mod job;
mod receipt;
mod schema;
mod source;
mod worker;

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use enqueue::Target;
use evenkeel_postgres::{Database, Error, Tx};
use tokio::sync::Notify;

pub use self::{
    ack::PgAck,
    dead::{PgDeadJob, PgDeadLetters},
    inbox::{PgInbox, PgInboxSink},
    job::PgJob,
    receipt::PgReceipt,
    source::PgSource,
};

/// A queue of jobs in tables of PostgreSQL, by its name. A handle: clones are the same queue.
///
/// Jobs are bytes. Read them in the first stage, so that a payload that cannot be read is the failure of its item, with a
/// dead letter, and not one of the source.
///
/// - **Leases by worker.** Each [`source`](Self::source) is a worker with a row of its own, whose beats keep everything that
///   it has in hand, however long that takes. When they have stood still for the [`lease`](Self::lease), on the clock of
///   another worker, its jobs are delivered again, with one more attempt.
/// - **Fences.** A settlement counts for the delivery that it is for alone. It is refused when the worker was given up, and
///   counted once when its answer was lost and it is sent again.
/// - **Bulk.** A fetch of up to 5,000 jobs, a settlement, an extension, and a batch that is enqueued are one statement each.
/// - **In your transaction**: [`enqueue_in`](Self::enqueue_in) stores jobs together with what they are about, or not at all.
///
/// - **An outbox**: jobs that are enqueued in the transaction of their cause, and a pipeline from the source to the sink of
///   another broker, whose message id is [`Message::id`](crate::Message::id), which no other database has. With a [`key`](PgJob::key) they
///   keep an order.
/// - **An inbox**: for the way back [`PgInbox`] lets the effect of a foreign message happen once.
///
/// Several queues share a schema, by default `evenkeel_queue`, which [`set_up`](Self::set_up) creates.
///
/// # Examples
///
/// ```no_run
/// use evenkeel_pipeline::{PgJob, PgQueue, Pipeline};
/// use evenkeel_postgres::{Database, Error, TxOptions};
///
/// # async fn send_mail(to: String) -> std::io::Result<()> { Ok(()) }
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let db = Database::connect("postgres://app@localhost/app").await?;
/// let mails = PgQueue::new(&db, "mails");
/// mails.set_up().await?;
///
/// db.transaction(TxOptions::new(), async |tx| {
///     tx.execute("insert into users (name) values ($1)", ("Ada",)).await?;
///     mails.enqueue_in(&tx, PgJob::new("ada@example.com").dedup("welcome Ada")).await?;
///     Ok(())
/// })
/// .await?;
///
/// let running = Pipeline::from(mails.source())
///     .stage("read", async |job: Vec<u8>| String::from_utf8(job))
///     .stage("send", send_mail)
///     .limit(16)
///     .dead_letter(mails.dead_letters())
///     .start()?;
/// # drop(running);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct PgQueue {
    db: Database,
    name: Arc<str>,
    schema: Arc<str>,
    channel: Arc<str>,
    /// The size of the table when a fetch has last told it, in steps of four times as many pages.
    size: Arc<AtomicU32>,
    /// Tells sources of this process that jobs may be ready, where the server's notifications do not come.
    changed: Arc<Notify>,
    lease: Duration,
    poll: Duration,
}

impl PgQueue {
    /// Creates a handle of the queue with this name.
    #[must_use]
    pub fn new(db: &Database, name: &str) -> Self {
        Self {
            db: db.clone(),
            name: name.into(),
            schema: schema::DEFAULT.into(),
            channel: channel(schema::DEFAULT, name),
            size: Arc::default(),
            changed: Arc::default(),
            lease: Duration::from_secs(10),
            poll: Duration::from_secs(2),
        }
    }

    /// Sets the schema of the tables.
    #[must_use]
    pub fn schema(mut self, schema: &str) -> Self {
        self.channel = channel(schema, &self.name);
        self.schema = schema.into();
        self
    }

    /// Sets the time after which the jobs of a worker that has stopped are delivered again: 10 seconds by default.
    ///
    /// It bounds no job: a worker that lives keeps what it has. It is set alike in all processes.
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Sets the longest time between two looks at an idle queue, behind the notifications: 2 seconds by default, 10 ms at least,
    /// and a fifth of the lease at most.
    #[must_use]
    pub const fn poll(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }

    /// Creates the tables, or brings them up to date. Several processes may do so at the same time.
    ///
    /// # Errors
    ///
    /// As [`Database::transaction`], also where the user may not create a schema.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves all of it done, or nothing.
    pub async fn set_up(&self) -> Result<(), Error> {
        schema::set_up(&self.db, &self.schema).await
    }

    /// Stores a job, and returns its number; `None` if there is one with the same [`dedup`](PgJob::dedup) id.
    ///
    /// # Errors
    ///
    /// As [`Database::fetch_all`].
    ///
    /// # Cancel safety
    ///
    /// The job may have been stored when the future is dropped; with a `dedup` id it can be enqueued again.
    pub async fn enqueue(&self, job: impl Into<PgJob> + Send) -> Result<Option<i64>, Error> {
        self.store_one(Target::Database(&self.db), job.into()).await
    }

    /// Stores a job with the transaction, or not at all; otherwise as [`enqueue`](Self::enqueue).
    ///
    /// # Errors
    ///
    /// As [`Tx::fetch_all`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, and rolls it back.
    pub async fn enqueue_in(&self, tx: &Tx, job: impl Into<PgJob> + Send) -> Result<Option<i64>, Error> {
        self.store_one(Target::Tx(tx), job.into()).await
    }

    /// Stores jobs by one statement, all or none, and returns their number, without those that were there already.
    ///
    /// Workers are notified once.
    ///
    /// # Errors
    ///
    /// As [`Database::fetch_all`].
    ///
    /// # Cancel safety
    ///
    /// All jobs or none may have been stored when the future is dropped.
    pub async fn enqueue_many<J: Into<PgJob>>(
        &self,
        jobs: impl IntoIterator<Item = J> + Send,
    ) -> Result<u64, Error> {
        let jobs = jobs.into_iter().map(Into::into).collect();
        self.store_many(Target::Database(&self.db), jobs).await
    }

    /// Stores jobs with the transaction, or not at all; otherwise as [`enqueue_many`](Self::enqueue_many).
    ///
    /// # Errors
    ///
    /// As [`Tx::fetch_all`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before its end ends the transaction, and rolls it back.
    pub async fn enqueue_many_in<J: Into<PgJob>>(
        &self,
        tx: &Tx,
        jobs: impl IntoIterator<Item = J> + Send,
    ) -> Result<u64, Error> {
        let jobs = jobs.into_iter().map(Into::into).collect();
        self.store_many(Target::Tx(tx), jobs).await
    }

    /// Returns a source of the jobs: a worker of its own.
    #[must_use]
    pub fn source(&self) -> PgSource {
        PgSource::new(self.clone())
    }

    /// Returns a statement for the schema.
    fn sql(&self, sql: &'static str) -> Cow<'static, str> {
        schema::in_schema(sql, &self.schema)
    }

    /// Returns a statement that looks for jobs, for the schema and the size of the table.
    ///
    /// A connection keeps the plan of a statement, and that for an empty table reads all of it. So each size has a statement
    /// of its own, which is planned when the table has it.
    fn sized_sql(&self, sql: &'static str) -> String {
        format!("{}\n-- size {}", self.sql(sql), self.size.load(Relaxed))
    }

    /// Notes the number of pages of the table.
    fn note_pages(&self, pages: i64) {
        let digits = i64::BITS - pages.max(0).leading_zeros();
        self.size.store(digits.div_ceil(2), Relaxed);
    }

    /// The time between two looks at the other workers.
    fn sweep_pause(&self) -> Duration {
        self.lease / 5
    }
}

/// Returns the channel of the notifications: names of any length share those of 32 bytes, at worst with another queue.
fn channel(schema: &str, name: &str) -> Arc<str> {
    // FNV-1a.
    let hash = schema.bytes().chain([0]).chain(name.bytes()).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("evenkeel_queue_{hash:016x}").into()
}

impl fmt::Debug for PgQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgQueue")
            .field("name", &self.name)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}
