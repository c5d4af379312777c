//! 100,000 messages of JetStream, while workers and servers are killed. The effects are in PostgreSQL, through an inbox.

use std::{env, time::Duration};

use tokio::time::sleep;

use super::{
    harness::{Queue, queue_config, run_alone, say, skip},
    server::Server,
};
use crate::{
    harness::TestSchema,
    instance::Instance,
    pg_failure::address,
    pg_kills::{Crashing, DURABLE, MESSAGES, orders, survive},
    worker::Orders,
};

struct JetStreamServer {
    server: Server,
    url: String,
    stream: String,
}

impl Crashing for JetStreamServer {
    async fn crash(&mut self) {
        self.server.kill();
        sleep(Duration::from_millis(500)).await;
        self.server.start().await;
    }

    /// The consumer decides: a server that was killed may keep messages in the stream that it has seen acked.
    async fn left(&mut self) -> i64 {
        let Ok(client) = async_nats::connect(&self.url).await else { return -1 };
        let stream = async_nats::jetstream::new(client).get_stream(&self.stream).await;
        let Ok(stream) = stream else { return -1 };
        let info = stream.consumer_info("worker").await;
        info.map_or(-1, |info| info.num_pending as i64 + info.num_ack_pending as i64)
    }
}

/// Returns the first server of PostgreSQL that there is, whose programs are started again.
async fn any_postgres() -> Option<TestSchema> {
    let url = ["EVENKEEL_TEST_POSTGRES18", "EVENKEEL_TEST_POSTGRES"]
        .into_iter()
        .find_map(|name| env::var(name).ok());
    let Some(url) = url else {
        skip("no PostgreSQL server (cargo xtask servers up)");
        return None;
    };
    Some(TestSchema::at(&url).await)
}

#[test]
#[ignore = "soak"]
fn jetstream_survives_20_kills_of_workers_and_3_of_the_server() {
    run_alone(async |mut server| {
        let Some(postgres) = any_postgres().await else { return };
        let Some(sink) = Instance::start(&postgres, &DURABLE).await else { return };
        let db = sink.admin().await;
        db.batch_execute("create schema s").await.unwrap();
        Orders::set_up(&db, "s").await;
        server.start().await;
        let (url, queue) = (server.url(), Queue::new(&server.url(), queue_config()).await);
        queue.fill(MESSAGES as usize).await;
        let orders = orders(url.clone(), address(&sink), &queue.name);
        let mut server = JetStreamServer { server, url, stream: queue.name.clone() };
        survive("JetStream", &orders, &db, &mut server).await;
        let kept = queue.info().await.state.messages;
        say(&format!("{kept} messages are still in the stream, all of them acked"));
    });
}
