//! Faults in place of replies.

use std::{
    io::ErrorKind::{ConnectionRefused, ConnectionReset, UnexpectedEof},
    time::Duration,
};

use evenkeel_testkit::{
    World, assert_took,
    http::{Method, Reply},
    net::{MemNet, Toxics},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{get, io_kind, server};
use crate::{MS, SECOND};

/// The bytes of a reply on the wire, and whether the connection is reset after them.
fn bytes(reply: Reply, expected_time: Duration) -> (String, bool) {
    World::run(async |_| {
        let net = MemNet::new();
        let server = evenkeel_testkit::http::Server::mem(&net, "api.test").expect("a free address");
        server.on(Method::GET, "/").reply(reply);
        let mut stream = net.connect("api.test:80").await.expect("a connection");
        stream.write_all(b"GET / HTTP/1.1\r\nhost: api.test\r\n\r\n").await.expect("a connection");
        let mut got = vec![];
        let end = assert_took!(stream.read_to_end(&mut got), expected_time);
        let reset = end.is_err_and(|error| error.kind() == ConnectionReset);
        (String::from_utf8_lossy(&got).into_owned(), reset)
    })
}

#[test]
fn a_connection_ends_in_place_of_a_reply() {
    let late = 3 * SECOND;
    assert_eq!(bytes(Reply::reset().latency(late), late), (String::new(), true));
    assert_eq!(bytes(Reply::eof().latency(late), late), (String::new(), false));
    let (garbage, reset) = bytes(Reply::garbage(), Duration::ZERO);
    assert!(!reset && garbage.len() > 20 && !garbage.starts_with("HTTP"), "{garbage:?}");
}

#[test]
fn a_body_breaks_off() {
    let reply = Reply::new(206).header("x-a", "b").body("0123456789");
    let head = "HTTP/1.1 206 Partial Content\r\ncontent-length: 10\r\nx-a: b\r\n\r\n";
    for (after, body) in [(0, ""), (4, "0123"), (10, "0123456789"), (11, "0123456789")] {
        let expected = format!("{head}{body}");
        assert_eq!(bytes(reply.clone().cut_body(after), Duration::ZERO), (expected.clone(), false));
        assert_eq!(bytes(reply.clone().reset_body(after), Duration::ZERO), (expected, true));
    }
    let own = Reply::new(200).header("content-length", "99").body("abc").cut_body(3);
    assert_eq!(bytes(own, Duration::ZERO).0, "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nabc");
}

#[test]
fn a_slow_body_breaks_off_as_late_as_it_is_slow() {
    let reply = Reply::new(200).body("0123456789").slow_body(3, SECOND);
    assert_eq!(bytes(reply.clone().cut_body(2), Duration::ZERO).0.lines().last(), Some("01"));
    assert_eq!(bytes(reply.cut_body(7), 2 * SECOND).0.lines().last(), Some("0123456"));
}

#[test]
fn a_client_sees_each_fault_and_the_next_call_succeeds() {
    World::run(async |_| {
        let server = server();
        let whole = Reply::new(200).body("whole");
        server
            .on(Method::GET, "/")
            .reply(whole.clone())
            .then(Reply::reset())
            .then(Reply::eof())
            .then(Reply::garbage())
            .then(whole.clone().cut_body(2))
            .then(whole.clone().reset_body(2))
            .then(whole);
        let client = server.client();
        let mut answers = vec![];
        for _ in 0..7 {
            let answer = get(&client, &server.url("/")).await;
            answers.push(answer.map_err(|error| io_kind(&*error)));
        }
        let whole = Ok((200, "whole".to_owned()));
        let expected = [
            whole.clone(),
            Err(Some(ConnectionReset)),
            Err(None),
            Err(None),
            Err(Some(UnexpectedEof)),
            Err(Some(ConnectionReset)),
            whole,
        ];
        assert_eq!(answers, expected);
        assert_eq!((server.calls().len(), server.in_flight()), (7, 0), "nothing was sent twice");
        assert_eq!(server.link().snapshot().opened, 6);
    });
}

#[test]
fn the_link_has_faults_of_its_own() {
    World::run(async |_| {
        let server = server();
        server.on(Method::GET, "/").reply(200).body("0123456789");
        let client = server.client();
        let url = server.url("/");

        server.link().refuse(1);
        let refused = get(&client, &url).await.unwrap_err();
        assert_eq!(io_kind(&*refused), Some(ConnectionRefused));

        server.link().connect_delay(SECOND);
        assert_took!(get(&client, &url), SECOND).unwrap();

        server.link().downstream(Toxics::new().latency(20 * MS));
        assert_took!(get(&client, &url), 20 * MS).unwrap();

        server.link().both(Toxics::new().partition());
        let unanswered = timeout(5 * SECOND, get(&client, &url));
        assert!(assert_took!(unanswered, 5 * SECOND).is_err());
        server.link().heal();
        get(&client, &url).await.unwrap();
    });
}

#[test]
fn what_is_not_http_is_answered_and_not_recorded() {
    World::run(async |_| {
        let net = MemNet::new();
        let server = evenkeel_testkit::http::Server::mem(&net, "api.test").unwrap();
        let mut stream = net.connect("api.test:80").await.unwrap();
        stream.write_all(b"hello?\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(server.calls().is_empty());
    });
}
