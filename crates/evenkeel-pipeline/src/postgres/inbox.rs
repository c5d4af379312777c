//! A sink whose effects happen once: the effect and the record of its message are one transaction.

use std::{collections::HashSet, fmt, sync::Arc};

use evenkeel_postgres::{Database, Error, Tx, TxOptions};

use super::schema;
use crate::{Message, Sink, SinkError};

const ENTER: &str = "
insert into evenkeel_queue.inbox (source, message, attempt)
select $1, message, attempt from unnest($2::text[], $3::int[]) as t(message, attempt) order by message
on conflict (source, message) do nothing returning message";

const PRUNE: &str =
    "delete from evenkeel_queue.inbox where source = $1 and entered_at < now() - make_interval(secs => $2)";

/// A record of the messages of a source whose effects are in the database, by [`Message::id`]: for effects that happen once,
/// whatever broker delivers the messages, and how often.
///
/// Its [`sink`](Self::sink) runs an effect and enters its messages in one transaction. A message that is there already has
/// had its effect, and is acked without another one; of two attempts at the same time the later one waits for the first. So
/// the late effect of an attempt that was superseded does not happen.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// use evenkeel_pipeline::{Batch, MemoryBroker, Message, PgInbox, Pipeline, SinkError};
/// use evenkeel_postgres::{Database, Tx};
///
/// # async fn example(payments: MemoryBroker<i64>) -> Result<(), Box<dyn std::error::Error>> {
/// let db = Database::connect("postgres://app@localhost/app").await?;
/// let inbox = PgInbox::new(&db, "payments");
/// inbox.set_up().await?;
///
/// let book = inbox.sink(async |tx: Tx, batch: Vec<Message<i64>>| {
///     let cents: i64 = batch.iter().map(|message| message.item).sum();
///     tx.execute("update account set cents = cents + $1", (cents,)).await?;
///     Ok::<_, SinkError>(())
/// });
/// let running = Pipeline::from(payments.source())
///     .stage("check", async |cents: i64| Ok::<_, std::io::Error>(cents))
///     .sink("book", Batch::items(100).within(Duration::from_millis(50)), book)
///     .start()?;
/// # drop(running);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct PgInbox {
    db: Database,
    schema: Arc<str>,
    source: Arc<str>,
}

impl PgInbox {
    /// Creates a handle of the record for a source, whose name distinguishes its messages from those of others.
    #[must_use]
    pub fn new(db: &Database, source: &str) -> Self {
        Self { db: db.clone(), schema: schema::DEFAULT.into(), source: source.into() }
    }

    /// Sets the schema of the table, by default `evenkeel_queue`.
    #[must_use]
    pub fn schema(mut self, schema: &str) -> Self {
        self.schema = schema.into();
        self
    }

    /// Creates the tables, as [`PgQueue::set_up`](crate::PgQueue::set_up) does.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn set_up(&self) -> Result<(), Error> {
        schema::set_up(&self.db, &self.schema).await
    }

    /// Returns a sink that runs an effect for each batch, with the messages that have not had theirs.
    ///
    /// The effect writes by the transaction that it gets, and drops it at its end. It may run again after a conflict, and when
    /// a batch fails it runs for each message alone, so that the others have their effect.
    pub fn sink<T, F, Fut>(&self, effect: F) -> PgInboxSink<F>
    where
        T: Clone + Send + Sync + 'static,
        F: Fn(Tx, Vec<Message<T>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), SinkError>> + Send,
    {
        PgInboxSink { inbox: self.clone(), effect }
    }

    /// Forgets messages that were entered longer ago than this, and returns their number. Their effects would happen again if
    /// the broker delivered them again.
    ///
    /// # Errors
    ///
    /// As [`Database::execute`].
    ///
    /// # Cancel safety
    ///
    /// All of them or none may be forgotten when the future is dropped.
    pub async fn prune(&self, older_than: std::time::Duration) -> Result<u64, Error> {
        let seconds = super::enqueue::seconds(older_than);
        self.db.execute(&schema::in_schema(PRUNE, &self.schema), (&*self.source, seconds)).await
    }
}

/// A sink whose effects happen once: one of [`PgInbox::sink`].
#[derive(Clone)]
pub struct PgInboxSink<F> {
    inbox: PgInbox,
    effect: F,
}

impl<F> PgInboxSink<F> {
    /// Enters a batch and runs its effect, both or neither.
    async fn write<T, Fut>(&self, batch: &[Message<T>]) -> Result<(), SinkError>
    where
        T: Clone + Send + Sync + 'static,
        F: Fn(Tx, Vec<Message<T>>) -> Fut + Send + Sync,
        Fut: Future<Output = Result<(), SinkError>> + Send,
    {
        let PgInbox { db, schema, source } = &self.inbox;
        let ids: Vec<&str> = batch.iter().map(|message| &*message.id).collect();
        let attempts: Vec<i32> =
            batch.iter().map(|message| i32::try_from(message.attempt).unwrap_or(i32::MAX)).collect();
        let sql = schema::in_schema(ENTER, schema);
        let (sql, ids, attempts) = (&*sql, &ids, &attempts);
        let written = db.transaction_with_error(TxOptions::new(), async |tx| {
            let entered: Vec<(String,)> = tx.fetch_all(sql, (&**source, ids, attempts)).await?;
            let mut entered: HashSet<String> = entered.into_iter().map(|(id,)| id).collect();
            // Each id once, also where a batch has two deliveries of a message.
            let fresh: Vec<_> = batch.iter().filter(|message| entered.remove(&message.id)).cloned().collect();
            if fresh.is_empty() {
                return Ok(());
            }
            (self.effect)(tx, fresh).await
        });
        written.await
    }
}

impl<T, F, Fut> Sink<T> for PgInboxSink<F>
where
    T: Clone + Send + Sync + 'static,
    F: Fn(Tx, Vec<Message<T>>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), SinkError>> + Send,
{
    async fn send(&self, batch: Vec<Message<T>>) -> Result<(), SinkError> {
        let error = match self.write(&batch).await {
            Ok(()) => return Ok(()),
            Err(error) if batch.len() == 1 => return Err(SinkError::some(text(&error), [0])),
            Err(error) => error,
        };
        let (mut failed, mut last) = (Vec::new(), error);
        for (index, message) in batch.iter().enumerate() {
            if is_away(&last) {
                // Each of the rest would wait for a connection as long.
                failed.extend(index..batch.len());
                break;
            }
            if let Err(error) = self.write(std::slice::from_ref(message)).await {
                failed.push(index);
                last = error;
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(SinkError::some(text(&last), failed)) }
    }
}

/// Whether there was no connection.
fn is_away(error: &SinkError) -> bool {
    matches!(error.error().downcast_ref(), Some(Error::Get(_)))
}

fn text(error: &SinkError) -> String {
    evenkeel_base::error_chain(error.error())
}

impl fmt::Debug for PgInbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgInbox").field("source", &self.source).finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for PgInboxSink<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgInboxSink").field("inbox", &self.inbox).finish_non_exhaustive()
    }
}
