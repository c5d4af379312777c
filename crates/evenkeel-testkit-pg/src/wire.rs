//! The wire: messages over a stream.

use bytes::BytesMut;
use pgwire::messages::{
    DecodeContext, PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion, SslNegotiationMetaMessage,
    data::DataRow,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::value::{Cell, put_cell};
use evenkeel_testkit::net::MemStream;

/// The number of buffered bytes above which a row waits for the client.
const HIGH_WATER: usize = 16 * 1024;

/// The server's side of a connection.
///
/// All its futures are cancel safe: messages stay whole in its buffers.
#[derive(Debug)]
pub(super) struct Wire {
    stream: MemStream,
    input: BytesMut,
    output: BytesMut,
    context: DecodeContext,
}

/// The client has disconnected, or does not speak the protocol.
#[derive(Debug)]
pub(super) struct Disconnected;

impl Wire {
    pub(super) fn new(stream: MemStream) -> Self {
        let context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
        Wire { stream, input: BytesMut::new(), output: BytesMut::new(), context }
    }

    /// Waits for the next message.
    pub(super) async fn receive(&mut self) -> Result<PgWireFrontendMessage, Disconnected> {
        loop {
            match PgWireFrontendMessage::decode(&mut self.input, &self.context) {
                Ok(Some(PgWireFrontendMessage::SslNegotiation(SslNegotiationMetaMessage::None))) => {
                    self.context.awaiting_frontend_ssl = false;
                }
                Ok(Some(message)) => return Ok(message),
                Ok(None) => match self.stream.read_buf(&mut self.input).await {
                    Ok(0) | Err(_) => return Err(Disconnected),
                    Ok(_) => {}
                },
                Err(_) => return Err(Disconnected),
            }
        }
    }

    /// Ends the start-up: later messages of the client have a type byte.
    pub(super) fn started(&mut self) {
        self.context.awaiting_frontend_startup = false;
    }

    /// Buffers a message until the next flush.
    pub(super) fn put(&mut self, message: &PgWireBackendMessage) {
        message.encode(&mut self.output).expect("a message of ours is not too large");
    }

    /// Buffers the first half of a message.
    pub(super) fn put_half(&mut self, message: &PgWireBackendMessage) {
        let before = self.output.len();
        self.put(message);
        self.output.truncate(before + (self.output.len() - before) / 2);
    }

    /// Flushes if too many bytes are buffered.
    pub(super) async fn flush_if_full(&mut self) -> Result<(), Disconnected> {
        if self.output.len() > HIGH_WATER { self.flush().await } else { Ok(()) }
    }

    pub(super) async fn flush(&mut self) -> Result<(), Disconnected> {
        while !self.output.is_empty() {
            self.stream.write_buf(&mut self.output).await.map_err(|_| Disconnected)?;
        }
        Ok(())
    }

    pub(super) fn reset(self) {
        self.stream.reset();
    }
}

/// A row whose values are in the format of their columns.
pub(super) fn row(cells: &[Cell]) -> PgWireBackendMessage {
    let mut data = BytesMut::new();
    cells.iter().for_each(|cell| put_cell(&mut data, cell));
    PgWireBackendMessage::DataRow(DataRow::new(data, cells.len() as i16))
}
