//! One quota for several processes, counted by the server that they call, and by the server that grants.

use std::{
    env,
    ops::Range,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use crate::{
    grants::{Bucket, Event, Grants, Monitor},
    server::{Server, document, page},
    team::{Engine, Team, ends},
};

/// The part of a second's calls that may be used at once.
const BURST: u32 = 20;

const SECOND: u64 = 1_000_000;

/// The calls of one test.
pub(crate) struct Calls {
    rate: u32,
    bucket: Bucket,
    /// As the API sees them, by the clock of the machine, which is that of the server that grants.
    arrivals: Vec<Event>,
    grants: Grants,
}

/// Lets processes read two documents for each of `users` users at a rate for all of them.
pub(crate) async fn calls_of(processes: usize, rate: u32, users: u64) -> Option<Calls> {
    let team = Team::new(Engine::Postgres).await?;
    let Ok(redis) = env::var("EVENKEEL_TEST_REDIS") else {
        println!("SKIPPED: no Redis server (cargo xtask servers up)");
        return None;
    };
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let count = arrivals.clone();
    let api = Server::start(move |path: String| {
        count.lock().unwrap().push((now(), 1));
        async move { if path == "/users.json" { page(1..=users, None) } else { document(&path) } }
    })
    .await;
    let monitor = Monitor::start(&redis).await;
    let flags = format!("--url {} --concurrency 50 --rate {rate} --quota {redis}", api.base);
    let workers: Vec<_> = (0..processes).map(|number| team.worker(number, &flags).spawn().unwrap()).collect();
    let mut said = String::new();
    for worker in workers {
        said += &ends(worker, 0).await;
    }
    assert_eq!(team.report(0)["users"], users, "{said}");
    let bucket = Bucket::new(rate, (rate / BURST).max(1));
    let host = api.base.strip_prefix("http://").unwrap();
    let grants = monitor.ends(&format!("limit:harvest:{host}"), bucket).await;
    let arrivals = arrivals.lock().unwrap().clone();
    assert_eq!(arrivals.len() as u64, 2 * users + 1);
    Some(Calls { rate, bucket, arrivals, grants })
}

#[expect(clippy::disallowed_methods, reason = "the clock of another process on this machine")]
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as u64
}

impl Calls {
    /// Asserts what holds whatever the machine does: in no stretch of time is more granted than the rate and the burst, and
    /// at no time have more calls arrived than were granted before.
    pub(crate) fn assert_never_above(&self) {
        let Self { bucket, arrivals, grants, .. } = self;
        assert!(bucket.excess(&grants.events) <= bucket.depth(), "{self}");
        assert!(grants.events.iter().all(|(_, permits)| *permits > 0), "{:?}", grants.events);
        for (granted, arrived) in self.granted().zip(arrivals) {
            assert!(granted <= arrived.0, "granted at {granted}, arrived at {}: {self}", arrived.0);
        }
        assert!(self.granted().count() >= arrivals.len(), "{self}");
    }

    /// The times of all grants, one for each permit.
    fn granted(&self) -> impl Iterator<Item = u64> {
        self.grants.events.iter().flat_map(|&(at, permits)| std::iter::repeat_n(at, permits.max(0) as usize))
    }

    /// The time in which all processes work: from two seconds after the first call to one before the last, or all of it if it
    /// is short.
    fn busy(&self) -> Range<u64> {
        let [first, last] = [self.arrivals.first(), self.arrivals.last()].map(|event| event.unwrap().0);
        if last - first < 4 * SECOND { first..last } else { first + 2 * SECOND..last - SECOND }
    }

    /// The part of the rate that was used in the busy time.
    pub(crate) fn used(&self) -> f64 {
        let busy = self.busy();
        let count = self.arrivals.iter().filter(|(at, _)| busy.contains(at)).count();
        count as f64 * SECOND as f64 / ((busy.end - busy.start) as f64 * f64::from(self.rate))
    }

    /// The permits that nobody asked for in the busy time before the bucket was full.
    fn lost(&self) -> f64 {
        let busy = self.busy();
        let lost = self.grants.lost.iter().filter(|(at, _)| busy.contains(at));
        self.bucket.permits(lost.map(|(_, parts)| parts).sum())
    }
}

impl std::fmt::Display for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rate, bucket, arrivals, grants } = self;
        let mut first = 0;
        let peak = arrivals.iter().enumerate().map(|(index, (at, _))| {
            while arrivals[first].0 + SECOND <= *at {
                first += 1;
            }
            index + 1 - first
        });
        let delays: Vec<u64> =
            self.granted().zip(arrivals).map(|(granted, (at, _))| at.saturating_sub(granted)).collect();
        let (least, most) = (
            delays.iter().min().copied().unwrap_or_default(),
            delays.iter().max().copied().unwrap_or_default(),
        );
        write!(
            f,
            "{} calls at {rate} per second: {:.2} % of the rate used; granted at most {:.3} more than the rate in any stretch of \
             time, the burst is {}; arrived {least} to {most} µs later, at most {:.1} more than the rate, and {} in any second; \
             {:.1} permits lost to a full bucket in the busy time, {} granted and not used",
            arrivals.len(),
            100.0 * self.used(),
            bucket.permits(bucket.excess(&grants.events)),
            bucket.permits(bucket.depth()),
            bucket.permits(bucket.excess(arrivals)),
            peak.max().unwrap_or_default(),
            self.lost(),
            self.granted().count() as i64 - arrivals.len() as i64,
        )
    }
}
