//! Cancel requests, and operations that are dropped.

use std::{rc::Rc, sync::Arc, time::Duration};

use evenkeel_testkit::{World, assert_took, cancel};
use evenkeel_testkit_pg::{Reply, Server};
use tokio::time::sleep;
use tokio_postgres::{CancelToken, Client};

use super::{code, done, failed, names, users};
use crate::{MS, SECOND};

/// Sends a cancel request after a time.
fn cancel_after(server: &Server, delay: Duration, token: CancelToken) {
    let connector = server.connector();
    tokio::spawn(async move {
        sleep(delay).await;
        connector.cancel(&token).await.expect("a connection");
    });
}

#[test]
fn a_cancelled_statement_ends_at_its_instant() {
    World::run(async |_| {
        let (server, client) = users().await;
        let statement = client.prepare("select id from users").await.unwrap();
        server.on_prefix("select id").reply(Reply::run().latency(60 * SECOND));
        cancel_after(&server, 20 * MS, client.cancel_token());
        let error = assert_took!(client.query(&statement, &[]), 20 * MS).unwrap_err();
        assert_eq!(code(&error), "57014");
        cancel_after(&server, 30 * MS, client.cancel_token());
        let error =
            assert_took!(client.batch_execute("select pg_sleep(1.5); select 1"), 30 * MS).unwrap_err();
        assert_eq!(code(&error), "57014");
        assert_eq!(names(&client).await, ["Ada", "Bob"]);
        let outcomes: Vec<_> = server.statements().into_iter().map(|statement| statement.outcome).collect();
        assert_eq!(outcomes, [failed("57014"), failed("57014"), done("SELECT 2")]);
    });
}

#[test]
fn a_request_that_comes_too_late_cancels_nothing() {
    World::run(async |world| {
        let (server, client) = users().await;
        server.connector().cancel(&client.cancel_token()).await.unwrap();
        world.settle().await;
        assert_eq!(names(&client).await, ["Ada", "Bob"]);
    });
}

#[test]
fn a_request_is_for_one_connection_and_needs_its_key() {
    World::run(async |_| {
        let (server, client) = users().await;
        let other = server.client().await.unwrap();
        cancel_after(&server, 10 * MS, other.cancel_token());
        assert_took!(client.batch_execute("select pg_sleep(1)"), SECOND).unwrap();
        let (server, own) = users().await;
        // Another server's key, for the same process id.
        let (stranger, _client) = users().await;
        let second = stranger.client().await.unwrap();
        cancel_after(&server, 10 * MS, second.cancel_token());
        assert_took!(own.batch_execute("select pg_sleep(1)"), SECOND).unwrap();
    });
}

#[test]
fn a_cancelled_statement_fails_its_transaction() {
    World::run(async |_| {
        let (server, mut client) = users().await;
        let token = client.cancel_token();
        let tx = client.transaction().await.unwrap();
        tx.execute("delete from users where id = 1", &[]).await.unwrap();
        cancel_after(&server, 10 * MS, token);
        assert_eq!(code(&tx.batch_execute("select pg_sleep(1)").await.unwrap_err()), "57014");
        assert_eq!(code(&tx.batch_execute("select 1").await.unwrap_err()), "25P02");
        tx.rollback().await.unwrap();
        assert_eq!(names(&client).await, ["Ada", "Bob"]);
    });
}

#[test]
fn a_dropped_query_runs_to_its_end_and_the_connection_stays_in_order() {
    let cuts = cancel::every_point(
        async || {
            let (server, client) = users().await;
            server.on_prefix("insert").reply(Reply::run().latency(10 * MS));
            (Rc::new(server), Arc::new(client))
        },
        async |(_server, client): (Rc<Server>, Arc<Client>)| {
            client.execute("insert into users values ($1, $2)", &[&3_i64, &"Cy"]).await.unwrap();
        },
        async |(server, client)| {
            let inserted =
                server.statements().iter().any(|statement| statement.outcome == done("INSERT 0 1"));
            let expected: &[&str] = if inserted { &["Ada", "Bob", "Cy"] } else { &["Ada", "Bob"] };
            assert_eq!(names(&client).await, expected);
            assert_eq!(server.connections(), 1);
        },
    );
    assert!(cuts.points() >= 2, "{cuts}");
}

#[test]
fn a_dropped_connect_leaves_no_connection() {
    let cuts = cancel::every_point(
        async || Rc::new(users().await.0),
        async |server: Rc<Server>| drop(server.client().await.unwrap()),
        async |server| assert_eq!(server.connections(), 0),
    );
    assert!(cuts.points() >= 2, "{cuts}");
}

#[test]
fn a_dropped_cancel_request_does_no_harm() {
    let cuts = cancel::every_point(
        async || {
            let (server, client) = users().await;
            (Rc::new(server), Arc::new(client))
        },
        async |(server, client): (Rc<Server>, Arc<Client>)| {
            server.connector().cancel(&client.cancel_token()).await.unwrap();
        },
        async |(server, client)| {
            assert_eq!(names(&client).await, ["Ada", "Bob"]);
            assert_eq!(server.connections(), 1);
        },
    );
    assert!(cuts.points() >= 1, "{cuts}");
}

#[test]
fn a_sleep_beyond_all_time_ends_only_by_a_cancel_request() {
    World::run(async |_| {
        let (server, client) = users().await;
        for sql in [
            "select pg_sleep(1e30)",
            "select pg_sleep('infinity')",
            "select pg_sleep(10000000000000000000), pg_sleep(10000000000000000000)",
        ] {
            cancel_after(&server, SECOND, client.cancel_token());
            let error = assert_took!(client.batch_execute(sql), SECOND).unwrap_err();
            assert_eq!(code(&error), "57014", "{sql}");
        }
        assert_took!(client.batch_execute("select pg_sleep(-1), pg_sleep('nan')"), Duration::ZERO).unwrap();
    });
}
