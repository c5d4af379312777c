//! The constructors of a database, and its configuration.

use std::{any::TypeId, borrow::Cow, fmt, panic::Location, sync::Arc, time::Duration};

use deadpool_postgres::Manager;
use evenkeel_pool::{BuildError, Deadpool, Pool};
#[cfg(feature = "rustls")]
use tokio_postgres::config::SslNegotiation;
use tokio_postgres::{
    CancelToken, Config, NoTls, Socket,
    tls::{MakeTlsConnect, TlsConnect},
};

#[cfg(feature = "inspect")]
use crate::edges::objects;
#[cfg(feature = "rustls")]
use crate::tls::connector::Connector;
use crate::{
    Database, Error, TlsOptions,
    cancel::{CancelRequest, cancel_with, cancel_with_tls},
    connect::{
        PoolMode, Prepared, connection_string, encryption::Encryption, hosts::Hosts, link::connect_with_tls,
        pooling::PoolerSettings,
    },
    connection::{Generation, SessionOptions, prepared::SchemaVersion},
    edges::DatabaseEdges,
    manager::{ConnectSettings, ConnectionManager, Source},
    recycle::Recycler,
    session_pool::SessionPool,
};

impl Database {
    /// Connects to the database at this address, with the defaults of [`Builder`].
    ///
    /// The address is a URL, or `key=value` pairs, as [`builder_from_url`](Self::builder_from_url) reads it.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for an address that cannot be read, [`Error::Get`] if there is no connection. It waits
    /// for a server that is not ready, and fails at once for a wrong password or name of a database.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use evenkeel_postgres::{Database, Error};
    /// # async fn example() -> Result<(), Error> {
    /// let db = Database::connect("postgres://app:secret@db.example.com:5432/app").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn connect(url: &str) -> impl Future<Output = Result<Self, Error>> + Send + use<> {
        let connecting = Self::builder_from_url(url).map(Builder::connect);
        async { connecting?.await }
    }

    /// Begins to configure a database at this address: a URL, or `key=value` pairs.
    ///
    /// Both are as [`Config`] reads them, and may have libpq's settings for TLS beside: each value of `sslmode`,
    /// `sslrootcert` (a file, or `system`), `sslcert`, `sslkey`, and `ssl=true` in a URL. [`TlsOptions`] and [`SslMode`](crate::SslMode) say
    /// what they mean; they need the feature `rustls`. Neither files in the home directory nor the environment are looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for an address that cannot be read, or has a setting that is not known.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use evenkeel_postgres::{Database, Error};
    /// # async fn example() -> Result<(), Error> {
    /// let url = "postgres://app:secret@db.example.com/app?sslmode=verify-full&sslrootcert=system";
    /// let db = Database::builder_from_url(url)?.max(16).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder_from_url(url: &str) -> Result<Builder, Error> {
        let (config, options) = connection_string::parse(url).map_err(Error::Config)?;
        Ok(Self::builder(config).tls(options))
    }

    /// Begins to configure a database at this address.
    ///
    /// With the feature `rustls` its connections have TLS as `sslmode` of the configuration asks for it. [`Config`] knows
    /// three of its values: [`Builder::tls`] and [`builder_from_url`](Self::builder_from_url) have all. Without the feature
    /// the connections have no TLS.
    pub fn builder(config: Config) -> Builder {
        let options = TlsOptions::new(config.get_ssl_mode().into());
        let (hosts, cancel) = with_options(config, options);
        Builder::new(Source::Hosts(Box::new(hosts)), cancel)
    }

    /// Begins to configure a database at this address, with TLS by another library, as `sslmode` of the configuration asks
    /// for it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use evenkeel_postgres::tokio_postgres::{self, Socket, tls::{MakeTlsConnect, TlsConnect}};
    /// # use evenkeel_postgres::{Database, Error};
    /// # async fn example<T>(tls: T) -> Result<(), Error>
    /// # where
    /// #     T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    /// #     T::Stream: Send,
    /// #     T::TlsConnect: Send,
    /// #     <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    /// # {
    /// let config = "postgres://app@db1,db2/app?sslmode=require&target_session_attrs=read-write";
    /// let db = Database::builder_with_tls(config.parse().map_err(Error::Config)?, tls).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder_with_tls<T>(config: Config, tls: T) -> Builder
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let encryption = Encryption {
            mode: config.get_ssl_mode().into(),
            connect_link: connect_with_tls(tls.clone()),
            // Only the client can see that `NoTls` has no TLS.
            has_tls: TypeId::of::<T>() != TypeId::of::<NoTls>(),
            options: None,
        };
        let hosts = Box::new(Hosts::new(config, encryption));
        Builder::new(Source::Hosts(hosts), cancel_with_tls(tls))
    }

    /// Begins to configure a database over a manager of connections, whose
    /// [`Connect`](deadpool_postgres::Connect) reaches the server in a way of its own.
    ///
    /// - Its recycling method runs before each reuse, beside the reset by the `Database`;
    ///   [`RecyclingMethod::Fast`](deadpool_postgres::RecyclingMethod::Fast), the default, is enough.
    /// - [`Builder::cancel_with`] sets how a statement is cancelled.
    /// - Several hosts are tried as its `Connect` does. That of deadpool-postgres waits for each one in turn, for the
    ///   `connect_timeout` of its configuration.
    /// - The error with which the server ends an idle connection (57P05, 25P03) is not always seen. Then a call fails
    ///   with the error of the lost connection, and is not repeated.
    pub fn over(manager: Manager) -> Builder {
        Builder::new(Source::Manager(Deadpool::new(manager)), cancel_with_tls(NoTls))
    }
}

