//! One connection, from its start to its end.

use std::{collections::HashMap, sync::Arc};

use pgwire::messages::{
    PgWireBackendMessage, PgWireFrontendMessage, SslNegotiationMetaMessage,
    response::{
        EmptyQueryResponse, GssEncResponse, NotificationResponse, ReadyForQuery, SslResponse,
        TransactionStatus,
    },
    startup::{Authentication, BackendKeyData, ParameterStatus, SecretKey},
};

use self::{
    extended::{Portal, Prepared},
    state::SessionState,
};
use super::{
    error::SqlError,
    shared::{Notification, Shared, secret_of, terminated},
    sql::{RawStatement, split_statements},
    wire::{Disconnected, Wire},
};
use evenkeel_testkit::net::MemStream;

mod execute;
mod extended;
mod output;
mod state;

/// What clients ask about a server when they connect.
const PARAMETERS: [(&str, &str); 6] = [
    ("server_version", "17.0"),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("TimeZone", "UTC"),
    ("standard_conforming_strings", "on"),
];

/// Why a connection, or a statement, does not go on.
#[derive(Debug)]
pub(super) enum Interrupt {
    Error(SqlError),
    Disconnected,
    Break { reset: bool },
}

struct Session {
    wire: Wire,
    state: SessionState,
    status: TransactionStatus,
    /// Skip what comes until the next sync.
    failed: bool,
    statements: HashMap<String, Arc<Prepared>>,
    portals: HashMap<String, Portal>,
}

/// Serves a connection until it ends.
pub(super) async fn serve(stream: MemStream, shared: Arc<Shared>) {
    let mut wire = Wire::new(stream);
    let Ok(Some(state)) = start(&mut wire, shared).await else { return };
    let mut session = Session {
        wire,
        state,
        status: TransactionStatus::Idle,
        failed: false,
        statements: HashMap::new(),
        portals: HashMap::new(),
    };
    if let Interrupt::Break { reset: true } = session.run().await {
        session.wire.reset();
    }
}

/// A state, if the client has come to stay.
async fn start(wire: &mut Wire, shared: Arc<Shared>) -> Result<Option<SessionState>, Disconnected> {
    loop {
        match wire.receive().await? {
            PgWireFrontendMessage::SslNegotiation(SslNegotiationMetaMessage::PostgresSsl(_)) => {
                wire.put(&PgWireBackendMessage::SslResponse(SslResponse::Refuse));
            }
            PgWireFrontendMessage::SslNegotiation(_) => {
                wire.put(&PgWireBackendMessage::GssEncResponse(GssEncResponse::Refuse));
            }
            PgWireFrontendMessage::CancelRequest(request) => {
                shared.cancel(request.pid, request.secret_key.as_i32());
                return Ok(None);
            }
            PgWireFrontendMessage::Startup(_) => break,
            _ => return Err(Disconnected),
        }
        wire.flush().await?;
    }
    let state = match SessionState::open(shared) {
        Ok(state) => state,
        Err(error) => {
            wire.put(&PgWireBackendMessage::ErrorResponse(error.response()));
            wire.flush().await?;
            return Ok(None);
        }
    };
    wire.started();
    wire.put(&PgWireBackendMessage::Authentication(Authentication::Ok));
    for (name, value) in PARAMETERS {
        let status = ParameterStatus::new(name.to_owned(), value.to_owned());
        wire.put(&PgWireBackendMessage::ParameterStatus(status));
    }
    let secret = SecretKey::I32(secret_of(state.pid));
    wire.put(&PgWireBackendMessage::BackendKeyData(BackendKeyData::new(state.pid, secret)));
    wire.put(&PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(TransactionStatus::Idle)));
    wire.flush().await?;
    Ok(Some(state))
}

impl Session {
    async fn run(&mut self) -> Interrupt {
        loop {
            if let Err(stop) = self.turn().await {
                return stop;
            }
        }
    }

