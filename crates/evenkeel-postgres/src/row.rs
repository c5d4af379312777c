//! Reading rows as Rust types.

use tokio_postgres::{Row, types::FromSqlOwned};

use crate::BoxError;

/// A type that a row can be read as.
///
/// A tuple of up to twelve types reads a row of as many columns, in their order; [`Row`] takes it as it is. Implement
/// it for types of your own.
///
/// # Examples
///
/// ```no_run
/// use evenkeel_postgres::{BoxError, Database, FromRow, tokio_postgres::Row};
///
/// struct User {
///     id: i64,
///     name: Option<String>,
/// }
///
/// impl FromRow for User {
///     fn from_row(row: Row) -> Result<Self, BoxError> {
///         Ok(Self { id: row.try_get("id")?, name: row.try_get("name")? })
///     }
/// }
///
/// # async fn example(db: Database) -> Result<(), evenkeel_postgres::Error> {
/// let users: Vec<User> = db.fetch_all("select id, name from users", ()).await?;
/// let (count,): (i64,) = db.fetch_one("select count(*) from users", ()).await?;
/// assert_eq!(users.len() as i64, count);
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "a row cannot be read as `{Self}`",
    label = "not a tuple of types that are `FromSql`, and no `FromRow`",
    note = "a single column is read as a tuple of one: `(T,)`"
)]
pub trait FromRow: Sized {
    /// Reads the row.
    ///
    /// # Errors
    ///
    /// The reason why the row cannot be read. The call returns it as [`Error::Decode`](crate::Error::Decode).
    fn from_row(row: Row) -> Result<Self, BoxError>;
}

impl FromRow for Row {
    fn from_row(row: Row) -> Result<Self, BoxError> {
        Ok(row)
    }
}

macro_rules! tuples {
    () => {};
    ($first:ident $($name:ident)*) => {
        impl<$first: FromSqlOwned, $($name: FromSqlOwned),*> FromRow for ($first, $($name,)*) {
            fn from_row(row: Row) -> Result<Self, BoxError> {
                const COLUMNS: usize = [stringify!($first), $(stringify!($name)),*].len();
                if row.len() != COLUMNS {
                    return Err(format!("the row has {} columns, and the tuple {COLUMNS}", row.len()).into());
                }
                // The fields of a tuple are evaluated in their order.
                let mut columns = 0;
                let mut next = || {
                    columns += 1;
                    columns - 1
                };
                Ok((row.try_get::<_, $first>(next())?, $(row.try_get::<_, $name>(next())?,)*))
            }
        }

        tuples!($($name)*);
    };
}

tuples!(A B C D E F G H I J K L);
