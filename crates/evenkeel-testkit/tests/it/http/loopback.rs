//! Loopback in the same runtime: exact, with an unmodified reqwest.

use std::{
    io::ErrorKind::{ConnectionReset, UnexpectedEof},
    time::Duration,
};

use evenkeel_testkit::{
    World, assert_took,
    http::{Method, Reply, Server},
    net::{Proxy, Toxics},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{get, io_kind};
use crate::{MS, SECOND};

async fn server() -> Server {
    Server::loopback().await.expect("a free port")
}

#[test]
fn reqwest_takes_exact_time() {
    World::run(async |_| {
        let server = server().await;
        server.on(Method::GET, "/users/{id}").reply(200).body("Ada").latency(200 * MS).expect(50);
        let client = reqwest::Client::builder().timeout(5 * SECOND).build().unwrap();
        let all = async {
            let mut workers = JoinSet::new();
            for _ in 0..10 {
                let (client, url) = (client.clone(), server.url("/users/7"));
                workers.spawn(async move {
                    for _ in 0..5 {
                        let text = client.get(&url).send().await.unwrap().text().await.unwrap();
                        assert_eq!(text, "Ada");
                    }
                });
            }
            workers.join_all().await;
        };
        assert_took!(all, SECOND);
        assert_eq!(server.peak_in_flight(), 10);
        assert_eq!(server.link().snapshot().opened, 10);
    });
}

#[test]
fn reqwest_times_out_when_it_should() {
    World::run(async |_| {
        let server = server().await;
        server.on(Method::GET, "/").reply(200).latency(30 * SECOND);
        let client = reqwest::Client::builder().timeout(5 * SECOND).build().unwrap();
        let late = assert_took!(client.get(server.url("/")).send(), 5 * SECOND);
        assert!(late.unwrap_err().is_timeout());
    });
}

#[test]
fn reqwest_sees_the_faults() {
    World::run(async |_| {
        let server = server().await;
        let whole = Reply::new(200).body("whole");
        let resets = [Reply::reset(), whole.clone().reset_body(2)];
        let ends = [Reply::eof(), Reply::garbage(), whole.clone().cut_body(2)];
        for (replies, expected) in [(&resets[..], Some(ConnectionReset)), (&ends[..], None)] {
            for reply in replies {
                server.on(Method::GET, "/").reply(reply.clone()).times(1);
                let fetch = async { reqwest::get(server.url("/")).await?.text().await };
                let error = fetch.await.unwrap_err();
                let kind = io_kind(&error).filter(|kind| *kind != UnexpectedEof);
                assert_eq!(kind, expected, "{reply:?}: {error:?}");
            }
        }
        server.link().refuse(1);
        assert!(reqwest::get(server.url("/")).await.is_err());
    });
}

#[test]
fn a_client_in_memory_reaches_it_as_well() {
    World::run(async |_| {
        let server = server().await;
        server.on(Method::GET, "/").reply(200).body("ok");
        assert_eq!(get(&server.client(), &server.url("/")).await.unwrap(), (200, "ok".to_owned()));
    });
}

/// An echo server, and a proxy to it.
async fn echo() -> (Proxy, tokio::task::AbortHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let proxy = Proxy::start(listener.local_addr().expect("an address")).await.expect("a proxy");
    let echo = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            connections.spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    (proxy, echo.abort_handle())
}

#[test]
fn a_proxy_puts_the_faults_in_front_of_a_socket() {
    World::run(async |_| {
        let (proxy, server) = echo().await;
        let link = proxy.link();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        let mut echo = async |text: &[u8]| {
            client.write_all(text).await?;
            let mut got = vec![0; text.len()];
            client.read_exact(&mut got).await?;
            std::io::Result::Ok(got)
        };
        assert_eq!(assert_took!(echo(b"clean"), Duration::ZERO).unwrap(), b"clean");
        link.upstream(Toxics::new().latency(30 * MS));
        link.downstream(Toxics::new().latency(50 * MS));
        assert_eq!(assert_took!(echo(b"slow"), 80 * MS).unwrap(), b"slow");
        link.both(Toxics::new().bandwidth(10));
        assert_took!(echo(b"0123456789"), 1100 * MS).unwrap();
        link.heal();
        link.reset();
        assert_eq!(echo(b"gone").await.unwrap_err().kind(), ConnectionReset);
        assert_eq!((link.snapshot().opened, link.snapshot().open), (1, 0));
        drop(proxy);
        server.abort();
    });
}

#[test]
fn a_proxy_passes_the_end_of_a_stream_on() {
    World::run(async |_| {
        let (proxy, server) = echo().await;
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        client.write_all(b"last words").await.unwrap();
        client.shutdown().await.unwrap();
        let mut got = vec![];
        client.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"last words");

        proxy.link().downstream(Toxics::new().limit_data(4));
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        client.write_all(b"cut off").await.unwrap();
        got.clear();
        client.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"cut ");
        drop(proxy);
        server.abort();
    });
}

#[test]
fn a_proxy_resets_who_cannot_be_connected() {
    World::run(async |_| {
        let (proxy, server) = echo().await;
        proxy.link().refuse(1);
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap_err().kind(), ConnectionReset);

        server.abort();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap_err().kind(), ConnectionReset, "the server is gone");
    });
}

#[test]
fn a_proxy_ends_its_connections_with_itself() {
    World::run(async |_| {
        let (proxy, server) = echo().await;
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        client.write_all(b"x").await.unwrap();
        client.read_u8().await.unwrap();
        drop(proxy);
        assert!(matches!(client.read(&mut [0]).await, Ok(0) | Err(_)));
        server.abort();
    });
}

#[test]
fn a_server_that_is_a_name_of_nobody_is_an_error() {
    World::run(async |_| {
        assert!(Proxy::start("no address").await.is_err());
    });
}
