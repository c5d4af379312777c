//! Redis as a store.

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

/// How long the first call of a limit may take. The store is connected or fails within a second; the rest is for the calls
/// of other limits that came first.
const FIRST_TIMEOUT: Duration = Duration::from_secs(5);

/// The same with a [`ConnectionManager`], which tries several times before it fails.
const FIRST_TIMEOUT_OF_MANAGER: Duration = Duration::from_secs(2);

/// Redis, or Valkey, as the [`Store`] of limits: one connection, which comes back. Clones share it.
///
/// A call is one script, run by its hash and loaded where it is not known; the clock is the server's. Redis 5 or later,
/// or any Valkey. Both protocols work, RESP2 and RESP3 (`?protocol=resp3`).
///
/// # Failures
///
/// | the server, or the connection | the call |
/// |---|---|
/// | closes the connection, idle or not: a time-out of the server or of a load balancer, a restart, `CLIENT KILL` | is repeated once on a new connection, within its time-out. The first one may have taken permits: they are lost, and fewer are granted. Permits that it gave back are not given back again |
/// | says `READONLY` or `MASTERDOWN`, after a failover that left the connection open | is repeated once on a new connection |
/// | forgot the script: `NOSCRIPT` | loads it, and is repeated |
/// | lacks a right, holds something else under the key, has no such command: `NOPERM`, `WRONGTYPE` and the like, also inside of the script | [`Error::Misconfigured`](super::Error::Misconfigured), under every policy |
/// | says `MOVED`, since the key is on another server of a cluster | is repeated once on a new connection, and then `Misconfigured` |
/// | refuses the user or the password (`NOAUTH`, `WRONGPASS`), is in protected mode (`DENIED`), is no Redis, or has a certificate that is not trusted | `Misconfigured`, if this store has had no answer yet; afterwards an outage, in which it connects again |
/// | says `LOADING`, `BUSY`, `CLUSTERDOWN`, `TRYAGAIN`, `OOM`, `MISCONF`, `NOREPLICAS` or another error | is a failure: [`OnFailure`](super::OnFailure) says what to do |
/// | does not answer in time | is a failure, as others are. A connection on which nothing was heard for a second, while calls waited, is replaced, that of a machine that is gone, too; a time-out of more than 3 s is of no use |
///
/// New connections are paced: while they bring no answer they are 50 ms apart, and twice that each time, up to a second.
/// In the first of these pauses calls wait, in the others they fail at once with the last error. Connecting takes a second
/// at most.
///
/// The first call of a limit may take up to 5 s, or its time-out if that is longer: the store may have to connect, and
/// thousands of limits may begin at the same time.
///
/// # Addresses
///
/// All URLs of the crate `redis`: `redis://host:6379/`, `redis+unix:///path`, and `rediss://host:6379/` for TLS, which needs
/// one of its features in the manifest of the program, such as `tokio-rustls-comp`; without it `Client::open` fails. TLS with
/// a server that has none, or none with one that has it, is an outage: that server hangs up or keeps silent.
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
/// least among the others, since it evicts first what is nearly full; `volatile-lru`, `volatile-lfu` and
/// `volatile-random` choose among the keys that expire, and so buckets before other data; the `allkeys-` policies choose
/// among all, and under pressure a limit that is used rarely is soon forgotten.
///
/// It does not follow the redirections of a cluster: `MOVED` is told as a mistake. A proxy that hides the cluster works, and
/// so does a [`Store`] of your own. A call uses one key, so that any key is good in a cluster; the part in braces alone
/// decides where it is, so that `limit:{tenant-7}:api` is beside the other keys of `{tenant-7}`, and one pair of braces in
/// all keys puts all of them on one server.
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
    /// Whether it has ever worked.
    has_answered: Arc<AtomicBool>,
}

impl RedisStore {
    /// A store that connects at its first call, so that a program starts without Redis, too.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { connector: Arc::new(Connector::new(client, &TAKE)), has_answered: Arc::default() }
    }
}

impl Store for RedisStore {
    type Error = RedisError;

    async fn take(&self, mut take: Take<'_>) -> Result<Taken, RedisError> {
        let mut is_repeat = false;
        loop {
            let call = self.connector.begin().await?;
            let mut connection = call.connection.clone();
            let error = match call.answer(run(&mut connection, take)).await {
                Ok(taken) => {
                    call.succeeded();
                    self.has_answered.store(true, Relaxed);
                    return Ok(taken);
                }
                Err(error) => error,
            };
            let class = ErrorClass::of(&error);
            call.failed(class.ends_connection().then_some(&error));
            if is_repeat || !class.is_repeated() {
                return Err(error);
            }
            take = class.repetition(take);
            is_repeat = true;
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

/// For programs that have a manager already: its connection is shared.
///
/// Calls are repeated as by [`RedisStore`], and a connection that leads to a replica is ended by `QUIT`. But the manager
/// gives up for good when a user or password is refused while it reconnects, and it does not replace a connection on which
/// calls time out: of a machine that is gone without a word only TCP learns, after a quarter of an hour, or on Linux as
/// long as `TcpSettings::set_user_timeout` says.
impl Store for ConnectionManager {
    type Error = RedisError;

    async fn take(&self, mut take: Take<'_>) -> Result<Taken, RedisError> {
        let mut connection = self.clone();
        let mut is_repeat = false;
        loop {
            let error = match run(&mut connection, take).await {
                Ok(taken) => return Ok(taken),
                Err(error) => error,
            };
            let class = ErrorClass::of(&error);
            if matches!(class, ErrorClass::WrongServer | ErrorClass::Redirected) {
                // The manager notices that it is closed, and connects.
                let _ = cmd("QUIT").exec_async(&mut connection).await;
                let _ = cmd("PING").exec_async(&mut connection).await;
            }
            if is_repeat || !class.is_repeated() {
                return Err(error);
            }
            take = class.repetition(take);
            is_repeat = true;
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

async fn run(connection: &mut impl ConnectionLike, take: Take<'_>) -> Result<Taken, RedisError> {
    let mut call = TAKE.key(take.key);
    call.arg(take.speed).arg(take.cost).arg(take.depth);
    call.arg(take.returned).arg(take.least).arg(take.most);
    let (granted, micros): (u32, u64) = call.invoke_async(connection).await?;
    Ok(Taken { granted, full_in: Duration::from_micros(micros) })
}
