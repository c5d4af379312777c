//! The record of a server.

use evenkeel_testkit::{
    World,
    http::{Method, Reply, Server},
    net::MemNet,
};
use http_body_util::Full;
use hyper::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{get, server};
use crate::{MS, SECOND};

#[test]
fn a_call_is_recorded_with_all_that_was_sent() {
    World::run(async |_| {
        sleep(9 * SECOND).await;
        let server = server();
        server.on(Method::PUT, "/users/{id}").reply(204);
        server.when(|call| call.uri.query() == Some("page=2")).reply(404);
        sleep(2 * SECOND).await;
        let client = server.client();
        let request = Request::put(server.url("/users/7?force=1")).header("X-Kind", "Test");
        client.request(request.body(Full::from("{}")).unwrap()).await.unwrap();
        sleep(SECOND).await;
        get(&client, &server.url("/list?page=2")).await.unwrap();

        let calls = server.calls();
        assert_eq!(calls.len(), 2);
        let put = &calls[0];
        assert_eq!(
            (put.at, &put.method, put.path(), put.in_flight),
            (2 * SECOND, &Method::PUT, "/users/7", 1)
        );
        assert_eq!(
            (put.uri.query(), put.header("x-kind"), &*put.text()),
            (Some("force=1"), Some("Test"), "{}")
        );
        assert_eq!((put.parameter("id"), put.parameter("no"), put.matched), (Some("7"), None, true));
        assert_eq!((calls[1].at, calls[1].path(), calls[1].body.len()), (3 * SECOND, "/list", 0));
    });
}

#[test]
fn calls_are_in_flight_until_their_reply_is_sent() {
    World::run(async |_| {
        let server = server();
        let slow = Reply::new(200).body("slow body").slow_body(5, SECOND).latency(SECOND);
        server.on(Method::GET, "/slow").reply(slow);
        server.on(Method::GET, "/fast").reply(200);
        server.on(Method::GET, "/broken").reply(Reply::reset().latency(3 * SECOND));
        let client = server.client();
        let mut calls = JoinSet::new();
        for path in ["/slow", "/broken", "/slow"] {
            let (client, url) = (client.clone(), server.url(path));
            calls.spawn(async move { get(&client, &url).await.is_ok() });
        }
        let mut in_flight = vec![];
        for _ in 0..4 {
            sleep(900 * MS).await;
            in_flight.push(server.in_flight());
        }
        assert_eq!(in_flight, [3, 3, 1, 0]);
        assert!(get(&client, &server.url("/fast")).await.is_ok());
        assert_eq!(server.peak_in_flight(), 3);
        let recorded: Vec<usize> = server.calls().iter().map(|call| call.in_flight).collect();
        assert_eq!(recorded, [1, 2, 3, 1]);
        assert_eq!(calls.join_all().await.into_iter().filter(|ok| *ok).count(), 2);
    });
}

#[test]
fn a_call_that_is_given_up_is_in_flight_no_longer() {
    World::run(async |world| {
        let server = server();
        server.on(Method::GET, "/").reply(200).latency(60 * SECOND);
        let client = server.client();
        let url = server.url("/");
        assert!(timeout(SECOND, get(&client, &url)).await.is_err());
        world.settle().await;
        assert_eq!((server.in_flight(), server.calls().len(), server.link().snapshot().open), (0, 1, 0));
    });
}

#[test]
fn a_call_counts_from_its_head_and_is_recorded_with_its_end() {
    World::run(async |world| {
        let net = MemNet::new();
        let server = Server::mem(&net, "api.test").unwrap();
        server.on(Method::POST, "/").reply(200).latency(SECOND);
        let mut stream = net.connect("api.test:80").await.unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\ncontent-length: 4\r\nhost: x\r\n\r\nab").await.unwrap();
        sleep(5 * SECOND).await;
        assert_eq!((server.in_flight(), server.calls().len()), (1, 0));
        stream.write_all(b"cd").await.unwrap();
        assert!(stream.read_u8().await.is_ok());
        assert_eq!(world.elapsed(), 6 * SECOND, "the latency counts from the end");
        let call = server.calls().remove(0);
        assert_eq!((call.at.as_secs(), &*call.text()), (0, "abcd"));

        let mut other = net.connect("api.test:80").await.unwrap();
        other.write_all(b"POST / HTTP/1.1\r\ncontent-length: 4\r\nhost: x\r\n\r\nab").await.unwrap();
        other.reset();
        world.settle().await;
        assert_eq!((server.in_flight(), server.calls().len()), (0, 1));
    });
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    World::run(async |_| {
        let server = server();
        server.on(Method::POST, "/").reply(200);
        let post = async |len: usize| {
            let body = Full::from(vec![b'x'; len]);
            let request = Request::post(server.url("/")).body(body).unwrap();
            server.client().request(request).await.unwrap().status().as_u16()
        };
        const MOST: usize = 16 * 1024 * 1024;
        assert_eq!((post(MOST).await, post(MOST + 1).await), (200, 413));
        assert_eq!(server.calls().len(), 1);
    });
}
