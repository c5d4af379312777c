//! Many transactions that meet on one row.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::Relaxed},
};

use evenkeel_postgres::{Error, TxOptions};
use tokio::task::JoinSet;

use crate::{
    harness::{number, run_within},
    load::print,
};

/// Increments one row by so many tasks, so often each, under this isolation.
pub(crate) fn one_row_is_incremented(tasks: i64, times: i64, isolation: fn() -> TxOptions) {
    run_within(std::time::Duration::from_secs(120), |schema| async move {
        let db = schema.db(10).await;
        db.batch_execute("create table t (id int primary key, n int8 not null); insert into t values (1, 0)")
            .await
            .unwrap();
        let (bodies, gave_up) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
        let mut increments = JoinSet::new();
        for _ in 0..tasks {
            let (db, bodies, gave_up) = (db.clone(), Arc::clone(&bodies), Arc::clone(&gave_up));
            increments.spawn(async move {
                for _ in 0..times {
                    let increment = || {
                        db.transaction(isolation(), async |tx| {
                            bodies.fetch_add(1, Relaxed);
                            let (n,): (i64,) = tx.fetch_one("select n from t where id = 1", ()).await?;
                            tx.execute("update t set n = $1 where id = 1", (n + 1,)).await
                        })
                    };
                    let mut done = increment().await;
                    while let Err(Error::GaveUp(_)) = done {
                        gave_up.fetch_add(1, Relaxed);
                        done = increment().await;
                    }
                    assert_eq!(done.unwrap(), 1);
                }
            });
        }
        increments.join_all().await;
        assert_eq!(number(&db, "select n from t").await, tasks * times, "no increment is lost or doubled");
        let bodies = bodies.load(Relaxed);
        // Each success fails at most those that were under way beside it: nine, with ten connections.
        assert!(bodies <= tasks * times * 10, "{bodies} attempts for {} increments", tasks * times);
        let what =
            format!("{tasks} tasks with {times} increments of one row each, attempts and calls that gave up");
        print(&what, &(bodies, gave_up.load(Relaxed)));
    });
}
