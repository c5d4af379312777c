//! Notes and their times, and the differences of two timelines.

use evenkeel_testkit::{Record, World, assert_timeline};
use tokio::time::sleep;

use crate::{MS, SECOND, panic_of};

#[test]
fn notes_have_the_virtual_time_since_the_record_began() {
    World::run(async |world| {
        sleep(SECOND).await;
        let record = Record::new();
        let task = record.clone();
        let noting = tokio::spawn(async move {
            sleep(5 * MS).await;
            task.note("of a task");
        });
        record.note(String::from("first"));
        noting.await.unwrap();
        world.record().note("of the world");
        assert_timeline!(record, [0 s "first", 5 ms "of a task"]);
        assert_timeline!(world.record(), [1005 ms "of the world"]);
    });
}

#[test]
fn times_have_all_units() {
    World::run(async |world| {
        for pause in [MS, SECOND, 60 * SECOND, 3600 * SECOND] {
            sleep(pause).await;
            world.record().note(format!("{pause:?}"));
        }
        assert_timeline!(world.record(), [1_000 us "1ms", 1_001_000_000 ns "1s", 61_001 ms "60s", 3_661_001 ms "3600s"]);
    });
    World::run(async |world| {
        sleep(60 * SECOND).await;
        world.record().note(1.to_string());
        sleep(59 * 60 * SECOND).await;
        world.record().note(2.to_string());
        assert_timeline!(world.record(), [1 min 1, 1 h 2]);
    });
}

#[test]
fn an_empty_record_is_an_empty_timeline() {
    World::run(async |world| {
        assert_timeline!(world.record(), []);
        assert!(Record::default().timeline().is_empty());
    });
}

fn of(notes: &'static [(u32, &str)], check: fn(&Record)) -> String {
    panic_of(|| {
        World::run(async |world| {
            for (at, what) in notes {
                sleep(*at * MS - world.elapsed()).await;
                world.record().note(*what);
            }
            check(world.record());
        });
    })
}

#[test]
fn both_are_shown_side_by_side() {
    let late = of(&[(0, "try"), (200, "try"), (700, "give up")], |record| {
        assert_timeline!(record, [0 ms "try", 100 ms "try", 300 ms "try again", 700 ms "give up"]);
    });
    let expected = "the timeline differs, in the lines that are marked
  expected            got
  0ns    try          0ns    try
! 100ms  try          200ms  try
! 300ms  try again
  700ms  give up      700ms  give up";
    assert_eq!(late, expected);
}

#[test]
fn what_is_missing_or_too_much_stands_alone() {
    let more = of(&[(0, "a"), (5, "b"), (5, "c")], |record| {
        assert_timeline!(record, [0 ms "a", 5 ms "c"]);
    });
    let expected = "the timeline differs, in the lines that are marked
  expected    got
  0ns  a      0ns  a
!             5ms  b
  5ms  c      5ms  c";
    assert_eq!(more, expected);
    let order = of(&[(0, "b"), (0, "a")], |record| assert_timeline!(record, [0 ms "a", 0 ms "b"]));
    assert_eq!(order.lines().filter(|line| line.starts_with('!')).count(), 2);
}
