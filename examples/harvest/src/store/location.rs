//! The location of the store: the `--store` of the command line.

use std::{
    env,
    ffi::OsString,
    fmt, fs,
    path::{self, PathBuf},
    str::FromStr,
};

use command_line::no_such_store;
#[cfg(feature = "postgres")]
use evenkeel::postgres::tokio_postgres::Config;
#[cfg(feature = "postgres")]
use evenkeel_base::error_chain;
#[cfg(feature = "postgres")]
use reqwest::Url;

/// The reason why a database cannot be used.
const NOT_BUILT: &str = "this program was built without PostgreSQL: build it with --features postgres";

/// The value of `--store`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Choice {
    /// A file in the cache directory of the user.
    Auto,
    /// The database that `DATABASE_URL` names. It may belong to another program, so it is used only on request.
    Environment,
    Named(Location),
}

impl Choice {
    /// # Errors
    ///
    /// One line about the mistake in the address.
    pub(crate) fn locate(&self) -> Result<Location, String> {
        match self {
            Self::Auto => Ok(Location::default_of_user()),
            Self::Environment => from_variable(env::var_os("DATABASE_URL")),
            Self::Named(location) => Ok(location.clone()),
        }
    }

    /// Whether the store ends with the run.
    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(self, Self::Named(Location::Sqlite(path)) if path.as_os_str() == ":memory:")
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "env" if cfg!(not(feature = "postgres")) => Err(NOT_BUILT.to_owned()),
            "env" => Ok(Self::Environment),
            "postgres" => {
                Err("a private server is started by `cargo xtask demo --store postgres`; here it is \
                               postgres:URL, or env for the one that DATABASE_URL names"
                    .into())
            }
            text => text.parse().map(Self::Named),
        }
    }
}

fn from_variable(value: Option<OsString>) -> Result<Location, String> {
    let value = value.ok_or("DATABASE_URL is not set, and --store env asks for it")?;
    let url = value.to_str().ok_or("DATABASE_URL is not UTF-8")?;
    postgres(url).map_err(|reason| format!("DATABASE_URL: {reason}"))
}

/// The location of a database.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Location {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A database of PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres {
        /// Its address.
        url: Url,
        /// The same, as the client reads it.
        config: Box<Config>,
    },
}

/// The schema of the tables in a PostgreSQL database, unless its address sets a search path.
#[cfg(feature = "postgres")]
pub(super) const SCHEMA: &str = "harvest";

const POSTGRES: [&str; 2] = ["postgres://", "postgresql://"];

impl Location {
    /// Returns a command that shows rows of the store.
    pub(crate) fn query_command(&self) -> String {
        match self {
            Self::Sqlite(path) => {
                // Absolute, to work in any directory. A URI of SQLite stays as it is.
                let absolute =
                    path::absolute(path).ok().filter(|_| !path.to_string_lossy().starts_with("file:"));
                let path = absolute.as_ref().unwrap_or(path);
                format!("sqlite3 {} 'SELECT * FROM users LIMIT 5'", quoted(&path.display().to_string()))
            }
            #[cfg(feature = "postgres")]
            Self::Postgres { url, config } => {
                let schema = if sets_search_path(config) { String::new() } else { format!("{SCHEMA}.") };
                format!("psql {} -c 'SELECT * FROM {schema}users LIMIT 5'", quoted(&without_secrets(url)))
            }
        }
    }

    /// Returns a file in the first usual directory that can be created.
    fn default_of_user() -> Self {
        let dirs = usual_dirs(env::var_os("XDG_CACHE_HOME").map(Into::into), env::home_dir());
        let dir = dirs.into_iter().find(|dir| fs::create_dir_all(dir).is_ok()).unwrap_or_default();
        Self::Sqlite(dir.join("harvest.sqlite"))
    }
}

/// Returns the cache directories of the user, and `target` for a user without one.
fn usual_dirs(cache: Option<PathBuf>, home: Option<PathBuf>) -> Vec<PathBuf> {
    let caches = [cache, home.map(|home| home.join(".cache"))];
    let absolute = caches.into_iter().flatten().filter(|cache| cache.is_absolute());
    absolute.map(|cache| cache.join("evenkeel")).chain([PathBuf::from("target")]).collect()
}

#[cfg(not(feature = "postgres"))]
fn postgres(_: &str) -> Result<Location, String> {
    Err(NOT_BUILT.to_owned())
}

