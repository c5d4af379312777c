//! The cost of a world that records its timeline, and of a large one.

use std::hint::black_box;

use evenkeel_task::{Group, group};
use evenkeel_testkit::{World, WorldBuilder};
use tokio::time::{Duration, sleep};

use crate::{median, tell, wall};

const TASKS: u64 = 100_000;

async fn joined() {
    for _ in 0..TASKS / 1_000 {
        let all = group(async |g: Group| {
            (0..1_000).for_each(|_| g.spawn(async {}));
            Ok(())
        });
        black_box(all.await).expect("no failure");
    }
}

#[test]
#[ignore = "soak"]
fn spawn_and_join_with_and_without_a_timeline() {
    let run = |world: fn() -> WorldBuilder| {
        let walls = (0..7).map(|_| wall(|| world().run(async |_| joined().await)).1);
        median(walls.collect())
    };
    let (on, off) = (run(World::builder), run(|| World::builder().without_timeline()));
    tell(format_args!("spawn and join of {TASKS} tasks: {on:?} with a timeline, {off:?} without"));
}

#[test]
#[ignore = "soak"]
fn a_hundred_thousand_tasks_make_a_small_picture() {
    let (drawn, took) = wall(|| {
        World::timeline(async |_| {
            let all = group(async |g: Group| {
                for number in 0..TASKS {
                    g.spawn(async move { sleep(Duration::from_millis(number % 1_000)).await });
                }
                Ok(())
            });
            all.await.expect("no failure");
        })
    });
    let (svg, json, text) = (drawn.to_svg(), drawn.to_json(), drawn.to_text());
    tell(format_args!(
        "{TASKS} tasks in {took:?}: SVG {} kB, JSON {} kB",
        svg.len() / 1_000,
        json.len() / 1_000
    ));
    assert!(svg.len() < 100_000 && json.len() < 5_000_000, "{} and {}", svg.len(), json.len());
    assert!(text.contains("100000 tasks") && text.contains("and 99994 more like this: 99994 done"), "{text}");
}
