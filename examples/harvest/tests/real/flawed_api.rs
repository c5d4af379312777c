//! An API of 250 users in 7 pages that takes 5 ms for an answer, has flaws, and counts its calls.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{sync::watch, time::sleep};

use crate::server::{Answer, Server, answer, json};

pub(crate) const USERS: u64 = 250;
const PAGE: u64 = 36;
const LATENCY: Duration = Duration::from_millis(5);
/// The number of pages, and of two documents for each user.
pub(crate) const DOCUMENTS: u64 = 7 + 2 * USERS;
/// The documents that cannot be read.
pub(crate) const FLAWS: usize = 3;

pub(crate) struct FlawedApi {
    server: Server,
    calls: Arc<Mutex<HashMap<String, u32>>>,
    arrived: watch::Sender<u64>,
}

impl FlawedApi {
    pub(crate) async fn start() -> Self {
        let calls = Arc::new(Mutex::new(HashMap::new()));
        let arrived = watch::Sender::new(0);
        let (counts, count) = (calls.clone(), arrived.clone());
        let server = Server::start(move |path: String| {
            *counts.lock().unwrap().entry(path.clone()).or_default() += 1;
            count.send_modify(|count| *count += 1);
            async move {
                sleep(LATENCY).await;
                serve(&path)
            }
        });
        Self { server: server.await, calls, arrived }
    }

    pub(crate) fn base(&self) -> &str {
        &self.server.base
    }

    /// Resets the count of calls.
    pub(crate) fn reset_counts(&self) {
        self.calls.lock().unwrap().clear();
        self.arrived.send_replace(0);
    }

    /// Waits until this number of calls has arrived.
    pub(crate) async fn wait_for_calls(&self, times: u64) {
        self.arrived.subscribe().wait_for(|count| *count >= times).await.unwrap();
    }

    /// Returns the number of calls that were not the first for their document.
    pub(crate) fn repeated_calls(&self) -> u32 {
        self.calls.lock().unwrap().values().map(|times| times - 1).sum()
    }
}

fn serve(path: &str) -> Answer {
    match path {
        "/users/50/prefs.json" => answer(404, "text/html", "<html>"),
        "/users/100/orders.json" => answer(200, "application/json", r#"{"user": 100, "orders": ["#),
        "/users/150/prefs.json" => answer(200, "text/html", "<html>"),
        path => document(path).map_or_else(|| answer(404, "text/plain", ""), |document| json(&document)),
    }
}

fn document(path: &str) -> Option<Value> {
    let name = path.strip_prefix('/')?.strip_suffix(".json")?;
    let Some(name) = name.strip_prefix("users/") else {
        let number = name.strip_prefix("users-").map_or(Some(1), |number| number.parse().ok())?;
        return Some(page(number));
    };
    let (id, part) = name.split_once('/')?;
    let id: u64 = id.parse().ok()?;
    match part {
        "orders" => {
            let order = |n| json!({ "order": id * 10 + n, "cents": id as i64 * 7 - 500, "currency": "EUR" });
            Some(json!({ "user": id, "orders": (0..id % 6).map(order).collect::<Vec<_>>() }))
        }
        "prefs" => Some(json!({
            "user": id,
            "theme": if id.is_multiple_of(2) { "dark" } else { "light" },
            "locale": "pl",
            "newsletter": id.is_multiple_of(3),
        })),
        _ => None,
    }
}

fn page(number: u64) -> Value {
    let ids = (number - 1) * PAGE + 1..=(number * PAGE).min(USERS);
    let user =
        |id| json!({ "id": id, "name": format!("Zoë {id}"), "email": "z@b.test", "active": id % 4 > 0 });
    let next = (number * PAGE < USERS).then(|| format!("users-{}.json", number + 1));
    json!({ "items": ids.map(user).collect::<Vec<_>>(), "next": next })
}
