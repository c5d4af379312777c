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
    member::Member,
};
use super::{
    backend::{Backend, Notification, secret_of, terminated},
    error::SqlError,
    sql::{Piece, pieces},
    wire::{Gone, Wire},
};
use crate::net::MemStream;

mod execute;
mod extended;
mod member;
mod output;

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
pub(super) enum Stop {
    Error(SqlError),
    Gone,
    Break { reset: bool },
}

struct Session {
    wire: Wire,
    member: Member,
    status: TransactionStatus,
    /// Skip what comes until the next sync.
    failed: bool,
    statements: HashMap<String, Arc<Prepared>>,
    portals: HashMap<String, Portal>,
}

/// Serves a connection until it ends.
pub(super) async fn serve(stream: MemStream, backend: Arc<Backend>) {
    let mut wire = Wire::new(stream);
    let Ok(Some(member)) = start(&mut wire, backend).await else { return };
    let mut session = Session {
        wire,
        member,
        status: TransactionStatus::Idle,
        failed: false,
        statements: HashMap::new(),
        portals: HashMap::new(),
    };
    if let Stop::Break { reset: true } = session.run().await {
        session.wire.reset();
    }
}

/// A member, if the client has come to stay.
async fn start(wire: &mut Wire, backend: Arc<Backend>) -> Result<Option<Member>, Gone> {
    loop {
        match wire.receive().await? {
            PgWireFrontendMessage::SslNegotiation(SslNegotiationMetaMessage::PostgresSsl(_)) => {
                wire.put(&PgWireBackendMessage::SslResponse(SslResponse::Refuse));
            }
            PgWireFrontendMessage::SslNegotiation(_) => {
                wire.put(&PgWireBackendMessage::GssEncResponse(GssEncResponse::Refuse));
            }
            PgWireFrontendMessage::CancelRequest(request) => {
                backend.cancel(request.pid, request.secret_key.as_i32());
                return Ok(None);
            }
            PgWireFrontendMessage::Startup(_) => break,
            _ => return Err(Gone),
        }
        wire.flush().await?;
    }
    let member = match Member::join(backend) {
        Ok(member) => member,
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
    let secret = SecretKey::I32(secret_of(member.pid));
    wire.put(&PgWireBackendMessage::BackendKeyData(BackendKeyData::new(member.pid, secret)));
    wire.put(&PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(TransactionStatus::Idle)));
    wire.flush().await?;
    Ok(Some(member))
}

impl Session {
    async fn run(&mut self) -> Stop {
        loop {
            if let Err(stop) = self.turn().await {
                return stop;
            }
        }
    }

    /// Waits for the next message, or for news, and does what is to be done.
    async fn turn(&mut self) -> Result<(), Stop> {
        let signals = self.member.signals.clone();
        if signals.is_terminated() {
            return self.fail(terminated()).await;
        }
        self.deliver().await?;
        let message = tokio::select! {
            biased;
            message = self.wire.receive() => message?,
            () = signals.told() => return Ok(()),
        };
        match message {
            PgWireFrontendMessage::Query(query) => self.simple(&query.query).await,
            PgWireFrontendMessage::Sync(_) => {
                self.failed = false;
                self.ready().await
            }
            PgWireFrontendMessage::Terminate(_) => Err(Stop::Gone),
            _ if self.failed => Ok(()),
            message => match self.extended(message).await {
                Err(Stop::Error(error)) => {
                    self.failed = true;
                    self.fail(error).await
                }
                result => result,
            },
        }
    }

    /// Sends the notifications that have come, outside of transactions.
    async fn deliver(&mut self) -> Result<(), Stop> {
        if self.status != TransactionStatus::Idle {
            return Ok(());
        }
        let notifications = self.member.signals.notifications();
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
    async fn simple(&mut self, sql: &str) -> Result<(), Stop> {
        let pieces = pieces(sql);
        if pieces.is_empty() {
            self.wire.put(&PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()));
        }
        for piece in &pieces {
            match self.simple_piece(piece).await {
                Err(Stop::Error(error)) => {
                    self.fail(error).await?;
                    break;
                }
                result => result?,
            }
        }
        self.ready().await
    }

    async fn simple_piece(&mut self, piece: &Piece) -> Result<(), Stop> {
        let number = self.member.begin(&piece.text, Vec::new());
        let signals = self.member.signals.clone();
        let result = tokio::select! {
            biased;
            error = signals.interrupted() => Err(Stop::Error(error)),
            result = self.simple_answer(piece, number) => result,
        };
        self.member.settle(number, &result);
        result.map(drop)
    }

    /// Answers a statement in full; the tag.
    async fn simple_answer(&mut self, piece: &Piece, number: usize) -> Result<Option<String>, Stop> {
        let mut output = self.answer(piece, &[], None, number).await?;
        let formats = vec![false; output.columns()];
        if let Some(description) = output.description(&formats) {
            self.wire.put(&PgWireBackendMessage::RowDescription(description));
        }
        output.send(&mut self.wire, &formats, 0).await
    }

    /// The end of what was asked: outside of a transaction, its changes stand.
    async fn ready(&mut self) -> Result<(), Stop> {
        if self.status == TransactionStatus::Idle {
            self.commit();
        }
        self.deliver().await?;
        self.wire.put(&PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(self.status)));
        Ok(self.wire.flush().await?)
    }

    /// Reports an error, and ends what it ends.
    async fn fail(&mut self, error: SqlError) -> Result<(), Stop> {
        self.wire.put(&PgWireBackendMessage::ErrorResponse(error.response()));
        if error.fatal {
            self.wire.flush().await?;
            return Err(Stop::Gone);
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
        self.member.commit();
    }

    fn roll_back(&mut self) {
        self.status = TransactionStatus::Idle;
        self.portals.clear();
        self.member.roll_back();
    }
}

impl From<Gone> for Stop {
    fn from(Gone: Gone) -> Self {
        Stop::Gone
    }
}

impl From<SqlError> for Stop {
    fn from(error: SqlError) -> Self {
        Stop::Error(error)
    }
}