/// The hosts of a configuration with TLS by these options, and the requests to cancel there.
#[cfg(feature = "rustls")]
fn with_options(config: Config, options: TlsOptions) -> (Hosts, CancelRequest) {
    let is_direct = config.get_ssl_negotiation() == SslNegotiation::Direct;
    let connector = Connector::new(options.clone(), is_direct);
    let connect_link = connect_with_tls(connector.clone());
    let encryption = Encryption { mode: options.mode, connect_link, has_tls: true, options: Some(options) };
    (Hosts::new(config, encryption), cancel_with_tls(connector))
}

/// The same without TLS: options that need it are an error of the connection.
#[cfg(not(feature = "rustls"))]
fn with_options(config: Config, options: TlsOptions) -> (Hosts, CancelRequest) {
    let connect_link = connect_with_tls(NoTls);
    let encryption = Encryption { mode: options.mode, connect_link, has_tls: false, options: Some(options) };
    (Hosts::new(config, encryption), cancel_with_tls(NoTls))
}

/// Builds a [`Database`]; made by [`Database::builder`] or [`Database::over`].
///
/// | setting | default |
/// |---|---|
/// | [`max`](Self::max) | 10 connections |
/// | [`acquire_timeout`](Self::acquire_timeout) | 30 s |
/// | [`connect_timeout`](Self::connect_timeout) | 10 s |
/// | [`cleanup_timeout`](Self::cleanup_timeout) | 5 s |
/// | [`source_timeout`](Self::source_timeout) | 60 s |
/// | [`pool_mode`](Self::pool_mode) | found out with each connection |
/// | [`prepared`](Self::prepared) | named, and unnamed behind a pooler |
/// | [`tls`](Self::tls) | as `sslmode` of the configuration asks for it |
/// | [`reset_always`](Self::reset_always) | where something may have stayed in the session |
/// | [`cancel_with`](Self::cancel_with) | the address and the TLS of the connection itself |
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use evenkeel_postgres::Database;
/// use std::time::Duration;
///
/// let mut config: evenkeel_postgres::tokio_postgres::Config = "postgres://app@localhost/app".parse()?;
/// config.options("-c search_path=app -c statement_timeout=30s");
/// let db = Database::builder(config).max(16).acquire_timeout(Duration::from_secs(5)).connect().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is connected before `connect` or `build`"]
pub struct Builder {
    source: Source,
    cancel: CancelRequest,
    max: usize,
    acquire_timeout: Duration,
    connect_timeout: Duration,
    options: SessionOptions,
    pooler: PoolerSettings,
    #[cfg(feature = "inspect")]
    name: Option<Cow<'static, str>>,
    #[cfg(feature = "inspect")]
    shows_sql: bool,
}

