//! graphile_worker with its local queue, and completion in batches.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, RawJobSpec, TaskHandler, WorkerContext, WorkerOptions,
};
use serde::{Deserialize, Serialize};

use crate::{Result, Run};

#[derive(Deserialize, Serialize)]
struct Empty {
    payload: String,
}

#[derive(Clone, Debug)]
struct Ran(Arc<AtomicU64>);

impl TaskHandler for Empty {
    const IDENTIFIER: &'static str = "empty";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        std::hint::black_box(&self.payload);
        if let Some(ran) = context.get_ext::<Ran>() {
            ran.0.fetch_add(1, Relaxed);
        }
        Ok::<(), String>(())
    }
}

pub(crate) async fn run(run: &mut Run) -> Result<()> {
    let worker = WorkerOptions::default()
        .pg_pool(run.pool.clone())
        .schema("graphile_worker")
        .concurrency(run.concurrency)
        .local_queue(LocalQueueConfig::default().with_size(500))
        .complete_job_batch_delay(Duration::from_millis(1))
        .add_extension(Ran(Arc::clone(&run.ran)))
        .define_job::<Empty>()
        .init()
        .await?;
    let utils = worker.create_utils();
    let job = |number| RawJobSpec {
        identifier: Empty::IDENTIFIER.to_owned(),
        payload: serde_json::json!({ "payload": run.payload(number) }),
        spec: JobSpec::default(),
    };
    let jobs: Vec<RawJobSpec> = (0..run.jobs).map(job).collect();
    for batch in jobs.chunks(1000) {
        utils.add_raw_jobs(batch).await?;
    }
    run.begin().await?;
    let worker = Arc::new(worker);
    let running = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { worker.run().await.map_err(|error| error.to_string()) }
    });
    run.end("select count(*) from graphile_worker._private_jobs").await?;
    worker.request_shutdown();
    Ok(running.await??)
}
