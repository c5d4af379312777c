//! The record of a server.

use std::time::{Duration, UNIX_EPOCH};

use evenkeel_testkit::World;
use evenkeel_testkit_pg::{Reply, StatementOutcome};

use super::{done, failed, users};
use crate::{MS, SECOND};

#[test]
fn statements_are_recorded_with_their_instant_and_what_became_of_them() {
    World::run(async |world| {
        let (server, client) = users().await;
        let other = server.client().await.unwrap();
        server.on("select 1").reply(Reply::run().latency(5 * MS));
        server.on("select 2").reply(Reply::stall());
        client.batch_execute("select 1;\n select nothing").await.unwrap_err();
        other.query("select name from users where id = $1", &[&2_i64]).await.unwrap();
        let sql = "select $1::bytea, $2::text, $3::timestamptz";
        let at = UNIX_EPOCH + Duration::from_secs(946_684_800);
        other.query(sql, &[&&[1_u8, 255][..], &None::<&str>, &at]).await.unwrap();
        let stalled = tokio::spawn(async move { other.batch_execute("select 2").await });
        world.settle().await;

        let recorded = server.statements();
        let shown: Vec<_> = recorded
            .iter()
            .map(|statement| (statement.at, statement.connection, &*statement.sql, statement.outcome.clone()))
            .collect();
        let expected = [
            (Duration::ZERO, 1, "select 1", done("SELECT 1")),
            (5 * MS, 1, "select nothing", failed("42703")),
            (5 * MS, 2, "select name from users where id = $1", done("SELECT 1")),
            (5 * MS, 2, sql, done("SELECT 1")),
            (5 * MS, 2, "select 2", StatementOutcome::Running),
        ];
        assert_eq!(shown, expected);
        assert_eq!(recorded[2].parameters, [Some("2".to_owned())]);
        let parameters = [Some("\\x01ff".to_owned()), None, Some("\\x0000000000000000".to_owned())];
        assert_eq!(recorded[3].parameters, parameters);

        server.link().reset();
        stalled.await.unwrap().unwrap_err();
        assert_eq!(server.statements()[4].outcome, StatementOutcome::Running, "nobody told the server");
        assert_eq!(server.connections(), 1, "it waits for its statement");
        server.terminate_all();
        world.settle().await;
        assert_eq!(server.statements()[4].outcome, failed("57P01"));
        assert_eq!((server.connections(), server.peak_connections()), (0, 2));
    });
}

#[test]
fn the_process_id_is_that_of_the_record() {
    World::run(async |world| {
        let (server, first) = users().await;
        let second = server.client().await.unwrap();
        for (client, expected) in [(&first, 1), (&second, 2)] {
            assert_eq!(
                client.query_one("select pg_backend_pid()", &[]).await.unwrap().get::<_, i32>(0),
                expected
            );
            assert_eq!(server.statements().pop().unwrap().connection, expected);
        }
        second.batch_execute("select pg_sleep(0.25)").await.unwrap();
        assert_eq!(world.elapsed(), SECOND / 4);
    });
}