impl Builder {
    fn new(source: Source, cancel: CancelRequest) -> Self {
        Self {
            source,
            cancel,
            max: 10,
            acquire_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            options: SessionOptions {
                reset_always: false,
                source_timeout: Duration::from_secs(60),
                cleanup_timeout: Duration::from_secs(5),
            },
            pooler: PoolerSettings::default(),
            #[cfg(feature = "inspect")]
            name: None,
            #[cfg(feature = "inspect")]
            shows_sql: false,
        }
    }

    /// Names the database, and its pool, for the dumps of evenkeel-inspect. Without the feature `inspect` the name is
    /// dropped.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), evenkeel_postgres::Error> {
    /// use evenkeel_postgres::Database;
    ///
    /// let builder = Database::builder_from_url("postgres://app@localhost/app")?;
    /// let db = builder.named("orders-db").connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(not(feature = "inspect"), expect(unused_mut, reason = "the name is dropped"))]
    pub fn named(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        #[cfg(feature = "inspect")]
        {
            self.name = Some(name.into());
        }
        #[cfg(not(feature = "inspect"))]
        drop(name);
        self
    }

    /// Shows the texts of statements in the dumps of evenkeel-inspect, without their parameters. Without the feature `inspect`
    /// it does nothing.
    ///
    /// By default a dump says no more of a statement than whether it reads or writes. A text has the values that the program
    /// wrote into it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), evenkeel_postgres::Error> {
    /// use evenkeel_postgres::Database;
    ///
    /// let builder = Database::builder_from_url("postgres://app@localhost/app")?;
    /// let db = builder.inspect_sql().connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(not(feature = "inspect"), expect(unused_mut, reason = "there is no dump"))]
    pub const fn inspect_sql(mut self) -> Self {
        #[cfg(feature = "inspect")]
        {
            self.shows_sql = true;
        }
        self
    }

