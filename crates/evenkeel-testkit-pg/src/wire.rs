//! Messages over a stream.

use bytes::{BufMut, BytesMut};
use pgwire::messages::{
    DecodeContext, PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion, SslNegotiationMetaMessage,
    data::DataRow,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::value::Cell;
use evenkeel_testkit::net::MemStream;

/// How much may wait to be sent before a row waits for the client.
const HIGH_WATER: usize = 16 * 1024;

/// The server's side of a connection.
///
/// All that waits is cancel safe: whole messages stay in its buffers.
#[derive(Debug)]
pub(super) struct Wire {
    stream: MemStream,
    input: BytesMut,
    output: BytesMut,
    context: DecodeContext,
}

/// The client is gone, or does not speak the protocol.
#[derive(Debug)]
pub(super) struct Disconnected;

impl Wire {
    pub(super) fn new(stream: MemStream) -> Self {
        let context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
        Wire { stream, input: BytesMut::new(), output: BytesMut::new(), context }
    }

    /// The next message.
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

    /// From here on the client sends messages with a type.
    pub(super) fn started(&mut self) {
        self.context.awaiting_frontend_startup = false;
    }

    /// Sends a message with the next flush.
    pub(super) fn put(&mut self, message: &PgWireBackendMessage) {
        message.encode(&mut self.output).expect("a message of ours is not too large");
    }

    /// Sends a row; its values are in the format of their columns.
    pub(super) async fn row(&mut self, cells: Vec<Cell>) -> Result<(), Disconnected> {
        let mut data = BytesMut::new();
        for cell in &cells {
            match cell {
                Some(bytes) => {
                    data.put_i32(bytes.len() as i32);
                    data.put_slice(bytes);
                }
                None => data.put_i32(-1),
            }
        }
        self.put(&PgWireBackendMessage::DataRow(DataRow::new(data, cells.len() as i16)));
        self.relieve().await
    }

    /// Waits for the client if too much waits to be sent.
    pub(super) async fn relieve(&mut self) -> Result<(), Disconnected> {
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
