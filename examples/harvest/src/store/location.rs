//! Where the store is: the `--store` of the command line.

use std::{env, fmt, fs, path::PathBuf, str::FromStr};

use evenkeel::postgres::tokio_postgres::Config;
use reqwest::Url;

/// A place to store in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Location {
    Sqlite(PathBuf),
    Postgres { url: Url, config: Box<Config> },
}

/// Where the tables are in a PostgreSQL database, unless its address sets a search path.
pub(super) const SCHEMA: &str = "harvest";

const POSTGRES: [&str; 2] = ["postgres://", "postgresql://"];

impl Location {
    /// The database that `DATABASE_URL` names, if it is a PostgreSQL one; else a file in the first of the usual
    /// directories that can be made.
    ///
    /// # Errors
    ///
    /// A line that says what is wrong with the address.
    pub(crate) fn auto() -> Result<Self, String> {
        match env::var("DATABASE_URL") {
            Ok(url) if POSTGRES.iter().any(|scheme| url.starts_with(scheme)) => {
                postgres(&url).map_err(|reason| format!("DATABASE_URL: {reason}"))
            }
            _ => Ok(Self::default_of_user()),
        }
    }

    fn default_of_user() -> Self {
        let dirs = usual_dirs(env::var_os("XDG_CACHE_HOME").map(Into::into), env::home_dir());
        let dir = dirs.into_iter().find(|dir| fs::create_dir_all(dir).is_ok()).unwrap_or_default();
        Self::Sqlite(dir.join("harvest.sqlite"))
    }
}

/// The user's cache directory; `target` for a user who has none.
fn usual_dirs(cache: Option<PathBuf>, home: Option<PathBuf>) -> Vec<PathBuf> {
    let caches = [cache, home.map(|home| home.join(".cache"))];
    let absolute = caches.into_iter().flatten().filter(|cache| cache.is_absolute());
    absolute.map(|cache| cache.join("evenkeel")).chain([PathBuf::from("target")]).collect()
}

fn postgres(text: &str) -> Result<Location, String> {
    let bad = |reason: String| format!("it is no address of a PostgreSQL database: {reason}");
    let url = Url::parse(text).map_err(|error| bad(error.to_string()))?;
    if !POSTGRES.iter().any(|scheme| text.starts_with(scheme)) {
        return Err(bad(format!("it begins with {}:", url.scheme())));
    }
    let config = text.parse().map_err(|error| bad(chain(&error)))?;
    Ok(Location::Postgres { url, config: Box::new(config) })
}

/// Whether the address says in which schema the tables are.
pub(super) fn sets_search_path(config: &Config) -> bool {
    config.get_options().is_some_and(|options| options.contains("search_path"))
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let errors = std::iter::successors(Some(error), |error| error.source());
    errors.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if POSTGRES.iter().any(|scheme| text.starts_with(scheme)) {
            return postgres(text);
        }
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("postgres", url)) => postgres(url),
            _ => Err("a store is given as auto, sqlite:PATH or postgres:URL".into()),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres { url, config } => {
                // Without what is secret: a password may be in the query, too.
                let mut shown = url.clone();
                // It can have none where it has no host.
                let _ = shown.set_password(None);
                shown.set_query(None);
                f.write_str(shown.as_str())?;
                if sets_search_path(config) { Ok(()) } else { write!(f, ", schema {SCHEMA}") }
            }
        }
    }
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
        for bad in [
            "",
            "a.db",
            "sqlite:",
            "postgres:",
            "postgres:x",
            "postgres:mysql://h/d",
            "SQLITE:x",
            "mysql://h",
        ] {
            assert!(bad.parse::<Location>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        for secret in
            ["postgres://u:secret@h:5433/d", "postgresql://u@h/d?password=secret&options=-csearch_path%3Dx"]
        {
            let shown = secret.parse::<Location>().unwrap().to_string();
            assert!(!shown.contains("secret") && shown.contains("u@h"), "{shown}");
        }
        let socket = "postgresql://postgres@%2Ftmp%2Fpg/postgres";
        let shown = format!("{socket}, schema harvest");
        assert_eq!(socket.parse::<Location>().unwrap().to_string(), shown);
    }

    #[test]
    fn the_default_store_is_in_the_cache_the_home_or_target() {
        let dirs =
            |cache: Option<&str>, home: Option<&str>| usual_dirs(cache.map(Into::into), home.map(Into::into));
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(dirs(Some("/c"), Some("/h")), paths(&["/c/evenkeel", "/h/.cache/evenkeel", "target"]));
        assert_eq!(dirs(None, None), paths(&["target"]));
        assert_eq!(dirs(Some("relative"), None), paths(&["target"]), "the XDG rule: ignore it");
    }
}
