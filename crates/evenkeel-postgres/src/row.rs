//! Reading rows as Rust types.

pub mod by_name;
mod value;

use tokio_postgres::{Row, types::FromSqlOwned};

use self::by_name::Columns;
pub(crate) use self::value::{copied_value, value};
use crate::{BoxError, Error};

/// A type that a row can be read as.
///
/// A tuple of up to twelve types reads a row of as many columns, in their order; [`Row`] takes it as it is.
/// [`from_row!`](crate::from_row) implements it for a struct, by the names of the columns; or implement it yourself.
///
/// An error names the column, its type, and the Rust type.
///
/// # Examples
///
/// ```no_run
/// use evenkeel_postgres::{BoxError, Database, FromRow, from_row, tokio_postgres::Row};
///
/// struct User {
///     id: i64,
///     name: Option<String>,
/// }
///
/// from_row!(User { id, name });
///
/// enum Shape {
///     Circle(f64),
///     Square(f64),
/// }
///
/// impl FromRow for Shape {
///     fn from_row(row: Row) -> Result<Self, BoxError> {
///         let size = row.try_get("size")?;
///         match row.try_get("kind")? {
///             "circle" => Ok(Self::Circle(size)),
///             "square" => Ok(Self::Square(size)),
///             other => Err(format!("a shape that is a {other}").into()),
///         }
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
    note = "a single value is read by `fetch_scalar`, and a single column as a tuple of one: `(T,)`",
    note = "a struct is read by the names of the columns with `from_row!`, which lists its fields"
)]
pub trait FromRow: Sized {
    /// Reads the row.
    ///
    /// # Errors
    ///
    /// The reason why the row cannot be read. The call returns it as [`Error::Decode`](crate::Error::Decode).
    fn from_row(row: Row) -> Result<Self, BoxError>;

    /// Reads one of the rows of a statement, whose columns were looked up before: for [`from_row!`](crate::from_row).
    #[doc(hidden)]
    fn from_row_of(row: Row, columns: &mut Columns) -> Result<Self, BoxError> {
        let _ = columns;
        Self::from_row(row)
    }
}

/// Reads the rows of one statement.
pub(crate) fn read_all<R: FromRow>(rows: Vec<Row>) -> Result<Vec<R>, Error> {
    let mut columns = Columns::default();
    let read = |row| R::from_row_of(row, &mut columns);
    rows.into_iter().map(read).collect::<Result<_, _>>().map_err(Error::Decode)
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
                Ok((value::<$first>(&row, next())?, $(value::<$name>(&row, next())?,)*))
            }
        }

        tuples!($($name)*);
    };
}

tuples!(A B C D E F G H I J K L);
