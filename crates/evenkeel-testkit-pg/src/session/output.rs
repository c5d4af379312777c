//! The output of a statement: rows as messages, or as a COPY.

use std::{future::pending, vec};

use bytes::Bytes;
use pgwire::messages::{
    PgWireBackendMessage,
    copy::{CopyData, CopyDone, CopyOutResponse},
    data::{FORMAT_CODE_BINARY, FORMAT_CODE_TEXT, FieldDescription, RowDescription},
    extendedquery::PortalSuspended,
    response::CommandComplete,
};

use super::Interrupt;
use crate::{
    copy,
    error::{SqlError, notice},
    fault::{Faults, ReplyFault, ReplyStep, at},
    store::{Answer, Field},
    value::{Cell, to_text},
    wire::{Wire, row as row_message},
};

/// The answer to a statement, and the number of rows sent so far.
#[derive(Debug)]
pub(super) struct Output {
    tag: String,
    pub(super) fields: Option<Vec<Field>>,
    rows: vec::IntoIter<Vec<Cell>>,
    sent: usize,
    /// For a COPY, whether its format is binary.
    copy: Option<bool>,
    pub(super) faults: Faults,
}

impl Output {
    pub(super) fn new(Answer { tag, fields, rows }: Answer) -> Self {
        Output { tag, fields, rows: rows.into_iter(), sent: 0, copy: None, faults: Vec::new() }
    }

    /// Sends the rows as those of a COPY.
    pub(super) fn copy_out(mut self, binary: bool) -> Self {
        self.tag = format!("COPY {}", self.rows.len());
        self.copy = Some(binary);
        self
    }

    pub(super) fn is_copy(&self) -> bool {
        self.copy.is_some()
    }

    pub(super) fn columns(&self) -> usize {
        self.fields.as_ref().map_or(0, Vec::len)
    }

    /// Describes the columns; `None` for a COPY, or without columns.
    pub(super) fn description(&self, formats: &[bool]) -> Option<RowDescription> {
        let fields = self.fields.as_ref().filter(|_| self.copy.is_none())?;
        Some(description(fields, formats))
    }

    /// Sends up to `limit` rows, or all if it is zero; returns the command tag at the end.
    pub(super) async fn send(
        &mut self,
        wire: &mut Wire,
        binary: &[bool],
        limit: usize,
    ) -> Result<Option<String>, Interrupt> {
        if let Some(binary) = self.copy {
            return self.send_copy(wire, binary).await;
        }
        let mut sent = 0;
        while limit == 0 || sent < limit {
            let Some(row) = self.rows.next() else { return Ok(Some(self.complete(wire, sent).await?)) };
            let fields = self.fields.as_deref().unwrap_or_default();
            let row: Result<Vec<Cell>, SqlError> = row
                .into_iter()
                .zip(fields.iter().zip(binary))
                .map(|(cell, ((_, ty), binary))| match cell {
                    Some(data) if !binary => Ok(Some(to_text(ty, &data)?.into())),
                    cell => Ok(cell),
                })
                .collect();
            self.put(wire, &row_message(&row?), ReplyStep::Rows(self.sent)).await?;
            (sent, self.sent) = (sent + 1, self.sent + 1);
        }
        wire.put(&PgWireBackendMessage::PortalSuspended(PortalSuspended::new()));
        Ok(None)
    }

    async fn send_copy(&mut self, wire: &mut Wire, binary: bool) -> Result<Option<String>, Interrupt> {
        let fields = self.fields.clone().unwrap_or_default();
        let format = code(binary);
        let response = CopyOutResponse::new(format as i8, fields.len() as i16, vec![format; fields.len()]);
        self.put(wire, &PgWireBackendMessage::CopyOutResponse(response), ReplyStep::CopyResponse).await?;
        let data = |data: Bytes| PgWireBackendMessage::CopyData(CopyData::new(data));
        let mut head = copy::head(binary);
        loop {
            let Some(row) = self.rows.next() else { break };
            // The header is sent with the first row, as PostgreSQL does.
            let row = [&std::mem::take(&mut head)[..], &copy::encode(&fields, &row, binary)?].concat();
            self.put(wire, &data(row.into()), ReplyStep::Rows(self.sent)).await?;
            self.sent += 1;
        }
        let tail = [&head[..], copy::tail(binary)].concat();
        let done = PgWireBackendMessage::CopyDone(CopyDone::new());
        if tail.is_empty() {
            self.put(wire, &done, ReplyStep::Rows(self.sent)).await?;
        } else {
            self.put(wire, &data(tail.into()), ReplyStep::Rows(self.sent)).await?;
            wire.put(&done);
        }
        Ok(Some(self.complete(wire, self.sent).await?))
    }

    /// Sends a message, or the fault of its step.
    async fn put(
        &self,
        wire: &mut Wire,
        message: &PgWireBackendMessage,
        step: ReplyStep,
    ) -> Result<(), Interrupt> {
        put(wire, message, at(&self.faults, step)).await
    }

    async fn complete(&self, wire: &mut Wire, sent: usize) -> Result<String, Interrupt> {
        let tag = match self.tag.split_once(' ') {
            Some(("SELECT", _)) => format!("SELECT {sent}"),
            _ => self.tag.clone(),
        };
        let message = PgWireBackendMessage::CommandComplete(CommandComplete::new(tag.clone()));
        let after_rows = at(&self.faults, ReplyStep::Rows(self.sent)).filter(|_| self.copy.is_none());
        put(wire, &message, after_rows.or(at(&self.faults, ReplyStep::CommandComplete))).await?;
        Ok(tag)
    }
}

/// Sends a message, or the fault in its place.
pub(super) async fn put(
    wire: &mut Wire,
    message: &PgWireBackendMessage,
    fault: Option<ReplyFault>,
) -> Result<(), Interrupt> {
    match fault {
        None => wire.put(message),
        Some(ReplyFault::Notices(count)) => {
            for number in 0..count {
                wire.put(&PgWireBackendMessage::NoticeResponse(notice(&format!("notice {number}"))));
                wire.flush_if_full().await?;
            }
            wire.put(message);
        }
        Some(ReplyFault::Half) => wire.put_half(message),
        Some(_) => {}
    }
    let Some(fault) = fault else { return Ok(wire.flush_if_full().await?) };
    if let Some(error) = fault.error() {
        return Err(error.into());
    }
    wire.flush().await?;
    match fault {
        ReplyFault::Eof | ReplyFault::Half => Err(Interrupt::Break { reset: false }),
        ReplyFault::Reset => Err(Interrupt::Break { reset: true }),
        ReplyFault::Stall => pending().await,
        ReplyFault::Error(_) | ReplyFault::Fatal(_) | ReplyFault::Notices(_) => Ok(()),
    }
}

/// Describes columns in these formats.
pub(super) fn description(fields: &[Field], binary: &[bool]) -> RowDescription {
    let field = |((name, ty), binary): (&Field, &bool)| {
        FieldDescription::new(name.clone(), 0, 0, ty.oid(), -1, -1, code(*binary))
    };
    RowDescription::new(fields.iter().zip(binary).map(field).collect())
}

pub(super) fn code(binary: bool) -> i16 {
    if binary { FORMAT_CODE_BINARY } else { FORMAT_CODE_TEXT }
}