    /// Waits for the next message, or for news, and does what is to be done.
    async fn turn(&mut self) -> Result<(), Interrupt> {
        let signals = self.state.signals.clone();
        if signals.is_terminated() {
            return self.fail(terminated()).await;
        }
        self.deliver().await?;
        let message = tokio::select! {
            biased;
            message = self.wire.receive() => message?,
            () = signals.changed() => return Ok(()),
        };
        match message {
            PgWireFrontendMessage::Query(query) => self.simple(&query.query).await,
            PgWireFrontendMessage::Sync(_) => {
                self.failed = false;
                self.ready().await
            }
            PgWireFrontendMessage::Terminate(_) => Err(Interrupt::Disconnected),
            _ if self.failed => Ok(()),
            message => match self.extended(message).await {
                Err(Interrupt::Error(error)) => {
                    self.failed = true;
                    self.fail(error).await
                }
                result => result,
            },
        }
    }

    /// Sends the notifications that have come, outside of transactions.
    async fn deliver(&mut self) -> Result<(), Interrupt> {
        if self.status != TransactionStatus::Idle {
            return Ok(());
        }
        let notifications = self.state.signals.notifications();
        if notifications.is_empty() {
            return Ok(());
        }
        for Notification { pid, channel, payload } in notifications {
            let message = NotificationResponse::new(pid, channel, payload);
            self.wire.put(&PgWireBackendMessage::NotificationResponse(message));
        }
        Ok(self.wire.flush().await?)
    }

    /// A simple query: statements that are one transaction, unless they say otherwise.
    async fn simple(&mut self, sql: &str) -> Result<(), Interrupt> {
        let statements = split_statements(sql);
        if statements.is_empty() {
            self.wire.put(&PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()));
        }
        for raw in &statements {
            match self.run_simple(raw).await {
                Err(Interrupt::Error(error)) => {
                    self.fail(error).await?;
                    break;
                }
                result => result?,
            }
        }
        self.ready().await
    }

    async fn run_simple(&mut self, raw: &RawStatement) -> Result<(), Interrupt> {
        let number = self.state.begin(&raw.text, Vec::new());
        let signals = self.state.signals.clone();
        let result = tokio::select! {
            biased;
            error = signals.interrupted() => Err(Interrupt::Error(error)),
            result = self.simple_answer(raw, number) => result,
        };
        self.state.settle(number, &result);
        result.map(drop)
    }

    /// Answers a statement in full; the tag.
    async fn simple_answer(
        &mut self,
        raw: &RawStatement,
        number: usize,
    ) -> Result<Option<String>, Interrupt> {
        let mut output = self.answer(raw, &[], None, number).await?;
        let formats = vec![false; output.columns()];
        if let Some(description) = output.description(&formats) {
            self.wire.put(&PgWireBackendMessage::RowDescription(description));
        }
        output.send(&mut self.wire, &formats, 0).await
    }

    /// The end of what was asked: outside of a transaction, its changes stand.
    async fn ready(&mut self) -> Result<(), Interrupt> {
        if self.status == TransactionStatus::Idle {
            self.commit();
        }
        self.deliver().await?;
        self.wire.put(&PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(self.status)));
        Ok(self.wire.flush().await?)
    }

    /// Reports an error, and ends what it ends.
    async fn fail(&mut self, error: SqlError) -> Result<(), Interrupt> {
        self.wire.put(&PgWireBackendMessage::ErrorResponse(error.response()));
        if error.fatal {
            self.wire.flush().await?;
            return Err(Interrupt::Disconnected);
        }
        match self.status {
            TransactionStatus::Idle => self.roll_back(),
            _ => self.status = TransactionStatus::Error,
        }
        Ok(())
    }

    fn commit(&mut self) {
        self.status = TransactionStatus::Idle;
        self.portals.clear();
        self.state.commit();
    }

    fn roll_back(&mut self) {
        self.status = TransactionStatus::Idle;
        self.portals.clear();
        self.state.roll_back();
    }
}

impl From<Disconnected> for Interrupt {
    fn from(Disconnected: Disconnected) -> Self {
        Interrupt::Disconnected
    }
}

impl From<SqlError> for Interrupt {
    fn from(error: SqlError) -> Self {
        Interrupt::Error(error)
    }
}
