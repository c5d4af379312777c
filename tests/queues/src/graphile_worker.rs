//! graphile_worker with its recovery of dead workers on, and a local queue where the window has room for one.

use std::{sync::Arc, time::Duration};

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    pipeline::{Capability, Item, Queue, Settings, Work, Worker},
};
use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, TaskHandler, WorkerContext, WorkerOptions,
    WorkerRecoveryConfig,
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::sync::OnceCell;

use crate::{
    database::{Rule, refused},
    host::{Host, Own},
    servers::{Cluster, Signal, TcpLine, encode, streams::until_up},
    work::Handler,
};

/// Beside the notifications.
const POLL: Duration = Duration::from_millis(20);

pub(crate) struct Graphile {
    pub(crate) server: Arc<Cluster>,
}

impl Adapter<Settings> for Graphile {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::ClockBack
            | Capability::ClockForward
            | Capability::Crash
            | Capability::Cut
            | Capability::Delete
            | Capability::Filter
            | Capability::Keys
            | Capability::Kill
            | Capability::Leases
            | Capability::Limit
            | Capability::LostAnswers
            | Capability::Split
            | Capability::Timeout => Ok(()),
            Capability::Backoff => Err("the delay is a power of e in seconds, and no setting"),
            Capability::Batch => Err("a batch is made by the one who enqueues it"),
            Capability::Budget => Err("a worker counts jobs, not bytes"),
            Capability::Capacity => Err("a table has no capacity"),
            Capability::Close => Err("a queue in a database has no end"),
            Capability::DeadLetters | Capability::LetterStore => {
                Err("a job that has failed too often stays in its table, and a hook of one process is told")
            }
            Capability::Drain => Err("the time of a stop is set when the worker is built"),
            Capability::Duplicates | Capability::Reorders => Err("a database does not do so by chance"),
            Capability::Forget => Err("the rows of workers and of jobs are in one database"),
            Capability::LowWater => Err("there are no logs"),
            Capability::Merge => Err("a worker has one database"),
            Capability::Pause => Err("a worker runs or is stopped"),
            Capability::PowerLoss => Err("the disk of a real server forgets nothing on request"),
            Capability::Report | Capability::Snapshot => {
                Err("hooks tell of single jobs, and nothing adds up")
            }
            Capability::SetLimit => Err("the concurrency is fixed"),
            _ => Err("it is not known"),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Queue>, AdapterError> {
        if settings.backoff * 100 < settings.ack_wait {
            return Err(AdapterError::NotExpressible(
                "a short delay between attempts: it is a power of e, in seconds",
            ));
        }
        // Opening a worker creates the tables.
        let rule = Rule::new(&self.server, settings, |_| Box::pin(async {}))?;
        Ok(Box::new(Jobs { rule: Arc::new(rule), worker: OnceCell::new() }))
    }
}

struct Jobs {
    rule: Arc<Rule>,
    /// It never runs, and enqueues.
    worker: OnceCell<graphile_worker::Worker>,
}

#[derive(Clone, Deserialize, Serialize)]
struct Job {
    payload: String,
}

#[derive(Clone, Debug)]
struct Handlers(Handler);

impl TaskHandler for Job {
    const IDENTIFIER: &'static str = "work";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let Some(Handlers(handler)) = context.get_ext::<Handlers>() else {
            return Err("no handler".to_owned());
        };
        let (id, attempt) =
            (context.job().id().to_string(), u32::from(context.job().attempts().unsigned_abs()));
        handler.within_its_time(&id, attempt, self.payload.as_bytes()).await
    }
}

fn options(pool: PgPool) -> WorkerOptions {
    WorkerOptions::default().pg_pool(pool).listen_os_shutdown_signals(false).define_job::<Job>()
}

impl Jobs {
    async fn enqueuer(&self) -> &graphile_worker::Worker {
        let open = || async {
            let (_, pool) = self.rule.admin().await;
            until_up(|| options(pool.clone()).init()).await
        };
        self.worker.get_or_init(open).await
    }
}

impl Queue for Jobs {
    fn publish(&self, item: Item) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let utils = self.enqueuer().await.create_utils();
            let payload = String::from_utf8_lossy(&encode(item)).into_owned();
            // Jobs of one named queue go one after the other.
            let queue_name = self.rule.settings.keyed.then(|| item.key.to_string());
            let spec = JobSpec { max_attempts: Some(i16::MAX), queue_name, ..JobSpec::default() };
            until_up(|| utils.add_job(Job { payload: payload.clone() }, spec.clone())).await;
        })
    }

    fn start(&self, work: Work) -> BoxFuture<'_, Result<Box<dyn Worker>, AdapterError>> {
        Box::pin(async move {
            self.enqueuer().await;
            let settings = self.rule.settings.clone();
            let line = TcpLine::to(self.rule.server.port()).await.map_err(refused)?;
            let runtime = Own::new()?;
            let (rule, port) = (Arc::clone(&self.rule), line.port());
            // Without a limit each that is taken runs. With one, a local queue has those that wait.
            let window = settings.window;
            let concurrency = settings.limit.unwrap_or(window).min(window);
            let (wait, handlers) = (settings.ack_wait, Handlers(Handler { work, settings }));
            let open = async move {
                let pool = until_up(|| rule.pool(port, 4)).await;
                let recovery = WorkerRecoveryConfig::default()
                    .heartbeat_interval(wait / 4)
                    .sweep_interval(wait / 4)
                    .sweep_threshold(wait)
                    .recovery_delay(Duration::ZERO);
                let options = || {
                    let options = options(pool.clone())
                        .concurrency(concurrency)
                        .poll_interval(POLL)
                        .worker_recovery(recovery.clone())
                        .add_extension(handlers.clone());
                    match concurrency < window {
                        true => options.local_queue(LocalQueueConfig::default().with_size(window)),
                        false => options,
                    }
                };
                until_up(|| options().init()).await
            };
            let worker =
                runtime.spawn(open).await.map_err(|error| AdapterError::Refused(error.to_string()))?;
            let before = self.rule.listeners().await;
            let task = runtime.spawn(async move { worker.run().await.map_err(|error| error.to_string()) });
            self.rule.until_one_more_listens(before).await;
            let rule = Arc::clone(&self.rule);
            let delete = move || -> BoxFuture<'static, ()> {
                let rule = Arc::clone(&rule);
                Box::pin(async move { rule.delete("graphile_worker").await })
            };
            Ok(Box::new(Host {
                _runtime: runtime,
                task,
                line,
                delete: Box::new(delete),
                pause: Box::new(|_| {}),
            }) as Box<dyn Worker>)
        })
    }

    fn stored(&self) -> BoxFuture<'_, usize> {
        Box::pin(self.rule.count("select count(*) from graphile_worker._private_jobs"))
    }

    fn crash(&self, downtime: Duration) {
        self.rule.stop(Signal::Interrupt, downtime);
    }

    fn kill(&self, downtime: Duration) {
        self.rule.stop(Signal::Quit, downtime);
    }

    fn set_clock_forward(&self, by: Duration) -> BoxFuture<'_, ()> {
        Box::pin(self.rule.set_clock(by.as_secs_f64()))
    }

    fn set_clock_back(&self, by: Duration) -> BoxFuture<'_, ()> {
        Box::pin(self.rule.set_clock(-by.as_secs_f64()))
    }
}
