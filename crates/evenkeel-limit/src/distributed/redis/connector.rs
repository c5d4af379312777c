//! The connection that all calls share, and how it is replaced.
//!
//! # How it works
//!
//! There is at most one connection at a time. A task makes it, so that a call that times out does not interrupt it; the
//! calls that began meanwhile wait for its result. A call that fails in a way that ends the connection *retires* it, and
//! the next call makes another. Reconnecting is paced: until `not_before` calls get the last error, or wait if it is the
//! first pause.
//!
//! A machine that is gone answers nothing, and no error tells so. A connection is therefore retired as well when calls on it
//! got no answer for [`SILENCE`]: by a call that still waits, or by the drop of one that timed out ([`Call`]).
//!
//! Races: many calls may find the same connection broken. `retire` compares pointers, so that only the first retires it,
//! and a later one cannot retire its successor.

use std::{
    future::Future,
    io, mem,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_base::lock;
use redis::{AsyncConnectionConfig, Client, ProtocolVersion, RedisError, Script, aio::MultiplexedConnection};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep_until, timeout_at},
};

use super::error_class::ErrorClass;

/// The time-out of connecting, with the handshake and the script.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection without an answer for this time, while calls wait, counts as dead.
const SILENCE: Duration = Duration::from_secs(1);

/// The pause between connections while they bring no answer. Each further pause is twice as long.
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The size of the queue of calls to be written. With a small one, many limits at once would block one another.
const BUFFERED_CALLS: usize = 1024;

#[derive(Debug)]
pub(super) struct Connector {
    client: Client,
    script: &'static Script,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    current: Option<Arc<Connection>>,
    /// The connections since the last one that brought an answer.
    failures: u32,
    /// When the next connection may be made, and the error of calls until then.
    not_before: Instant,
    error: Option<RedisError>,
}

/// The result of connecting, once there is one.
type Connected = Option<Result<MultiplexedConnection, RedisError>>;

/// A connection, made or being made. Dropping it aborts the task that makes it.
#[derive(Debug)]
struct Connection {
    started: Instant,
    connected: watch::Receiver<Connected>,
    task: OnceLock<AbortHandle>,
    has_answered: AtomicBool,
    liveness: Mutex<Liveness>,
}

#[derive(Debug)]
struct Liveness {
    last_answer: Instant,
    /// When the first call began that was dropped without an answer since then.
    unanswered_since: Option<Instant>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Connection {
    /// Waits for the result; `None` if the runtime of the task that connects has ended, or is not driven.
    async fn connected(&self) -> Connected {
        let ready = self.connected.borrow().clone();
        if ready.is_some() {
            return ready;
        }
        let mut connected = self.connected.clone();
        let stalled = self.started + 2 * CONNECT_TIMEOUT;
        let result = timeout_at(stalled, connected.wait_for(Option::is_some)).await;
        result.ok().and_then(Result::ok).and_then(|connected| connected.clone())
    }
}

/// How a call gets its connection.
enum NextConnection {
    Existing(Arc<Connection>),
    New(Arc<Connection>, watch::Sender<Connected>),
    NotBefore(Instant),
}

impl Connector {
    pub(super) fn new(client: Client, script: &'static Script) -> Self {
        let state = State { current: None, failures: 0, not_before: Instant::now(), error: None };
        Self { client: without_client_name(client), script, state: Mutex::new(state) }
    }

    /// Waits for a connection, and begins a call on it.
    pub(super) async fn begin_call(self: &Arc<Self>) -> Result<Call, RedisError> {
        loop {
            let current = match self.next_connection()? {
                NextConnection::NotBefore(until) => {
                    sleep_until(until).await;
                    continue;
                }
                NextConnection::Existing(current) => current,
                NextConnection::New(current, sender) => {
                    let task = tokio::spawn(connect(self.client.clone(), self.script, sender));
                    let _ = current.task.set(task.abort_handle());
                    current
                }
            };
            match current.connected().await {
                Some(Ok(connection)) => {
                    let (connector, started) = (Arc::clone(self), Instant::now());
                    return Ok(Call { connector, current, connection, started, is_answered: false });
                }
                Some(Err(error)) => {
                    self.retire(&current, &error);
                    return Err(error);
                }
                None => self.retire(&current, &io::Error::from(io::ErrorKind::ConnectionAborted).into()),
            }
        }
    }

    fn next_connection(&self) -> Result<NextConnection, RedisError> {
        let now = Instant::now();
        let mut state = lock(&self.state);
        if let Some(current) = &state.current {
            return Ok(NextConnection::Existing(Arc::clone(current)));
        }
        if now < state.not_before {
            // The first pause is short: a call waits, and can still be repeated within its time-out.
            let error = state.error.clone().filter(|_| state.failures > 1);
            return error.map_or(Ok(NextConnection::NotBefore(state.not_before)), Err);
        }
        let (sender, connected) = watch::channel(None);
        let current = Arc::new(Connection {
            started: now,
            connected,
            task: OnceLock::new(),
            has_answered: AtomicBool::new(false),
            liveness: Mutex::new(Liveness { last_answer: now, unanswered_since: None }),
        });
        state.current = Some(Arc::clone(&current));
        Ok(NextConnection::New(current, sender))
    }

