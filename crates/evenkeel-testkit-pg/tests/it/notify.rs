//! Notices and notifications.

use std::{future::poll_fn, sync::Arc};

use evenkeel_testkit::World;
use evenkeel_testkit_pg::{Reply, Server};
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, Config};

use super::{code, users};
use crate::SECOND;

/// A client, and the stream of its asynchronous messages.
async fn listening(server: &Server) -> (Client, mpsc::UnboundedReceiver<String>) {
    let (client, mut connection) = server.connect(Config::new().user("test")).await.expect("a connection");
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            let message = match message {
                AsyncMessage::Notice(notice) => format!("{} {}", notice.severity(), notice.message()),
                AsyncMessage::Notification(told) => {
                    format!("{} {} {}", told.process_id(), told.channel(), told.payload())
                }
                _ => continue,
            };
            tell.send(message).expect("a listener");
        }
    });
    (client, told)
}

#[test]
fn who_listens_is_notified() {
    World::run(async |world| {
        let (server, client) = users().await;
        let (listener, mut told) = listening(&server).await;
        listener.batch_execute("listen jobs").await.unwrap();
        client.batch_execute("notify jobs, 'one'; notify other, 'x'; notify jobs").await.unwrap();
        client.execute("select pg_notify($1, $2)", &[&"jobs", &"two"]).await.unwrap();
        server.notify("jobs", "three");
        world.settle().await;
        for expected in ["1 jobs one", "1 jobs ", "1 jobs two", "0 jobs three"] {
            assert_eq!(told.recv().await.unwrap(), expected);
        }
        listener.batch_execute("unlisten jobs").await.unwrap();
        server.notify("jobs", "four");
        world.settle().await;
        assert!(told.is_empty());
    });
}

#[test]
fn a_transaction_notifies_when_it_is_committed() {
    World::run(async |world| {
        let (server, client) = users().await;
        let (listener, mut told) = listening(&server).await;
        listener.batch_execute("listen jobs; begin").await.unwrap();
        client
            .batch_execute("begin; notify jobs, 'one'; savepoint a; notify jobs, 'x'; rollback to a")
            .await
            .unwrap();
        client.batch_execute("select nothing").await.unwrap_err();
        client.batch_execute("rollback to a; notify jobs, 'two'").await.unwrap();
        world.settle().await;
        assert!(told.is_empty());
        client
            .batch_execute("commit; begin; notify jobs, 'x'; rollback; notify jobs, 'x'; select nothing")
            .await
            .unwrap_err();
        world.settle().await;
        assert!(told.is_empty(), "the listener is in a transaction");
        listener.batch_execute("commit").await.unwrap();
        assert_eq!(told.recv().await.unwrap(), "1 jobs one");
        assert_eq!(told.recv().await.unwrap(), "1 jobs two");
        world.settle().await;
        assert!(told.is_empty());
    });
}

#[test]
fn a_busy_listener_is_notified_when_its_statement_is_over() {
    World::run(async |world| {
        let (server, _client) = users().await;
        let (listener, mut told) = listening(&server).await;
        listener.batch_execute("listen jobs").await.unwrap();
        let listener = Arc::new(listener);
        let busy = listener.clone();
        let statement = tokio::spawn(async move { busy.batch_execute("select pg_sleep(2)").await });
        world.settle().await;
        server.notify("jobs", "one");
        assert_eq!((told.recv().await.unwrap(), world.elapsed()), ("0 jobs one".to_owned(), 2 * SECOND));
        statement.await.unwrap().unwrap();
    });
}

#[test]
fn too_many_notifications_are_refused() {
    World::run(async |_| {
        let (server, client) = users().await;
        let (listener, _told) = listening(&server).await;
        listener.batch_execute("listen jobs; begin").await.unwrap();
        for _ in 0..10_000 {
            server.notify("jobs", "");
        }
        assert_eq!(code(&client.batch_execute("notify jobs").await.unwrap_err()), "54000");
        client.batch_execute("notify other").await.unwrap();
        listener.batch_execute("unlisten *; commit").await.unwrap();
        client.batch_execute("notify jobs").await.unwrap();
    });
}

#[test]
fn notices_come_before_the_reply() {
    World::run(async |world| {
        let (server, _client) = users().await;
        let reply = Reply::run().notice("almost").notice("there").latency(SECOND);
        server.on_prefix("select name").reply(reply);
        let (client, mut told) = listening(&server).await;
        assert_eq!(super::names(&client).await, ["Ada", "Bob"]);
        assert_eq!(told.try_recv().unwrap(), "NOTICE almost");
        assert_eq!(told.try_recv().unwrap(), "NOTICE there");
        assert_eq!(world.elapsed(), SECOND);
        client.batch_execute("begin; begin").await.unwrap();
        assert_eq!(told.try_recv().unwrap(), "NOTICE there is already a transaction in progress");
    });
}