    /// Sets the use of TLS, in place of `sslmode` of the configuration. It needs the feature `rustls`.
    ///
    /// Over a [manager](Database::over) of connections it has no effect.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use evenkeel_postgres::{Database, Error, SslMode, TlsOptions, tokio_postgres::Config};
    /// # async fn example(config: Config) -> Result<(), Error> {
    /// let tls = TlsOptions::new(SslMode::VerifyFull).root_certificates_file("/etc/app/ca.pem");
    /// let db = Database::builder(config).tls(tls).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tls(mut self, options: TlsOptions) -> Self {
        if let Source::Hosts(hosts) = &self.source {
            let (hosts, cancel) = with_options(hosts.config().clone(), options);
            self.source = Source::Hosts(Box::new(hosts));
            self.cancel = cancel;
        }
        self
    }

    /// Sets the maximum number of connections, including those that are being made or recycled. The default is 10.
    pub const fn max(mut self, max: usize) -> Self {
        self.max = max;
        self
    }

    /// Sets how long a call may wait for a connection. The default is 30 s.
    ///
    /// While the server starts, stops, is not a primary yet, or has no connection left, connecting is tried again within this
    /// time, after the [backoff](evenkeel_pool::Pool#backoff) of the pool; the last failure is the source of the error.
    pub const fn acquire_timeout(mut self, limit: Duration) -> Self {
        self.acquire_timeout = limit;
        self
    }

    /// Sets how long one attempt to connect may take, for all hosts. The default is 10 s.
    ///
    /// Several hosts, and the several addresses of one, are tried in their order, the one that answered last first. Each
    /// has an equal share of this time, or of [`acquire_timeout`](Self::acquire_timeout) if that is less, for itself. If
    /// it has not answered by then, the next one is tried beside it.
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets how long it may take to cancel an abandoned statement, or to reset a session. The default is 5 s. After that
    /// the connection is closed, even if the server still runs the statement.
    pub const fn cleanup_timeout(mut self, limit: Duration) -> Self {
        self.options.cleanup_timeout = limit;
        self
    }

    /// Sets how long a `COPY` into the database may wait for the next bytes or rows of its source. The default is 60 s.
    ///
    /// A source that is silent holds a connection and the locks of its transaction, and the `statement_timeout` of the
    /// server does not run meanwhile. After this time the call fails with [`Error::SourceIdle`].
    pub const fn source_timeout(mut self, limit: Duration) -> Self {
        self.options.source_timeout = limit;
        self
    }

    /// Sets what session of the server a connection leads to. By default it is found out.
    ///
    /// Each new connection is asked whether it leads to a pooler, which takes a round trip. A pooler does not tell its mode,
    /// and is taken for one in [`PoolMode::Transaction`], in which others use a session before and after each transaction:
    ///
    /// - Calls that need their session beyond the transaction fail with [`Error::Unsupported`], which names another way:
    ///   [`listen`](Database::listen), `SET` without `LOCAL`, `set_config` for the session, advisory locks of the session,
    ///   temporary tables without `ON COMMIT DROP`, cursors `WITH HOLD`, `PREPARE`, `LOAD`, `lastval` and `currval` outside
    ///   of a transaction. What the text does not show, in a function for example, reaches others.
    /// - Nothing is reset after a call, but a transaction that is open is rolled back.
    /// - Statements are [`Prepared::Unnamed`].
    ///
    /// Set [`PoolMode::Session`] for a pooler in session mode. A database [`over`](Database::over) a manager finds nothing
    /// out.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use evenkeel_postgres::{Database, Error, tokio_postgres::Config};
    /// use evenkeel_postgres::PoolMode;
    ///
    /// # async fn example(config: Config) -> Result<(), Error> {
    /// let db = Database::builder(config).pool_mode(PoolMode::Transaction).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn pool_mode(mut self, mode: PoolMode) -> Self {
        self.pooler.mode = Some(mode);
        self
    }

    /// Sets how statements are prepared on the server. The default is [`Prepared::Named`], and
    /// [`Prepared::Unnamed`] in [`PoolMode::Transaction`].
    ///
    /// All calls are the same with both. The types of parameters and columns come from the server, which is asked for
    /// them when a connection first runs a statement. A connection that asks for TLS and goes without, as `sslmode=prefer`
    /// allows, is made twice where statements are unnamed: `sslmode=disable` saves that.
    ///
    /// Set [`Prepared::Named`] for a pooler that keeps track of statements. A database [`over`](Database::over) a
    /// manager cannot have [`Prepared::Unnamed`]: its calls fail with [`Error::Unsupported`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use evenkeel_postgres::{Database, Error, tokio_postgres::Config};
    /// use evenkeel_postgres::{PoolMode, Prepared};
    ///
    /// # async fn example(config: Config) -> Result<(), Error> {
    /// // PgBouncer 1.21 with `pool_mode = transaction` and `max_prepared_statements = 200`.
    /// let builder = Database::builder(config).pool_mode(PoolMode::Transaction);
    /// let db = builder.prepared(Prepared::Named).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn prepared(mut self, prepared: Prepared) -> Self {
        self.pooler.prepared = Some(prepared);
        self
    }

    /// Resets a session after every use, which costs a round trip each time.
    ///
    /// By default the reset is left out after statements that only work on tables and call PostgreSQL's own functions, as
    /// far as their text tells. The text does not show the effects of triggers, views, rules, policies, defaults, casts and
    /// operators, nor of functions of the database with the name of one of PostgreSQL's, or called without parentheses, as
    /// a column of their row (`row.name`). Use this where one of them changes settings, makes temporary tables or takes
    /// locks that outlast the transaction.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use evenkeel_postgres::{Database, Error, tokio_postgres::Config};
    /// # async fn example(config: Config) -> Result<(), Error> {
    /// let db = Database::builder(config).reset_always().connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn reset_always(mut self) -> Self {
        self.options.reset_always = true;
        self
    }

    /// Sets how a request to cancel reaches the server, which takes a link of its own.
    ///
    /// It is needed over a manager with TLS, or with a `Connect` of its own: by default a database of [`Database::over`]
    /// uses the address of the connection, without TLS. Databases of [`Database::builder`] and
    /// [`Database::builder_with_tls`] need no setting.
    ///
    /// Behind a pooler the link of a request has to stay open until the pooler closes it: PgBouncer drops a request
    /// whose link is closed before, as `CancelToken::cancel_query` does. The default requests of [`Database::builder`]
    /// and [`Database::builder_with_tls`] wait.
    ///
    /// A connection without encryption whose statements are [`Prepared::Unnamed`] has a token that asks for TLS. The default
    /// requests know that; do not set another one there.
    ///
    /// If the request cannot be sent, the recycler waits for an abandoned statement until
    /// [`cleanup_timeout`](Self::cleanup_timeout). A panic of `cancel` costs the connection.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use evenkeel_postgres::tokio_postgres::{self, Socket, tls::{MakeTlsConnect, TlsConnect}};
    /// use evenkeel_postgres::{BuildError, Database, deadpool_postgres::Manager};
    ///
    /// # fn example<T>(config: tokio_postgres::Config, tls: T) -> Result<(), BuildError>
    /// # where
    /// #     T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    /// #     T::Stream: Send + Sync,
    /// #     T::TlsConnect: Send + Sync,
    /// #     <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    /// # {
    /// let manager = Manager::new(config, tls.clone());
    /// let db = Database::over(manager)
    ///     .cancel_with(move |token| {
    ///         let tls = tls.clone();
    ///         async move { token.cancel_query(tls).await }
    ///     })
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel_with<F, Fut>(mut self, cancel: F) -> Self
    where
        F: Fn(CancelToken) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
    {
        self.cancel = cancel_with(cancel);
        self
    }

    /// Builds the database without a connection: the first call makes one.
    ///
    /// # Errors
    ///
    /// [`BuildError::ZeroMax`] if the maximum number of connections is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use evenkeel_postgres::{BuildError, Database, tokio_postgres::Config};
    ///
    /// let config: Config = "postgres://app@localhost/app".parse()?;
    /// let db = Database::builder(config.clone()).build()?;
    /// assert_eq!(db.snapshot().size, 0);
    ///
    /// assert_eq!(Database::builder(config).max(0).build().unwrap_err(), BuildError::ZeroMax);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn build(self) -> Result<Database, BuildError> {
        #[cfg(feature = "inspect")]
        let edges = DatabaseEdges::new(Location::caller(), self.shows_sql);
        #[cfg(not(feature = "inspect"))]
        let edges = DatabaseEdges;
        #[cfg(feature = "inspect")]
        let name = self.name.clone();
        let Self { mut source, cancel, max, acquire_timeout, connect_timeout, options, pooler, .. } = self;
        if let Source::Hosts(hosts) = &mut source {
            hosts.pooler = pooler.clone();
        }
        let connect = ConnectSettings {
            source: Arc::new(source),
            // A caller that does not wait has no time to share; its connection is for others.
            shared_time: if acquire_timeout.is_zero() {
                connect_timeout
            } else {
                acquire_timeout.min(connect_timeout)
            },
            connect_timeout,
            progress: Arc::default(),
            pooler,
        };
        let manager = ConnectionManager {
            connect: connect.clone(),
            generation: Generation::default(),
            schema_version: SchemaVersion::default(),
            options,
            edges: edges.clone(),
        };
        let builder = Pool::builder(manager);
        #[cfg(feature = "inspect")]
        let builder = match name.clone() {
            Some(name) => builder.named(name),
            None => builder,
        };
        let pool = builder
            .max(max)
            .acquire_timeout(acquire_timeout)
            // The manager has a timeout of its own.
            .create_timeout(Duration::MAX)
            .build()?;
        let recycler = Arc::new(Recycler::new(cancel, options.cleanup_timeout));
        Ok(Database {
            sessions: SessionPool {
                pool,
                recycler,
                connect,
                acquire_timeout,
                #[cfg(feature = "inspect")]
                _objects: objects(&edges, name.as_ref(), max),
                edges,
            },
        })
    }

    /// Builds the database and makes a first connection, so that a wrong address or password is found at once.
    ///
    /// # Errors
    ///
    /// [`Error::Build`], and [`Error::Get`] if there is no connection.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use evenkeel_postgres::{Database, Error, tokio_postgres::Config};
    /// # async fn example(config: Config) -> Result<(), Error> {
    /// let db = Database::builder(config).max(4).connect().await?;
    /// assert_eq!(db.snapshot().idle, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn connect(self) -> impl Future<Output = Result<Database, Error>> + Send {
        let (db, place) = (self.build().map_err(Error::Build), Location::caller());
        async move {
            let db = db?;
            drop(db.sessions.session(place).await?);
            Ok(db)
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("source", &self.source)
            .field("max", &self.max)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("options", &self.options)
            .field("pooler", &self.pooler)
            .finish_non_exhaustive()
    }
}
