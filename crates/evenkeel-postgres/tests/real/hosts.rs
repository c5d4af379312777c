//! Several hosts, some of which fail.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use evenkeel_postgres::{
    Database, Error, TxOptions,
    tokio_postgres::{Config, config::TargetSessionAttrs},
};
use evenkeel_testkit::net::unused_port;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::{sleep, timeout},
};

use crate::{
    harness::{TestSchema, chain, code, number, run, server, skip},
    test_host::{TestHost, at, good},
};

const SECS: fn(u64) -> Duration = Duration::from_secs;

/// Returns a host that accepts and sends nothing.
async fn silent() -> TestHost {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, seen) = (listener.local_addr().unwrap().port(), Arc::<AtomicUsize>::default());
    let count = Arc::clone(&seen);
    tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            held.push(listener.accept().await.unwrap());
            count.fetch_add(1, SeqCst);
        }
    });
    TestHost { port, seen }
}

/// Returns a host that does not answer a SYN: its backlog is full.
async fn dropping() -> (TestHost, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut held = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(300), TcpStream::connect(("127.0.0.1", port))).await
    {
        held.push(stream.unwrap());
        assert!(held.len() < 1000, "a backlog has an end");
    }
    // The socket stays open until the process ends.
    std::mem::forget(listener);
    (TestHost { port, seen: Arc::default() }, held)
}

/// Returns a port where nobody listens.
fn closed() -> TestHost {
    TestHost { port: unused_port().unwrap(), seen: Arc::default() }
}

/// The good host is reached within the time of a caller, and tried first from then on.
async fn the_good_one_is_found(schema: &TestSchema, bad: &TestHost, acquire: Duration) {
    let good = good(&schema.config).await;
    let config = at(&schema.config, &[bad, &good]);
    let db = Database::builder(config).max(3).acquire_timeout(acquire).connect().await.unwrap();
    let before = bad.seen.load(SeqCst);
    for _ in 0..3 {
        let calls = || db.fetch_one::<(i32,)>("select 1 from pg_sleep(0.05)", ());
        let (a, b, c) = tokio::join!(calls(), calls(), calls());
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
    }
    assert_eq!((db.snapshot().created, db.snapshot().timeouts), (3, 0));
    assert_eq!(good.seen.load(SeqCst), 3);
    assert_eq!(bad.seen.load(SeqCst), before, "the one that answered is asked first");
}

#[test]
#[ignore = "real tier"]
fn a_host_that_says_nothing_takes_its_share_alone() {
    run(|schema| async move { the_good_one_is_found(&schema, &silent().await, SECS(6)).await });
}

#[test]
#[ignore = "real tier"]
fn a_host_that_drops_packets_takes_its_share_alone() {
    run(|schema| async move {
        let (bad, held) = dropping().await;
        the_good_one_is_found(&schema, &bad, SECS(6)).await;
        drop(held);
    });
}

#[test]
#[ignore = "real tier"]
fn a_host_that_refuses_is_passed_over() {
    run(|schema| async move { the_good_one_is_found(&schema, &closed(), SECS(6)).await });
}

/// When the host that answered last is gone, the others are tried again.
#[test]
#[ignore = "real tier"]
fn the_next_one_is_found_when_the_good_one_is_gone() {
    run(|schema| async move {
        let (first, second) = (silent().await, good(&schema.config).await);
        let mut config = at(&schema.config, &[&second, &first]);
        let db = Database::builder(config.clone()).max(1).acquire_timeout(SECS(6)).connect().await.unwrap();
        assert_eq!((first.seen.load(SeqCst), second.seen.load(SeqCst)), (0, 1));
        drop(db);
        // By name, in another order, by another `Database`, which remembers nothing.
        config = Config::new();
        config.user(schema.config.get_user().unwrap()).dbname(schema.config.get_dbname().unwrap());
        config.host("localhost").port(first.port).host("localhost").port(second.port);
        let db = Database::builder(config).max(1).acquire_timeout(SECS(6)).connect().await.unwrap();
        assert_eq!(number(&db, "select 1::int8").await, 1);
        assert_eq!((first.seen.load(SeqCst), second.seen.load(SeqCst)), (1, 2));
    });
}

