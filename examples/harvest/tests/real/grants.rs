//! The permits of a quota as its Redis server counts them, by the server's clock: what `MONITOR` tells of a bucket.

use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use tokio::task::JoinHandle;

/// Permits at a time in microseconds.
pub(crate) type Event = (u64, i64);

/// A rate and a burst in whole numbers: in a microsecond a bucket earns `speed` parts, and a permit costs `cost`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    speed: i128,
    cost: i128,
    burst: i128,
}

impl Bucket {
    pub(crate) fn new(rate: u32, burst: u32) -> Self {
        Self { speed: rate.into(), cost: 1_000_000, burst: burst.into() }
    }

    /// The most permits in any stretch of time above those that the rate earns in it, in parts. It looks at each stretch
    /// that begins and ends with an event, in the time of one pass.
    pub(crate) fn excess(self, events: &[Event]) -> i128 {
        let (mut sum, mut least, mut excess) = (0, i128::MAX, 0);
        for &(at, permits) in events {
            let earned = i128::from(at) * self.speed;
            least = least.min(sum - earned);
            sum += i128::from(permits) * self.cost;
            excess = excess.max(sum - earned - least);
        }
        excess
    }

    pub(crate) fn depth(self) -> i128 {
        self.burst * self.cost
    }

    pub(crate) fn permits(self, parts: i128) -> f64 {
        parts as f64 / self.cost as f64
    }
}

/// Everything that a bucket has granted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grants {
    /// The permits that were granted; those that came back are a negative number.
    pub(crate) events: Vec<Event>,
    /// The parts that were not earned because the bucket was full, and the time when it was no more.
    pub(crate) lost: Vec<(u64, i128)>,
    /// The changes of the bucket: how much was missing, and since when.
    changes: Vec<(u64, i128)>,
}

/// Listens to a server until [`ends`](Self::ends).
pub(crate) struct Monitor {
    client: redis::Client,
    seen: Arc<Mutex<Vec<String>>>,
    _task: JoinHandle<()>,
}

impl Monitor {
    pub(crate) async fn start(url: &str) -> Self {
        let client = redis::Client::open(url).unwrap();
        let mut lines = client.get_async_monitor().await.unwrap().into_on_message::<String>();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let note = seen.clone();
        let task = tokio::spawn(async move {
            while let Some(line) = lines.next().await {
                note.lock().unwrap().push(line);
            }
        });
        Self { client, seen, _task: task }
    }

    /// Returns the grants of the bucket with this key until now.
    pub(crate) async fn ends(self, key: &str, bucket: Bucket) -> Grants {
        let mut connection = self.client.get_multiplexed_async_connection().await.unwrap();
        let mark = format!("the end of {key}");
        let _: String = redis::cmd("ECHO").arg(&mark).query_async(&mut connection).await.unwrap();
        let is_told = || self.seen.lock().unwrap().iter().any(|line| line.contains(&mark));
        while !is_told() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let mut grants = Grants::default();
        for line in self.seen.lock().unwrap().iter() {
            grants.read(line, key, bucket);
        }
        grants
    }
}

impl Grants {
    /// Reads a line, as `1700000000.123456 [0 lua] "SET" "key" "missing/cost@since" "PX" "20"`.
    fn read(&mut self, line: &str, key: &str, bucket: Bucket) {
        let words: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
        let (since, missing) = match words[..] {
            ["SET", of, value, ..] if of == key => {
                let (missing, rest) = value.split_once('/').unwrap();
                let (cost, since) = rest.split_once('@').unwrap();
                let [missing, cost] = [missing, cost].map(|number| number.parse::<i128>().unwrap());
                (since.parse().unwrap(), missing * bucket.cost / cost)
            }
            // Full again, by permits that came back.
            ["DEL", of] if of == key => {
                let (secs, micros) = line.split(' ').next().unwrap().split_once('.').unwrap();
                (secs.parse::<u64>().unwrap() * 1_000_000 + micros.parse::<u64>().unwrap(), 0)
            }
            _ => return,
        };
        let left = match self.changes.last() {
            None => 0,
            Some((before, missing)) => missing - i128::from(since - before) * bucket.speed,
        };
        self.lost.push((since, (-left).max(0)));
        self.changes.push((since, missing));
        let granted = missing - left.max(0);
        // A bucket that is full is not stored: what came back beyond that is not known, and is nothing.
        assert!(granted % bucket.cost == 0 || missing == 0, "{granted} parts: {line}");
        self.events.push((since, (granted / bucket.cost) as i64));
    }
}
