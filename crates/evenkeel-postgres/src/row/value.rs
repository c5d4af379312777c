//! Reads the value of a column; an error names the column, its type, and the type that was asked for.

use std::{any::type_name, error::Error as StdError, fmt};

use tokio_postgres::{
    Column, Row,
    binary_copy::BinaryCopyOutRow,
    types::{FromSql, FromSqlOwned, Type, WasNull, WrongType},
};

use crate::BoxError;

/// Reads the value of the column with this index.
#[inline]
pub(crate) fn value<T: FromSqlOwned>(row: &Row, index: usize) -> Result<T, BoxError> {
    row.try_get(index).map_err(|error| row_error(row, index, type_name::<T>(), error))
}

#[cold]
fn row_error(row: &Row, index: usize, rust: &str, error: tokio_postgres::Error) -> BoxError {
    value_error(row.columns(), index, rust, row.try_get(index).ok(), error)
}

/// Reads the value of the column with this index.
pub(crate) fn copied_value<T: FromSqlOwned>(
    row: &BinaryCopyOutRow,
    columns: &[Column],
    index: usize,
) -> Result<T, BoxError> {
    row.try_get(index).map_err(|error| copied_error(row, columns, index, type_name::<T>(), error))
}

#[cold]
fn copied_error(
    row: &BinaryCopyOutRow,
    columns: &[Column],
    index: usize,
    rust: &str,
    error: tokio_postgres::Error,
) -> BoxError {
    value_error(columns, index, rust, row.try_get(index).ok(), error)
}

/// Why the value of a column cannot be read.
#[derive(Debug)]
struct ValueError {
    text: String,
    source: BoxError,
}

fn value_error(
    columns: &[Column],
    index: usize,
    rust: &str,
    special: Option<Special>,
    error: tokio_postgres::Error,
) -> BoxError {
    let Some(column) = columns.get(index) else { return error.into() };
    // The error of the client names the index alone.
    let Some(source) = error.into_source() else { return "the value cannot be read".into() };
    let (name, ty) = (column.name(), column.type_());
    let text = if source.is::<WasNull>() {
        format!("column `{name}` of type {ty} is null, and `{rust}` is no `Option`")
    } else if source.is::<WrongType>() {
        format!("column `{name}` is of type {ty}, which no `{rust}` fits")
    } else if let Some(Special(Some(special))) = special {
        format!("column `{name}` of type {ty} is {special}, which no `{rust}` can be")
    } else {
        format!("column `{name}` of type {ty} cannot be read as `{rust}`")
    };
    ValueError { text, source }.into()
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for ValueError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

/// A value that is not a number, a date or a time like others, by its name.
struct Special(Option<&'static str>);

impl<'a> FromSql<'a> for Special {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        let sign = raw.get(4..6);
        Ok(Self(match *ty {
            Type::DATE if raw == i32::MAX.to_be_bytes() => Some("infinity"),
            Type::DATE if raw == i32::MIN.to_be_bytes() => Some("-infinity"),
            Type::TIMESTAMP | Type::TIMESTAMPTZ if raw == i64::MAX.to_be_bytes() => Some("infinity"),
            Type::TIMESTAMP | Type::TIMESTAMPTZ if raw == i64::MIN.to_be_bytes() => Some("-infinity"),
            Type::NUMERIC if sign == Some(&[0xc0, 0]) => Some("NaN"),
            Type::NUMERIC if sign == Some(&[0xd0, 0]) => Some("infinity"),
            Type::NUMERIC if sign == Some(&[0xf0, 0]) => Some("-infinity"),
            _ => None,
        }))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
