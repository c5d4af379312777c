//! The drain of a program in dumps: before a stop and in each step of it, in its report, and when it has ended.

use std::{future::pending, mem, time::Duration};

use evenkeel_inspect::{FindingKind, HolderEdge, InspectedResource, TaskId, dump_at};
use evenkeel_limit::ConcurrencyLimiter;
use evenkeel_shutdown::Shutdown;
use evenkeel_testkit::World;
use tokio::{
    join,
    runtime::Handle,
    spawn,
    time::{Instant, sleep},
};

use crate::units::{line_of, look, secs};

/// Returns the line with this mark.
fn at(mark: &str) -> u32 {
    line_of(include_str!("drains.rs"), mark)
}

/// The only drain of the test.
fn drain() -> InspectedResource {
    let dump = look();
    let mut drains = dump.resources.iter().filter(|resource| resource.kind == "drain");
    let drain = drains.next().unwrap_or_else(|| panic!("no drain: {dump}")).clone();
    assert!(drains.next().is_none(), "{dump}");
    assert_eq!((drain.capacity, drain.in_use), (drain.holders.len() as u64, drain.holders.len() as u64));
    drain
}

/// The labels of its holders, in alphabetical order.
fn holders(drain: &InspectedResource) -> Vec<&str> {
    let mut labels: Vec<_> =
        drain.holders.iter().map(|holder| holder.label.as_deref().unwrap_or_default()).collect();
    labels.sort();
    labels
}

fn holder<'a>(drain: &'a InspectedResource, label: &str) -> &'a HolderEdge {
    drain.holders.iter().find(|holder| holder.label.as_deref() == Some(label)).expect("it is held")
}

/// The step that it waits for, and how long this may last.
fn waits_for(drain: &InspectedResource) -> (&str, Option<Instant>) {
    assert_eq!(drain.waiters.len(), 1);
    (drain.waiters[0].label.as_deref().unwrap_or_default(), drain.waiters[0].until)
}

/// At its time limit a drain is ended by that; it hangs if that has not helped for a second.
#[test]
fn a_drain_at_its_time_limit_and_past_it() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let shutdown = shutdown.grace(secs(4)).task("deaf", async |_| sleep(secs(60)).await);
        let looks = async {
            sleep(secs(1)).await;
            stop.drain("deploy");
            sleep(secs(1)).await;
            let until = waits_for(&drain()).1.expect("a limit");
            let found_at = |at| dump_at(Some(Handle::current().id()), at).findings;
            assert_eq!(found_at(until), []);
            assert_eq!(found_at(until + secs(1) - Duration::from_nanos(1)), []);
            // The late timer of the wait, and the drain.
            let kinds: Vec<_> = found_at(until + secs(1)).iter().map(|finding| finding.kind).collect();
            assert_eq!(kinds, [FindingKind::LateTimer, FindingKind::Drain]);
        };
        let (report, ()) = join!(shutdown.run(), looks);
        assert_eq!(report.hung().count(), 1);
    });
}

#[test]
fn a_drain_that_waits_for_a_guard_that_is_leaked() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual(); // the program
        let handle = shutdown.handle();
        let taken = handle.clone();
        let shutdown = shutdown.grace(secs(30)).task("http", async move |stop| {
            mem::forget(taken.guard("upload")); // the guard
            stop.draining().await;
        });
        let start = Instant::now();
        let run = shutdown.run(); // the wait
        let looks = async {
            sleep(secs(2)).await;
            // The group of its tasks is where the program runs, and a task where it was added: no place in a library.
            let group = &look().groups[0];
            assert_eq!(
                (group.place.line(), group.tasks[0].place.line()),
                (at("the wait"), at("the guard") - 1)
            );
            assert!(group.tasks[0].place.file().ends_with("drains.rs"), "{}", group.tasks[0]);
            // Before the stop nobody waits for it, but it says what it would wait for.
            let before = drain();
            assert_eq!(before.place.unwrap().line(), at("the program"));
            assert_eq!((holders(&before), before.waiters.len()), (vec!["guard upload", "task http"], 0));
            stop.drain("deploy");
            sleep(secs(3)).await;
            let during = drain();
            assert_eq!(holders(&during), ["guard upload"]);
            let guard = holder(&during, "guard upload");
            assert_eq!((guard.place.line(), guard.held_for), (at("the guard"), secs(5)));
            assert_eq!(waits_for(&during), ("the tasks and guards", Some(start + secs(32))));
            let waiter = &during.waiters[0];
            assert_eq!((waiter.place.line(), waiter.waited), (at("the wait"), secs(3)));
            assert_eq!(waiter.task, TaskId::current());
            // The task has ended, and its guard has not been dropped.
            let left = "'guard upload' has outlived task 'http', which took it";
            assert_eq!(during.notes, ["asked to stop: deploy", left]);
            let text = look().to_string();
            assert!(text.contains("has 'guard upload' for 5s, from"), "{text}");
            assert!(look().findings.is_empty(), "it has not lasted: {text}");
            sleep(secs(7)).await;
            let finding = look().findings.remove(0);
            assert_eq!((finding.kind, finding.lasted), (FindingKind::Drain, secs(10)), "{finding}");
            assert!(finding.summary.contains(" has waited for 'guard upload' for 10s"), "{finding}");
            assert_eq!(finding.steps[0].taken_at.unwrap().line(), at("the guard"), "{finding}");
            assert_eq!(finding.steps[1].waits_at.unwrap().line(), at("the wait"), "{finding}");
        };
        let (report, ()) = join!(run, looks);
        assert_eq!(start.elapsed(), secs(32));
        // The report has the dump of the time shortly before the end.
        let dump = report.dump().expect("a dump");
        let seen = dump.resources.iter().find(|resource| resource.kind == "drain").expect("the drain");
        assert_eq!(holders(seen), ["guard upload"]);
        assert_eq!(dump.at, start + secs(32) - Duration::from_millis(200));
        // The guard is never dropped, and is no drain that anybody waits for.
        assert!(look().resources.is_empty(), "{}", look());
        drop(handle);
    });
}

