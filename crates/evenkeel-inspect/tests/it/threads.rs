//! Stand-stills on real threads, and looks beside tasks that run.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{
            AtomicUsize,
            Ordering::{Acquire, Release},
        },
    },
};

use evenkeel_inspect::{FindingKind, dump_of};
use evenkeel_limit::ConcurrencyLimiter;
use evenkeel_task::group;
use tokio::{
    runtime::{Builder, Handle},
    spawn,
    task::yield_now,
};

use crate::units::{line_of, look, pool};

/// Returns the line with this mark.
fn at(mark: &str) -> u32 {
    line_of(include_str!("threads.rs"), mark)
}

fn on_threads<T>(run: impl Future<Output = T>) -> T {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime").block_on(run)
}

/// Looks until there is a finding: nothing else ends the test, so it does not depend on the time.
async fn finding() -> evenkeel_inspect::Finding {
    loop {
        if let Some(finding) = look().findings.first() {
            return finding.clone();
        }
        yield_now().await;
    }
}

#[test]
fn a_circle_of_a_pool_and_a_limit() {
    on_threads(async {
        let (calls, orders) = (Arc::new(ConcurrencyLimiter::new(1).named("calls")), pool("orders", 1));
        let both = Arc::new(tokio::sync::Barrier::new(2));
        let tasks = [
            spawn({
                let (calls, orders, both) = (calls.clone(), orders.clone(), both.clone());
                async move {
                    let _held = calls.acquire().await.unwrap(); // has a permit
                    both.wait().await;
                    drop(orders.get().await); // wants an object
                }
            }),
            spawn(async move {
                let _held = orders.get().await.unwrap(); // has an object
                both.wait().await;
                drop(calls.acquire().await); // wants a permit
            }),
        ];
        let finding = finding().await;
        assert_eq!((finding.kind, finding.steps.len()), (FindingKind::Cycle, 2), "{finding}");
        for step in &finding.steps {
            let places = match &*step.has {
                "concurrency limit 'calls'" => (at("has a permit"), at("wants an object")),
                "pool 'orders'" => (at("has an object"), at("wants a permit")),
                other => panic!("{other}"),
            };
            assert_eq!((step.taken_at.unwrap().line(), step.waits_at.unwrap().line()), places, "{finding}");
        }
        tasks.iter().for_each(|task| task.abort());
    });
}

/// Tasks come and go on two threads while a third one looks: there is no finding, and no panic, and a task that has ended
/// before a look is not in it.
#[test]
fn looks_beside_tasks_that_come_and_go() {
    on_threads(async {
        let runtime = Handle::current().id();
        let (calls, orders) = (Arc::new(ConcurrencyLimiter::new(3).named("calls")), pool("orders", 3));
        let ended = Arc::<AtomicUsize>::default();
        let rounds = ended.clone();
        let work = spawn(async move {
            for round in 0..200 {
                let result = group(async |g| {
                    for n in 0..20 {
                        let (calls, orders) = (calls.clone(), orders.clone());
                        g.task(format!("{round}/{n}")).spawn(async move {
                            let _permit = calls.acquire().await.unwrap();
                            yield_now().await;
                            let _lease = orders.get().await.unwrap();
                            yield_now().await;
                        });
                    }
                    Ok(())
                });
                result.await.unwrap();
                rounds.store(round + 1, Release);
            }
            drop((calls, orders));
        });
        let looks = std::thread::spawn({
            let work = work.abort_handle();
            move || {
                let mut seen = 0;
                while !work.is_finished() {
                    let ended = ended.load(Acquire);
                    let dump = dump_of(runtime);
                    assert!(dump.findings.is_empty(), "{dump}");
                    assert_eq!(dump.panics, 0, "{dump}");
                    for task in dump.groups.iter().flat_map(|group| &group.tasks) {
                        let round = task.name.as_deref().unwrap().split('/').next().unwrap();
                        assert!(round.parse::<usize>().unwrap() >= ended, "a dead task: {dump}");
                    }
                    seen += dump.groups.iter().map(|group| group.tasks.len()).sum::<usize>();
                    // All forms hold whatever state they see.
                    assert!(dump.to_json().len() + dump.to_html().len() + dump.to_string().len() > 100);
                }
                seen
            }
        });
        work.await.unwrap();
        looks.join().unwrap();
        let dump = dump_of(runtime);
        assert!(dump.groups.is_empty() && dump.resources.is_empty(), "{dump}");
    });
}
