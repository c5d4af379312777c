//! The connection that all calls share, and how it comes back.
//!
//! There is at most one at a time, made by a task so that a call whose time is up does not cut it off. A call that finds
//! it broken retires it, and the next one makes another. Connections that bring no answer are paced: `not_before`, and
//! until then calls get the last error.

use std::{
    future::Future,
    io, mem,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, ProtocolVersion, RedisError, Script, aio::MultiplexedConnection};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep_until, timeout_at},
};

use super::error_class::ErrorClass;

/// Connecting takes no longer than this, with the handshake and the script.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection on which calls wait and nothing is heard for this long is taken for dead.
const SILENCE: Duration = Duration::from_secs(1);

/// How far apart connections are, at first and at most, while they bring no answer.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// Calls that wait to be written: with few, many limits at once take turns in small steps.
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
    /// Connections since the last one that brought an answer.
    failures: u32,
    /// When the next one may be made, and the error that is told until then.
    not_before: Instant,
    error: Option<RedisError>,
}

type Outcome = Option<Result<MultiplexedConnection, RedisError>>;

/// A connection, made or being made. Its task ends with it.
#[derive(Debug)]
struct Connection {
    started: Instant,
    outcome: watch::Receiver<Outcome>,
    task: OnceLock<AbortHandle>,
    has_answered: AtomicBool,
    heard: Mutex<Heard>,
}

/// The signs of life of a server.
#[derive(Debug)]
struct Heard {
    last_answer: Instant,
    /// When the first of the calls began that were given up since then.
    in_vain_since: Option<Instant>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Connection {
    /// The outcome; none if the runtime in which it is made has ended, or is not driven.
    async fn made(&self) -> Outcome {
        let ready = self.outcome.borrow().clone();
        if ready.is_some() {
            return ready;
        }
        let mut outcome = self.outcome.clone();
        let stalled = self.started + 2 * CONNECT_TIMEOUT;
        let made = timeout_at(stalled, outcome.wait_for(Option::is_some)).await;
        made.ok().and_then(Result::ok).and_then(|outcome| outcome.clone())
    }
}

enum Next {
    Wait(Arc<Connection>),
    Make(Arc<Connection>, watch::Sender<Outcome>),
    Pause(Instant),
}

impl Connector {
    pub(super) fn new(client: Client, script: &'static Script) -> Self {
        let state = State { current: None, failures: 0, not_before: Instant::now(), error: None };
        Self { client: quiet(client), script, state: Mutex::new(state) }
    }

    /// A call on the connection, when there is one.
    pub(super) async fn begin(self: &Arc<Self>) -> Result<Call, RedisError> {
        loop {
            let current = match self.next()? {
                Next::Pause(until) => {
                    sleep_until(until).await;
                    continue;
                }
                Next::Wait(current) => current,
                Next::Make(current, sender) => {
                    let task = tokio::spawn(connect(self.client.clone(), self.script, sender));
                    let _ = current.task.set(task.abort_handle());
                    current
                }
            };
            match current.made().await {
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

    fn next(&self) -> Result<Next, RedisError> {
        let now = Instant::now();
        let mut state = self.state();
        if let Some(current) = &state.current {
            return Ok(Next::Wait(Arc::clone(current)));
        }
        if now < state.not_before {
            // The first pause is short: a call waits, and can be repeated.
            let error = state.error.clone().filter(|_| state.failures > 1);
            return error.map_or(Ok(Next::Pause(state.not_before)), Err);
        }
        let (sender, outcome) = watch::channel(None);
        let current = Arc::new(Connection {
            started: now,
            outcome,
            task: OnceLock::new(),
            has_answered: AtomicBool::new(false),
            heard: Mutex::new(Heard { last_answer: now, in_vain_since: None }),
        });
        state.current = Some(Arc::clone(&current));
        Ok(Next::Make(current, sender))
    }

    /// No call begins on this connection any more.
    fn retire(&self, connection: &Arc<Connection>, error: &RedisError) {
        let (error, now) = (Some(error.clone()), Instant::now());
        let mut state = self.state();
        if !state.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            return;
        }
        if connection.has_answered.load(Relaxed) {
            state.failures = 0;
            state.not_before = connection.started + PAUSES[0];
        } else {
            let pause = PAUSES[0].saturating_mul(1 << state.failures.min(8)).min(PAUSES[1]);
            state.failures = state.failures.saturating_add(1);
            state.not_before = now + pause;
        }
        let retired = (state.current.take(), mem::replace(&mut state.error, error));
        drop(state);
        drop(retired);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends nothing at first of which the answer is not read: a server that refuses a connection says so in its only answer.
/// `CLIENT SETINFO` is also more than the rights of the user that the documentation names.
///
/// Where `AUTH` comes first its answer would not tell a wrong password from a server that has too many clients.
fn quiet(client: Client) -> Client {
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

/// Connects, and loads the script: once, rather than for each limit that finds it missing.
async fn connect(client: Client, script: &'static Script, sender: watch::Sender<Outcome>) {
    // The limit has a time-out for each call.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(BUFFERED_CALLS);
    let made = async {
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        match script.load_async(&mut connection).await {
            // A server that does not load it may know it already: the calls tell.
            Err(error) if ErrorClass::of(&error).ends_connection() => Err(error),
            _ => Ok(connection),
        }
    };
    let made = tokio::time::timeout(CONNECT_TIMEOUT, made).await;
    let late =
        || io::Error::new(io::ErrorKind::TimedOut, format!("not connected within {CONNECT_TIMEOUT:?}"));
    // Without a receiver nobody needs it any more.
    let _ = sender.send(Some(made.unwrap_or_else(|_| Err(late().into()))));
}

/// A call under way. When it is dropped it was not answered in time.
#[derive(Debug)]
pub(super) struct Call {
    connector: Arc<Connector>,
    current: Arc<Connection>,
    pub(super) connection: MultiplexedConnection,
    started: Instant,
    is_answered: bool,
}

impl Call {
    /// The answer to what is asked on the connection, unless that is silent.
    pub(super) async fn answer<T>(
        &self,
        asked: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, RedisError> {
        let mut asked = pin!(asked);
        loop {
            let silent_at = self.started.max(self.heard().last_answer) + SILENCE;
            if let Ok(answer) = timeout_at(silent_at, asked.as_mut()).await {
                return answer;
            }
            // Another call may have been answered meanwhile.
            if self.heard().last_answer + SILENCE <= Instant::now() {
                return Err(silent());
            }
        }
    }

    pub(super) fn succeeded(mut self) {
        self.answered();
        self.current.has_answered.store(true, Relaxed);
    }

    /// Retires the connection if it is of no use any more, because of an error.
    pub(super) fn failed(mut self, useless: Option<&RedisError>) {
        self.answered();
        if let Some(error) = useless {
            self.connector.retire(&self.current, error);
        }
    }

    fn answered(&mut self) {
        self.is_answered = true;
        *self.heard() = Heard { last_answer: Instant::now(), in_vain_since: None };
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.current.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn silent() -> RedisError {
    // Its kind is that of a connection that was cut.
    io::Error::new(io::ErrorKind::ConnectionAborted, format!("no answer on the connection for {SILENCE:?}"))
        .into()
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let since = *self.heard().in_vain_since.get_or_insert(self.started);
        if since.elapsed() >= SILENCE {
            self.connector.retire(&self.current, &silent());
        }
    }
}
