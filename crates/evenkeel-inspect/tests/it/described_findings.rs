//! Findings in objects that a test describes: outages, drains, work that nothing leaves, and which finding is first.

use evenkeel_inspect::{
    Backlog, Dump, FindingKind, HolderEdge, Inspected, InspectedResource, Outage, TaskId, WaiterEdge,
};
use evenkeel_testkit::World;
use tokio::time::Instant;

use crate::{
    findings::{MS, assert_nothing, here, lines, only},
    units::{line_of, look, object, secs},
};

/// Returns the line with this mark.
fn at(mark: &str) -> u32 {
    line_of(include_str!("described_findings.rs"), mark)
}

/// Describes an object of a test's own, with one waiter, and looks at it.
fn described(kind: &'static str, describe: impl Fn(&mut InspectedResource) + Send + Sync + 'static) -> Dump {
    let task = TaskId::current();
    let _object = object(move || {
        let mut resource = InspectedResource::new(kind, 0);
        resource.name = Some("west".into());
        resource.waiters.push(WaiterEdge::new(1, task, here(), secs(12))); // waits for it
        describe(&mut resource);
        Some(Inspected::Resource(resource))
    });
    look()
}

#[test]
fn an_outage_that_lasts() {
    World::run(async |_| {
        let outage = |lasted| {
            described("store", move |store| store.outage = Some(Outage::new(lasted, "refused,\nagain")))
        };
        assert_nothing(&outage(secs(10) - MS));
        let dump = outage(secs(10));
        let finding = only(&dump);
        assert_eq!((finding.kind, finding.lasted), (FindingKind::Outage, secs(10)));
        assert_eq!(
            finding.summary,
            "outage: store 'west' has been out of reach for 10s: refused, again; 1 task waits"
        );
        assert_eq!(lines(finding), (vec![], vec![at("waits for it")]));
    });
}

#[test]
fn work_that_nothing_leaves() {
    World::run(async |_| {
        let stage = |pending, idle, usual| {
            described("stage", move |stage| {
                let mut backlog = Backlog::new(pending, idle);
                backlog.usual = usual;
                stage.backlog = Some(backlog);
            })
        };
        let long = secs(1_000_000);
        assert_nothing(&stage(0, long, None));
        assert_nothing(&stage(3, secs(10) - MS, Some(MS)));
        assert_nothing(&stage(3, secs(200) - MS, Some(secs(2))));
        assert_nothing(&stage(3, secs(600) - MS, None));
        for (idle, usual) in [(secs(10), Some(MS)), (secs(200), Some(secs(2))), (secs(600), None)] {
            let dump = stage(3, idle, usual);
            let finding = only(&dump);
            assert_eq!((finding.kind, finding.lasted), (FindingKind::NoProgress, idle));
            assert_eq!(lines(finding), (vec![], vec![at("waits for it")]));
        }
        assert_eq!(
            only(&stage(3, secs(10), Some(MS))).summary,
            "no progress: stage 'west' has 3 pending, and none has left for 10s, usually 1ms each; 1 task waits"
        );
    });
}

#[test]
fn a_drain_that_waits_for_guards() {
    World::run(async |_| {
        let (task, now) = (TaskId::current(), Instant::now());
        let drain = |guards: u64, waited, until: Option<Instant>| {
            described("drain", move |drain| {
                (drain.waiters[0].waited, drain.waiters[0].until) = (waited, until);
                drain.in_use = guards;
                for number in 0..guards {
                    let mut guard = HolderEdge::new(number, None, here(), secs(60)); // keeps a guard
                    guard.task = Some(task);
                    guard.label = Some("request".into());
                    drain.holders.push(guard);
                }
            })
        };
        assert_nothing(&drain(2, secs(10) - MS, None));
        assert_nothing(&drain(0, secs(60), None));
        assert_nothing(&drain(2, secs(3), Some(now + MS)));
        // At its limit it is ended by that.
        assert_nothing(&drain(2, secs(3), Some(now)));
        let dump = drain(2, secs(10), None);
        let finding = only(&dump);
        assert_eq!((finding.kind, finding.lasted), (FindingKind::Drain, secs(10)));
        let guard = at("keeps a guard");
        assert_eq!(lines(finding), (vec![guard, guard], vec![at("waits for it")]));
        assert_eq!(finding.steps[0].has, "drain 'west' 'request'");
        assert_eq!(
            only(&drain(1, secs(10), None)).summary,
            "hang: drain 'west' has waited for 'request' for 10s; 1 task waits"
        );
        // Guards are given to others, so that one who took all of them may wait.
        assert_nothing(&drain(3, secs(9), None));
    });
}

/// Deadlocks are first, and then causes before effects.
#[test]
fn the_most_serious_is_first() {
    World::run(async |_| {
        let task = TaskId::current();
        let ferry = object(move || {
            let mut ferry = InspectedResource::new("ferry", 1);
            ferry.in_use = 1;
            ferry.holders.push(HolderEdge::new(1, Some(task), here(), secs(90)));
            ferry.waiters.push(WaiterEdge::new(2, task, here(), secs(4)));
            ferry.backlog = Some(Backlog::new(1, secs(3_600)));
            ferry.outage = Some(Outage::new(secs(1_800), "refused"));
            Some(Inspected::Resource(ferry))
        });
        let now = Instant::now();
        let quay = object(move || {
            let mut quay = InspectedResource::new("quay", 1);
            let mut waiter = WaiterEdge::new(1, task, here(), secs(20));
            waiter.until = now.checked_sub(secs(15));
            quay.waiters.push(waiter);
            quay.in_use = 1;
            quay.holders.push(HolderEdge::new(1, Some(task), here(), secs(90)));
            quay.usual_hold = Some(MS);
            quay.outage = Some(Outage::new(secs(3_600), "refused"));
            Some(Inspected::Resource(quay))
        });
        let kinds = |dump: &Dump| dump.findings.iter().map(|finding| finding.kind).collect::<Vec<_>>();
        use FindingKind::{LateTimer, NoProgress, SelfWait};
        let dump = look();
        assert_eq!(kinds(&dump), [SelfWait, LateTimer, FindingKind::Outage, FindingKind::Outage, NoProgress]);
        assert_eq!(dump.findings[2].lasted, secs(3_600), "the longest first");
        assert!(dump.findings.iter().map(|finding| finding.kind.is_deadlock()).eq((0..5).map(|at| at == 0)));
        drop(ferry);
        drop(quay);
    });
}
