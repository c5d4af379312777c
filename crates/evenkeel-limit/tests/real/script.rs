//! The script, on a clock set by the test, compared with exact numbers.

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use redis::{Script, aio::ConnectionManager};

use crate::redis::{connect, key, run};

/// A bucket in whole numbers that do not overflow.
#[derive(Clone, Copy, Debug)]
struct Model {
    speed: i128,
    cost: i128,
    depth: i128,
    /// The reading at which it is full, in parts that were earned since the clock began.
    full_at: i128,
    /// The time at which it was stored.
    since: u64,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    /// The step of the clock, forward or back.
    micros: i64,
    returned: u32,
    least: u32,
    most: u32,
    /// Whether the other rate is the caller's.
    other: bool,
}

impl Model {
    /// Converts the missing permits to another rate, rounded up; the time since then earns at that rate.
    fn follow(&mut self, before: Self) {
        self.since = before.since;
        let since = i128::from(before.since);
        let missing = before.full_at - since * before.speed;
        // A full bucket is forgotten.
        self.full_at = 0;
        if before.full_at > 0 {
            self.full_at = since * self.speed + (missing * self.cost + before.cost - 1) / before.cost;
        }
    }

    fn take(&mut self, now: u64, step: Step, changed: bool) -> (u32, u64) {
        let Step { returned, least, most, .. } = step;
        let earned = i128::from(now) * self.speed;
        let owed = (self.full_at - earned).max(0);
        let lost = now < self.since && owed > self.depth;
        let missing = if lost { self.depth } else { owed };
        let missing = (missing - i128::from(returned) * self.cost).max(0);
        let there = (self.depth - missing).max(0) / self.cost;
        let granted = if there < least.into() { 0 } else { there.min(most.into()) };
        let missing = missing + granted * self.cost;
        // A full bucket is forgotten.
        self.full_at = if missing == 0 { 0 } else { earned + missing };
        if granted > 0 || returned > 0 || lost || changed {
            self.since = now;
        }
        (granted as u32, ((missing.min(self.depth) + self.speed - 1) / self.speed) as u64)
    }
}

/// Buckets up to the deepest that a `double` can count.
fn bucket() -> impl Strategy<Value = Model> {
    (0..42_u32, 0..42_u32, 0..33_u32, any::<[u64; 3]>()).prop_filter_map("too deep", |(a, b, c, random)| {
        let [speed, cost, burst] = [(a, 0), (b, 1), (c, 2)]
            .map(|(bits, which): (u32, usize)| i128::from((1 << bits) + random[which] % (1 << bits)));
        let depth = cost * burst;
        (depth <= 1 << 52 && burst <= u32::MAX.into()).then_some(Model {
            speed,
            cost,
            depth,
            full_at: 0,
            since: 0,
        })
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = || (0..33_u32, any::<u32>()).prop_map(|(bits, n)| (u64::from(n) & ((1 << bits) - 1)) as u32);
    let step = (0..48_u32, any::<i64>(), number(), number(), number(), 0..8_u32, any::<bool>());
    prop::collection::vec(
        step.prop_map(|(bits, micros, returned, least, more, kind, other)| Step {
            other,
            micros: (micros & ((1 << bits) - 1)) * if kind == 2 { -1 } else { 1 },
            returned: if kind == 0 { returned } else { 0 },
            least: if kind == 1 { least } else { 1 },
            most: least.saturating_add(more),
        }),
        1..20,
    )
}

async fn compare(redis: &ConnectionManager, mut models: [Model; 2], steps: Vec<Step>) {
    let text = include_str!("../../src/distributed/take.lua");
    let clocked = text.replace("redis.call('TIME')", "{ ARGV[7], ARGV[8] }");
    // The server expires keys by its own clock.
    let kept = clocked.replace("/ 1000) + 1", "/ 1000) + 60000");
    assert!(text != clocked && clocked != kept);
    let (script, key) = (Script::new(&kept), key());
    let mut now = 1_700_000_000_000_000_u64;
    let mut last = models[0];
    for step in steps {
        let model = &mut models[usize::from(step.other)];
        let changed = model.cost != last.cost && last.full_at > 0;
        model.follow(last);
        now = now.saturating_add_signed(step.micros);
        let mut call = script.key(&key);
        call.arg(model.speed as u64).arg(model.cost as u64).arg(model.depth as u64);
        call.arg(step.returned).arg(step.least).arg(step.most);
        call.arg(now / 1_000_000).arg(now % 1_000_000);
        let got: (u32, u64) = call.invoke_async(&mut redis.clone()).await.unwrap();
        assert_eq!(got, model.take(now, step, changed), "{step:?} of {model:?}");
        last = *model;
    }
}

#[test]
#[ignore = "real tier"]
fn the_script_counts_exactly() {
    run(async |url| {
        let redis = connect(&url);
        let mut runner = TestRunner::default();
        for _ in 0..500 {
            let draw = (bucket(), steps()).new_tree(&mut runner).unwrap().current();
            compare(&redis, [draw.0; 2], draw.1).await;
        }
    });
}

/// Two callers that disagree about the rate and the burst.
#[test]
#[ignore = "real tier"]
fn the_script_counts_exactly_at_two_rates() {
    run(async |url| {
        let redis = connect(&url);
        let mut runner = TestRunner::default();
        // Beyond this a `double` is not exact.
        let fits = |one: &Model, two: &Model| {
            let most = 1 << 52;
            one.cost * two.cost <= most && one.depth / one.cost * two.cost <= most
        };
        let two = (bucket(), bucket()).prop_filter("too deep", |(one, two)| fits(one, two) && fits(two, one));
        let draws = (two, steps());
        for _ in 0..500 {
            let ((one, two), steps) = draws.new_tree(&mut runner).unwrap().current();
            compare(&redis, [one, two], steps).await;
        }
    });
}
