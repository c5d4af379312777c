//! Four processes at one quota, in every stretch of time: what the store grants, what the processes use, and what is lost.
//!
//! In whole numbers and on one clock: the stretches begin and end with an event, and one pass looks at all of them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_limit::{
    Rate,
    distributed::{
        Distributed, MemoryStore,
        store::{Store, Take, Taken},
    },
};
use evenkeel_testkit::World;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::distributed::fixtures::ms;

const PROCESSES: usize = 4;

/// xorshift64*, so that a seed of the world repeats it.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((u128::from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)) * u128::from(end)) >> 64) as u64
    }
}

/// Permits at a time in microseconds; a negative number came back.
type Events = Arc<Mutex<Vec<(u64, i64)>>>;

/// The way of one process to the store, and the store's own account.
struct Link {
    store: MemoryStore,
    start: Instant,
    grants: Events,
    random: Mutex<Random>,
    /// The longest ways there and back.
    longest: [u64; 2],
}

impl Store for Link {
    type Error = std::convert::Infallible;

    async fn take(&self, take: Take<'_>) -> Result<Taken, Self::Error> {
        let [there, back] =
            self.longest.map(|longest| Duration::from_micros(self.random.lock().unwrap().below(longest + 1)));
        sleep(there).await;
        let at = self.start.elapsed().as_micros() as u64;
        let taken = self.store.take(take).await?;
        self.grants.lock().unwrap().push((at, i64::from(taken.granted) - i64::from(take.returned)));
        // A sleep of no time would take a millisecond.
        if !back.is_zero() {
            sleep(back).await;
        }
        Ok(taken)
    }
}

/// A quota of permits per second, and what becomes of it.
struct Scene {
    rate: u64,
    burst: u32,
    start: Instant,
    grants: Events,
    uses: Events,
    processes: Vec<Arc<Distributed>>,
}

impl Scene {
    fn new(random: &mut Random, rate: u64, burst: u32, lease: u32, longest: [u64; 2]) -> Self {
        let (store, start, grants) = (MemoryStore::new(), Instant::now(), Events::default());
        let process = |_| {
            let (store, grants) = (store.clone(), grants.clone());
            let random = Mutex::new(Random(random.below(u64::MAX) | 1));
            let link = Link { store, start, grants, random, longest };
            let quota = Distributed::new(link, "quota", Rate::per_second(rate as u32));
            Arc::new(quota.burst(burst).lease(lease).timeout(ms(1000)))
        };
        let processes = (0..PROCESSES).map(process).collect();
        Self { rate, burst, start, grants, uses: Events::default(), processes }
    }

