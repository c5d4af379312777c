//! Backends that are killed under load, one of them every 50 ms.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_postgres::{Database, PoolMode, Prepared};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::{
    harness::{TestSchema, run_within},
    load::{Load, print, time_to_full_size},
    pgbouncer::Pooler,
};

const MAX: usize = 8;
const BETWEEN: Duration = Duration::from_millis(50);

/// The way to the server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Route {
    /// To the server itself, with names of statements or without.
    Direct(Prepared),
    /// Through PgBouncer in this mode.
    Pooler(PoolMode),
}

/// Kills a backend of the test every 50 ms, and returns their number.
async fn kill(admin: Database, name: String, is_over: Arc<AtomicBool>) -> i64 {
    let sql = "select count(pg_terminate_backend(pid)) from
        (select pid from pg_stat_activity where application_name = $1 order by random() limit 1) one";
    let (mut ticks, mut killed) = (interval(BETWEEN), 0);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !is_over.load(Relaxed) {
        ticks.tick().await;
        killed += admin.fetch_scalar::<i64>(sql, (&name,)).await.unwrap();
    }
    killed
}

/// Kills backends under load for this time on each server.
pub(crate) fn backends_are_killed(route: Route, length: Duration) {
    run_within(length + Duration::from_secs(60), |schema| async move {
        let Some((db, _pooler)) = database(&schema, route).await else { return };
        let is_over = Arc::new(AtomicBool::new(false));
        // PgBouncer before 1.20.1 ends itself when a server is lost to which it is sending a request to cancel, as it does for
        // each call that is dropped: its pull request 927.
        let drops = matches!(route, Route::Direct(_));
        let load = Load::start(&db, &schema.admin, &schema.name, drops).await;
        let killing = tokio::spawn(kill(schema.admin.clone(), schema.name.clone(), Arc::clone(&is_over)));
        let start = Instant::now();
        while start.elapsed() < length {
            sleep(Duration::from_millis(20)).await;
            let snapshot = db.snapshot();
            assert!(snapshot.size <= MAX && snapshot.in_use + snapshot.idle <= MAX, "{snapshot:?}");
        }
        is_over.store(true, Relaxed);
        let killed = killing.await.unwrap();
        assert!(killed > 0);
        // With the load still on.
        let full = time_to_full_size(&db, MAX).await;
        let counts = load.finish(&schema.admin).await;
        let full_idle = time_to_full_size(&db, MAX).await;
        assert_eq!((db.snapshot().in_use, db.snapshot().size), (0, MAX), "{:?}", db.snapshot());
        assert!(counts.failed_reads + counts.unknown + counts.not_stored > 0, "some calls met a kill");
        print(
            &format!(
                "{route:?}: {killed} killed, full size after {full:?} under load, {full_idle:?} without"
            ),
            &counts,
        );
    });
}

async fn database(schema: &TestSchema, route: Route) -> Option<(Database, Option<Pooler>)> {
    match route {
        Route::Direct(prepared) => {
            let db = schema.builder().prepared(prepared).max(MAX).connect().await.unwrap();
            Some((db, None))
        }
        Route::Pooler(mode) => {
            let name = format!("{mode:?}").to_lowercase();
            let settings = format!("default_pool_size = {MAX}\npool_mode = {name}");
            let pooler = Pooler::start(schema, &settings).await?;
            let db = pooler.builder(schema).pool_mode(mode).max(MAX).connect().await.unwrap();
            Some((db, Some(pooler)))
        }
    }
}
