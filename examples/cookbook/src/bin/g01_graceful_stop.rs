//! How does a program stop on SIGTERM, in order and in time? In phases: first intake, then work, then closing. Press
//! Ctrl-C, once or twice, or wait: it stops by itself after three seconds, with a report of the task that does not listen.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{future::pending, time::Duration};

use evenkeel_shutdown::{Report, Shutdown, Stop};
use tokio::{
    sync::mpsc,
    time::{interval, sleep},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Accepts an order every 300 ms, until it is asked to stop.
async fn accept(orders: mpsc::Sender<u32>, stop: Stop) {
    let mut ticks = interval(ms(300));
    for order in 1.. {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.draining() => break,
        }
        println!("order {order} is taken");
        if orders.send(order).await.is_err() {
            break;
        }
    }
    println!("no more orders are taken, because of {}", stop.reason().unwrap_or("nothing"));
}

/// Works until the channel ends, so that no order is lost at the stop.
async fn work(mut orders: mpsc::Receiver<u32>) {
    while let Some(order) = orders.recv().await {
        sleep(ms(400)).await;
        println!("order {order} is done");
    }
}

pub(crate) async fn scenario(shutdown: Shutdown) -> Report {
    let (orders, received) = mpsc::channel(10);
    let shutdown = shutdown.grace(ms(5_000));
    let program = shutdown.handle().stop().clone();
    shutdown
        .phase("accept")
        .task("orders", async move |stop| accept(orders, stop).await)
        .vital()
        .task("demo", async move |stop| {
            tokio::select! {
                () = sleep(ms(3_000)) => program.drain("the end of the demonstration"),
                () = stop.draining() => {}
            }
        })
        .phase("work")
        .task("worker", async move |_stop| work(received).await)
        .task("stubborn", async |_stop| pending::<()>().await)
        .phase("close")
        .on_stop("database", async || {
            sleep(ms(100)).await;
            println!("the database is closed");
        })
        .run()
        .await
}

#[tokio::main]
async fn main() -> Report {
    scenario(Shutdown::new()).await
}
