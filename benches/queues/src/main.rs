//! Runs one peer of the queue in PostgreSQL on a backlog of empty jobs, and prints what that cost.
//!
//! `cargo xtask bench --queues` builds it, and starts it once for each round. Each peer has the settings with which it is
//! fastest; its tables are made, filled and looked at outside of the time that is measured.

mod apalis_postgres;
mod graphile_worker;
#[path = "../../src/server_time.rs"]
mod server_time;

use std::{
    env,
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::time::sleep;

use crate::server_time::server_time;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The task of a run.
struct Run {
    pool: PgPool,
    jobs: u64,
    concurrency: usize,
    /// Jobs whose function has run.
    ran: Arc<AtomicU64>,
    start: Option<Start>,
}

struct Start {
    at: Instant,
    client: Duration,
    server: Duration,
    transactions: i64,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [peer, url, jobs, concurrency] = &*arguments else {
        return Err("usage: evenkeel-bench-queues PEER URL JOBS CONCURRENCY".into());
    };
    let (jobs, concurrency) = (jobs.parse()?, concurrency.parse()?);
    let pool = PgPoolOptions::new().max_connections(20).connect(url).await?;
    let mut run = Run { pool, jobs, concurrency, ran: Arc::default(), start: None };
    match &**peer {
        "graphile_worker" => graphile_worker::run(&mut run).await,
        "apalis-postgres" => apalis_postgres::run(&mut run).await,
        other => Err(format!("there is no peer {other}").into()),
    }
}

impl Run {
    fn payload(&self, number: u64) -> String {
        format!("{number:0100}")
    }

    async fn begin(&mut self) -> Result<()> {
        sqlx::query("vacuum analyze").execute(&self.pool).await?;
        let transactions = self.transactions().await?;
        let server = self.server_time().await?;
        self.start = Some(Start { at: Instant::now(), client: client_time(), server, transactions });
        Ok(())
    }

    /// Waits until all jobs have run, and a statement says that none is left; prints the cost.
    async fn end(&self, left: &'static str) -> Result<()> {
        while self.ran.load(Relaxed) < self.jobs {
            sleep(Duration::from_millis(1)).await;
        }
        while sqlx::query_scalar::<_, i64>(left).fetch_one(&self.pool).await? > 0 {
            sleep(Duration::from_millis(2)).await;
        }
        let start = self.start.as_ref().ok_or("it has not begun")?;
        let wall = start.at.elapsed();
        let client = client_time().saturating_sub(start.client);
        let server = self.server_time().await?.saturating_sub(start.server);
        let statements = self.transactions().await? - start.transactions;
        let cpu = (client + server).as_secs_f64();
        eprintln!(
            "{:.0} jobs/s, client {:.1} us, server {:.1} us, {:.4} transactions each",
            self.jobs as f64 / wall.as_secs_f64(),
            client.as_secs_f64() * 1e6 / self.jobs as f64,
            server.as_secs_f64() * 1e6 / self.jobs as f64,
            statements as f64 / self.jobs as f64
        );
        println!("{{\"wall\": {}, \"cpu\": {cpu}}}", wall.as_secs_f64());
        Ok(())
    }

    async fn server_time(&self) -> Result<Duration> {
        let file = "select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int";
        let postmaster: i32 = sqlx::query_scalar(file).fetch_one(&self.pool).await?;
        Ok(server_time(postmaster.unsigned_abs()))
    }

    async fn transactions(&self) -> Result<i64> {
        // A backend reports within a second of idleness.
        sleep(Duration::from_millis(1200)).await;
        let sql = "select xact_commit from pg_stat_database where datname = current_database()";
        Ok(sqlx::query_scalar(sql).fetch_one(&self.pool).await?)
    }
}

fn client_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
