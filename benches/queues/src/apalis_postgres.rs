//! apalis-postgres with batches of 500, and as many tasks at once as asked for.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use apalis::prelude::{BoxDynError, Data, TaskSink as _, WorkerBuilder, WorkerBuilderExt as _};
use apalis_postgres::{Config, PostgresStorage};
use futures::stream;

use crate::{Result, Run};

const BATCH: usize = 500;

async fn empty(payload: String, ran: Data<Arc<AtomicU64>>) -> std::result::Result<(), BoxDynError> {
    std::hint::black_box(payload);
    ran.fetch_add(1, Relaxed);
    Ok(())
}

pub(crate) async fn run(run: &mut Run) -> Result<()> {
    PostgresStorage::setup(&run.pool).await?;
    sqlx::query("truncate apalis.jobs").execute(&run.pool).await?;
    let config = Config::default().queue("empty").batch_size(BATCH.max(run.concurrency));
    let mut storage: PostgresStorage<String> = PostgresStorage::new(&run.pool).with_config(config);
    let payloads: Vec<String> = (0..run.jobs).map(|number| run.payload(number)).collect();
    for batch in payloads.chunks(1000) {
        storage.push_stream(&mut stream::iter(batch.to_vec())).await?;
    }
    run.begin().await?;
    let worker = WorkerBuilder::new(format!("worker {}", std::process::id()))
        .backend(storage)
        .concurrency(run.concurrency)
        .data(Arc::clone(&run.ran))
        .build(empty);
    let running = tokio::spawn(worker.run());
    run.end("select count(*) from apalis.jobs where status <> 'Done'").await?;
    running.abort();
    Ok(())
}
