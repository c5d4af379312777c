//! Several statements that are sent together, and their results.

use tokio_postgres::Row;

use crate::{Error, FromRow, Params, row::read_all};

/// Statements that are sent together, with their parameters; run by
/// [`Database::batch`](crate::Database::batch) and [`Tx::batch`](crate::Tx::batch).
///
/// # Examples
///
/// ```no_run
/// use evenkeel_postgres::SqlBatch;
///
/// # async fn example(db: evenkeel_postgres::Database) -> Result<(), evenkeel_postgres::Error> {
/// let mut batch = SqlBatch::new();
/// batch.push("update users set name = $2 where id = $1", (7_i64, "Ada"));
/// batch.push("select count(*) from users", ());
/// let mut results = db.batch(batch).await?.into_iter();
/// let renamed = results.next().map(|result| result.affected());
/// let counts: Vec<(i64,)> = results.next().expect("one for each statement").into_rows()?;
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
#[must_use = "a batch does nothing before it is run"]
pub struct SqlBatch<'a> {
    pub(crate) statements: Vec<BatchStatement<'a>>,
}

/// A statement of a batch.
pub(crate) struct BatchStatement<'a> {
    pub(crate) sql: Box<str>,
    pub(crate) params: Box<dyn Params + 'a>,
}

/// The result of one statement of a [`SqlBatch`].
#[derive(Debug)]
pub struct SqlBatchResult {
    pub(crate) affected: u64,
    pub(crate) rows: Vec<Row>,
}

impl<'a> SqlBatch<'a> {
    /// Makes a batch without statements.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a statement.
    pub fn push(&mut self, sql: &str, params: impl Params + 'a) -> &mut Self {
        self.statements.push(BatchStatement { sql: sql.into(), params: Box::new(params) });
        self
    }
}

impl std::fmt::Debug for SqlBatch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The parameters may be secrets.
        f.debug_list().entries(self.statements.iter().map(|statement| &statement.sql)).finish()
    }
}

impl SqlBatchResult {
    /// The number of rows affected, or returned.
    #[must_use]
    pub const fn affected(&self) -> u64 {
        self.affected
    }

    /// Reads the rows that the statement has returned.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`]; the batch has taken effect all the same.
    pub fn into_rows<R: FromRow>(self) -> Result<Vec<R>, Error> {
        read_all(self.rows)
    }
}
