//! One task has a permit and gets a connection, another one has a connection and asks for a permit.
#![expect(clippy::print_stdout, reason = "it shows the dump")]

use std::{convert::Infallible, time::Duration};

use evenkeel_inspect::{Dump, dump_of};
use evenkeel_limit::ConcurrencyLimiter;
use evenkeel_pool::{Manager, Pool};
use evenkeel_task::{BoxError, GroupError, group};
use tokio::{runtime::Handle, time::sleep};

static CALLS: ConcurrencyLimiter = ConcurrencyLimiter::new(1).named("calls of the API");

struct Connections;

impl Manager for Connections {
    type Object = u32;
    type Error = Infallible;

    async fn create(&self) -> Result<u32, Infallible> {
        Ok(0)
    }
}

async fn import(pool: Pool<Connections>) -> Result<(), BoxError> {
    let _call = CALLS.acquire().await?;
    sleep(Duration::from_millis(200)).await; // the answer of the API, which is read to its end
    let _connection = pool.get().await?;
    Ok(())
}

async fn check(pool: Pool<Connections>) -> Result<(), BoxError> {
    let _connection = pool.get().await?;
    sleep(Duration::from_millis(30)).await; // a row
    let _call = CALLS.acquire().await?;
    Ok(())
}

async fn work() -> Result<(), GroupError> {
    let pool = Pool::builder(Connections).max(1).named("orders").build().expect("a size above zero");
    group(async |g| {
        g.task("import").spawn(import(pool.clone()));
        g.task("check").spawn(check(pool.clone()));
        g.task("report").spawn(async move { pool.get().await.map(drop) });
        Ok(())
    })
    .await
}

/// Looks at the program after five seconds, in which its clock jumps.
pub(crate) async fn look() -> Dump {
    tokio::select! {
        ended = work() => panic!("it does not stand still: {ended:?}"),
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
