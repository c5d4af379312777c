//! apalis over PostgreSQL, as its README has it: notifications with a poll beside them, retries with a backoff, time-outs and
//! panics by its layers.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use apalis::{
    layers::{
        WorkerBuilderExt as _,
        catch_panic::CatchPanicLayer,
        retry::{BackoffRetryPolicy, backoff::Backoff},
    },
    prelude::{
        Attempt, BackendExt as _, BoxDynError, Data, TaskBuilder, TaskId, TaskSink as _, WorkerBuilder,
        WorkerContext,
    },
};
use apalis_postgres::{Config, PostgresStorage};
use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    pipeline::{Capability, Item, Queue, Settings, Work, Worker},
};
use futures::TryFutureExt as _;
use sqlx::PgPool;
use tokio::time::{Sleep, sleep};

use crate::{
    database::{Rule, refused},
    host::{Host, Own},
    servers::{Cluster, Signal, TcpLine, encode, streams::until_up},
    work::Handler,
};

/// Beside the notifications.
const POLL: Duration = Duration::from_millis(50);

/// The attempts of a job that is never given up.
const FOREVER: usize = 1_000_000;

pub(crate) struct Apalis {
    pub(crate) server: Arc<Cluster>,
}

impl Adapter<Settings> for Apalis {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Backoff
            | Capability::ClockBack
            | Capability::ClockForward
            | Capability::Crash
            | Capability::Cut
            | Capability::Delete
            | Capability::Filter
            | Capability::Kill
            | Capability::Leases
            | Capability::Limit
            | Capability::LostAnswers
            | Capability::Pause
            | Capability::Split
            | Capability::Timeout => Ok(()),
            Capability::Batch => Err("a task is one job"),
            Capability::Budget => Err("a worker counts jobs, not bytes"),
            Capability::Capacity => Err("a table has no capacity"),
            Capability::Close => Err("a queue in a database has no end"),
            Capability::DeadLetters | Capability::LetterStore => Err(
                "a job that has failed too often stays in its table as `Failed`, and no code is called for it",
            ),
            Capability::Drain => {
                Err("a worker that is stopped waits for its tasks without a deadline of its own")
            }
            Capability::Duplicates | Capability::Reorders => Err("a database does not do so by chance"),
            Capability::Forget => Err("the rows of workers and of jobs are in one database"),
            Capability::Keys => Err("jobs have no keys"),
            Capability::LowWater => Err("there are no logs"),
            Capability::Merge => Err("a worker has one backend"),
            Capability::PowerLoss => Err("the disk of a real server forgets nothing on request"),
            Capability::Report | Capability::Snapshot => {
                Err("a worker tells how many tasks it has, and no account")
            }
            Capability::SetLimit => Err("the concurrency is a layer of fixed size"),
            _ => Err("it is not known"),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Queue>, AdapterError> {
        let set_up = |pool: PgPool| -> BoxFuture<'static, ()> {
            Box::pin(async move { until_up(|| PostgresStorage::setup(&pool)).await })
        };
        Ok(Box::new(Jobs(Arc::new(Rule::new(&self.server, settings, set_up)?))))
    }
}

struct Jobs(Arc<Rule>);

/// The pauses between attempts: so much longer with each.
#[derive(Clone, Debug)]
struct Growing {
    by: Duration,
    failures: u32,
}

impl Backoff for Growing {
    type Future = Sleep;

    fn next_backoff(&mut self) -> Sleep {
        self.failures += 1;
        sleep(self.by * self.failures)
    }
}

async fn handle(
    payload: String,
    id: TaskId,
    attempt: Attempt,
    handler: Data<Handler>,
) -> Result<(), BoxDynError> {
    let attempt = u32::try_from(attempt.current()).unwrap_or(u32::MAX);
    Ok(handler.run(&id.to_string(), attempt, payload.as_bytes()).await?)
}

/// A panic as a failure like others: by default apalis gives the job up.
fn on_panic(panic: &Box<dyn Any + Send>) -> BoxDynError {
    let text = panic.downcast_ref::<String>().map_or("it panicked", String::as_str);
    text.to_owned().into()
}

