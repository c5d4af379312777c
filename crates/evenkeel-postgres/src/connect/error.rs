//! The error of an attempt to connect, with the failure of each host.

use std::{
    error::Error as StdError,
    fmt,
    io::{
        self,
        ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, InvalidData,
            NetworkUnreachable, NotFound, PermissionDenied, TimedOut, UnexpectedEof,
        },
    },
    sync::Arc,
    time::Duration,
};

use evenkeel_base::error_chain;
use tokio_postgres::error::{DbError, SqlState};

use crate::{
    sqlstate::{io_error, is_idle_timeout},
    tls::error::TlsError,
};

/// A connection could not be made: the failure of each host that was tried.
///
/// The text names every host. The [`source`](StdError::source) is the error of the first server that sent one, or else
/// the failure of the last host. The text has the failures of the other hosts, and names that one last.
///
/// # Examples
///
/// ```no_run
/// use evenkeel_postgres::{Database, Error, GetError};
///
/// # async fn example() {
/// match Database::connect("postgres://app@db1,db2/app").await {
///     Err(Error::Get(GetError::Create(error))) => {
///         for failure in &error.hosts {
///             println!("{}: {failure}", failure.host);
///         }
///     }
///     other => drop(other),
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectError {
    /// One for each address that was tried, in the order of the configuration; there is at least one. An address that was
    /// tried with TLS and without it, by `sslmode=prefer` or `allow`, has two.
    pub hosts: Vec<HostError>,
}

/// The failure of one address of a host.
///
/// # Examples
///
/// ```no_run
/// # fn example(error: evenkeel_postgres::HostError) {
/// println!("{}: {error}", error.host); // db1 (10.0.0.7:5432): no answer within 5s
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostError {
    /// The name of the host, and its address where it is known.
    pub host: String,
    reason: Arc<ConnectReason>,
}

#[derive(Debug)]
pub(crate) enum ConnectReason {
    /// The name has no address.
    Lookup(io::Error),
    /// The client has failed.
    Client(tokio_postgres::Error),
    /// There was no answer within this time.
    NoAnswer(Duration),
    /// The settings for TLS cannot be used.
    Tls(TlsError),
}

impl ConnectReason {
    /// Whether the server refuses the login, or a pooler the link, in a way that may be due to its encryption.
    ///
    /// A wrong password is not: it is not sent again with less protection.
    pub(super) fn is_refusal(&self) -> bool {
        let Self::Client(error) = self else { return false };
        match error.as_db_error() {
            Some(error) => [SqlState::INVALID_AUTHORIZATION_SPECIFICATION, SqlState::PROTOCOL_VIOLATION]
                .contains(error.code()),
            // An alert of TLS: the server looks at the certificate of the client when the handshake is over here.
            None => io_error(error).is_some_and(|error| error.kind() == InvalidData),
        }
    }

    /// Whether the other side ended the link without a word.
    pub(super) fn is_hang_up(&self) -> bool {
        let Self::Client(error) = self else { return false };
        error.is_closed()
            || io_error(error).is_some_and(|error| {
                matches!(error.kind(), ConnectionAborted | ConnectionReset | UnexpectedEof)
            })
    }
}

impl ConnectError {
    /// The error that a server sent, if one was reached.
    #[must_use]
    pub fn db(&self) -> Option<&DbError> {
        self.hosts.iter().find_map(HostError::db)
    }

    /// The index of the host whose failure is the source.
    fn telling(&self) -> Option<usize> {
        let last = self.hosts.len().checked_sub(1);
        self.hosts.iter().position(|host| host.db().is_some()).or(last)
    }

    /// Whether one of the hosts may well accept a connection in a moment.
    pub(crate) fn is_transient(&self) -> bool {
        self.hosts.iter().any(HostError::is_transient)
    }
}

impl HostError {
    pub(crate) fn new(host: String, reason: ConnectReason) -> Self {
        Self { host, reason: Arc::new(reason) }
    }

    /// Returns the texts of the failure and its causes.
    pub(crate) fn chain(&self) -> String {
        error_chain(self)
    }

    /// The failure itself, if there is an error of it.
    fn failure(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.reason {
            ConnectReason::Lookup(error) => Some(error),
            ConnectReason::Client(error) => Some(error),
            ConnectReason::NoAnswer(_) => None,
            ConnectReason::Tls(error) => Some(error),
        }
    }

    fn db(&self) -> Option<&DbError> {
        let ConnectReason::Client(error) = &*self.reason else { return None };
        error.as_db_error()
    }

    fn is_transient(&self) -> bool {
        match &*self.reason {
            ConnectReason::Lookup(error) => is_network(error),
            ConnectReason::Client(error) => is_transient(error),
            ConnectReason::NoAnswer(_) => true,
            ConnectReason::Tls(_) => false,
        }
    }
}