    fn micros(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    /// Asserts that in no stretch of time are there more than the burst and what the rate earns in it and in `more`
    /// microseconds.
    fn assert_within(&self, events: &Events, more: u64) {
        let events = events.lock().unwrap();
        let (mut sum, mut least) = (0, i128::MAX);
        for &(at, permits) in &*events {
            let earned = i128::from(at * self.rate);
            least = least.min(sum - earned);
            sum += i128::from(permits) * 1_000_000;
            let most = i128::from(self.burst) * 1_000_000 + i128::from(more * self.rate);
            assert!(sum - earned - least <= most, "at {at} µs: {:?}", &*events);
        }
    }
}

/// A caller of any kind: waits, tries, gives up, returns.
async fn call(scene: Arc<Scene>, quota: Arc<Distributed>, mut random: Random) {
    for _ in 0..20 {
        sleep(ms(random.below(40))).await;
        let permits = random.below(u64::from(scene.burst).min(5)) as u32 + 1;
        let patience = ms(random.below(60));
        let _ = match random.below(5) {
            0 => quota.try_acquire_many(permits).await,
            1 => timeout(patience, quota.acquire_many(permits)).await.unwrap_or(Ok(())),
            2 => {
                let got = quota.acquire_many(permits).await;
                quota.refund(1);
                got
            }
            _ => quota.acquire_many(permits).await,
        };
    }
}

/// Whatever callers do, and with leases, slow answers and requests that are dropped: the store keeps to the quota.
#[test]
fn the_store_grants_no_more_than_the_rate_and_the_burst() {
    for _ in 0..8 {
        World::run(async |world| {
            let mut random = Random(world.seed() | 1);
            let (rate, burst) = (random.below(1000) + 1, random.below(60) as u32 + 1);
            let (lease, longest) = (random.below(12) as u32 + 1, [random.below(9000), random.below(9000)]);
            let scene = Arc::new(Scene::new(&mut random, rate, burst, lease, longest));
            let mut callers = JoinSet::new();
            for quota in &scene.processes {
                for _ in 0..=random.below(4) {
                    callers.spawn(call(scene.clone(), quota.clone(), Random(random.below(u64::MAX) | 1)));
                }
            }
            // Some leave early, with what they have.
            let early = random.below(500);
            sleep(ms(early)).await;
            scene.processes[0].close().await;
            callers.join_all().await;
            for quota in &scene.processes {
                quota.close().await;
            }
            scene.assert_within(&scene.grants, 0);
        });
    }
}

/// Single permits without a lease are used where the answer comes: in no stretch of time are more used than the rate earns in
/// it and in the longest way back, and the burst. With an answer that takes no time there is nothing above the quota.
#[test]
fn permits_are_used_as_they_are_granted() {
    for round in 0..8 {
        World::run(async |world| {
            let mut random = Random(world.seed() | 1);
            let (rate, burst) = (random.below(1000) + 1, random.below(60) as u32 + 1);
            let back = [0, random.below(20_000)][round % 2];
            let longest = [random.below(9000), back];
            let scene = Arc::new(Scene::new(&mut random, rate, burst, 1, longest));
            let mut callers = JoinSet::new();
            for quota in &scene.processes {
                for _ in 0..=random.below(6) {
                    let (scene, quota) = (scene.clone(), quota.clone());
                    let (thinks, mut random) = (random.below(30), Random(random.below(u64::MAX) | 1));
                    callers.spawn(async move {
                        for _ in 0..25 {
                            sleep(ms(random.below(thinks + 1))).await;
                            quota.acquire().await.unwrap();
                            scene.uses.lock().unwrap().push((scene.micros(), 1));
                        }
                    });
                }
            }
            callers.join_all().await;
            scene.assert_within(&scene.grants, 0);
            // A timer has whole milliseconds.
            scene.assert_within(&scene.uses, back.next_multiple_of(1000));
            let sum =
                |events: &Events| events.lock().unwrap().iter().map(|(_, permits)| permits).sum::<i64>();
            assert_eq!(sum(&scene.uses), sum(&scene.grants), "each permit that was taken is used");
            assert!(scene.processes.iter().all(|quota| quota.snapshot().leased == 0));
        });
    }
}

/// Four processes with enough to do lose nothing of a quota whose burst covers the ways there and back.
#[test]
fn busy_processes_use_all_of_the_rate() {
    for _ in 0..3 {
        World::run(async |world| {
            const SECS: u64 = 3;
            let mut random = Random(world.seed() | 1);
            let rate = random.below(990) + 10;
            let longest = [random.below(10_000), random.below(10_000)];
            // There and back, what the timers add to these, and the timer of the wait: the time between two looks.
            let between = longest.iter().map(|way| way.next_multiple_of(1000)).sum::<u64>() + 2000;
            let burst = (rate * between).div_ceil(1_000_000) as u32 + 1;
            let scene = Arc::new(Scene::new(&mut random, rate, burst, 1, longest));
            let mut callers = JoinSet::new();
            for quota in &scene.processes {
                for _ in 0..50 {
                    let (scene, quota) = (scene.clone(), quota.clone());
                    callers.spawn(async move {
                        loop {
                            quota.acquire().await.unwrap();
                            scene.uses.lock().unwrap().push((scene.micros(), 1));
                        }
                    });
                }
            }
            sleep(ms(SECS * 1000)).await;
            callers.shutdown().await;
            let used = scene.uses.lock().unwrap().len() as u64;
            let earned = rate * SECS;
            // The burst at the start, but for what is in the bucket or under way at the end.
            assert!(
                (earned..=earned + u64::from(burst)).contains(&used),
                "{used} of {earned}, burst {burst}"
            );
            scene.assert_within(&scene.grants, 0);
        });
    }
}
