//! Rows of a bulk write, and their encoding.

use bytes::{BufMut as _, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type};

use crate::{BoxError, Error};

/// A row of a bulk write: a tuple, in the order of the columns, or a `Result` with one.
///
/// A tuple has up to sixteen values of types that are [`ToSql`]; a reference to a tuple works as well, and a slice of
/// `&(dyn ToSql + Sync)` where the number of columns is not known before. An `Err` of the source ends the write:
/// nothing of it is stored, and the call fails with [`Error::Source`](crate::Error::Source). The trait is sealed.
///
/// The type of each value must fit the type of its column exactly: an `i32` is an `integer`, and no `bigint`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no row of a bulk write",
    label = "not a tuple of types that are `ToSql`, nor a `Result` with one",
    note = "a row with a single column is written `(value,)`"
)]
pub trait CopyRow: sealed::Encode {}

impl<R: sealed::Encode> CopyRow for R {}

pub(crate) mod sealed {
    use super::{BoxError, BytesMut, IsNull, RowError, Type};

    /// A destination of values.
    pub trait WriteValue {
        /// Writes a value into the column `index`.
        ///
        /// # Errors
        ///
        /// The error of `value`, or that the value is too large.
        fn write(
            &mut self,
            index: usize,
            value: impl FnOnce(&mut BytesMut) -> Result<IsNull, BoxError>,
        ) -> Result<(), BoxError>;
    }

    pub trait Encode: Send {
        /// Checks the types of the columns once, for all rows.
        ///
        /// # Errors
        ///
        /// Which column does not fit.
        fn check(types: &[Type]) -> Result<(), BoxError>;

        /// Writes the values.
        ///
        /// # Errors
        ///
        /// The value that cannot be written, or the error of the source.
        fn encode(&self, types: &[Type], out: &mut impl WriteValue) -> Result<(), RowError>;

        /// Takes the error of the source.
        fn into_source_error(self) -> Option<BoxError>
        where
            Self: Sized,
        {
            None
        }
    }
}

/// Why a row was not written.
#[derive(Debug)]
pub enum RowError {
    /// The row is an error of the source.
    Source,
    /// A value cannot be written.
    Encode(BoxError),
}

impl<R: sealed::Encode + Sync> sealed::Encode for &R {
    fn check(types: &[Type]) -> Result<(), BoxError> {
        R::check(types)
    }

    fn encode(&self, types: &[Type], out: &mut impl sealed::WriteValue) -> Result<(), RowError> {
        R::encode(self, types, out)
    }
}

impl<R: sealed::Encode, E: Into<BoxError> + Send> sealed::Encode for Result<R, E> {
    fn check(types: &[Type]) -> Result<(), BoxError> {
        R::check(types)
    }

    fn encode(&self, types: &[Type], out: &mut impl sealed::WriteValue) -> Result<(), RowError> {
        self.as_ref().map_err(|_| RowError::Source)?.encode(types, out)
    }

    fn into_source_error(self) -> Option<BoxError> {
        self.err().map(Into::into)
    }
}

impl sealed::Encode for &[&(dyn ToSql + Sync)] {
    fn check(_: &[Type]) -> Result<(), BoxError> {
        Ok(())
    }

    fn encode(&self, types: &[Type], out: &mut impl sealed::WriteValue) -> Result<(), RowError> {
        check_count(self.len(), types).map_err(RowError::Encode)?;
        for (index, (value, ty)) in self.iter().zip(types).enumerate() {
            out.write(index, |out| value.to_sql_checked(ty, out)).map_err(RowError::Encode)?;
        }
        Ok(())
    }
}

fn check_count(values: usize, types: &[Type]) -> Result<(), BoxError> {
    if values == types.len() {
        return Ok(());
    }
    Err(format!("the row has {values} values, and the target {} columns", types.len()).into())
}

fn check_type<T: ToSql>(index: usize, types: &[Type]) -> Result<(), BoxError> {
    let ty = &types[index];
    if T::accepts(ty) {
        return Ok(());
    }
    let value = std::any::type_name::<T>();
    Err(format!("column {} is of the type {ty}, which no `{value}` fits", index + 1).into())
}

macro_rules! tuples {
    () => {};
    ($first:ident $($name:ident)*) => {
        tuples!(@impl $first $($name)*);
        tuples!($($name)*);
    };
    (@impl $($name:ident)+) => {
        impl<$($name: ToSql + Send),+> sealed::Encode for ($($name,)+) {
            fn check(types: &[Type]) -> Result<(), BoxError> {
                check_count([$(stringify!($name)),+].len(), types)?;
                let mut column = 0;
                $(
                    check_type::<$name>(column, types)?;
                    column += 1;
                )+
                debug_assert_eq!(column, types.len());
                Ok(())
            }

            fn encode(&self, types: &[Type], out: &mut impl sealed::WriteValue) -> Result<(), RowError> {
                #[expect(non_snake_case, reason = "the variables have the names of the types")]
                let ($($name,)+) = self;
                let mut column = 0;
                $(
                    out.write(column, |out| $name.to_sql(&types[column], out)).map_err(RowError::Encode)?;
                    column += 1;
                )+
                debug_assert_eq!(column, types.len());
                Ok(())
            }
        }
    };
}

tuples!(A B C D E F G H I J K L M N O P);

/// Writes a row; `index` is its number in the whole write.
pub(crate) fn write_row<R: CopyRow>(
    row: R,
    index: u64,
    types: &[Type],
    out: &mut impl sealed::WriteValue,
) -> Result<(), Error> {
    match row.encode(types, out) {
        Ok(()) => Ok(()),
        Err(RowError::Encode(error)) => Err(Error::Encode(index, error)),
        Err(RowError::Source) => {
            let unknown = || BoxError::from("the source failed");
            Err(Error::Source(row.into_source_error().unwrap_or_else(unknown)))
        }
    }
}

/// The length of a null.
const NULL: i32 = -1;

/// Writes a value with its length in front of it.
pub(crate) fn write_with_length(
    out: &mut BytesMut,
    value: impl FnOnce(&mut BytesMut) -> Result<IsNull, BoxError>,
) -> Result<IsNull, BoxError> {
    let start = out.len();
    out.put_i32(NULL);
    let is_null = value(out)?;
    if matches!(is_null, IsNull::No) {
        let length = out.len() - start - size_of::<i32>();
        let length = i32::try_from(length).map_err(|_| "the value is longer than 2 GiB")?;
        out[start..start + size_of::<i32>()].copy_from_slice(&length.to_be_bytes());
    }
    Ok(is_null)
}
