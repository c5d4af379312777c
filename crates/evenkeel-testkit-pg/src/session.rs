//! A session: one connection, from its start-up to its end.
//!
//! # How it works
//!
//! [`Session::next_event`] waits for a message of the client or for a signal. Each message of the simple or extended
//! protocol runs to its end before the next is read; a statement is raced against
//! [`Signals::interrupted`](super::shared::Signals::interrupted), so that a cancel request ends it at any await. Nothing
//! is half done at an await: changes of the tables happen at once, with their undo log, before a statement sleeps.
//!
//! A transaction is an undo log. Outside of a `begin` block it is committed at the next `ReadyForQuery`, and rolled
//! back by an error. After an error in a block, all statements but its end fail. After an error of the extended
//! protocol, messages are skipped until the next sync.

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
    output::put,
    state::SessionState,
};
use super::{
    error::SqlError,
    fault::ReplyFault,
    shared::{Notification, Shared, secret_of, terminated},
    sql::{RawStatement, split_statements},
    wire::{Disconnected, Wire},
};
use evenkeel_testkit::net::MemStream;

mod execute;
mod extended;
mod output;
mod state;

/// The parameters that a server reports at start-up.
const PARAMETERS: [(&str, &str); 6] = [
    ("server_version", "17.0"),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("TimeZone", "UTC"),
    ("standard_conforming_strings", "on"),
];

/// The reason for which a statement, or a connection, ends early.
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
    /// Whether messages are skipped until the next sync.
    failed: bool,
    /// The fault of the statement's `ReadyForQuery`.
    at_ready: Option<ReplyFault>,
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
        at_ready: None,
        statements: HashMap::new(),
        portals: HashMap::new(),
    };
    if let Interrupt::Break { reset: true } = session.run().await {
        session.wire.reset();
    }
}

/// Performs the start-up; returns `None` if it was a cancel request, or was rejected.
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
            if let Err(stop) = self.next_event().await {
                return stop;
            }
        }
    }

    /// Waits for the next message or signal, and handles it.
    async fn next_event(&mut self) -> Result<(), Interrupt> {
        let signals = self.state.signals.clone();
        if signals.is_terminated() {
            return self.fail(terminated()).await;
        }
        self.send_notifications().await?;
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

    /// Sends pending notifications, outside of transactions.
    async fn send_notifications(&mut self) -> Result<(), Interrupt> {
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

    /// Runs a simple query: its statements are one transaction, unless they begin or end one.
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
        self.state.set_outcome(number, &result);
        result.map(drop)
    }

    /// Answers a statement with all its rows, and returns the command tag.
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

    /// Sends `ReadyForQuery`; outside of a `begin` block, commits first.
    async fn ready(&mut self) -> Result<(), Interrupt> {
        let mut fault = self.at_ready.take();
        if let Some(error) = fault.and_then(ReplyFault::error) {
            fault = None;
            self.fail(error).await?;
        }
        if self.status == TransactionStatus::Idle {
            self.commit();
        }
        self.send_notifications().await?;
        let ready = PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(self.status));
        if fault == Some(ReplyFault::Stall) {
            return self.stall().await;
        }
        put(&mut self.wire, &ready, fault).await?;
        Ok(self.wire.flush().await?)
    }

    /// Answers nothing any more, until the client disconnects or the server ends the session.
    async fn stall(&mut self) -> Result<(), Interrupt> {
        self.wire.flush().await?;
        let signals = self.state.signals.clone();
        let disconnected = async {
            loop {
                if let Err(disconnected) = self.wire.receive().await {
                    return disconnected;
                }
            }
        };
        tokio::select! {
            biased;
            () = signals.terminated() => {}
            disconnected = disconnected => return Err(disconnected.into()),
        }
        self.fail(terminated()).await
    }

    /// Reports an error, and ends the connection or the transaction.
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
