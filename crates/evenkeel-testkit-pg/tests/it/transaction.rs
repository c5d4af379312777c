//! Transactions: their status, and the effect of a rollback.

use evenkeel_testkit::World;
use evenkeel_testkit_pg::Reply;

use super::{code, names, users};

#[test]
fn a_rollback_takes_back_what_the_transaction_did() {
    World::run(async |_| {
        let (server, mut client) = users().await;
        let other = server.client().await.unwrap();
        let tx = client.transaction().await.unwrap();
        tx.batch_execute("delete from users where id = 1; insert into users values (3, 'Cy')").await.unwrap();
        tx.batch_execute(
            "update users set name = 'Bo' where id = 2; update users set name = 'B' where id = 2",
        )
        .await
        .unwrap();
        assert_eq!(names(&other).await, ["B", "Cy"], "no isolation");
        tx.rollback().await.unwrap();
        assert_eq!(names(&other).await, ["Ada", "Bob"]);

        let tx = client.transaction().await.unwrap();
        tx.batch_execute("truncate users").await.unwrap();
        tx.commit().await.unwrap();
        assert!(names(&other).await.is_empty());
    });
}

#[test]
fn savepoints_take_back_a_part() {
    World::run(async |_| {
        let (_server, mut client) = users().await;
        let mut tx = client.transaction().await.unwrap();
        tx.execute("insert into users values (3, 'Cy')", &[]).await.unwrap();
        let inner = tx.savepoint("a").await.unwrap();
        inner.execute("insert into users values (4, 'Di')", &[]).await.unwrap();
        assert_eq!(
            code(&inner.execute("insert into users values (1, 'x')", &[]).await.unwrap_err()),
            "23505"
        );
        assert_eq!(code(&inner.execute("select 1", &[]).await.unwrap_err()), "25P02");
        inner.rollback().await.unwrap();
        let inner = tx.savepoint("b").await.unwrap();
        inner.execute("insert into users values (5, 'Ed')", &[]).await.unwrap();
        inner.commit().await.unwrap();
        assert_eq!(code(&tx.batch_execute("rollback to b").await.unwrap_err()), "3B001");
        // The savepoint still exists, and changes before it stay.
        tx.batch_execute("rollback to a").await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(names(&client).await, ["Ada", "Bob", "Cy"]);
        for sql in ["savepoint a", "release a", "rollback to a"] {
            assert_eq!(code(&client.batch_execute(sql).await.unwrap_err()), "25P01", "{sql}");
        }
    });
}

#[test]
fn a_failed_transaction_takes_nothing_but_its_end() {
    World::run(async |_| {
        let (server, client) = users().await;
        client.batch_execute("begin; insert into users values (3, 'Cy')").await.unwrap();
        client.batch_execute("select nothing").await.unwrap_err();
        for sql in ["select 1", "begin", "set a = 1"] {
            assert_eq!(code(&client.batch_execute(sql).await.unwrap_err()), "25P02");
        }
        assert_eq!(code(&client.prepare("select 1").await.unwrap_err()), "25P02");
        client.batch_execute("commit").await.unwrap();
        assert_eq!(server.statements().pop().unwrap().outcome, super::done("ROLLBACK"));
        assert_eq!(names(&client).await, ["Ada", "Bob"]);
    });
}

#[test]
fn a_simple_query_is_one_transaction() {
    World::run(async |_| {
        let (_server, client) = users().await;
        let sql = "insert into users values (3, 'Cy'); insert into users values (1, 'x'); delete from users";
        assert_eq!(code(&client.batch_execute(sql).await.unwrap_err()), "23505");
        assert_eq!(names(&client).await, ["Ada", "Bob"]);
        let sql = "insert into users values (3, 'Cy'); commit; insert into users values (1, 'x')";
        client.batch_execute(sql).await.unwrap_err();
        assert_eq!(names(&client).await, ["Ada", "Bob", "Cy"]);
    });
}

#[test]
fn the_end_of_a_connection_is_a_rollback() {
    World::run(async |world| {
        let (server, client) = users().await;
        let other = server.client().await.unwrap();
        client.batch_execute("begin; delete from users").await.unwrap();
        assert_eq!((server.connections(), names(&other).await.len()), (2, 0));
        drop(client);
        world.settle().await;
        assert_eq!((server.connections(), names(&other).await.len()), (1, 2));
    });
}

#[test]
fn a_commit_that_fails_ends_the_transaction() {
    World::run(async |_| {
        let (server, mut client) = users().await;
        server.on("commit").reply(Reply::error("40001")).times(1);
        for expected in [Some("40001".to_owned()), None] {
            let tx = client.transaction().await.unwrap();
            tx.execute("insert into users values (3, 'Cy')", &[]).await.unwrap();
            assert_eq!(tx.commit().await.err().map(|error| code(&error).to_owned()), expected);
        }
        assert_eq!(names(&client).await, ["Ada", "Bob", "Cy"]);
    });
}
