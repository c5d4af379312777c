//! Faults of connections, and their times.

use std::{error::Error as _, io, pin::pin, time::Duration};

use evenkeel_testkit::{
    World, assert_took,
    net::{MemNet, Toxics},
};
use evenkeel_testkit_pg::{Connector, Reply, Server, StatementOutcome, Type};
use futures::StreamExt;
use tokio::time::timeout;
use tokio_postgres::Error;

use super::{code, names, server, users};
use crate::{MS, SECOND};

/// The error of the connection below.
fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    error.source()?.downcast_ref::<io::Error>().map(io::Error::kind)
}

#[test]
fn a_reply_may_be_the_end_of_the_connection() {
    World::run(async |_| {
        for (reply, fatal) in
            [(Reply::reset(), None), (Reply::eof(), None), (Reply::fatal("57P01"), Some("57P01"))]
        {
            let server = server();
            server.on("select 1").reply(reply.latency(SECOND));
            let client = server.client().await.unwrap();
            let error = assert_took!(client.batch_execute("select 1"), SECOND).unwrap_err();
            assert_eq!(error.code().map(|code| code.code()), fatal);
            assert_eq!(error.is_closed(), fatal.is_none());
            assert!(client.batch_execute("select 2").await.unwrap_err().is_closed());
            assert!(client.is_closed());
            assert_eq!(server.connections(), 0);
            let outcome = server.statements().pop().unwrap().outcome;
            assert_eq!(outcome, fatal.map_or(StatementOutcome::Cut, super::failed));
        }
    });
}

#[test]
fn a_reset_reaches_the_connection_as_such() {
    World::run(async |_| {
        let server = server();
        server.on_nth(2).reply(Reply::reset());
        let (client, connection) = server.connect(tokio_postgres::Config::new().user("x")).await.unwrap();
        let connection = tokio::spawn(connection);
        client.batch_execute("select 1").await.unwrap();
        client.batch_execute("select 1").await.unwrap_err();
        let error = connection.await.unwrap().unwrap_err();
        assert_eq!(io_kind(&error), Some(io::ErrorKind::ConnectionReset));
    });
}

#[test]
fn a_result_may_break_off_in_the_middle() {
    World::run(async |_| {
        let server = server();
        let rows = Reply::columns(&[("a", Type::INT4)]).row(&[&1]).row(&[&2]).row(&[&3]);
        server.on("select a from t").reply(rows.reset_after(2));
        let client = server.client().await.unwrap();
        let mut rows = pin!(client.query_raw("select a from t", Vec::<&str>::new()).await.unwrap());
        assert_eq!(rows.next().await.unwrap().unwrap().get::<_, i32>(0), 1);
        assert_eq!(rows.next().await.unwrap().unwrap().get::<_, i32>(0), 2);
        assert!(rows.next().await.unwrap().unwrap_err().is_closed());
    });
}

#[test]
fn a_stall_lasts_until_the_client_gives_up() {
    World::run(async |world| {
        let (server, client) = users().await;
        server.on("select 1").reply(Reply::stall()).times(1);
        let stalled = timeout(60 * SECOND, client.batch_execute("select 1"));
        assert!(assert_took!(stalled, 60 * SECOND).is_err());
        server.connector().cancel(&client.cancel_token()).await.unwrap();
        world.settle().await;
        assert_eq!(names(&client).await, ["Ada", "Bob"]);
        assert_eq!(server.statements()[0].outcome, super::failed("57014"));
    });
}

#[test]
fn startups_are_rejected_so_often() {
    World::run(async |_| {
        let server = server();
        server.reject(2, "57P03");
        for _ in 0..2 {
            let error = server.client().await.unwrap_err();
            assert_eq!(code(&error), "57P03");
            assert_eq!(error.as_db_error().unwrap().message(), "the database system is starting up");
        }
        let client = server.client().await.unwrap();
        assert_eq!((server.connections(), server.link().snapshot().opened), (1, 3));
        drop(client);
    });
}

#[test]
fn connects_are_refused_delayed_and_timed_out() {
    World::run(async |_| {
        let net = MemNet::new();
        let server = Server::mem(&net, "db.test:6000").unwrap();
        server.link().refuse(1);
        let error = server.client().await.unwrap_err();
        assert_eq!(io_kind(&error), Some(io::ErrorKind::ConnectionRefused));
        server.link().connect_delay(3 * SECOND);
        let mut config = tokio_postgres::Config::new();
        config.user("test").connect_timeout(2 * SECOND);
        let error = assert_took!(server.connect(&config), 2 * SECOND).map(drop).unwrap_err();
        assert_eq!(io_kind(&error), Some(io::ErrorKind::TimedOut));
        assert_took!(server.connect(config.connect_timeout(4 * SECOND)), 3 * SECOND).map(drop).unwrap();
        let nobody = Connector::new(&net, "db.test").connect(&config).await.map(drop).unwrap_err();
        assert_eq!(io_kind(&nobody), Some(io::ErrorKind::ConnectionRefused));
    });
}

#[test]
fn the_link_has_its_faults() {
    World::run(async |_| {
        let (server, client) = users().await;
        let statement = client.prepare("select name from users").await.unwrap();
        server.link().both(Toxics::new().latency(30 * MS));
        assert_took!(client.query(&statement, &[]), 60 * MS).unwrap();
        server.link().heal();
        server.link().upstream(Toxics::new().reset_peer(SECOND));
        let slow = client.batch_execute("select pg_sleep(3600)");
        assert!(assert_took!(slow, SECOND).unwrap_err().is_closed());
    });
}

#[test]
fn an_administrator_ends_all_connections() {
    World::run(async |world| {
        let (server, idle) = users().await;
        let busy = server.client().await.unwrap();
        let statement = tokio::spawn(async move { busy.batch_execute("select pg_sleep(60)").await });
        world.settle().await;
        assert_eq!((server.connections(), server.peak_connections()), (2, 2));
        server.terminate_all();
        assert_eq!(code(&assert_took!(statement, Duration::ZERO).unwrap().unwrap_err()), "57P01");
        world.settle().await;
        assert!(idle.is_closed());
        assert_eq!((server.connections(), server.peak_connections()), (0, 2));
        server.client().await.unwrap();
    });
}

#[test]
fn the_end_of_the_server_is_the_end_of_its_connections() {
    World::run(async |_| {
        let net = MemNet::new();
        let server = Server::mem(&net, "db.test").unwrap();
        let (client, connection) = server.connect("user=x".parse().as_ref().unwrap()).await.unwrap();
        let connection = tokio::spawn(connection);
        let slow = tokio::spawn(async move { client.batch_execute("select pg_sleep(60)").await });
        tokio::task::yield_now().await;
        drop(server);
        assert!(assert_took!(slow, Duration::ZERO).unwrap().unwrap_err().is_closed());
        assert!(connection.await.unwrap().is_err());
        Server::mem(&net, "db.test").unwrap();
    });
}