#[test]
#[ignore = "real tier"]
fn all_causes_are_told() {
    run(|schema| async move {
        let (silent, closed) = (silent().await, closed());
        let config = at(&schema.config, &[&silent, &closed]);
        let (a, b) = (format!("127.0.0.1:{}", silent.port), format!("127.0.0.1:{}", closed.port));
        // The error has both hosts, whether all attempts have ended or the first one goes on.
        for connect_timeout in [Duration::from_millis(400), SECS(10)] {
            let builder = Database::builder(config.clone()).connect_timeout(connect_timeout);
            let error = builder.acquire_timeout(SECS(1)).connect().await.unwrap_err();
            assert!(error.is_timeout(), "{error:?}");
            let chain = chain(&error).join(": ");
            let silence = format!("no connection to {a}: no answer within ");
            assert!(chain.contains(&silence), "{chain}");
            assert!(chain.contains(&format!("; nor to {b}: error connecting to server: ")), "{chain}");
            assert!(chain.contains("refused"), "{chain}");
        }
    });
}

/// A database that exists on both servers and is writable on one of them.
async fn two_roles(name: &str) -> Option<[(Database, Config); 2]> {
    let mut both = Vec::new();
    for variable in ["EVENKEEL_TEST_POSTGRES", "EVENKEEL_TEST_POSTGRES18"] {
        let Some(url) = server(variable) else {
            skip("PostgreSQL server", variable);
            return None;
        };
        let mut config: Config = url.parse().unwrap();
        let admin = Database::builder(config.clone()).max(1).connect().await.unwrap();
        admin.batch_execute(&format!("create database {name}")).await.unwrap();
        config.dbname(name);
        both.push((admin, config));
    }
    both.try_into().ok()
}

async fn allow_writes(admin: &Database, name: &str, allow: bool) {
    let sql = format!("alter database {name} set default_transaction_read_only = {}", !allow);
    admin.batch_execute(&sql).await.unwrap();
}

fn on_two_roles<Fut: Future<Output = ()>>(name: &str, test: impl FnOnce([(Database, Config); 2]) -> Fut) {
    let name = format!("{name}_{}", std::process::id());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let Some(both) = two_roles(&name).await else { return };
        let admins = [both[0].0.clone(), both[1].0.clone()];
        timeout(SECS(60), test(both)).await.expect("the test hangs");
        for admin in admins {
            admin.batch_execute(&format!("drop database {name} with (force)")).await.unwrap();
        }
    });
}

#[test]
#[ignore = "real tier"]
fn the_primary_is_found_and_waited_for_while_there_is_none() {
    on_two_roles("roles", |[(old, one), (new, two)]| async move {
        let name = one.get_dbname().unwrap().to_owned();
        let hosts = [good(&one).await, good(&two).await];
        let mut config = at(&one, &[&hosts[0], &hosts[1]]);
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        allow_writes(&old, &name, false).await;
        let db = Database::builder(config.clone()).max(4).connect().await.unwrap();
        assert!(number(&db, "select current_setting('server_version_num')::int8").await >= 180_000);

        allow_writes(&new, &name, false).await;
        let db = Database::builder(config).max(4).acquire_timeout(SECS(20)).build().unwrap();
        let error = timeout(SECS(1), db.execute("select 1", ())).await;
        assert!(error.is_err(), "no host is the primary: {error:?}");
        let (written, ()) = tokio::join!(db.batch_execute("create table t ()"), async {
            sleep(Duration::from_millis(300)).await;
            allow_writes(&old, &name, true).await;
        });
        written.unwrap();
        assert!(number(&db, "select current_setting('server_version_num')::int8").await < 180_000);
    });
}

/// After a failover one refused write replaces all connections to the old primary.
#[test]
#[ignore = "real tier"]
fn one_refused_write_is_enough() {
    run(|schema| async move {
        let role = format!("{}_switching", schema.name);
        let standby = format!(
            "create role {role} superuser login; alter role {role} set default_transaction_read_only = on"
        );
        schema
            .admin
            .batch_execute(&format!("{standby}; create table {}.t (n int8)", schema.name))
            .await
            .unwrap();
        let mut config = schema.config.clone();
        config.user(&role);
        let db = Database::builder(config).max(10).connect().await.unwrap();
        let calls: Vec<_> = (0..10).map(|_| db.clone()).collect();
        let calls = calls
            .into_iter()
            .map(|db| tokio::spawn(async move { db.execute("select pg_sleep(0.2)", ()).await }));
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap().unwrap();
        }
        assert_eq!(db.snapshot().idle, 10);

        schema.admin.batch_execute(&format!("alter role {role} reset all")).await.unwrap();
        let mut refused = 0;
        for n in 0..30_i64 {
            match db.execute("insert into t values ($1)", (n,)).await {
                Ok(written) => assert_eq!(written, 1),
                failed => {
                    assert_eq!(code(failed), "25006");
                    refused += 1;
                }
            }
        }
        assert_eq!((refused, db.snapshot().created), (1, 11));
        assert!(db.close(SECS(10)).await.stragglers.is_empty());
        schema.admin.batch_execute(&format!("drop role {role}")).await.unwrap();
    });
}

