//! The location of the store: the `--store` of the command line.

use std::{
    env, fmt, fs,
    path::{self, PathBuf},
    str::FromStr,
};

use command_line::no_such_store;
use evenkeel::postgres::tokio_postgres::Config;
use reqwest::Url;

/// The schema of the tables in a PostgreSQL database, unless its address sets a search path.
pub(super) const SCHEMA: &str = "crawl";

const POSTGRES: [&str; 2] = ["postgres://", "postgresql://"];

/// The value of `--store`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Choice {
    /// A file in the cache directory of the user.
    Auto,
    Named(Location),
}

impl Choice {
    pub(crate) fn locate(&self) -> Location {
        match self {
            Self::Auto => Location::default_of_user(),
            Self::Named(location) => location.clone(),
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::Named) }
    }
}

/// The location of a database.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Location {
    Sqlite(PathBuf),
    Postgres { url: Url, config: Box<Config> },
}

impl Location {
    /// Returns a file in the first usual directory that can be created.
    fn default_of_user() -> Self {
        let caches = [
            env::var_os("XDG_CACHE_HOME").map(PathBuf::from),
            env::home_dir().map(|home| home.join(".cache")),
        ];
        let dirs =
            caches.into_iter().flatten().filter(|dir| dir.is_absolute()).map(|dir| dir.join("evenkeel"));
        let dir = dirs.chain(["target".into()]).find(|dir| fs::create_dir_all(dir).is_ok());
        Self::Sqlite(dir.unwrap_or_default().join("crawl.sqlite"))
    }
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |reason: String| format!("it is no address of a PostgreSQL database: {reason}");
        if POSTGRES.iter().any(|scheme| text.starts_with(scheme)) {
            let url = Url::parse(text).map_err(|error| bad(error.to_string()))?;
            let config = text.parse().map_err(|error| bad(chain(&error)))?;
            return Ok(Self::Postgres { url, config: Box::new(config) });
        }
        match text.split_once(':') {
            Some(("sqlite", file)) if !file.is_empty() => Ok(Self::Sqlite(file.into())),
            Some(("postgres", url)) if url.starts_with("postgres") => url.parse(),
            _ => Err(no_such_store(text, "auto, sqlite:PATH or postgres:URL")),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => {
                write!(f, "sqlite:{}", path::absolute(file).as_ref().unwrap_or(file).display())
            }
            Self::Postgres { url, config } => {
                // The query may have a password, too.
                let mut shown = url.clone();
                // This fails only without a host, where there is no password.
                let _ = shown.set_password(None);
                shown.set_query(None);
                f.write_str(shown.as_str())?;
                if sets_search_path(config) { Ok(()) } else { write!(f, ", schema {SCHEMA}") }
            }
        }
    }
}

/// Whether the address sets the schema of the tables.
pub(super) fn sets_search_path(config: &Config) -> bool {
    config.get_options().is_some_and(|options| options.contains("search_path"))
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let errors = std::iter::successors(Some(error), |error| error.source());
    errors.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_file_or_an_address() {
        assert_eq!("sqlite:a b.db".parse(), Ok(Location::Sqlite("a b.db".into())));
        for text in ["postgres://u@h/d", "postgresql://u@h/d", "postgres:postgres://u@h/d"] {
            assert!(matches!(text.parse(), Ok(Location::Postgres { .. })), "{text}");
        }
        for bad in
            ["", "a.db", "sqlite:", "postgres:", "postgres:x", "postgres:mysql://h/d", "mysql://h", "auto"]
        {
            assert!(bad.parse::<Location>().is_err(), "{bad}");
        }
        assert_eq!("auto".parse(), Ok(Choice::Auto));
    }

    #[test]
    fn a_password_is_not_shown() {
        for secret in ["postgres://u:secret@h:5433/d", "postgresql://u@h/d?password=secret"] {
            let shown = secret.parse::<Location>().unwrap().to_string();
            assert!(!shown.contains("secret") && shown.contains("u@h"), "{shown}");
        }
    }
}
