//! Ours, over a queue in PostgreSQL.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel::{
    pipeline::{LowWaterMark, PgJob, PgQueue, Sink as _},
    postgres::{Database, Error, tokio_postgres::Config},
};
use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    pipeline::{Capability, Item, LowWater, Queue, Settings, Work, Worker},
};
use tokio::sync::OnceCell;

use super::{Handle, LetterStore, Line, Mark, start};
use crate::adapters::pipeline::servers::{
    Cluster, Restart as _, Signal, TcpLine, UNIT, clock, config, encode, read, streams::until_up,
};

pub(crate) struct Postgres {
    pub(crate) server: Arc<Cluster>,
}

impl Adapter<Settings> for Postgres {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Capacity => Err("a table has no capacity"),
            Capability::Close => Err("a queue in a database has no end"),
            Capability::Duplicates | Capability::Reorders => Err("a database does not do so by chance"),
            Capability::Forget => Err("the row of a worker and its jobs change in one transaction"),
            Capability::PowerLoss => Err("the disk of a real server forgets nothing on request"),
            _ => Ok(()),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Queue>, AdapterError> {
        let mut jobs = self.jobs(settings)?;
        for _ in 0..settings.merged {
            jobs.merged.push(self.jobs(settings)?);
        }
        Ok(Box::new(jobs))
    }
}

impl Postgres {
    /// A queue in a schema of its own, on a server of its own if it will be stopped.
    fn jobs(&self, settings: &Settings) -> Result<Jobs, AdapterError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = match settings.stops {
            true => Arc::new(self.server.another().map_err(refused)?),
            false => Arc::clone(&self.server),
        };
        let schema = format!("rule_{}", COUNT.fetch_add(1, Relaxed));
        Ok(Jobs { server, schema, settings: settings.clone(), admin: OnceCell::new(), merged: Vec::new() })
    }
}

fn refused(error: io::Error) -> AdapterError {
    AdapterError::Refused(error.to_string())
}

struct Jobs {
    server: Arc<Cluster>,
    schema: String,
    settings: Settings,
    admin: OnceCell<(Database, PgQueue)>,
    merged: Vec<Jobs>,
}

impl Jobs {
    fn queue(&self, db: &Database) -> PgQueue {
        PgQueue::new(db, "rule").schema(&self.schema).lease(self.settings.ack_wait)
    }

    /// The queue, on a way that is never cut.
    async fn admin(&self) -> &(Database, PgQueue) {
        let connect = || async {
            let db = Database::builder(self.config(self.server.port())).max(2).connect().await?;
            if self.settings.sets_clock {
                db.batch_execute(&clock::hidden(&self.schema)).await?;
            }
            let queue = self.queue(&db);
            queue.set_up().await?;
            Ok::<_, Error>((db, queue))
        };
        self.admin.get_or_init(|| until_up(connect)).await
    }
}

impl Jobs {
    /// A queue over a way of its own.
    async fn connect(&self) -> Result<(PgQueue, Box<dyn Line>), AdapterError> {
        let (admin, _) = self.admin().await;
        let line = TcpLine::to(self.server.port()).await.map_err(refused)?;
        let config = self.config(line.port());
        let db = until_up(|| Database::builder(config.clone()).max(4).connect()).await;
        let line = JobsLine { line, admin: admin.clone(), schema: self.schema.clone() };
        Ok((self.queue(&db), Box::new(line)))
    }

    fn config(&self, port: u16) -> Config {
        let mut config = config(port);
        if self.settings.sets_clock {
            config.options(clock::option(&self.schema));
        }
        config
    }

    async fn set_clock(&self, by: f64) {
        let (db, _) = self.admin().await;
        let set = clock::set(&self.schema);
        until_up(|| db.execute(&set, (by,))).await;
    }
}

impl Queue for Jobs {
    fn publish(&self, item: Item) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let (_, queue) = self.admin().await;
            let job = PgJob::new(encode(item)).dedup(item.number.to_string());
            until_up(|| queue.enqueue(job.clone())).await;
        })
    }

    fn start(&self, work: Work) -> BoxFuture<'_, Result<Box<dyn Worker>, AdapterError>> {
        Box::pin(async move {
            let (queue, line) = self.connect().await?;
            let (mut sources, mut lines) = (vec![queue.source()], vec![line]);
            for merged in &self.merged {
                let (queue, line) = merged.connect().await?;
                sources.push(queue.source());
                lines.push(line);
            }
            let letters = Arc::new(queue.dead_letters());
            let store: LetterStore<Vec<u8>> = Arc::new(move |batch| {
                let letters = Arc::clone(&letters);
                Box::pin(async move { letters.send(batch).await })
            });
            let mut settings = self.settings.clone();
            settings.budget = settings.budget.map(|bytes| bytes * UNIT);
            let running = start(sources, |job| read(job), Some(store), &settings, work)?;
            Ok(Box::new(Handle { running, lines }) as Box<dyn Worker>)
        })
    }

    fn stored(&self) -> BoxFuture<'_, usize> {
        Box::pin(async {
            let (db, _) = self.admin().await;
            let sql = format!("select count(*) from {}.job", self.schema);
            let count = || async {
                match db.fetch_scalar::<i64>(&sql, ()).await {
                    // It was deleted.
                    Err(error) if error.code().is_some_and(|code| code.code().starts_with("42")) => Ok(0),
                    counted => counted,
                }
            };
            until_up(count).await as usize
        })
    }

    fn dead_letters(&self) -> BoxFuture<'_, usize> {
        Box::pin(async {
            let (_, queue) = self.admin().await;
            until_up(|| queue.dead(1000)).await.len()
        })
    }

    fn crash(&self, downtime: Duration) {
        self.server.restart(Signal::Interrupt, downtime);
    }

    fn kill(&self, downtime: Duration) {
        self.server.restart(Signal::Quit, downtime);
    }

    fn merged(&self, number: usize) -> &dyn Queue {
        &self.merged[number]
    }

    fn set_clock_forward(&self, by: Duration) -> BoxFuture<'_, ()> {
        Box::pin(self.set_clock(by.as_secs_f64()))
    }

    fn set_clock_back(&self, by: Duration) -> BoxFuture<'_, ()> {
        Box::pin(self.set_clock(-by.as_secs_f64()))
    }

    fn low_water(&self, position: u64) -> Box<dyn LowWater> {
        Box::new(Mark(LowWaterMark::new(position)))
    }
}

struct JobsLine {
    line: TcpLine,
    admin: Database,
    schema: String,
}

impl Line for JobsLine {
    fn cut(&self, time: Duration) {
        self.line.cut(time);
    }

    fn lose_answers(&self, time: Duration) {
        self.line.lose_answers(time);
    }

    fn delete(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let sql = format!("drop schema {} cascade", self.schema);
            self.admin.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{error}"));
        })
    }
}
