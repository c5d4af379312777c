//! How do I give each host its own limits, and all of them common ones? With a rate and a number of calls at once for each key,
//! in bounded memory, and `all_of` for a request that needs permits of several rates: it gets all of them, or returns those
//! that it has.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{sync::LazyLock, time::Duration};

use evenkeel_limit::{ConcurrencyLimiter, Denied, Keyed, KeyedConcurrency, Rate, RateLimiter, all_of};
use tokio::time::{Instant, sleep};

static HOSTS: LazyLock<Keyed<String>> = LazyLock::new(|| {
    let hosts = Keyed::per_second(10).burst(1).max_keys(10_000);
    // A host that asked for a lower rate.
    hosts.override_key("slow.example".to_owned(), RateLimiter::new(Rate::per_second(4)).burst(1));
    hosts
});
static AT_ONCE_PER_HOST: KeyedConcurrency<String> = KeyedConcurrency::new(2);
static ALL: RateLimiter = RateLimiter::per_second(100).burst(10);
static AT_ONCE: ConcurrencyLimiter = ConcurrencyLimiter::new(4);

async fn fetch(host: &str) -> Result<(), Denied> {
    // The host's own first: who waits for a slow host holds nothing that others need.
    let _own_permit = AT_ONCE_PER_HOST.acquire(host).await?;
    let own = HOSTS.limiter(host);
    let _permits = all_of([own.demand(1), ALL.demand(1)]).await?;
    let _permit = AT_ONCE.acquire().await?;
    call(host).await;
    Ok(())
}

/// The call, here made up.
async fn call(host: &str) {
    let is_slow = host == "slow.example";
    sleep(Duration::from_millis(if is_slow { 600 } else { 5 })).await;
}

pub(crate) async fn scenario() {
    let start = Instant::now();
    let fetch = async |host| {
        let fetched = fetch(host).await;
        println!("{:>4} ms: {host}: {fetched:?}", start.elapsed().as_millis());
    };
    let (a, b, slow) = ("a.example", "b.example", "slow.example");
    futures::future::join_all([a, slow, b, a, slow, a, slow].map(fetch)).await;
    println!("{} hosts are known, {} are in use", HOSTS.len(), AT_ONCE_PER_HOST.len());

    // A single limit needs no `all_of`.
    HOSTS.acquire("c.example").await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    scenario().await;
}
