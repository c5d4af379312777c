//! Objects of a program's own, also hostile ones.

use std::{
    panic::Location,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_inspect::{
    Backlog, FindingKind, HolderEdge, Inspected, InspectedGroup, InspectedResource, InspectedTask, Outage,
    TaskId, TaskPhase, WaiterEdge,
};
use evenkeel_testkit::World;

use crate::units::{look, object, secs};

#[test]
fn they_are_in_the_dump_until_they_end() {
    World::run(async |_| {
        let task = TaskId::current();
        let place = Location::caller();
        let ferry = object(move || {
            let mut ferry = InspectedResource::new("ferry", 1);
            ferry.in_use = 1;
            ferry.holders.push(HolderEdge::new(1, Some(task), Location::caller(), secs(9)));
            ferry.waiters.push(WaiterEdge::new(2, task, place, secs(4)));
            Some(Inspected::Resource(ferry))
        });
        let dump = look();
        assert_eq!(dump.findings[0].kind, FindingKind::SelfWait, "{dump}");
        assert_eq!(dump.findings[0].lasted, secs(4));
        drop(ferry);
        assert!(look().resources.is_empty());
    });
}

/// A task that was told to abort ends, whatever it waits for.
#[test]
fn a_task_that_is_aborted_is_not_stuck() {
    World::run(async |_| {
        let phase = Arc::new(Mutex::new(TaskPhase::Running));
        let task = TaskId::current();
        let _ferry = object(move || {
            let mut ferry = InspectedResource::new("ferry", 1);
            ferry.in_use = 1;
            ferry.holders.push(HolderEdge::new(1, Some(task), Location::caller(), secs(9)));
            ferry.waiters.push(WaiterEdge::new(2, task, here(), secs(4)));
            Some(Inspected::Resource(ferry))
        });
        let _group = object({
            let phase = phase.clone();
            move || {
                let mut group = InspectedGroup::new(here(), task, secs(9));
                let mut member = InspectedTask::new(here(), *phase.lock().unwrap(), secs(9));
                member.id = Some(task);
                group.tasks.push(member);
                Some(Inspected::Group(group))
            }
        });
        assert_eq!(look().findings.len(), 1);
        *phase.lock().unwrap() = TaskPhase::Aborting;
        let dump = look();
        assert!(dump.findings.is_empty(), "{dump}");
    });
}

#[track_caller]
fn here() -> &'static Location<'static> {
    Location::caller()
}

/// One that panics costs its own description; the others are there.
#[test]
fn a_panic_is_counted() {
    World::builder().allow_panics(1).run(async |_| {
        let _good = object(|| Some(Inspected::Resource(InspectedResource::new("good", 1))));
        let bad = object(|| panic!("no description"));
        let _quiet = object(|| None);
        let dump = look();
        assert_eq!((dump.resources.len(), dump.panics), (1, 1));
        assert!(dump.to_string().contains("1 object could not be described: a panic"), "{dump}");
        drop(bad);
        assert_eq!(look().panics, 0);
    });
}

/// A circle that is in the first look alone was none.
#[test]
fn a_circle_that_is_gone_at_the_second_look_is_not_told() {
    World::run(async |_| {
        let task = TaskId::current();
        let numbers = std::sync::atomic::AtomicU64::new(0);
        let _ferry = object(move || {
            let number = numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let mut ferry = InspectedResource::new("ferry", 1);
            ferry.in_use = 1;
            ferry.holders.push(HolderEdge::new(7, Some(task), Location::caller(), secs(9)));
            ferry.waiters.push(WaiterEdge::new(number, task, Location::caller(), secs(4)));
            Some(Inspected::Resource(ferry))
        });
        let dump = look();
        assert!(dump.findings.is_empty(), "{dump}");
        assert_eq!(dump.resources[0].waiters.len(), 1);
    });
}

/// An object may tell anything: the sums do not overflow, and no text breaks a line or turns its order round.
#[test]
fn the_greatest_numbers_and_marks_of_order() {
    const MARKS: [char; 9] =
        ['\u{1b}', '\0', '\u{85}', '\u{200f}', '\u{202e}', '\u{2028}', '\u{2029}', '\u{2066}', '\u{61c}'];
    World::run(async |_| {
        let _object = object(|| {
            let mut gate = InspectedResource::new("gate", u64::MAX);
            gate.in_use = u64::MAX;
            gate.holders.extend((0..3).map(|number| {
                let mut holder = HolderEdge::new(number, Some(TaskId::current()), here(), Duration::MAX);
                (holder.amount, holder.label) = (u64::MAX, Some(String::from_iter(MARKS).into()));
                holder
            }));
            let mut waiter = WaiterEdge::new(9, TaskId::current(), here(), Duration::MAX);
            (waiter.amount, waiter.label) = (u64::MAX, Some(String::from_iter(MARKS)));
            gate.waiters.push(waiter);
            gate.backlog = Some(Backlog::new(u64::MAX, Duration::MAX));
            gate.usual_hold = Some(Duration::MAX);
            gate.outage = Some(Outage::new(Duration::MAX, String::from_iter(MARKS)));
            gate.notes.push(String::from_iter(MARKS));
            gate.name = Some(String::from_iter(MARKS).into());
            Some(Inspected::Resource(gate))
        });
        let dump = look();
        assert!(!dump.findings.is_empty(), "{dump}");
        for text in [dump.to_string(), dump.to_html()] {
            assert!(!text.contains(MARKS), "{text:?}");
        }
        let json: serde_json::Value = serde_json::from_str(&dump.to_json()).unwrap();
        assert_eq!(json["resources"][0]["in_use"], u64::MAX);
    });
}