#[test]
fn each_step_of_a_stop_says_what_it_waits_for() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let start = Instant::now();
        let shutdown = shutdown
            .grace(secs(100))
            .pre_stop(secs(20))
            .phase("accept")
            .task("http", async |stop| {
                stop.draining().await;
                sleep(secs(2)).await;
            })
            .on_stop("socket", async || sleep(secs(2)).await)
            .phase("work")
            .task("jobs", async |stop| {
                stop.draining().await;
                sleep(secs(2)).await;
            });
        let guard = shutdown.handle().guard("job");
        let run = shutdown.run();
        let looks = async move {
            sleep(secs(1)).await;
            stop.drain("deploy");
            sleep(secs(1)).await;
            let pre_stop = drain();
            assert_eq!(holders(&pre_stop), Vec::<&str>::new(), "it waits for the time alone");
            assert_eq!(waits_for(&pre_stop), ("the end of the pre-stop delay", Some(start + secs(21))));
            // Nothing hangs, however long the steps before have taken.
            let nothing_hangs = || assert!(look().findings.is_empty(), "{}", look());
            sleep(secs(15)).await;
            nothing_hangs();
            sleep(secs(5)).await;
            nothing_hangs();
            // A tenth of the grace period is kept for each step behind it.
            let accept = drain();
            assert_eq!(accept.waiters[0].waited, secs(1));
            assert_eq!(holders(&accept), ["task http"]);
            let until = Some(start + secs(1 + 100 - 20));
            assert_eq!(waits_for(&accept), ("the tasks and guards of phase 'accept'", until));
            sleep(secs(2)).await;
            nothing_hangs();
            let socket = drain();
            assert_eq!(holders(&socket), ["clean-up socket"]);
            let until = Some(start + secs(1 + 100 - 10));
            assert_eq!(waits_for(&socket), ("the clean-ups of phase 'accept'", until));
            assert_eq!(holder(&socket, "clean-up socket").held_for, secs(1));
            sleep(secs(2)).await;
            nothing_hangs();
            let work = drain();
            assert_eq!((work.waiters[0].waited, work.waiters[0].number), (secs(1), 3));
            assert_eq!(holders(&work), ["guard job", "task jobs"]);
            assert_eq!(waits_for(&work), ("the tasks and guards of phase 'work'", Some(start + secs(101))));
            drop(guard);
            assert_eq!(holders(&drain()), ["task jobs"]);
        };
        let (report, ()) = join!(run, looks);
        assert_eq!((report.exit_code(), report.dump().is_none()), (0, true), "it was in time");
        assert!(look().resources.is_empty(), "{}", look());
    });
}

/// The tasks of a holder are those that the groups and the other resources know, so that the dump names what hangs.
#[test]
fn the_report_of_a_stop_that_hung_tells_why() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let calls = std::sync::Arc::new(ConcurrencyLimiter::new(1).named("calls"));
        let shutdown = shutdown
            .task("mail", async move |stop| {
                let _outer = calls.acquire().await;
                stop.draining().await;
                let _inner = calls.acquire().await;
            })
            .on_stop("pool", async || sleep(secs(1)).await);
        let start = Instant::now();
        let looks = async {
            sleep(secs(1)).await;
            stop.drain("deploy");
            sleep(secs(1)).await;
            let (drain, dump) = (drain(), look());
            assert_eq!(dump.findings[0].kind, FindingKind::SelfWait, "{dump}");
            assert_eq!(holder(&drain, "task mail").task, dump.findings[0].steps[0].task);
        };
        let (report, ()) = join!(shutdown.run(), looks);
        // The clean-up had its time: the look takes none.
        assert_eq!(start.elapsed(), secs(1 + 9 + 1));
        let finding = &report.dump().expect("a dump").findings[0];
        assert_eq!((finding.kind, finding.steps[0].name.as_deref()), (FindingKind::SelfWait, Some("mail")));
    });
}

/// Guards name the task that took them, which may have given them away: so a drain is in no circle.
#[test]
fn guards_name_the_task_that_took_them() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let given = handle.guard("given");
        let other = spawn(async move {
            let _own = handle.guard("own");
            sleep(secs(5)).await;
            drop(given);
        });
        let id = TaskId::Task(other.id());
        stop.drain("deploy");
        let looks = async {
            sleep(secs(1)).await;
            let (drain, dump) = (drain(), look());
            assert!(dump.findings.is_empty(), "{dump}");
            assert_eq!(holder(&drain, "guard given").task, Some(TaskId::current()));
            assert_eq!(holder(&drain, "guard own").task, Some(id));
        };
        let (report, ()) = join!(shutdown.run(), looks);
        assert_eq!(report.exit_code(), 0);
        other.await.unwrap();
    });
}

#[test]
fn runs_that_are_dropped_are_gone() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        assert!(look().resources.is_empty(), "it has not begun");
        let run = spawn(shutdown.task("deaf", async |_stop| pending::<()>().await).run());
        sleep(secs(1)).await;
        stop.drain("deploy");
        sleep(secs(1)).await;
        assert_eq!(holders(&drain()), ["task deaf"]);
        run.abort();
        sleep(secs(1)).await;
        assert!(look().resources.is_empty(), "{}", look());
        drop(handle);
    });
}
