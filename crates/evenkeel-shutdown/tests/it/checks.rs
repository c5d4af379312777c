//! Programs that are rejected when they are put together, and programs that are not.

use evenkeel_shutdown::Shutdown;
use evenkeel_testkit::{World, assert_took};
use tokio::time::sleep;

use crate::{
    Alive, alive,
    fixtures::{deaf, drains_in},
    ms, text,
};

#[test]
fn what_does_not_fit_into_the_grace_period_is_refused_with_the_sum() {
    let panic = text(|| {
        let (shutdown, _) = Shutdown::manual();
        let shutdown = shutdown
            .grace(ms(9_000))
            .pre_stop(ms(5_000))
            .task("http", deaf)
            .phase("work")
            .task("jobs", deaf)
            .on_stop("queue", async || {})
            .phase("empty")
            .phase("close")
            .reserve(ms(1_301))
            .on_stop("pool", async || {});
        drop(shutdown.run());
    });
    assert_eq!(
        panic,
        "the stop does not fit into the grace period of 9s: 5s before the stop + 1 x 900ms for the first phase \
         + 2 x 900ms for work + 1 x 1.301s for close = 9.001s"
    );
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let shutdown = shutdown.grace(ms(1_000)).pre_stop(ms(900)).task("http", deaf);
        stop.drain("it fits");
        assert_took!(shutdown.run(), ms(1_000)).hung().for_each(drop);
    });
}

#[test]
fn a_handle_reserves_time_for_the_guards_that_it_may_take() {
    let (shutdown, _) = Shutdown::manual();
    let shutdown = shutdown.grace(ms(1_000)).pre_stop(ms(901)).phase("accept");
    drop(shutdown.run());
    let panic = text(|| {
        let (shutdown, _) = Shutdown::manual();
        let shutdown = shutdown.grace(ms(1_000)).pre_stop(ms(901)).phase("accept");
        let _handle = shutdown.handle();
        drop(shutdown.run());
    });
    assert!(panic.ends_with("901ms before the stop + 1 x 100ms for accept = 1.001s"), "{panic}");
}

#[test]
fn time_without_end_is_no_special_case() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let shutdown = shutdown
            .grace(std::time::Duration::MAX)
            .task("slow", drains_in(1 << 32))
            .on_stop("pool", async || sleep(ms(1 << 32)).await)
            .phase("work")
            .reserve(std::time::Duration::MAX / 2)
            .task("jobs", drains_in(1));
        stop.drain("deploy");
        assert_eq!(assert_took!(shutdown.run(), ms((1 << 33) + 1)).exit_code(), 0);
    });
}

#[test]
fn a_phase_without_time_and_a_vital_clean_up_are_refused() {
    let zero = text(|| drop(Shutdown::manual().0.phase("work").reserve(ms(0))));
    assert_eq!(zero, "the reserve of a phase must not be 0");
    let nothing = text(|| drop(Shutdown::manual().0.vital()));
    assert_eq!(nothing, "`vital` follows the task that it is about");
    let clean_up = text(|| drop(Shutdown::manual().0.task("a", deaf).on_stop("b", async || {}).vital()));
    assert_eq!(clean_up, nothing);
}

#[test]
fn a_runtime_without_a_timer_is_refused_before_anything_runs() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let ran = Alive::default();
    let mine = ran.clone();
    let shutdown = Shutdown::manual().0.task("short", async move |_stop| std::mem::forget(mine));
    let panic = text(|| drop(runtime.block_on(shutdown.run())));
    assert!(panic.contains("timers are disabled"), "{panic}");
    assert_eq!(alive(&ran), 0, "a task has run");
}