#[cfg(feature = "postgres")]
fn postgres(text: &str) -> Result<Location, String> {
    let bad = |reason: String| format!("it is no address of a PostgreSQL database: {reason}");
    if text.is_empty() {
        return Err(bad("it is empty".into()));
    }
    let url = Url::parse(text).map_err(|error| bad(error.to_string()))?;
    if !POSTGRES.iter().any(|scheme| text.starts_with(scheme)) {
        return Err(bad(format!("it begins with {}:", url.scheme())));
    }
    let config = text.parse().map_err(|error| bad(error_chain(&error)))?;
    Ok(Location::Postgres { url, config: Box::new(config) })
}

/// Returns the address without passwords.
#[cfg(feature = "postgres")]
pub(crate) fn without_secrets(url: &Url) -> String {
    let mut shown = url.clone();
    // This fails only without a host, where there is no password.
    let _ = shown.set_password(None);
    let parameters = url.query().unwrap_or_default().split('&');
    let open = parameters.filter(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        !name.is_empty() && !name.contains("password") && !name.contains('%')
    });
    let open = open.collect::<Vec<_>>().join("&");
    shown.set_query(Some(&*open).filter(|open| !open.is_empty()));
    shown.into()
}

/// Quotes a word for a shell.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%=+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Whether the address sets the schema of the tables.
#[cfg(feature = "postgres")]
pub(super) fn sets_search_path(config: &Config) -> bool {
    config.get_options().is_some_and(|options| options.contains("search_path"))
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
            _ => Err(no_such_store(text, "auto, env, sqlite:PATH or postgres:URL")),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            #[cfg(feature = "postgres")]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_file_or_an_address() {
        assert_eq!("sqlite:a b.db".parse(), Ok(Location::Sqlite("a b.db".into())));
        for text in ["postgres://u@h/d", "postgresql://u@h/d", "postgres:postgres://u@h/d"] {
            #[cfg(feature = "postgres")]
            assert!(matches!(text.parse(), Ok(Location::Postgres { .. })), "{text}");
            #[cfg(not(feature = "postgres"))]
            assert_eq!(text.parse::<Location>(), Err(NOT_BUILT.to_owned()));
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

    #[cfg(feature = "postgres")]
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

    #[cfg(not(feature = "postgres"))]
    #[test]
    fn a_program_without_it_says_how_to_build_it() {
        assert_eq!("env".parse::<Choice>(), Err(NOT_BUILT.to_owned()));
        assert_eq!(from_variable(Some("postgres://u@h/d".into())), Err(format!("DATABASE_URL: {NOT_BUILT}")));
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn the_variable_counts_where_it_is_asked_for_and_has_to_make_sense() {
        let located = |url: &str| from_variable(Some(url.into()));
        assert!(matches!(located("postgres://u@h/d"), Ok(Location::Postgres { .. })));
        for bad in ["", "mysql://h/d", "sqlite:x", "h", "postgres://h:x/d"] {
            let error = located(bad).unwrap_err();
            assert!(
                error.starts_with("DATABASE_URL: it is no address of a PostgreSQL database"),
                "{bad}: {error}"
            );
        }
        assert!(located("").unwrap_err().ends_with("database: it is empty"));
        assert!(from_variable(None).unwrap_err().contains("not set"));
    }

    #[test]
    fn a_command_shows_what_is_in_a_store() {
        for (store, command) in [
            ("sqlite:/a/b.db", "sqlite3 /a/b.db 'SELECT * FROM users LIMIT 5'"),
            ("sqlite:/it's a.db", r"sqlite3 '/it'\''s a.db' 'SELECT * FROM users LIMIT 5'"),
            ("sqlite:file:a.db?mode=ro", "sqlite3 'file:a.db?mode=ro' 'SELECT * FROM users LIMIT 5'"),
            #[cfg(feature = "postgres")]
            ("postgres://u:secret@h/d", "psql postgres://u@h/d -c 'SELECT * FROM harvest.users LIMIT 5'"),
            #[cfg(feature = "postgres")]
            (
                "postgres://u@h/d?password=secret&options=-csearch_path%3Dx",
                "psql 'postgres://u@h/d?options=-csearch_path%3Dx' -c 'SELECT * FROM users LIMIT 5'",
            ),
        ] {
            assert_eq!(store.parse::<Location>().unwrap().query_command(), command);
        }
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