/// The numbers of calls that met the end of their connection, by their result.
#[derive(Default)]
struct CallCounts {
    done: i64,
    // The system may discard the server's error together with the connection: then nothing is certain.
    lost: i64,
}

impl CallCounts {
    fn count(&mut self, n: u64, result: Result<u64, Error>) {
        match result {
            Ok(count) => {
                assert_eq!(count, 1);
                self.done += 1;
            }
            Err(error) => {
                assert!(error.is_connection_lost() && error.code().is_none(), "call {n}: {error:?}");
                self.lost += 1;
            }
        }
    }
}

/// The server ends connections that were idle for too long, some of them when they are about to be used.
#[test]
#[ignore = "real tier"]
fn no_call_fails_because_its_connection_was_idle_for_too_long() {
    run(|schema| async move {
        let db = schema.db_with(1, "-c idle_session_timeout=60ms").await;
        schema.admin.batch_execute(&format!("create table {}.t (n int8)", schema.name)).await.unwrap();
        let mut ends = CallCounts::default();
        for n in 0..100_u64 {
            sleep(Duration::from_micros(58_500 + 30 * n)).await;
            let result = match n % 3 {
                0 => db.execute("insert into t values (1)", ()).await,
                1 => db.execute_many("insert into t values ($1)", [(1_i64,)]).await,
                _ => db.batch_execute("insert into t values (1)").await.map(|()| 1),
            };
            ends.count(n, result);
        }
        assert!(ends.lost <= 10, "{}", ends.lost);
        let rows = number(&schema.admin, &format!("select count(*) from {}.t", schema.name)).await;
        assert!((ends.done..=100).contains(&rows), "none was run twice: {rows} of {}", ends.done);
        assert!(db.snapshot().created > 1, "{:?}", db.snapshot());
    });
}

#[test]
#[ignore = "real tier"]
fn a_transaction_that_was_idle_for_too_long_is_run_again() {
    run(|schema| async move {
        let db = schema.db_with(1, "-c idle_in_transaction_session_timeout=60ms").await;
        schema.admin.batch_execute(&format!("create table {}.t (n int8)", schema.name)).await.unwrap();
        let mut ends = CallCounts::default();
        for n in 0..20_u64 {
            let mut pause = Duration::from_micros(58_000 + 250 * n);
            let done = db.transaction(TxOptions::new(), |tx| {
                let idle = std::mem::take(&mut pause);
                async move {
                    tx.execute("insert into t values (1)", ()).await?;
                    sleep(idle).await;
                    tx.execute("insert into t values (1)", ()).await
                }
            });
            ends.count(n, done.await);
        }
        assert!(ends.lost <= 5, "{}", ends.lost);
        let rows = number(&schema.admin, &format!("select count(*) from {}.t", schema.name)).await;
        assert_eq!(rows, 2 * ends.done, "all or nothing");
        assert!(db.snapshot().created > 1, "{:?}", db.snapshot());
    });
}

/// The calls that run go on; the next ones have new connections, and never more than the maximum.
#[test]
#[ignore = "real tier"]
fn all_connections_are_retired() {
    run(|schema| async move {
        let db = schema.db(3).await;
        let pids = async || {
            // Long enough that none ends before the last connection is there.
            let pid = || db.fetch_scalar::<i32>("select pg_backend_pid() from pg_sleep(0.5)", ());
            let (a, b, c) = tokio::try_join!(pid(), pid(), pid()).unwrap();
            std::collections::HashSet::from([a, b, c])
        };
        let before = pids().await;
        let (held, ()) = tokio::join!(pids(), async {
            sleep(Duration::from_millis(10)).await;
            db.retire_all();
        });
        assert_eq!(held, before, "calls that run keep their connections");
        let after = pids().await;
        assert!(before.is_disjoint(&after), "{before:?} {after:?}");
        assert_eq!((after.len(), db.snapshot().created), (3, 6));
    });
}
