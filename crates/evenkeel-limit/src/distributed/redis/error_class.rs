//! Classes of errors of Redis: the consequence of each for the connection, the call and the configuration.

use std::{error::Error, io, sync::Arc};

use redis::{ErrorKind, RedisError, RetryMethod};

use crate::distributed::store::Take;

/// The consequence of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorClass {
    /// The connection is gone or unreliable; it is not known whether the server ran the call.
    ConnectionLost,
    /// The server is a replica and did not run the call: another connection may lead to the primary.
    WrongServer,
    /// The key is on another server of a cluster: a mistake, unless the key has moved and the name leads there by now.
    Redirected,
    /// The server refuses this user, or is the wrong server: a mistake, unless it has worked before.
    Refused,
    /// A mistake that does not pass by itself.
    Configuration,
    /// A failure that may pass; the connection is sound.
    Passing,
}

/// Texts, in lower case, of errors with the code `ERR`: from inside of a script, and from older servers.
const MISTAKES: [&str; 12] = [
    "acl failure in script",
    "the user executing the script can't",
    "no permissions",
    "unknown command",
    "unknown subcommand",
    "wrong number of arguments",
    "refused to switch database",
    "db index is out of range",
    "select is not allowed",
    "error compiling script",
    "wrongtype",
    "something else than a bucket",
];

impl ErrorClass {
    pub(super) fn of(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Io => Self::of_io(error),
            // A failed TLS handshake of native-tls has the kind `Client`.
            ErrorKind::Parse | ErrorKind::AuthenticationFailed | ErrorKind::Client => Self::Refused,
            ErrorKind::InvalidClientConfig
            | ErrorKind::UnexpectedReturnType
            | ErrorKind::RESP3NotSupported => Self::Configuration,
            _ => Self::of_code(error.code().unwrap_or("ERR"), error),
        }
    }

    fn of_io(error: &RedisError) -> Self {
        if error.is_timeout() {
            return Self::Passing;
        }
        match error.retry_method() {
            // A socket that this process may not open.
            RetryMethod::NoRetry => Self::Refused,
            // A certificate that is not trusted, or no TLS at all.
            _ if is_invalid_data(error) => Self::Refused,
            _ => Self::ConnectionLost,
        }
    }

    fn of_code(code: &str, error: &RedisError) -> Self {
        match code {
            "READONLY" | "MASTERDOWN" => Self::WrongServer,
            "MOVED" => Self::Redirected,
            "NOAUTH" | "WRONGPASS" | "DENIED" => Self::Refused,
            "NOPERM" | "WRONGTYPE" | "NOPROTO" | "CROSSSLOT" => Self::Configuration,
            "ERR" => Self::of_text(&error.to_string().to_ascii_lowercase()),
            _ => Self::Passing,
        }
    }

    /// Redis up to 6.2 reports an error inside of a script as `ERR Error running script …`.
    fn of_text(text: &str) -> Self {
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
        if says(&MISTAKES) {
            Self::Configuration
        } else if says(&["read only replica", "read only slave", "link with master is down"]) {
            Self::WrongServer
        } else if says(&["invalid password", "without any password configured", "no password is set"]) {
            Self::Refused
        } else if says(&["max number of clients"]) {
            // The server hangs up after it.
            Self::ConnectionLost
        } else {
            Self::Passing
        }
    }

    /// Whether further calls on the same connection are of no use.
    pub(super) fn ends_connection(self) -> bool {
        matches!(self, Self::ConnectionLost | Self::WrongServer | Self::Redirected | Self::Refused)
    }

    /// Whether the call may run again, on another connection.
    pub(super) fn is_repeated(self) -> bool {
        matches!(self, Self::ConnectionLost | Self::WrongServer | Self::Redirected)
    }

    /// Returns the call to repeat. Permits that it may have returned already are lost: they must not be returned twice.
    pub(super) fn repetition(self, take: Take<'_>) -> Take<'_> {
        let returned = if self == Self::ConnectionLost { 0 } else { take.returned };
        Take { returned, ..take }
    }
}

fn is_invalid_data(error: &RedisError) -> bool {
    let shared = error.source().and_then(|source| source.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    let io = shared.and_then(|shared| shared.downcast_ref::<io::Error>());
    io.is_some_and(|io| io.kind() == io::ErrorKind::InvalidData)
}

#[cfg(test)]
mod tests;
