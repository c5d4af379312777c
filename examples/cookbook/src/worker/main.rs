//! Chapter 2 of the book: a service that takes orders, and a worker that delivers them.
#![expect(clippy::print_stdout, reason = "it says where it listens")]

mod deliveries;
mod orders;
mod partner;
#[cfg(test)]
mod tests;

use std::{io, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    routing::{get, post},
};
use deliveries::{Deliveries, LAST_ATTEMPTS};
use evenkeel::{
    shutdown::{Report, Shutdown, Stop},
    stream::{Capacity, Producer, queue},
};
use orders::Orders;
use tokio::net::TcpListener;

struct Service {
    orders: Orders,
    queue: Producer<u32>,
}

/// Takes an order.
async fn add(State(service): State<Arc<Service>>, Path(order): Path<u32>) -> String {
    // First: what stands here is delivered after the next start, if it is not before.
    service.orders.set(order, "waiting");
    // Waits for room. A queue that is closed does no harm: the program stops.
    let _ = service.queue.push(order).await;
    format!("order {order} is taken\n")
}

async fn list(State(service): State<Arc<Service>>) -> String {
    service.orders.list()
}

async fn http(listener: TcpListener, service: Service, stop: Stop) -> io::Result<()> {
    let app = Router::new().route("/orders/{order}", post(add)).route("/orders", get(list));
    let app = app.with_state(Arc::new(service));
    axum::serve(listener, app).with_graceful_shutdown(stop.draining()).await
}

/// Puts the program together: its tasks, and the order in which they stop.
fn program(shutdown: Shutdown, listener: TcpListener, orders: Orders, deliveries: Deliveries) -> Shutdown {
    let (queue, consumer) = queue(Capacity::items(1000));
    // Of the run before. What has no room comes after the next start.
    for order in orders.all_in("waiting") {
        let _ = queue.try_push(order);
    }
    let service = Service { orders: orders.clone(), queue };
    shutdown
        .task("http", async move |stop| http(listener, service, stop).await)
        .vital()
        // Stops when the requests have ended, which add orders.
        .phase("deliveries")
        .reserve(LAST_ATTEMPTS + Duration::from_secs(1))
        .task("deliveries", async move |stop| deliveries.run(consumer, orders, stop).await)
        .vital()
}

#[tokio::main]
async fn main() -> Report {
    // First of all: from here on signals are heard.
    let shutdown = Shutdown::new();
    let listener = TcpListener::bind("127.0.0.1:3000").await.expect("port 3000 is free");
    let partner = TcpListener::bind("127.0.0.1:3001").await.expect("port 3001 is free");
    let deliveries = Deliveries::new("http://127.0.0.1:3001".to_owned());
    println!("try curl -X POST http://127.0.0.1:3000/orders/7, and end it by Ctrl-C");
    program(shutdown, listener, Orders::default(), deliveries)
        .phase("partner")
        .task("partner", async move |stop| partner::serve(partner, stop).await)
        .run()
        .await
}
