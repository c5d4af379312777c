//! How do I move from deadpool? The manager stays as it is; a creation outlives the caller that began it, and a time-out says who
//! has the objects.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{io, time::Duration};

use deadpool::managed::{Manager, Metrics, RecycleResult};
use evenkeel_pool::BoxError;
use tokio::time::{Instant, sleep, timeout};

/// Connections to a server that answers after 50 ms.
struct Connections;

struct Connection;

impl Manager for Connections {
    type Type = Connection;
    type Error = io::Error;

    async fn create(&self) -> io::Result<Connection> {
        println!("  a connection is opened");
        sleep(Duration::from_millis(50)).await;
        Ok(Connection)
    }

    async fn recycle(&self, _: &mut Connection, _: &Metrics) -> RecycleResult<io::Error> {
        Ok(())
    }
}

mod before {
    use super::{BoxError, Connections, Duration, Instant, timeout};

    // ANCHOR: before
    use deadpool::{
        Runtime,
        managed::{Pool, Timeouts},
    };

    pub(super) async fn run() -> Result<(), BoxError> {
        let wait = Duration::from_secs(1);
        let pool: Pool<Connections> = Pool::builder(Connections)
            .max_size(1)
            .timeouts(Timeouts { wait: Some(wait), create: Some(wait), recycle: Some(wait) })
            .runtime(Runtime::Tokio1)
            .build()?;
        let start = Instant::now();
        let given_up = timeout(Duration::from_millis(20), pool.get()).await.is_err();
        println!("given up: {given_up}, at {:?}", start.elapsed());
        let connection = pool.get().await?;
        println!("a connection at {:?}", start.elapsed());
        let error = pool.get().await.err().ok_or("there is one connection")?;
        println!("{error}");
        drop(connection);
        Ok(())
    }
    // ANCHOR_END: before
}

mod after {
    use super::{BoxError, Connections, Duration, Instant, timeout};

    // ANCHOR: after
    use evenkeel_pool::{Deadpool, Pool};

    pub(super) async fn run() -> Result<(), BoxError> {
        let pool = Pool::builder(Deadpool::new(Connections))
            .max(1)
            .acquire_timeout(Duration::from_secs(1))
            .named("db")
            .build()?;
        let start = Instant::now();
        let given_up = timeout(Duration::from_millis(20), pool.get()).await.is_err();
        println!("given up: {given_up}, at {:?}", start.elapsed());
        let connection = pool.get().await?;
        println!("a connection at {:?}", start.elapsed());
        let error = pool.get().await.err().ok_or("there is one connection")?;
        println!("{error}");
        drop(connection);
        Ok(())
    }
    // ANCHOR_END: after
}

pub(crate) async fn scenario() -> Result<(), BoxError> {
    println!("deadpool:");
    before::run().await?;
    println!("here, over the same manager:");
    after::run().await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    scenario().await
}
