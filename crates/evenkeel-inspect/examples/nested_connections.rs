//! Handlers that have a connection call a function which gets one of its own.
#![expect(clippy::print_stdout, reason = "it shows the dump")]

use std::{convert::Infallible, time::Duration};

use evenkeel_inspect::{Dump, dump_of};
use evenkeel_pool::{Manager, Pool};
use evenkeel_task::{BoxError, GroupError, group};
use tokio::{runtime::Handle, time::sleep};

struct Connections;

impl Manager for Connections {
    type Object = u32;
    type Error = Infallible;

    async fn create(&self) -> Result<u32, Infallible> {
        Ok(0)
    }
}

async fn show_order(pool: &Pool<Connections>) -> Result<(), BoxError> {
    let _connection = pool.get().await?;
    sleep(Duration::from_millis(20)).await; // the order
    audit(pool).await
}

async fn audit(pool: &Pool<Connections>) -> Result<(), BoxError> {
    let _connection = pool.get().await?;
    sleep(Duration::from_millis(5)).await; // the entry in the log
    Ok(())
}

/// Six requests come at the same time, and the pool has four connections.
async fn serve() -> Result<(), GroupError> {
    let pool = Pool::builder(Connections).max(4).named("orders").build().expect("a size above zero");
    group(async |g| {
        for n in 1..=6 {
            let pool = pool.clone();
            g.task(format!("request {n}")).spawn(async move { show_order(&pool).await });
        }
        Ok(())
    })
    .await
}

/// Looks at the program after five seconds, in which its clock jumps.
pub(crate) async fn look() -> Dump {
    tokio::select! {
        ended = serve() => panic!("it does not stand still: {ended:?}"),
        dump = async {
            sleep(Duration::from_secs(5)).await;
            dump_of(Handle::current().id())
        } => dump,
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    println!("{}", look().await);
}
