//! A lock wait between two of our own transactions, on real servers, as a dump tells it.

use std::{panic::Location, time::Duration};

use evenkeel_inspect::{Dump, dump_at};
use evenkeel_postgres::{Error, Tx, TxOptions};
use tokio::{runtime::Handle, spawn, sync::oneshot, time::Instant};

use crate::{
    harness::{run, until},
    transactions::{insert, with_table},
};

const UPDATE: &str = "update t set n = n + 1 where id = 1";

/// The dump as it would be in an hour, if nothing happened until then.
fn look() -> Dump {
    dump_at(Some(Handle::current().id()), Instant::now() + Duration::from_secs(3600))
}

fn line(place: &'static Location<'static>) -> u32 {
    assert!(place.file().ends_with("inspect.rs"), "{place}");
    place.line()
}

#[test]
#[ignore = "real tier"]
fn a_lock_wait_between_two_transactions() {
    run(|schema| async move {
        let db = with_table(&schema, 3).await;
        db.transaction(TxOptions::new(), async |tx| insert(&tx, 1).await).await.unwrap();
        let ((go_on, end), (has_lock, locked)) = (oneshot::channel::<()>(), oneshot::channel::<()>());
        let (first, second) = (db.clone(), db.clone());
        let mut once = Some((end, has_lock));
        let body = move |tx: Tx| {
            let once = once.take();
            async move {
                tx.execute(UPDATE, ()).await?;
                if let Some((end, has_lock)) = once {
                    has_lock.send(()).unwrap();
                    end.await.unwrap();
                }
                Ok::<_, Error>(())
            }
        };
        let first_line = line!() + 1;
        let first = spawn(async move { first.transaction(TxOptions::new(), body).await });
        locked.await.unwrap();
        let second_line = line!() + 1;
        let second = spawn(async move { second.execute(UPDATE, ()).await });
        let sql =
            "select count(*) from pg_stat_activity where application_name = $1 and wait_event_type = 'Lock'";
        until("one waits for a lock", async || {
            schema.admin.fetch_scalar::<i64>(sql, (&schema.name,)).await.unwrap() == 1
        })
        .await;

        let dump = look();
        let locks = dump.resources.iter().find(|resource| resource.kind == "locks of database");
        let locks = locks.unwrap_or_else(|| panic!("{dump}"));
        let (holder, waiter) = (&locks.holders[0], &locks.waiters[0]);
        assert_eq!((locks.holders.len(), locks.waiters.len()), (1, 1), "{dump}");
        assert_eq!((line(holder.place), line(waiter.place)), (first_line, second_line), "{dump}");
        assert_eq!(holder.task.unwrap().to_string(), format!("task {}", first.id()));
        assert_eq!(waiter.task.to_string(), format!("task {}", second.id()));
        assert!(dump.findings[0].summary.starts_with("no progress: locks of database"), "{dump}");

        go_on.send(()).unwrap();
        first.await.unwrap().unwrap();
        assert_eq!(second.await.unwrap().unwrap(), 1);
        let dump = look();
        assert!(dump.resources.iter().all(|resource| resource.kind != "locks of database"), "{dump}");
    });
}
