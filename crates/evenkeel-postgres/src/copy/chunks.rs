//! Encodes rows in the binary format of `COPY`, in chunks.
//!
//! The format is that of <https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS>: a header, rows
//! of values with their lengths, and a count of −1 as the end.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_core::Stream;
use pin_project_lite::pin_project;
use tokio_postgres::types::{IsNull, Type};

use super::rows::{
    CopyRow,
    sealed::{Encode as _, WriteValue},
    write_row, write_with_length,
};
use crate::{BoxError, Error};

/// The size from which a chunk is sent.
const CHUNK: usize = 64 * 1024;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

pin_project! {
    /// The chunks of a stream of rows.
    pub(crate) struct BinaryChunks<S> {
        #[pin]
        rows: S,
        types: Vec<Type>,
        chunk: BytesMut,
        row: u64,
        has_ended: bool,
    }
}

impl<S: Stream<Item: CopyRow>> BinaryChunks<S> {
    pub(crate) fn new(rows: S, types: Vec<Type>) -> Result<Self, Error> {
        S::Item::check(&types).map_err(|error| Error::Encode(0, error))?;
        let mut chunk = BytesMut::with_capacity(CHUNK + CHUNK / 8);
        chunk.put_slice(SIGNATURE);
        // No flags, and no extension.
        chunk.put_u64(0);
        Ok(Self { rows, types, chunk, row: 0, has_ended: false })
    }
}

impl<S: Stream<Item: CopyRow>> Stream for BinaryChunks<S> {
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        if *this.has_ended {
            return Poll::Ready(None);
        }
        while this.chunk.len() < CHUNK {
            match this.rows.as_mut().poll_next(cx) {
                Poll::Ready(Some(row)) => {
                    // A table has at most 1,600 columns.
                    this.chunk.put_i16(i16::try_from(this.types.len()).unwrap_or(i16::MAX));
                    if let Err(error) = write_row(row, *this.row, this.types, &mut RowWriter(this.chunk)) {
                        *this.has_ended = true;
                        return Poll::Ready(Some(Err(error)));
                    }
                    *this.row += 1;
                }
                Poll::Ready(None) => {
                    *this.has_ended = true;
                    this.chunk.put_i16(-1);
                    break;
                }
                // A slow source does not keep back the rows that there are.
                Poll::Pending if this.chunk.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        let next = if *this.has_ended { BytesMut::new() } else { BytesMut::with_capacity(CHUNK + CHUNK / 8) };
        Poll::Ready(Some(Ok(mem::replace(this.chunk, next).freeze())))
    }
}

struct RowWriter<'a>(&'a mut BytesMut);

impl WriteValue for RowWriter<'_> {
    fn write(
        &mut self,
        _: usize,
        value: impl FnOnce(&mut BytesMut) -> Result<IsNull, BoxError>,
    ) -> Result<(), BoxError> {
        write_with_length(self.0, value).map(drop)
    }
}
