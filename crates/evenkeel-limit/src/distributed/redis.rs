//! Redis as a store: the calls, and the repetition of calls that failed.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use redis::{
    Client, RedisError, Script,
    aio::{ConnectionLike, ConnectionManager},
    cmd,
};

use self::{connector::Connector, error_class::ErrorClass};
use super::store::{Store, Take, Taken};

mod connector;
mod error_class;

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take.lua")));

/// The time-out of the first call of a limit. The store is connected or fails within a second; the rest is for the calls of
/// other limits before it.
const FIRST_TIMEOUT: Duration = Duration::from_secs(5);

/// The same with a [`ConnectionManager`], which tries several times before it fails.
const FIRST_TIMEOUT_OF_MANAGER: Duration = Duration::from_secs(2);

/// A [`Store`] in Redis or Valkey, over one connection that is made again when it fails. Clones share it.
///
/// A call is one script, run by its hash and loaded where the server does not know it; the clock is the server's. It needs
/// Redis 5 or later, or any Valkey. Both protocols work, RESP2 and RESP3 (`?protocol=resp3`).
///
/// # Failures
///
/// | the server, or the connection | the call |
/// |---|---|
/// | closes the connection, idle or not: a time-out of the server or of a load balancer, a restart, `CLIENT KILL` | is repeated once on a new connection, within its time-out. The first one may have taken permits: they are lost, and fewer are granted. Permits that it returned are not returned again |
/// | says `READONLY` or `MASTERDOWN`, after a failover that left the connection open | is repeated once on a new connection |
/// | forgot the script: `NOSCRIPT` | loads it, and is repeated |
/// | lacks a right, holds something else under the key, has no such command: `NOPERM`, `WRONGTYPE` and the like, also inside of the script | [`Error::Misconfigured`](super::Error::Misconfigured), under every policy |
/// | says `MOVED`, since the key is on another server of a cluster | is repeated once on a new connection, and then `Misconfigured` |
/// | refuses the user or the password (`NOAUTH`, `WRONGPASS`), is in protected mode (`DENIED`), is no Redis, or has a certificate that is not trusted | `Misconfigured`, if this store has had no answer yet; afterwards an outage, in which it connects again |
/// | says `LOADING`, `BUSY`, `CLUSTERDOWN`, `TRYAGAIN`, `OOM`, `MISCONF`, `NOREPLICAS` or another error | is a failure: [`OnFailure`](super::OnFailure) says what to do |
/// | does not answer in time | is a failure like others. A connection without any answer for a second, while calls waited, is replaced, also if the machine is gone; a time-out of more than 3 s is of no use |
///
/// Reconnecting is paced: while new connections bring no answer, they are 50 ms apart, then 100 ms and so on, up to a
/// second. In the first of these pauses calls wait; in the others they fail at once with the last error. Connecting takes
/// a second at most.
///
/// The first call of a limit may take up to 5 s, or its time-out if that is longer: the store may have to connect, and
/// thousands of limits may begin at the same time.
///
/// # Addresses
///
/// All URLs of the crate `redis`: `redis://host:6379/`, `redis+unix:///path`, and `rediss://host:6379/` for TLS, which needs
/// one of its features in the manifest of the program, such as `tokio-rustls-comp`; without it `Client::open` fails. TLS to a
/// plain port, or a plain connection to a TLS port, is an outage: the server hangs up or keeps silent.
///
/// The name of the library is sent to the server (`CLIENT SETINFO`) only with a password over RESP2, or if the settings of
/// the client have one.
///
/// # The rights of its user
///
/// `~limit:* +evalsha +script|load +time +get +set +del`, if all keys begin with `limit:`. A database other than 0 needs
/// `+select`.
///
/// # Keys, eviction, clusters
///
/// A bucket is a string under its key, which expires when the bucket is full. A key that holds something else is an error,
/// and stays as it is.
///
/// A key that is evicted is a full bucket again, so that up to a burst more is granted. With the `maxmemory-policy`
/// `noeviction` that never happens: while memory is full calls fail with `OOM`, which is an outage. `volatile-ttl` costs
/// least among the others, since it evicts buckets that are nearly full first; `volatile-lru`, `volatile-lfu` and
/// `volatile-random` choose among the keys that expire, and so buckets before other data; the `allkeys-` policies choose
/// among all keys, and under pressure a limit that is used rarely is soon forgotten.
///
/// It does not follow the redirections of a cluster: `MOVED` is reported as a mistake. A proxy that hides the cluster works,
/// and so does a [`Store`] of your own. A call uses one key, so any key is good in a cluster. Only the part in braces
/// decides the server of a key: `limit:{tenant-7}:api` is beside the other keys of `{tenant-7}`, and the same part in
/// braces in all keys puts all of them on one server.
///
/// # Examples
///
/// ```no_run
/// use evenkeel_limit::{Rate, distributed::{Distributed, RedisStore}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::new(redis::Client::open("redis://user:password@127.0.0.1/")?);
/// let reads = Distributed::new(store.clone(), "limit:reads", Rate::per_second(1000));
/// let writes = Distributed::new(store, "limit:writes", Rate::per_second(100));
/// reads.acquire().await?;
/// writes.acquire().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RedisStore {
    connector: Arc<Connector>,
    /// Whether the server has ever answered a call. Until then a refused user is a mistake.
    has_answered: Arc<AtomicBool>,
}

