//! The API within spawned tasks, generic functions and `async_trait`, with boxed errors.

use std::{error::Error, sync::Arc};

use async_trait::async_trait;
use evenkeel_pipeline::{
    Batch, DeadLetter, DrainReport, MemoryBroker, Message, Pipeline, Running, Sink, SinkError, Source,
};
use evenkeel_testkit::World;

type BoxError = Box<dyn Error + Send + Sync>;

#[derive(Clone)]
struct Api(Arc<String>);

impl Api {
    async fn fetch(&self, n: u64) -> Result<String, BoxError> {
        Ok(format!("{} {}", self.0, n.to_string().parse::<u64>()?))
    }
}

/// Over any source and sink.
fn copy<S: Source<Item: Clone + Sync>, K: Sink<S::Item>, D: Sink<DeadLetter<S::Item>>>(
    source: S,
    sink: K,
    dead: D,
) -> Result<Running, BoxError> {
    let pipeline = Pipeline::from(source).sink("copy", Batch::items(10), sink).dead_letter(dead);
    Ok(pipeline.start()?)
}

#[async_trait]
trait Job {
    async fn run(&self, broker: MemoryBroker<u64>) -> Result<DrainReport, BoxError>;
}

#[async_trait]
impl Job for Api {
    async fn run(&self, broker: MemoryBroker<u64>) -> Result<DrainReport, BoxError> {
        let (api, limit) = (self.clone(), 3);
        let running = Pipeline::from(broker.source())
            .keyed(|n: &u64| n.to_string())
            .stage("fetch", async move |n| api.fetch(n).await)
            .limit(limit)
            .filter_map("filter", async |text: String| Ok::<_, BoxError>((!text.is_empty()).then_some(text)))
            .flat_map("split", async |text: String| {
                Ok::<_, BoxError>(text.split(' ').map(str::to_owned).collect::<Vec<_>>())
            })
            .messages()
            .batch("store", Batch::items(5), async |items: Vec<Message<String>>| {
                let first = items.first().ok_or("an empty batch").map_err(SinkError::all)?;
                first
                    .item
                    .is_empty()
                    .then_some(())
                    .map_or(Ok::<_, SinkError>(()), |()| Err(SinkError::all("empty")))
            })
            .start()?;
        Ok(running.await?)
    }
}

#[test]
fn pipelines_can_be_built_and_awaited_in_spawned_tasks() {
    World::run(async |_| {
        let broker = MemoryBroker::new();
        for n in 0..20 {
            broker.publish(n).await.unwrap();
        }
        broker.close();
        let copies: MemoryBroker<u64> = MemoryBroker::new();
        let (sink, source) = (copies.clone(), broker.source());
        let dead = MemoryBroker::new();
        let copied = tokio::spawn(async move { copy(source, sink, dead)?.await.map_err(BoxError::from) });
        assert_eq!(copied.await.unwrap().unwrap().acked, 20);
        copies.close();
        let job = tokio::spawn(async move { Api(Arc::new("user".to_owned())).run(copies).await });
        assert_eq!(job.await.unwrap().unwrap().acked, 20);
    });
}