    /// Makes sure that no further call begins on this connection.
    fn retire(&self, connection: &Arc<Connection>, error: &RedisError) {
        let (error, now) = (Some(error.clone()), Instant::now());
        let mut state = lock(&self.state);
        if !state.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            return;
        }
        if connection.has_answered.load(Relaxed) {
            state.failures = 0;
            state.not_before = connection.started + MIN_PAUSE;
        } else {
            let pause = MIN_PAUSE.saturating_mul(1 << state.failures.min(8)).min(MAX_PAUSE);
            state.failures = state.failures.saturating_add(1);
            state.not_before = now + pause;
        }
        let retired = (state.current.take(), mem::replace(&mut state.error, error));
        // The connection and the error are dropped without the lock.
        drop(state);
        drop(retired);
    }
}

/// Switches `CLIENT SETINFO` off where it would be the first command: the client does not read its answer, but a server that
/// refuses a connection says so in its only answer. It also needs more rights than the documentation names.
///
/// With `AUTH` as the first command it stays on: the answer to `AUTH` alone would not tell a wrong password from a server
/// that has too many clients.
fn without_client_name(client: Client) -> Client {
    let settings = client.get_connection_info().redis_settings();
    let is_named = settings.lib_name().is_some();
    let begins_with_auth = settings.protocol() == ProtocolVersion::RESP2 && settings.password().is_some();
    if is_named || begins_with_auth {
        return client;
    }
    let settings = settings.clone().set_skip_set_lib_name();
    let info = client.get_connection_info().clone().set_redis_settings(settings);
    Client::open(info).unwrap_or(client)
}

/// Connects, and loads the script once, rather than for each limit that finds it missing.
async fn connect(client: Client, script: &'static Script, sender: watch::Sender<Connected>) {
    // The limit has a time-out for each call, so the connection needs none.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(BUFFERED_CALLS);
    let connecting = async {
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        match script.load_async(&mut connection).await {
            // A server that does not load the script may know it already: the calls show it.
            Err(error) if ErrorClass::of(&error).ends_connection() => Err(error),
            _ => Ok(connection),
        }
    };
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
    let late =
        || io::Error::new(io::ErrorKind::TimedOut, format!("not connected within {CONNECT_TIMEOUT:?}"));
    // Without a receiver no call needs it any more.
    let _ = sender.send(Some(connected.unwrap_or_else(|_| Err(late().into()))));
}

/// A call under way. Dropping it before [`succeed`](Self::succeed) or [`fail`](Self::fail) means that it timed out.
#[derive(Debug)]
pub(super) struct Call {
    connector: Arc<Connector>,
    current: Arc<Connection>,
    pub(super) connection: MultiplexedConnection,
    started: Instant,
    is_answered: bool,
}

impl Call {
    /// Waits for the answer to a command on the connection, and fails if the connection is silent.
    pub(super) async fn answer<T>(
        &self,
        command: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, RedisError> {
        let mut command = pin!(command);
        loop {
            let silent_at = self.started.max(self.liveness().last_answer) + SILENCE;
            if let Ok(answer) = timeout_at(silent_at, command.as_mut()).await {
                return answer;
            }
            // Another call may have been answered meanwhile.
            if self.liveness().last_answer + SILENCE <= Instant::now() {
                return Err(silent());
            }
        }
    }

    pub(super) fn succeed(mut self) {
        self.set_answered();
        self.current.has_answered.store(true, Relaxed);
    }

    /// Ends a call that was answered by an error, and retires the connection if that error ends it.
    pub(super) fn fail(mut self, fatal: Option<&RedisError>) {
        self.set_answered();
        if let Some(error) = fatal {
            self.connector.retire(&self.current, error);
        }
    }

    fn set_answered(&mut self) {
        self.is_answered = true;
        *self.liveness() = Liveness { last_answer: Instant::now(), unanswered_since: None };
    }

    fn liveness(&self) -> MutexGuard<'_, Liveness> {
        lock(&self.current.liveness)
    }
}

fn silent() -> RedisError {
    // The kind of a connection that was cut, so that it is classified as one.
    io::Error::new(io::ErrorKind::ConnectionAborted, format!("no answer on the connection for {SILENCE:?}"))
        .into()
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let since = *self.liveness().unanswered_since.get_or_insert(self.started);
        if since.elapsed() >= SILENCE {
            self.connector.retire(&self.current, &silent());
        }
    }
}
