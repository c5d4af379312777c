//! How do I give each host its own limit, and all of them a common one? With a limit for each key, in bounded memory, and
//! `all_of` for a request that needs permits of several limits: it gets all of them, or returns those that it has.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{sync::LazyLock, time::Duration};

use evenkeel_limit::{ConcurrencyLimiter, Denied, Keyed, Rate, RateLimiter, all_of};
use tokio::time::{Instant, sleep};

static HOSTS: LazyLock<Keyed<String>> = LazyLock::new(|| {
    let hosts = Keyed::per_second(10).burst(1).max_keys(10_000);
    // A host that asked for a lower rate.
    hosts.override_key("slow.example".to_owned(), RateLimiter::new(Rate::per_second(4)).burst(1));
    hosts
});
static ALL: RateLimiter = RateLimiter::per_second(100).burst(10);
static AT_ONCE: ConcurrencyLimiter = ConcurrencyLimiter::new(4);

async fn fetch(host: &str) -> Result<(), Denied> {
    let own = HOSTS.limiter(host);
    let _permits = all_of([own.demand(1), ALL.demand(1)]).await?;
    // After the wait for the host, so that a slow host blocks no permit that the others need.
    let _permit = AT_ONCE.acquire().await?;
    sleep(Duration::from_millis(5)).await;
    Ok(())
}

pub(crate) async fn scenario() {
    let start = Instant::now();
    let fetch = async |host| {
        let fetched = fetch(host).await;
        println!("{:>4} ms: {host}: {fetched:?}", start.elapsed().as_millis());
    };
    let hosts = ["a.example", "slow.example", "b.example", "a.example", "slow.example", "a.example"];
    futures::future::join_all(hosts.map(fetch)).await;
    println!("{} hosts are known", HOSTS.len());

    // A single limit needs no `all_of`.
    HOSTS.acquire("c.example").await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    scenario().await;
}
