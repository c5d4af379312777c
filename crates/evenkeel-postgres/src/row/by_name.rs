//! Reading rows as structs, by the names of the columns.
//!
//! A column is looked up by its name in the first row of a statement's result; all later rows use its index.

use std::{any::type_name, fmt::Write as _};

use tokio_postgres::{Column, Row, types::FromSqlOwned};

use super::value::value;
use crate::BoxError;

/// The number of columns that an error lists.
const LISTED: usize = 32;

/// The indexes of the columns of a statement's result, in the order of the fields that they are read into.
#[derive(Debug, Default)]
pub struct Columns {
    indexes: Vec<usize>,
}

/// Reads the fields of one row, in their order.
#[derive(Debug)]
pub struct Fields<'a> {
    row: &'a Row,
    columns: &'a mut Columns,
    next: usize,
}

impl Columns {
    /// The fields of a row of the same result.
    pub fn fields<'a>(&'a mut self, row: &'a Row) -> Fields<'a> {
        Fields { row, columns: self, next: 0 }
    }
}

impl Fields<'_> {
    /// Reads the next field from the column with this name.
    ///
    /// # Errors
    ///
    /// There is no such column, or more than one, or its value is not of this type.
    #[inline]
    pub fn next<T: FromSqlOwned>(&mut self, name: &str) -> Result<T, BoxError> {
        let index = match self.columns.indexes.get(self.next) {
            Some(index) => *index,
            None => self.find(name, type_name::<T>())?,
        };
        self.next += 1;
        value(self.row, index)
    }

    /// Finds the column of the next field, for this row and all later ones.
    #[cold]
    fn find(&mut self, name: &str, rust: &str) -> Result<usize, BoxError> {
        let index = find(self.row.columns(), name, rust)?;
        self.columns.indexes.push(index);
        Ok(index)
    }
}

/// Finds the one column with a name.
fn find(columns: &[Column], name: &str, rust: &str) -> Result<usize, BoxError> {
    let name = name.strip_prefix("r#").unwrap_or(name);
    let mut found = (0..).zip(columns).filter(|(_, column)| column.name() == name).map(|(index, _)| index);
    let why = match (found.next(), found.next()) {
        (Some(index), None) => return Ok(index),
        (Some(_), Some(_)) => "there is more than one column",
        (None, _) => "there is no column",
    };
    Err(format!("{why} `{name}`, to be read as `{rust}`; {}", list(columns)).into())
}

/// Lists the columns and their types.
fn list(columns: &[Column]) -> String {
    if columns.is_empty() {
        return "the row has no columns".to_owned();
    }
    let mut text = String::from("the columns are");
    for (index, column) in columns.iter().take(LISTED).enumerate() {
        let separator = if index == 0 { "" } else { "," };
        // Writing to a string does not fail.
        let _ = write!(text, "{separator} `{}` ({})", column.name(), column.type_());
    }
    if let Some(more) = columns.len().checked_sub(LISTED).filter(|more| *more > 0) {
        let _ = write!(text, ", and {more} more");
    }
    text
}

/// Implements [`FromRow`](crate::FromRow) for a struct: each field is read from the column with its name.
///
/// `field: "column"` reads a field from a column with another name. The types are those of the struct. Columns that no
/// field names are left out of account; the fields of the struct that are not listed are an error of the compiler. An
/// `Option` reads a null as `None`. The columns are looked up once for each call, and not for each row.
///
/// A row without a column for each field cannot be read, nor one with two columns of that name; the error lists the
/// columns that there are. Names are compared exactly: PostgreSQL turns names without quotes into lower case.
///
/// For a generic struct, write the `impl` yourself, and the fields alone into the macro.
///
/// # Examples
///
/// ```no_run
/// use evenkeel_postgres::{Database, Error, FromRow, from_row, tokio_postgres::types::FromSqlOwned};
///
/// struct User {
///     id: i64,
///     name: Option<String>,
///     is_admin: bool,
/// }
///
/// from_row!(User { id, name, is_admin: "admin" });
///
/// struct Counted<T> {
///     value: T,
///     count: i64,
/// }
///
/// impl<T: FromSqlOwned> FromRow for Counted<T> {
///     from_row!(value, count);
/// }
///
/// # async fn example(db: Database) -> Result<(), Error> {
/// let users: Vec<User> = db.fetch_all("select * from users", ()).await?;
/// let names = "select name as value, count(*) from users group by name";
/// let names: Vec<Counted<Option<String>>> = db.fetch_all(names, ()).await?;
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! from_row {
    ($struct:path { $($fields:tt)* }) => {
        #[automatically_derived]
        impl $crate::FromRow for $struct {
            $crate::from_row!($($fields)*);
        }
    };
    ($($field:ident $(: $column:expr)?),+ $(,)?) => {
        fn from_row(
            row: $crate::tokio_postgres::Row,
        ) -> ::core::result::Result<Self, $crate::BoxError> {
            <Self as $crate::FromRow>::from_row_of(row, &mut ::core::default::Default::default())
        }

        fn from_row_of(
            row: $crate::tokio_postgres::Row,
            columns: &mut $crate::__row::Columns,
        ) -> ::core::result::Result<Self, $crate::BoxError> {
            let mut fields = columns.fields(&row);
            ::core::result::Result::Ok(Self {
                $($field: fields.next($crate::from_row!(@column $field $($column)?))?,)+
            })
        }
    };
    (@column $field:ident) => { ::core::stringify!($field) };
    (@column $field:ident $column:expr) => { $column };
}
