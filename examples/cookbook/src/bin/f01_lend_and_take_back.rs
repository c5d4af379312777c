//! How do I make sure that a resource is returned? With a lease, which returns it on drop: after a value, an error, a panic,
//! and when the caller is cancelled.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{io, time::Duration};

use evenkeel_pool::{BoxError, Manager, Pool};
use tokio::time::{sleep, timeout};

struct Server;

struct Connection {
    queries: u32,
}

impl Connection {
    async fn query(&mut self) -> u32 {
        sleep(Duration::from_millis(20)).await;
        self.queries += 1;
        self.queries
    }
}

impl Manager for Server {
    type Object = Connection;
    type Error = io::Error;

    async fn create(&self) -> io::Result<Connection> {
        println!("a connection is opened");
        Ok(Connection { queries: 0 })
    }
}

pub(crate) async fn scenario() -> Result<(), BoxError> {
    let pool = Pool::builder(Server).max(1).named("db").build()?;
    println!("query {}", pool.get().await?.query().await);
    let mut lease = pool.get().await?;
    println!("given up: {}", timeout(Duration::from_millis(5), lease.query()).await.is_err());
    drop(lease);
    println!("query {}, on the same connection", pool.get().await?.query().await);
    println!("nobody holds one: {}", pool.close(Duration::from_secs(1)).await.stragglers.is_empty());
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    scenario().await
}
