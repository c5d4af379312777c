//! A database in the dumps of evenkeel-inspect.

use std::{panic::Location, time::Duration};

use evenkeel_inspect::{Dump, FindingKind, InspectedResource, dump_of};
use evenkeel_postgres::{Database, Error, Tx, TxOptions};
use evenkeel_testkit::World;
use tokio::{
    runtime::Handle,
    spawn,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::scripted_server::{Answer, Greeting, Server};

const SECS: fn(u64) -> Duration = Duration::from_secs;

fn look() -> Dump {
    dump_of(Handle::current().id())
}

fn of_kind(dump: &Dump, kind: &str) -> Option<InspectedResource> {
    let found: Vec<_> = dump.resources.iter().filter(|resource| resource.kind == kind).collect();
    assert!(found.len() < 2, "{kind} in {dump}");
    found.first().map(|resource| (*resource).clone())
}

/// Returns the number of the line with this mark, a comment at its end.
fn at(mark: &str) -> u32 {
    let mark = format!("// {mark}");
    let mut lines = include_str!("inspect.rs").lines().zip(1..).filter(|(line, _)| line.ends_with(&mark));
    lines.next().unwrap().1
}

fn line(place: &'static Location<'static>) -> u32 {
    assert!(place.file().ends_with("inspect.rs"), "{place}");
    place.line()
}

/// A server that answers the first `update` at once, and the others after that time.
fn slow_after_the_first(time: Duration) -> Server {
    let mut is_first = true;
    Server::new(move |sql| {
        if sql != "update" || std::mem::replace(&mut is_first, false) {
            return None;
        }
        Some(Answer::After(time, Box::new(Answer::Count(1))))
    })
}

/// A transaction that updates, and then does something else for that time.
fn updates_and_goes_on(
    db: &Database,
    end: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<Result<(), Error>> {
    let (db, mut end) = (db.clone(), Some(end));
    spawn(async move {
        let body = move |tx: Tx| {
            let end = end.take();
            async move {
                tx.execute("update", ()).await?;
                if let Some(end) = end {
                    end.await;
                }
                Ok(())
            }
        };
        db.transaction(TxOptions::new(), body).await // has the lock
    })
}

fn updates(db: &Database) -> JoinHandle<Result<u64, Error>> {
    let db = db.clone();
    spawn(async move {
        let body = async |tx: Tx| tx.execute("update", ()).await;
        db.transaction(TxOptions::new(), body).await // wants the lock
    })
}

/// Two of our own transactions: one is answered late, and the other one has changed rows before and does something else.
#[test]
fn a_lock_wait_between_two_transactions() {
    World::run(async |_| {
        let server = slow_after_the_first(SECS(3600));
        let db = server.builder().max(2).named("orders-db").build().unwrap(); // database
        for _ in 0..10 {
            db.execute("select", ()).await.unwrap();
        }
        let first = updates_and_goes_on(&db, sleep(SECS(7200)));
        sleep(SECS(1)).await;
        let second = updates(&db);
        sleep(Duration::from_millis(900)).await;
        assert_eq!(of_kind(&look(), "locks of database"), None, "too early to tell");
        sleep(SECS(29) + Duration::from_millis(100)).await;

        let dump = look();
        let locks = of_kind(&dump, "locks of database").unwrap();
        assert_eq!((locks.name.as_deref(), line(locks.place.unwrap())), (Some("orders-db"), at("database")));
        assert_eq!((locks.holders.len(), locks.waiters.len()), (1, 1), "{dump}");
        let (holder, waiter) = (&locks.holders[0], &locks.waiters[0]);
        assert_eq!(holder.task.unwrap().to_string(), format!("task {}", first.id()));
        assert_eq!((line(holder.place), holder.held_for), (at("has the lock"), SECS(31)));
        assert_eq!(waiter.task.to_string(), format!("task {}", second.id()));
        assert_eq!((line(waiter.place), waiter.waited), (at("wants the lock"), SECS(30)));
        assert_eq!(waiter.label.as_deref(), Some("the answer to a write"));
        let note = &locks.notes[0];
        let parts = [
            format!("task {} has waited for 30s at {}", second.id(), waiter.place),
            format!("maybe for the transaction of task {}, begun 31s ago at {}", first.id(), holder.place),
        ];
        assert!(parts.iter().all(|part| note.contains(part)), "{note}");
        let finding = &dump.findings[0];
        assert_eq!((finding.kind, dump.findings.len()), (FindingKind::NoProgress, 1), "{dump}");
        assert!(
            finding.summary.starts_with(
                "no progress: locks of database 'orders-db' has 1 pending, and none has left for 30s"
            ),
            "{dump}"
        );
        assert_eq!(line(finding.steps[0].taken_at.unwrap()), at("has the lock"));
        assert_eq!(line(finding.steps[1].waits_at.unwrap()), at("wants the lock"));

        assert_eq!(of_kind(&dump, "database"), None, "a wait is told once");
        assert!(!dump.to_json().contains("update"), "no texts of statements: {dump}");
        let pool = of_kind(&dump, "pool").unwrap();
        assert_eq!((pool.name.as_deref(), pool.in_use), (Some("orders-db"), 2));
        first.abort();
        second.abort();
        drop(db.close(SECS(100)).await);
        assert!(look().resources.is_empty(), "{}", look());
    });
}

/// The transaction with the lock waits for a connection, which the one that waits for the lock has.
#[test]
fn a_circle_of_a_lock_and_the_pool() {
    World::run(async |_| {
        let server = slow_after_the_first(SECS(3600));
        let db = server.builder().max(2).acquire_timeout(SECS(600)).named("orders-db").build().unwrap();
        let other = db.clone();
        let first = updates_and_goes_on(&db, async move {
            sleep(SECS(5)).await;
            drop(other.execute("delete", ()).await); // wants a connection
        });
        sleep(SECS(1)).await;
        let second = updates(&db);
        sleep(SECS(20)).await;
        let dump = look();
        let finding = &dump.findings[0];
        assert_eq!((finding.kind, finding.steps.len()), (FindingKind::Cycle, 2), "{dump}");
        for step in &finding.steps {
            let places = (line(step.taken_at.unwrap()), line(step.waits_at.unwrap()));
            match &*step.has {
                "pool 'orders-db'" => assert_eq!(places, (at("wants the lock"), at("wants the lock"))),
                "locks of database 'orders-db'" => {
                    assert_eq!(places, (at("has the lock"), at("wants a connection")));
                }
                other => panic!("{other} in {dump}"),
            }
        }
        first.abort();
        second.abort();
        drop(db.close(SECS(100)).await);
    });
}

/// A transaction that gets answers is in nobody's way; neither is one that has only read.
#[test]
fn transactions_that_go_on() {
    World::run(async |_| {
        for (statement, pause) in [("update", SECS(1)), ("select", SECS(100))] {
            let server = Server::new(|sql| {
                (sql == "lock").then(|| Answer::After(SECS(50), Box::new(Answer::Count(1))))
            });
            let db = server.builder().max(2).build().unwrap();
            let busy = spawn({
                let db = db.clone();
                async move {
                    let body = move |tx: Tx| async move {
                        for _ in 0..100 {
                            tx.execute(statement, ()).await?;
                            sleep(pause).await;
                        }
                        Ok::<_, Error>(())
                    };
                    db.transaction(TxOptions::new(), body).await
                }
            });
            sleep(SECS(1)).await;
            let waits = spawn({
                let db = db.clone();
                async move { db.transaction(TxOptions::new(), async |tx: Tx| tx.execute("lock", ()).await).await }
            });
            for _ in 0..20 {
                sleep(SECS(2)).await;
                let dump = look();
                assert_eq!(of_kind(&dump, "locks of database"), None, "{dump}");
                assert!(dump.findings.is_empty(), "{dump}");
                let label = of_kind(&dump, "database").unwrap().waiters[0].label.clone();
                assert_eq!(label.as_deref(), Some("the answer to a statement"));
            }
            busy.abort();
            waits.await.unwrap().unwrap();
            drop(db.close(SECS(10)).await);
        }
    });
}

#[test]
fn texts_of_statements_on_demand() {
    World::run(async |_| {
        let server = Server::new(|sql| {
            sql.starts_with("select").then(|| Answer::After(SECS(50), Box::new(Answer::Rows(vec![1]))))
        });
        let db = server.builder().inspect_sql().build().unwrap();
        let other = db.clone();
        let reads = spawn(async move { other.fetch_scalar::<i32>("select", ()).await });
        sleep(SECS(5)).await;
        let dump = look();
        let waiter = of_kind(&dump, "database").unwrap().waiters[0].clone();
        assert_eq!((waiter.label.as_deref(), waiter.waited), (Some("the answer to select"), SECS(5)));
        reads.await.unwrap().unwrap();
        assert_eq!(of_kind(&look(), "database"), None);
    });
}

#[test]
fn an_outage_lasts_until_a_connection_is_made() {
    World::run(async |_| {
        let server = Server::new(|_| None);
        server.greet([Greeting::NoListener; 40]);
        let db = server.builder().acquire_timeout(SECS(600)).build().unwrap();
        let other = db.clone();
        let call = spawn(async move { other.execute("update", ()).await });
        let mut findings = Vec::new();
        for second in 1.. {
            sleep(SECS(1)).await;
            let dump = look();
            if call.is_finished() {
                break;
            }
            let outage = of_kind(&dump, "database").unwrap().outage.unwrap();
            assert_eq!(outage.lasted, SECS(second), "{dump}");
            findings.extend(dump.findings.first().map(|finding| finding.kind));
        }
        assert!(findings.len() > 1, "{findings:?}");
        assert!(findings.iter().all(|kind| *kind == FindingKind::Outage), "{findings:?}");
        call.await.unwrap().unwrap();
        assert_eq!(of_kind(&look(), "database"), None);
    });
}

/// A statement that was dropped is waited for by the task that cancels it, and not by the one that is gone.
#[test]
fn a_statement_that_was_dropped() {
    World::run(async |_| {
        let server =
            Server::new(|sql| (sql == "update").then(|| Answer::Pause(SECS(3), Box::new(Answer::Count(1)))));
        let db = server.db();
        let other = db.clone();
        let call = spawn(async move { other.execute("update", ()).await });
        sleep(SECS(1)).await;
        call.abort();
        sleep(SECS(1)).await;
        let dump = look();
        let database = of_kind(&dump, "database").unwrap();
        let labels: Vec<_> = database.waiters.iter().map(|waiter| waiter.label.as_deref().unwrap()).collect();
        assert_eq!(labels, ["the end of a statement that was dropped"], "{dump}");
        assert_ne!(database.waiters[0].task.to_string(), format!("task {}", call.await.unwrap_err().id()));
        drop(db.close(SECS(10)).await);
        assert!(look().resources.is_empty());
    });
}

/// A task that has dropped a statement waits for the connection that is cleaned meanwhile. It does not have that any more.
#[test]
fn a_task_that_waits_for_the_connection_that_it_had() {
    World::run(async |_| {
        let server =
            Server::new(|sql| (sql == "update").then(|| Answer::Pause(SECS(3), Box::new(Answer::Count(1)))));
        let db = server.builder().max(1).connect().await.unwrap();
        let other = db.clone();
        let calls = spawn(async move {
            timeout(SECS(1), other.execute("update", ())).await.unwrap_err();
            drop(other.fetch_all::<(i32,)>("select", ()).await);
        });
        sleep(SECS(2)).await;
        let dump = look();
        let pool = of_kind(&dump, "pool").unwrap();
        assert_eq!((pool.in_use, pool.waiters.len(), pool.holders.len()), (1, 1, 1), "{dump}");
        assert_eq!(pool.holders[0].task, None, "{dump}");
        assert!(dump.findings.is_empty(), "{dump}");
        calls.await.unwrap();
        drop(db.close(SECS(10)).await);
    });
}
