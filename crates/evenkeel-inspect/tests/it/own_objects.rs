//! Objects of a program's own, also hostile ones.

use std::{
    panic::Location,
    sync::{Arc, Mutex},
};

use evenkeel_inspect::{
    FindingKind, HolderEdge, Inspected, InspectedGroup, InspectedResource, InspectedTask, TaskId, TaskPhase,
    WaiterEdge,
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