impl RedisStore {
    /// Creates a store that connects at its first call, so that a program starts without Redis, too.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { connector: Arc::new(Connector::new(client, &TAKE)), has_answered: Arc::default() }
    }

    async fn call_once(&self, take: Take<'_>) -> Result<Taken, FailedCall> {
        let call = self.connector.begin_call().await.map_err(|error| FailedCall { error, class: None })?;
        let mut connection = call.connection.clone();
        match call.answer(run_script(&mut connection, take)).await {
            Ok(taken) => {
                call.succeed();
                self.has_answered.store(true, Relaxed);
                Ok(taken)
            }
            Err(error) => {
                let class = ErrorClass::of(&error);
                call.fail(class.ends_connection().then_some(&error));
                Err(FailedCall { error, class: Some(class) })
            }
        }
    }
}

impl Store for RedisStore {
    type Error = RedisError;

    async fn take(&self, take: Take<'_>) -> Result<Taken, RedisError> {
        match self.call_once(take).await {
            Ok(taken) => Ok(taken),
            Err(failed) => self.call_once(failed.repetition(take)?).await.map_err(|failed| failed.error),
        }
    }

    fn is_misconfigured(&self, error: &RedisError) -> bool {
        match ErrorClass::of(error) {
            ErrorClass::Configuration | ErrorClass::Redirected => true,
            ErrorClass::Refused => !self.has_answered.load(Relaxed),
            _ => false,
        }
    }

    fn first_timeout(&self) -> Duration {
        FIRST_TIMEOUT
    }
}

/// Shares the connection of a manager that the program has already.
///
/// Calls are repeated as by [`RedisStore`], and a connection that leads to a replica is ended by `QUIT`. But the manager
/// gives up for good when a user or password is refused while it reconnects, and it does not replace a connection on which
/// calls time out: only TCP notices that a machine is gone, after a quarter of an hour, or on Linux after the time of
/// `TcpSettings::set_user_timeout`.
impl Store for ConnectionManager {
    type Error = RedisError;

    async fn take(&self, take: Take<'_>) -> Result<Taken, RedisError> {
        let mut connection = self.clone();
        match call_once(&mut connection, take).await {
            Ok(taken) => Ok(taken),
            Err(failed) => {
                call_once(&mut connection, failed.repetition(take)?).await.map_err(|failed| failed.error)
            }
        }
    }

    fn is_misconfigured(&self, error: &RedisError) -> bool {
        use ErrorClass::{Configuration, Redirected, Refused};
        matches!(ErrorClass::of(error), Configuration | Redirected | Refused)
    }

    fn first_timeout(&self) -> Duration {
        FIRST_TIMEOUT_OF_MANAGER
    }
}

async fn call_once(connection: &mut ConnectionManager, take: Take<'_>) -> Result<Taken, FailedCall> {
    let error = match run_script(connection, take).await {
        Ok(taken) => return Ok(taken),
        Err(error) => error,
    };
    let class = ErrorClass::of(&error);
    if matches!(class, ErrorClass::WrongServer | ErrorClass::Redirected) {
        // The manager notices the closed connection at the `PING`, and connects.
        let _ = cmd("QUIT").exec_async(connection).await;
        let _ = cmd("PING").exec_async(connection).await;
    }
    Err(FailedCall { error, class: Some(class) })
}

/// A call that failed, with the class of its error; without one if there was no connection for it.
struct FailedCall {
    error: RedisError,
    class: Option<ErrorClass>,
}

impl FailedCall {
    /// Returns the call to repeat on another connection, or the error if the call is not repeated.
    fn repetition(self, take: Take<'_>) -> Result<Take<'_>, RedisError> {
        match self.class {
            Some(class) if class.is_repeated() => Ok(class.repetition(take)),
            _ => Err(self.error),
        }
    }
}

async fn run_script(connection: &mut impl ConnectionLike, take: Take<'_>) -> Result<Taken, RedisError> {
    let mut call = TAKE.key(take.key);
    call.arg(take.speed).arg(take.cost).arg(take.depth);
    call.arg(take.returned).arg(take.least).arg(take.most);
    let (granted, micros): (u32, u64) = call.invoke_async(connection).await?;
    Ok(Taken { granted, full_in: Duration::from_micros(micros) })
}
