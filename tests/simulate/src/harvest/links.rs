//! How a process reaches the API and the database: over the network in memory, and no more when it is dead.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use deadpool_postgres::{Manager, ManagerConfig};
use evenkeel_postgres::{
    Builder, Database,
    tokio_postgres::{Client, Config, Error},
};
use evenkeel_testkit::http::Connector;
use evenkeel_testkit_pg::Connector as DatabaseConnector;
use harvest::{Body, Response, Transport, TransportError, Url};
use http_body_util::Empty;
use hyper::{
    HeaderMap, Request,
    body::{Bytes, Frame, Incoming},
    rt::Executor,
};
use hyper_util::client::legacy;
use tokio::task::{JoinHandle, JoinSet};

use super::{account::Account, site::Document};
use crate::{Process, checks::lock};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The connections of a process to the API.
#[derive(Debug)]
pub(super) struct Api {
    client: legacy::Client<Connector, Empty<Bytes>>,
    account: Arc<Account>,
}

impl Api {
    pub(super) fn new(account: &Arc<Account>, tasks: &Tasks) -> Self {
        let executor = ProcessExecutor { process: account.process.clone(), tasks: tasks.clone() };
        let client = legacy::Client::builder(executor).build(Connector::new(&account.world.net));
        Self { client, account: Arc::clone(account) }
    }
}

impl Transport for Api {
    fn get(&self, url: Url) -> BoxFuture<'_, Result<Response, TransportError>> {
        let get = async move {
            let document = self.account.begins(url.path());
            let call = Call { account: Arc::clone(&self.account), document };
            let request = Request::get(url.as_str())
                .body(Empty::new())
                .map_err(|error| TransportError::lost(&error))?;
            let response = self.client.request(request).await.map_err(|error| match error.is_connect() {
                true => TransportError::no_connection(&error),
                false => TransportError::lost(&error),
            })?;
            let (head, body) = response.into_parts();
            if let Some(document) = document {
                self.account.head(document, head.status.as_u16(), pause(&head.headers, self.now()));
            }
            let body = CountedBody { body, is_ok: head.status == 200, call: Some(call) };
            let (status, headers) = (head.status, head.headers);
            Ok(Response { url, status, headers, body: Body::new(body) })
        };
        Box::pin(self.account.process.runs(get))
    }

    fn now(&self) -> SystemTime {
        self.account.world.site.now()
    }
}

/// Returns the pause that an answer asks for.
fn pause(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let seconds = |text: &str| text.parse().ok().map(Duration::from_secs);
    let Some(retry_after) = text("retry-after") else { return seconds(text("x-ratelimit-reset")?) };
    let date = || httpdate::parse_http_date(retry_after).ok();
    seconds(retry_after).or_else(|| Some(date()?.duration_since(now).unwrap_or_default()))
}

/// A call in flight.
struct Call {
    account: Arc<Account>,
    document: Option<Document>,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.account.ended();
    }
}

/// A body that tells of its end.
struct CountedBody {
    body: Incoming,
    is_ok: bool,
    call: Option<Call>,
}

impl hyper::body::Body for CountedBody {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        if self.call.as_ref().is_some_and(|call| !call.account.process.step()) {
            return Poll::Pending;
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none()
            && let Some(Call { account, document: Some(document) }) = self.call.take().as_ref()
            && self.is_ok
        {
            account.answered(*document);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| TransportError::lost(&error))))
    }
}

/// The tasks of a process that nobody else owns. A handle: clones are the same tasks.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    /// Returns the number of those that have not ended.
    pub(super) fn left(&self) -> usize {
        let mut tasks = lock(&self.0);
        while tasks.try_join_next().is_some() {}
        tasks.len()
    }

    pub(super) fn abort(&self) {
        drop(std::mem::take(&mut *lock(&self.0)));
    }
}

/// Runs the connections of the client of the API as a part of the process.
#[derive(Clone)]
struct ProcessExecutor {
    process: Process,
    tasks: Tasks,
}

impl<F> Executor<F> for ProcessExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let _ = lock(&self.tasks.0).spawn(self.process.runs(future));
    }
}

/// The connections of a process to the database. A handle: clones are the same one.
#[derive(Clone)]
pub(super) struct Postgres {
    connector: DatabaseConnector,
    process: Process,
}

impl Postgres {
    pub(super) fn new(account: &Account) -> Self {
        Self { connector: account.world.server.connector(), process: account.process.clone() }
    }

    /// Connects; the second future is the connection.
    async fn connect(self, config: Config) -> Result<(Client, BoxFuture<'static, ()>), Error> {
        let (client, connection) = self.process.runs(self.connector.connect(&config)).await?;
        let driver = self.process.runs(async { drop(connection.await) });
        Ok((client, Box::pin(driver)))
    }
}

impl harvest::Connect for Postgres {
    fn database(&self, config: Config) -> Builder {
        let manager = Manager::from_connect(config, self.clone(), ManagerConfig::default());
        let requests = self.clone();
        Database::over(manager).cancel_with(move |token| {
            let Self { connector, process } = requests.clone();
            async move { process.runs(connector.cancel(&token)).await }
        })
    }

    fn connect(&self, config: Config) -> BoxFuture<'_, Result<(Client, BoxFuture<'static, ()>), Error>> {
        Box::pin(self.clone().connect(config))
    }
}

impl deadpool_postgres::Connect for Postgres {
    fn connect(&self, config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        let connect = self.clone().connect(config.clone());
        Box::pin(async {
            let (client, driver) = connect.await?;
            Ok((client, tokio::spawn(driver)))
        })
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Postgres").field(&self.connector).finish()
    }
}
