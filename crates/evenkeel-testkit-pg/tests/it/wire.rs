//! Messages that tokio-postgres does not send, byte by byte.

use evenkeel_testkit::{
    World,
    net::{MemNet, MemStream},
};
use evenkeel_testkit_pg::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{code, failed};
use crate::SECOND;

const ADDRESS: &str = "db.test:5432";

/// Sends numbers of four bytes.
async fn send(stream: &mut MemStream, numbers: &[i32]) {
    for number in numbers {
        stream.write_i32(*number).await.expect("a connection");
    }
}

#[test]
fn encryption_is_refused_and_the_client_may_go_on_without() {
    World::run(async |_| {
        let net = MemNet::new();
        let _server = Server::mem(&net, ADDRESS).unwrap();
        let mut stream = net.connect(ADDRESS).await.unwrap();
        for request in [80_877_104, 80_877_103] {
            send(&mut stream, &[8, request]).await;
            assert_eq!(stream.read_u8().await.unwrap(), b'N');
        }
        // Version 3.0, and no parameters.
        send(&mut stream, &[9, 196_608]).await;
        stream.write_u8(0).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'R');
    });
}

#[test]
fn a_cancel_request_needs_the_key_of_its_session() {
    World::run(async |world| {
        let net = MemNet::new();
        let server = Server::mem(&net, ADDRESS).unwrap();
        let client = server.client().await.unwrap();
        let slow = tokio::spawn(async move { client.batch_execute("select pg_sleep(2)").await });
        world.settle().await;
        for (pid, key) in [(1, 0), (2, 7)] {
            let mut stream = net.connect(ADDRESS).await.unwrap();
            send(&mut stream, &[16, 80_877_102, pid, key]).await;
            assert!(stream.read_u8().await.is_err(), "closed without an answer");
        }
        slow.await.unwrap().unwrap();
        assert_eq!(world.elapsed(), 2 * SECOND);
    });
}

#[test]
fn who_speaks_another_protocol_is_cut_off() {
    World::run(async |_| {
        let net = MemNet::new();
        let server = Server::mem(&net, ADDRESS).unwrap();
        let mut stream = net.connect(ADDRESS).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert!(stream.read_u8().await.is_err());
        assert_eq!((server.connections(), server.link().snapshot().open), (0, 0));
    });
}

#[test]
fn a_connection_that_is_gone_leaves_its_statement_failed_or_cut() {
    World::run(async |world| {
        let net = MemNet::new();
        let server = Server::mem(&net, ADDRESS).unwrap();
        let client = server.client().await.unwrap();
        let token = client.cancel_token();
        let slow = tokio::spawn(async move { client.batch_execute("select pg_sleep(2)").await });
        world.settle().await;
        server.link().cut();
        assert!(slow.await.unwrap().unwrap_err().is_closed());
        assert_eq!(server.connections(), 1);
        server.connector().cancel(&token).await.unwrap();
        world.settle().await;
        assert_eq!(server.connections(), 0);
        assert_eq!(server.statements()[0].outcome, failed("57014"));
        server.reject(1, "53300");
        assert_eq!(code(&server.client().await.unwrap_err()), "53300");
    });
}
