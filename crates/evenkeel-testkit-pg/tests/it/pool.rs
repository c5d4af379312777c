//! A real pool of deadpool-postgres.

use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime};
use evenkeel_testkit::{World, assert_took};
use evenkeel_testkit_pg::{Reply, Server, StatementOutcome};
use tokio::{task::JoinSet, time::timeout};

use super::{code, server};
use crate::{MS, SECOND};

fn pool(server: &Server, recycling_method: RecyclingMethod, size: usize) -> Pool {
    let mut config = tokio_postgres::Config::new();
    config.user("app");
    let manager = Manager::from_connect(config, server.connector(), ManagerConfig { recycling_method });
    Pool::builder(manager).max_size(size).runtime(Runtime::Tokio1).build().expect("a pool")
}

/// Runs 500 checkouts with queries of 100 ms over 10 connections, and counts good and bad ones.
async fn storm(pool: &Pool) -> (usize, usize) {
    let mut checkouts = JoinSet::new();
    for _ in 0..500 {
        let pool = pool.clone();
        checkouts.spawn(async move {
            let client = pool.get().await.expect("a connection");
            let query = timeout(5 * SECOND, client.batch_execute("select 1"));
            query.await.expect("no spurious timeout").is_ok()
        });
    }
    let results = checkouts.join_all().await;
    let good = results.iter().filter(|good| **good).count();
    (good, results.len() - good)
}

#[test]
fn five_hundred_checkouts_take_exactly_five_seconds() {
    World::run(async |_| {
        let server = server();
        server.on("select 1").reply(Reply::run()).latency(100 * MS).expect(500);
        let pool = pool(&server, RecyclingMethod::Fast, 10);
        assert_eq!(assert_took!(storm(&pool), 5 * SECOND), (500, 0));
        assert_eq!((server.connections(), server.peak_connections()), (10, 10));
        assert_eq!(server.link().snapshot().opened, 10);
    });
}

#[test]
fn every_fiftieth_query_is_cut_off_and_the_counts_add_up() {
    let run = || {
        World::run(async |world| {
            let server = server();
            server.on_every(50).reply(Reply::reset()).latency(100 * MS).expect(10);
            server.on("select 1").reply(Reply::run()).latency(100 * MS).expect(490);
            let pool = pool(&server, RecyclingMethod::Fast, 10);
            assert_eq!(assert_took!(storm(&pool), 5 * SECOND), (490, 10));

            let statements = server.statements();
            let cut =
                statements.iter().filter(|statement| statement.outcome == StatementOutcome::Cut).count();
            let done =
                statements.iter().filter(|statement| statement.outcome == super::done("SELECT 1")).count();
            assert_eq!((statements.len(), done, cut), (500, 490, 10));
            assert!(statements.iter().all(|statement| statement.at.subsec_millis() % 100 == 0));
            assert_eq!(server.peak_connections(), 10);
            let opened = server.link().snapshot().opened;
            drop(pool);
            world.settle().await;
            assert_eq!((server.connections(), server.link().snapshot().open), (0, 0));
            (opened, statements)
        })
    };
    let (opened, statements) = run();
    // The last cut may find no checkout left that needs another connection.
    assert!((19..=20).contains(&opened), "{opened}");
    assert_eq!(run(), (opened, statements), "each run is the same");
}

#[test]
fn each_way_to_recycle_works() {
    World::run(async |_| {
        let server = server();
        for method in [
            RecyclingMethod::Fast,
            RecyclingMethod::Verified,
            RecyclingMethod::Clean,
            RecyclingMethod::Custom("rollback".to_owned()),
        ] {
            let pool = pool(&server, method, 1);
            for _ in 0..2 {
                let mut client = pool.get().await.unwrap();
                let tx = client.transaction().await.unwrap();
                let statement = tx.prepare_cached("select $1::int8 + 1").await.unwrap();
                assert_eq!(tx.query_one(&statement, &[&1_i64]).await.unwrap().get::<_, i64>(0), 2);
                tx.commit().await.unwrap();
            }
            assert_eq!(pool.status().size, 1);
        }
    });
}

#[test]
fn a_pool_meets_the_faults_of_a_start() {
    World::run(async |_| {
        let server = server();
        let pool = pool(&server, RecyclingMethod::Fast, 1);
        server.reject(1, "57P03");
        let Err(PoolError::Backend(error)) = pool.get().await else { panic!("a connection") };
        assert_eq!(code(&error), "57P03");
        server.link().refuse(1);
        assert!(matches!(pool.get().await, Err(PoolError::Backend(_))));
        drop(pool.get().await.unwrap());
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn a_verified_checkout_waits_behind_an_abandoned_query() {
    World::run(async |_| {
        let server = server();
        server.on("select 'slow'").reply(Reply::stall());
        let pool = pool(&server, RecyclingMethod::Verified, 1);
        let client = pool.get().await.unwrap();
        let slow = timeout(60 * SECOND, client.batch_execute("select 'slow'"));
        assert!(assert_took!(slow, 60 * SECOND).is_err());
        drop(client);
        let timeouts = deadpool_postgres::Timeouts { recycle: Some(30 * SECOND), ..Default::default() };
        // The abandoned connection is dropped, and another replaces it.
        drop(assert_took!(pool.timeout_get(&timeouts), 30 * SECOND).unwrap());
        assert_eq!(server.link().snapshot().opened, 2);
    });
}
