//! Encodes rows as one array for each column, for `insert … select … from unnest(…)`.

use bytes::{BufMut as _, BytesMut};
use tokio_postgres::types::{IsNull, Kind, ToSql, Type, to_sql_checked};

use super::rows::{CopyRow, sealed::WriteValue, write_row, write_with_length};
use crate::{BoxError, Error};

/// The arrays of a number of rows, encoded.
#[derive(Debug)]
pub(crate) struct Arrays {
    types: Vec<Type>,
    columns: Vec<Array>,
    pub(crate) rows: usize,
}

/// The values of one column.
#[derive(Debug, Default)]
pub(crate) struct Array {
    element: u32,
    count: i32,
    has_nulls: bool,
    values: BytesMut,
}

impl Arrays {
    pub(crate) fn new(types: Vec<Type>) -> Result<Self, Error> {
        for (index, ty) in types.iter().enumerate() {
            if matches!(ty.kind(), Kind::Array(_)) {
                let why = format!("column {} is an array, and `unnest` takes arrays apart", index + 1);
                return Err(Error::Encode(0, why.into()));
            }
        }
        let columns = types.iter().map(|ty| Array { element: ty.oid(), ..Array::default() }).collect();
        Ok(Self { types, columns, rows: 0 })
    }

    pub(crate) fn check<R: CopyRow>(&self) -> Result<(), Error> {
        R::check(&self.types).map_err(|error| Error::Encode(0, error))
    }

    /// The call of `unnest` whose arguments are the arrays.
    pub(crate) fn unnest(&self) -> String {
        let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let argument = |(index, ty): (usize, &Type)| {
            format!("${}::{}.{}[]", index + 1, quote(ty.schema()), quote(ty.name()))
        };
        let arguments: Vec<String> = self.types.iter().enumerate().map(argument).collect();
        format!("unnest({})", arguments.join(", "))
    }

    /// Adds a row; `index` is its number in the whole write.
    pub(crate) fn push<R: CopyRow>(&mut self, row: R, index: u64) -> Result<(), Error> {
        write_row(row, index, &self.types, &mut ArrayWriter(&mut self.columns))?;
        self.rows += 1;
        Ok(())
    }

    pub(crate) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.columns.iter().map(|column| column as _).collect()
    }

    pub(crate) fn clear(&mut self) {
        self.rows = 0;
        for column in &mut self.columns {
            (column.count, column.has_nulls) = (0, false);
            column.values.clear();
        }
    }
}

struct ArrayWriter<'a>(&'a mut [Array]);

impl WriteValue for ArrayWriter<'_> {
    fn write(
        &mut self,
        index: usize,
        value: impl FnOnce(&mut BytesMut) -> Result<IsNull, BoxError>,
    ) -> Result<(), BoxError> {
        let column = &mut self.0[index];
        let is_null = write_with_length(&mut column.values, value)?;
        column.has_nulls |= matches!(is_null, IsNull::Yes);
        column.count += 1;
        Ok(())
    }
}

impl ToSql for Array {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        // One dimension, whose first index is 1.
        out.put_i32(1);
        out.put_i32(i32::from(self.has_nulls));
        out.put_u32(self.element);
        out.put_i32(self.count);
        out.put_i32(1);
        out.put_slice(&self.values);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(ty.kind(), Kind::Array(_))
    }

    to_sql_checked!();
}
