//! The value of `--queue`.

use std::{fmt, str::FromStr};

use command_line::no_such_store;
#[cfg(feature = "queue")]
use reqwest::Url;

use crate::store;
#[cfg(feature = "queue")]
use crate::{link, store::Location};

/// The reason why a server cannot be used.
pub(crate) const NOT_BUILT: &str =
    "this program was built without servers that processes share: build it with --features queue";

/// The values of the flag.
const CHOICES: &str = "memory, postgres:URL or nats://host:port";

/// The queue that a harvest uses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Choice {
    /// A queue in this process, with any store.
    Memory,
    /// A queue in the database of the store.
    #[cfg(feature = "queue")]
    Postgres(Location),
    /// A stream of a NATS server, beside a store in PostgreSQL.
    #[cfg(feature = "queue")]
    Nats(Url),
}

impl Choice {
    /// Returns the store for this queue: where the flag says, if it may.
    #[cfg_attr(
        not(feature = "queue"),
        expect(clippy::unnecessary_wraps, reason = "other queues refuse some stores")
    )]
    pub(crate) fn store(&self, flag: Option<store::Choice>) -> Result<store::Choice, String> {
        match self {
            Self::Memory => Ok(flag.unwrap_or(store::Choice::Auto)),
            #[cfg(feature = "queue")]
            Self::Postgres(location) => match flag {
                None => Ok(store::Choice::Named(location.clone())),
                Some(store::Choice::Named(store)) if store == *location => Ok(store::Choice::Named(store)),
                Some(_) => Err("a queue in PostgreSQL is in the database of the store, so that a page and the jobs that \
                                it leads to are one transaction: give --store the same address, or leave it out"
                    .into()),
            },
            #[cfg(feature = "queue")]
            Self::Nats(_) => match flag {
                Some(store @ (store::Choice::Environment | store::Choice::Named(Location::Postgres { .. }))) => {
                    Ok(store)
                }
                _ => Err("processes that share a queue share a store: give --store postgres:URL".into()),
            },
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    #[cfg(feature = "queue")]
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "memory" {
            return Ok(Self::Memory);
        }
        if text.starts_with("postgres") {
            return text.parse().map(Self::Postgres);
        }
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "nats" | "tls") && url.has_host() => Ok(Self::Nats(url)),
            _ => Err(no_such_store(text, CHOICES)),
        }
    }

    #[cfg(not(feature = "queue"))]
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "memory" => Ok(Self::Memory),
            Some(("postgres" | "postgresql" | "nats" | "tls", _)) => Err(NOT_BUILT.into()),
            _ => Err(no_such_store(text, CHOICES)),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("in memory"),
            #[cfg(feature = "queue")]
            Self::Postgres(_) => f.write_str("in the database of the store"),
            #[cfg(feature = "queue")]
            Self::Nats(url) => f.write_str(&link::without_password(url)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(queue: &str, store: Option<&str>) -> Result<store::Choice, String> {
        queue.parse::<Choice>()?.store(store.map(|store| store.parse().unwrap()))
    }

    #[test]
    fn a_queue_in_memory_goes_with_any_store() {
        assert_eq!(store("memory", None), Ok(store::Choice::Auto));
        for name in ["sqlite:a", "postgres://h/d", "env"] {
            assert_eq!(store("memory", Some(name)), Ok(name.parse().unwrap()));
        }
    }

    #[cfg(not(feature = "queue"))]
    #[test]
    fn servers_are_named_that_were_not_built_in() {
        for queue in ["postgres://h/d", "postgres:postgres://h/d", "nats://h"] {
            assert_eq!(store(queue, None), Err(NOT_BUILT.into()));
        }
    }

    #[cfg(feature = "queue")]
    #[test]
    fn several_processes_share_the_store_too() {
        let database = "postgres://u@h/d";
        assert_eq!(store(database, None), Ok(database.parse().unwrap()));
        assert_eq!(store(database, Some(database)), Ok(database.parse().unwrap()));
        assert_eq!(store("nats://h:4222", Some(database)), Ok(database.parse().unwrap()));
        assert_eq!(store("nats://h", Some("env")), Ok(store::Choice::Environment));
        for (queue, other) in [
            (database, Some("postgres://u@h/e")),
            (database, Some("sqlite:a")),
            (database, Some("env")),
            ("nats://h", None),
            ("nats://h", Some("sqlite:a")),
        ] {
            assert!(store(queue, other).is_err(), "{queue} {other:?}");
        }
        for bad in ["", "mem", "memory:7", "nats:", "nats://", "redis://h", "postgres", "http://h"] {
            assert!(bad.parse::<Choice>().is_err(), "{bad}");
        }
        assert_eq!("nats://u:secret@h:4222".parse::<Choice>().unwrap().to_string(), "nats://u@h:4222");
    }
}
