//! The report names every hang that was planted, and nothing else.

use std::{collections::BTreeSet, time::Duration};

use evenkeel_shutdown::{Kind, Shutdown};
use evenkeel_testkit::World;
use tokio::time::sleep;

use crate::{
    fixtures::{GUARD, Stray, carry, work},
    ms,
};

/// Numbers from a seed: splitmix64, of Steele, Lea and Flood, "Fast splittable pseudorandom number generators".
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    /// One in four hangs; the others end within the time that their phase has in any case.
    fn needs(&mut self) -> Option<Duration> {
        (self.below(4) > 0).then(|| ms(self.below(900)))
    }
}

type Found = BTreeSet<(String, &'static str, u32)>;

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Task => "task",
        Kind::CleanUp => "clean-up",
        _ => "guard",
    }
}

async fn planted_and_found(seed: u64) -> (Found, Found) {
    let mut dice = Dice(seed);
    let mut planted = Found::new();
    let stray = Stray::default();
    let (mut shutdown, stop) = Shutdown::manual();
    let phases = 1 + dice.below(4);
    // A second for each half of a phase, and more than the others need.
    shutdown = shutdown.grace(ms(1_000 * 2 * phases + 500)).pre_stop(ms(dice.below(500)));
    for phase in 0..phases {
        shutdown = shutdown.phase(format!("phase {phase}")).reserve(ms(1_000));
        let handle = shutdown.handle();
        for task in 0..dice.below(4) {
            let (needs, name) = (dice.needs(), format!("{phase}.{task}"));
            let line = line!() + 1;
            shutdown = shutdown.task(name.clone(), async move |stop| {
                stop.draining().await;
                work(needs).await;
            });
            if needs.is_none() {
                planted.insert((name, "task", line));
            }
        }
        let guards: Vec<_> =
            (0..dice.below(5)).map(|guard| (format!("{phase}.{guard}"), dice.needs())).collect();
        let left = guards.iter().filter(|(_, needs)| needs.is_none());
        planted.extend(left.map(|(name, _)| (name.clone(), "guard", GUARD)));
        let stray = stray.clone();
        shutdown = shutdown.task("carrier", async move |stop| carry(handle, stop, guards, stray).await);
        for clean_up in 0..dice.below(3) {
            let (needs, name) = (dice.needs(), format!("{phase}.{clean_up}"));
            let line = line!() + 1;
            shutdown = shutdown.on_stop(name.clone(), async move || work(needs).await);
            if needs.is_none() {
                planted.insert((name, "clean-up", line));
            }
        }
    }
    let trigger = async {
        sleep(ms(dice.below(1_000))).await;
        stop.drain("deploy");
    };
    let (report, ()) = tokio::join!(shutdown.run(), trigger);
    let found: Found =
        report.hung().map(|hung| (hung.name.to_string(), kind(hung.kind), hung.place.line())).collect();
    assert_eq!(found.len(), report.hung().count(), "each once");
    assert_eq!(report.exit_code(), u8::from(!found.is_empty()));
    (planted, found)
}

#[test]
fn every_hang_is_named_and_nothing_else_in_each_of_100_runs() {
    let mut planted = 0;
    for seed in 0..100 {
        World::run(async |_| {
            let (expected, found) = planted_and_found(seed).await;
            assert_eq!(found, expected, "seed {seed}");
            planted += expected.len();
        });
    }
    assert!(planted > 100, "there were hangs to be found: {planted}");
}
