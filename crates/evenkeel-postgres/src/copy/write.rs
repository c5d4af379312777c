//! The bulk writes of one session.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use pin_project_lite::pin_project;
use tokio_postgres::types::Type;

use super::{arrays::Arrays, chunks::BinaryChunks, rows::CopyRow, target::Target};
use crate::{
    BoxError, Error, connection::prepared::PreparedStatement, session::Session, sql::effect::SqlEffect,
};

/// The number of rows that one statement of `insert_many` stores.
const ROWS_OF_INSERT: usize = 5_000;

/// The table in which the rows of `copy_upsert` wait for their insert.
const UPSERT_TABLE: &str = "pg_temp.evenkeel_upsert";

impl Session {
    pub(crate) async fn copy_in<S>(&self, target: &str, rows: S) -> Result<u64, Error>
    where
        S: Stream<Item: CopyRow>,
    {
        let target = Target::parse(target)?;
        let types = self.column_types(&target).await?;
        self.copy_rows(&target, types, rows).await
    }

    /// Copies rows whose columns have these types.
    pub(super) async fn copy_rows<S>(
        &self,
        target: &Target<'_>,
        types: Vec<Type>,
        rows: S,
    ) -> Result<u64, Error>
    where
        S: Stream<Item: CopyRow>,
    {
        let chunks = BinaryChunks::new(rows, types)?;
        let copy = format!("copy {} from stdin (format binary)", target.text);
        let prepared = self.prepare(&copy, target.effect()).await?;
        self.copy_from(&prepared, chunks, self.options.source_timeout).await
    }

    pub(crate) async fn copy_in_bytes<S, E>(&self, sql: &str, bytes: S) -> Result<u64, Error>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<BoxError>,
    {
        let prepared = self.prepare(sql, SqlEffect::of(sql)).await?;
        self.copy_bytes(sql, &prepared, bytes).await
    }

    /// Runs a `COPY` of the caller.
    pub(super) async fn copy_bytes<S, E>(
        &self,
        sql: &str,
        prepared: &PreparedStatement,
        bytes: S,
    ) -> Result<u64, Error>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<BoxError>,
    {
        self.refuse_session_use(sql, prepared.effect)?;
        self.copy_from(prepared, ByteChunks { bytes }, self.options.source_timeout).await
    }

    pub(crate) async fn copy_upsert<S>(&self, target: &str, on_conflict: &str, rows: S) -> Result<u64, Error>
    where
        S: Stream<Item: CopyRow>,
    {
        let Target { text, columns, .. } = Target::parse(target)?;
        let select = Target::parse(target)?.select();
        self.run_batch(&format!("create temp table {UPSERT_TABLE} on commit drop as {select} with no data"))
            .await?;
        self.copy_in(&format!("{UPSERT_TABLE} ({columns})"), rows).await?;
        let insert = format!("insert into {text} select {columns} from {UPSERT_TABLE} {on_conflict}");
        let count = self.execute(&insert, ()).await?;
        self.run_batch(&format!("drop table {UPSERT_TABLE}")).await?;
        Ok(count)
    }

    pub(crate) async fn insert_many<I>(&self, target: &str, on_conflict: &str, rows: I) -> Result<u64, Error>
    where
        I: IntoIterator<Item: CopyRow>,
    {
        let target = Target::parse(target)?;
        let types = self.column_types(&target).await?;
        self.insert_rows(&target, types, on_conflict, rows).await
    }

    /// Inserts rows whose columns have these types.
    pub(super) async fn insert_rows<I>(
        &self,
        target: &Target<'_>,
        types: Vec<Type>,
        on_conflict: &str,
        rows: I,
    ) -> Result<u64, Error>
    where
        I: IntoIterator<Item: CopyRow>,
    {
        let mut arrays = Arrays::new(types)?;
        arrays.check::<I::Item>()?;
        let unnest = arrays.unnest();
        let insert = format!("insert into {} select * from {unnest} {on_conflict}", target.text);
        let mut count = 0;
        let mut rows = (0..).zip(rows).peekable();
        while rows.peek().is_some() {
            arrays.clear();
            while arrays.rows < ROWS_OF_INSERT
                && let Some((index, row)) = rows.next()
            {
                arrays.push(row, index)?;
            }
            count += self.run(&insert, &arrays.parameters(), drop).await?;
        }
        Ok(count)
    }
}

pin_project! {
    /// The bytes of a source, as chunks.
    pub(super) struct ByteChunks<S> {
        #[pin]
        pub(super) bytes: S,
    }
}

impl<S, E> Stream for ByteChunks<S>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<BoxError>,
{
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.project().bytes.poll_next(cx));
        Poll::Ready(next.map(|bytes| bytes.map_err(|error| Error::Source(error.into()))))
    }
}