/// Whether the host may well accept a connection in a moment: the server starts or stops, has no connection left, or is
/// not there yet.
fn is_transient(error: &tokio_postgres::Error) -> bool {
    match (error.as_db_error(), io_error(error)) {
        (Some(error), _) => {
            [
                SqlState::CANNOT_CONNECT_NOW,
                SqlState::TOO_MANY_CONNECTIONS,
                SqlState::ADMIN_SHUTDOWN,
                SqlState::CRASH_SHUTDOWN,
                SqlState::CONNECTION_EXCEPTION,
                SqlState::SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
                SqlState::CONNECTION_DOES_NOT_EXIST,
                SqlState::CONNECTION_FAILURE,
            ]
            .contains(error.code())
                || is_idle_timeout(error.code())
                || is_pooler_busy(error)
        }
        (None, Some(error)) => is_network(error),
        (None, None) => error.is_closed(),
    }
}

/// Whether a pooler has no connection, or no server, at this moment.
///
/// PgBouncer has one code for nearly all of its errors. It sends them untranslated, and without the field for the severity
/// that PostgreSQL sends since 9.6. Its errors that do not pass are about names, rights and settings.
fn is_pooler_busy(error: &DbError) -> bool {
    let for_good = [
        "no such",
        "auth",
        "password",
        "not allowed",
        "unsupported",
        "invalid",
        "rejected",
        "config",
        "SSL",
        "TLS",
    ];
    *error.code() == SqlState::PROTOCOL_VIOLATION
        && error.parsed_severity().is_none()
        && !for_good.iter().any(|words| error.message().contains(words))
}

/// Whether the failure of the network or the resolver, or the role of the server, may pass in a moment.
fn is_network(error: &io::Error) -> bool {
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionRefused | ConnectionReset | HostUnreachable
        | NetworkUnreachable | TimedOut | UnexpectedEof => true,
        // The client reports this kind for a server whose role is not that of `target_session_attrs`. The same kind of
        // error from the operating system has a number.
        PermissionDenied => error.raw_os_error().is_none(),
        // A server that stops takes its Unix socket away. A name without an address has no number.
        NotFound => error.raw_os_error().is_some(),
        // `EAI_AGAIN` has neither a number nor a kind in the standard library, only the text of the C library.
        _ => {
            let text = error.to_string().to_lowercase();
            TRY_AGAIN.iter().any(|again| text.ends_with(again))
                || (cfg!(windows) && error.raw_os_error() == Some(WSATRY_AGAIN))
        }
    }
}

const TRY_AGAIN: [&str; 3] =
    ["temporary failure in name resolution", "try again", "could not be resolved at this time"];

/// The same error on Windows.
const WSATRY_AGAIN: i32 = 11_002;

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut begin = "no connection to ";
        let telling = self.telling();
        let others = self.hosts.iter().enumerate().filter(|(at, _)| Some(*at) != telling);
        for (_, one) in others {
            write!(f, "{begin}{}: {}", one.host, one.chain())?;
            begin = "; nor to ";
        }
        // Its failure is the source, if there is an error of it, and follows in a chain.
        match telling.map(|at| &self.hosts[at]) {
            Some(one) if one.failure().is_some() => write!(f, "{begin}{}", one.host),
            Some(one) => write!(f, "{begin}{}: {one}", one.host),
            None => Ok(()),
        }
    }
}

impl StdError for ConnectError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.hosts[self.telling()?].failure()
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.reason {
            ConnectReason::Lookup(error) => error.fmt(f),
            ConnectReason::Client(error) => error.fmt(f),
            ConnectReason::NoAnswer(time) => write!(f, "no answer within {time:?}"),
            ConnectReason::Tls(error) => error.fmt(f),
        }
    }
}

/// The text is that of the failure itself, and so is the source.
impl StdError for HostError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.failure()?.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(text: &str) -> HostError {
        let error = io::Error::other(format!("failed to lookup address information: {text}"));
        HostError::new("db1:5432".to_owned(), ConnectReason::Lookup(error))
    }

    fn silence(host: &str) -> HostError {
        HostError::new(host.to_owned(), ConnectReason::NoAnswer(Duration::from_secs(5)))
    }

    #[test]
    fn a_resolver_may_have_an_answer_later() {
        for text in
            ["Temporary failure in name resolution", "Try again", "Name could not be resolved at this time"]
        {
            assert!(lookup(text).is_transient(), "{text}");
        }
        for text in ["Name or service not known", "No address associated with hostname"] {
            assert!(!lookup(text).is_transient(), "{text}");
        }
    }

    #[test]
    fn the_text_has_all_hosts_and_what_passes_at_one_of_them_passes() {
        let one = ConnectError { hosts: vec![silence("db1 (10.0.0.1:5432)")] };
        assert_eq!(one.to_string(), "no connection to db1 (10.0.0.1:5432): no answer within 5s");
        assert!(one.source().is_none() && one.is_transient());

        let both = ConnectError { hosts: vec![silence("db1"), lookup("Name or service not known")] };
        assert_eq!(both.to_string(), "no connection to db1: no answer within 5s; nor to db1:5432");
        let whole = "no connection to db1: no answer within 5s; nor to db1:5432: failed to lookup address information: \
                     Name or service not known";
        assert_eq!(error_chain(&both), whole);
        assert!(both.source().unwrap().is::<io::Error>() && both.is_transient() && both.db().is_none());
        assert!(!ConnectError { hosts: vec![lookup("Name or service not known")] }.is_transient());
    }
}
