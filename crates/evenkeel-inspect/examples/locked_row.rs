//! Somebody has left a transaction open, and all transactions of the program wait for its row in the database.
#![expect(clippy::print_stdout, reason = "it shows the dump")]

use std::{convert::Infallible, sync::Arc, time::Duration};

use evenkeel_inspect::{Dump, dump_of};
use evenkeel_pool::{Manager, Pool};
use evenkeel_task::{BoxError, GroupError, group};
use tokio::{runtime::Handle, sync::Mutex, time::sleep};

/// Connections to a database that has one row, with its lock.
struct Connections(Arc<Mutex<i64>>);

impl Manager for Connections {
    type Object = Arc<Mutex<i64>>;
    type Error = Infallible;

    async fn create(&self) -> Result<Arc<Mutex<i64>>, Infallible> {
        Ok(self.0.clone())
    }
}

async fn pay(pool: &Pool<Connections>, cents: i64) -> Result<(), BoxError> {
    let connection = pool.get().await?;
    let mut balance = connection.lock().await; // UPDATE accounts SET …
    sleep(Duration::from_millis(10)).await;
    *balance += cents;
    Ok(())
}

async fn serve() -> Result<(), GroupError> {
    let row = Arc::new(Mutex::new(0));
    let pool = Pool::builder(Connections(row.clone())).max(2).named("bank").build().expect("a size");
    group(async |g| {
        for cents in 1..=20 {
            pay(&pool, cents).await?;
        }
        // BEGIN; SELECT … FOR UPDATE; and then it is lunch time.
        let _by_hand = row.lock().await;
        for n in 1..=3 {
            let pool = pool.clone();
            g.task(format!("payment {n}")).spawn(async move { pay(&pool, n).await });
        }
        sleep(Duration::from_secs(3600)).await;
        Ok(())
    })
    .await
}

/// Looks at the program after twenty seconds, in which its clock jumps.
pub(crate) async fn look() -> Dump {
    tokio::select! {
        ended = serve() => panic!("it does not stand still: {ended:?}"),
        dump = async {
            sleep(Duration::from_secs(20)).await;
            dump_of(Handle::current().id())
        } => dump,
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    println!("{}", look().await);
}
