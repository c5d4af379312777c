//! Portals with a limit of rows, and streams of rows.

use evenkeel_testkit::{
    World,
    net::{MemNet, Toxics},
};
use evenkeel_testkit_pg::{Reply, Server, StatementOutcome, Type};
use futures::{StreamExt, TryStreamExt};

use tokio_postgres::types::ToSql;

use super::{code, users};
use crate::SECOND;

#[test]
fn a_portal_gives_its_rows_in_parts() {
    World::run(async |_| {
        let (server, mut client) = users().await;
        server.setup("insert into users values (3, 'Cy'), (4, 'Di'), (5, 'Ed')");
        let tx = client.transaction().await.unwrap();
        let portal = tx.bind("select id from users where id = id order by id", &[]).await.unwrap();
        for expected in [&[1, 2][..], &[3, 4], &[5], &[]] {
            let rows = tx.query_portal(&portal, 2).await.unwrap();
            assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), expected);
        }
        let other = tx.bind("select id from users", &[]).await.unwrap();
        tx.query_portal(&other, 2).await.unwrap();
        tx.commit().await.unwrap();
        let outcomes: Vec<_> = server.statements().into_iter().map(|statement| statement.outcome).collect();
        let expected = [
            StatementOutcome::Done("BEGIN".to_owned()),
            StatementOutcome::Done("SELECT 0".to_owned()),
            StatementOutcome::Cut,
            StatementOutcome::Done("COMMIT".to_owned()),
        ];
        assert_eq!(outcomes, expected);
    });
}

#[test]
fn a_portal_ends_with_its_transaction() {
    World::run(async |_| {
        let (_server, mut client) = users().await;
        let tx = client.transaction().await.unwrap();
        let portal = tx.bind("select * from users", &[]).await.unwrap();
        tx.batch_execute("commit; begin").await.unwrap();
        assert_eq!(code(&tx.query_portal(&portal, 1).await.unwrap_err()), "34000");
    });
}

#[test]
fn rows_wait_for_a_client_that_does_not_read() {
    World::run(async |world| {
        let net = MemNet::new();
        let server = Server::mem(&net, "db.test").unwrap();
        let line = "x".repeat(1000);
        let reply = (0..10_000).fold(Reply::columns(&[("a", Type::TEXT)]), |reply, _| reply.row(&[&line]));
        server.on("select a from t").reply(reply);
        let client = server.client().await.unwrap();
        server.link().downstream(Toxics::new().stall(5000, SECOND));
        let rows = client.query_raw("select a from t", Vec::<&str>::new()).await.unwrap();
        let rows: Vec<_> = rows.map_ok(|row| row.get::<_, String>(0).len()).try_collect().await.unwrap();
        assert_eq!(rows, vec![1000; 10_000]);
        assert_eq!(world.elapsed(), SECOND);
    });
}

#[test]
fn a_stream_that_is_dropped_leaves_the_connection_in_order() {
    World::run(async |_| {
        let (_server, client) = users().await;
        let rows = client.query_raw("select id from users", Vec::<&str>::new()).await.unwrap();
        let mut rows = std::pin::pin!(rows);
        assert_eq!(rows.next().await.unwrap().unwrap().get::<_, i64>(0), 1);
        assert_eq!(super::names(&client).await, ["Ada", "Bob"]);
    });
}

#[test]
fn an_empty_statement_is_answered() {
    World::run(async |_| {
        let (server, client) = users().await;
        client.simple_query("").await.unwrap();
        client.simple_query(" ; -- nothing").await.unwrap();
        assert_eq!(client.execute("", &[]).await.unwrap(), 0);
        assert_eq!(server.statements(), []);
    });
}

#[test]
fn an_error_skips_what_was_sent_with_it() {
    World::run(async |_| {
        let (_server, client) = users().await;
        let statement = client.prepare("insert into users values ($1, $2)").await.unwrap();
        let ada: [&(dyn ToSql + Sync); 2] = [&1_i64, &"Ada"];
        let cy: [&(dyn ToSql + Sync); 2] = [&3_i64, &"Cy"];
        // Pipelined; each execution sends its own rows.
        let (first, second) = tokio::join!(client.execute(&statement, &ada), client.execute(&statement, &cy));
        assert_eq!((code(&first.unwrap_err()), second.unwrap()), ("23505", 1));
        assert_eq!(super::names(&client).await, ["Ada", "Bob", "Cy"]);
    });
}