impl Queue for Jobs {
    fn publish(&self, item: Item) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let (_, pool) = self.0.admin().await;
            let config = Config::default().queue(&self.0.name);
            let storage: PostgresStorage<String> = PostgresStorage::new(pool).with_config(config);
            let payload = String::from_utf8_lossy(&encode(item)).into_owned();
            let push = || async {
                let task = TaskBuilder::new(payload.clone()).max_attempts(FOREVER).build();
                storage.clone().push_task(task).await.map_err(drop)
            };
            until_up(push).await;
        })
    }

    fn start(&self, work: Work) -> BoxFuture<'_, Result<Box<dyn Worker>, AdapterError>> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        Box::pin(async move {
            self.0.admin().await;
            let settings = self.0.settings.clone();
            let line = TcpLine::to(self.0.server.port()).await.map_err(refused)?;
            let runtime = Own::new()?;
            let (rule, port) = (Arc::clone(&self.0), line.port());
            let pool = runtime.spawn(async move { until_up(|| rule.pool(port, 4)).await }).await;
            let pool = pool.map_err(|error| AdapterError::Refused(error.to_string()))?;
            // A batch is fetched when a task may begin, so that these are at most the window in hand.
            let window = settings.window;
            let concurrency = settings.limit.unwrap_or(window).min(window);
            // A worker is gone when it has missed some heartbeats, a time that is counted in whole seconds.
            let wait = settings.ack_wait.as_secs() + u64::from(settings.ack_wait.subsec_nanos() > 0);
            let config = Config::default()
                .queue(&self.0.name)
                .batch_size(window - concurrency + 1)
                .heartbeat_interval(Duration::from_secs(wait) / 4)
                .missed_heartbeats(4);
            let storage: PostgresStorage<String> = PostgresStorage::new(&pool).with_config(config);
            let backend = storage.with_pubsub().poll_with_interval(POLL);
            let backoff = Growing { by: settings.backoff, failures: 0 };
            let name = format!("{} {}", self.0.name, COUNT.fetch_add(1, Relaxed));
            let context = WorkerContext::new(&name);
            let timeout = settings.timeout.unwrap_or(Duration::from_secs(60 * 60));
            let worker = WorkerBuilder::new(&context)
                .backend(backend)
                .concurrency(concurrency)
                .retry(BackoffRetryPolicy::new(FOREVER, backoff))
                .timeout(timeout)
                .layer(CatchPanicLayer::with_panic_handler(on_panic))
                .data(Handler { work, settings })
                .build(handle);
            let before = self.0.listeners().await;
            let task = runtime.spawn(worker.run().map_err(|error| error.to_string()));
            self.0.until_one_more_listens(before).await;
            let rule = Arc::clone(&self.0);
            let delete = move || -> BoxFuture<'static, ()> {
                let rule = Arc::clone(&rule);
                Box::pin(async move { rule.delete("apalis").await })
            };
            let pause = move |is_paused| {
                let _ = if is_paused { context.pause() } else { context.resume() };
            };
            Ok(Box::new(Host {
                _runtime: runtime,
                task,
                line,
                delete: Box::new(delete),
                pause: Box::new(pause),
            }) as Box<dyn Worker>)
        })
    }

    fn stored(&self) -> BoxFuture<'_, usize> {
        Box::pin(self.0.count("select count(*) from apalis.jobs where status <> 'Done'"))
    }

    fn crash(&self, downtime: Duration) {
        self.0.stop(Signal::Interrupt, downtime);
    }

    fn kill(&self, downtime: Duration) {
        self.0.stop(Signal::Quit, downtime);
    }

    fn set_clock_forward(&self, by: Duration) -> BoxFuture<'_, ()> {
        Box::pin(self.0.set_clock(by.as_secs_f64()))
    }

    fn set_clock_back(&self, by: Duration) -> BoxFuture<'_, ()> {
        Box::pin(self.0.set_clock(-by.as_secs_f64()))
    }
}
