//! The order of replies.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use evenkeel_testkit::{
    World, assert_took,
    http::{Method, Reply, Server},
    net::MemNet,
};
use http_body_util::{BodyExt, Full};
use hyper::Request;

use super::{get, server};
use crate::{MS, SECOND};

/// The statuses of a number of calls of one path.
async fn statuses(server: &Server, calls: usize) -> Vec<u16> {
    let client = server.client();
    let mut statuses = vec![];
    for _ in 0..calls {
        statuses.push(get(&client, &server.url("/")).await.expect("a reply").0);
    }
    statuses
}

#[test]
fn the_last_reply_is_for_ever_and_the_others_once() {
    World::run(async |_| {
        let server = server();
        server.on(Method::GET, "/").reply(500).then(503).then(200);
        assert_eq!(statuses(&server, 5).await, [500, 503, 200, 200, 200]);
    });
}

#[test]
fn a_reply_comes_as_often_as_it_says() {
    World::run(async |_| {
        let server = server();
        server.on(Method::GET, "/").reply(500).times(3).then(503).times(2).then(200);
        assert_eq!(statuses(&server, 7).await, [500, 500, 500, 503, 503, 200, 200]);
    });
}

#[test]
fn a_route_that_is_used_up_leaves_the_call_to_the_next() {
    World::run(async |_| {
        let server = server();
        server.on(Method::GET, "/").reply(500).then(501).times(2);
        server.on(Method::POST, "/").reply(502);
        server.on(Method::GET, "/other").reply(502);
        server.when(|call| call.path() == "/").reply(204).times(1);
        server.when(|_| true).reply(200);
        assert_eq!(statuses(&server, 6).await, [500, 501, 501, 204, 200, 200]);
    });
}

#[test]
fn a_route_has_its_new_reply_before_the_old_one_is_dropped() {
    struct Broken;
    impl Drop for Broken {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("dropped"));
        }
    }
    World::run(async |_| {
        let server = server();
        let mut route = server.on(Method::GET, "/");
        let broken = Broken;
        route.reply_with(move |_| {
            let _ = &broken;
            Reply::new(500)
        });
        let replaced = catch_unwind(AssertUnwindSafe(|| _ = route.reply(200)));
        assert_eq!(replaced.unwrap_err().downcast_ref(), Some(&"dropped"));
        assert_eq!(statuses(&server, 1).await, [200]);
    });
}

#[test]
fn a_route_without_a_reply_answers_nothing() {
    World::run(async |_| {
        let server = server();
        let mut first = server.on(Method::GET, "/");
        server.on(Method::GET, "/").reply(200);
        assert_eq!(statuses(&server, 1).await, [200]);
        first.reply(201);
        assert_eq!(statuses(&server, 1).await, [201]);
    });
}

#[test]
fn a_route_begins_anew_with_another_reply() {
    World::run(async |_| {
        let server = server();
        let mut route = server.on(Method::GET, "/");
        route.reply(500).times(2).then(200);
        assert_eq!(statuses(&server, 3).await, [500, 500, 200]);
        route.reply(503).then(204);
        assert_eq!(statuses(&server, 3).await, [503, 204, 204]);
    });
}

#[test]
fn replies_are_computed_from_the_call() {
    World::run(async |_| {
        let server = server();
        server
            .on(Method::POST, "/sum/{first}")
            .reply_with(|call| {
                let first: u32 = call.parameter("first").unwrap().parse().unwrap();
                let second: u32 = call.text().parse().unwrap();
                Reply::new(200).body((first + second).to_string())
            })
            .header("x-kind", "sum")
            .times(1)
            .then_with(|call| Reply::new(418).body(call.header("user-agent").unwrap_or("nobody").to_owned()));
        let post = async || {
            let request = Request::post(server.url("/sum/40")).body(Full::from("2")).unwrap();
            let response = server.client().request(request).await.unwrap();
            let (head, body) = response.into_parts();
            (
                head.status.as_u16(),
                head.headers.get("x-kind").cloned(),
                body.collect().await.unwrap().to_bytes(),
            )
        };
        assert_eq!(post().await, (200, Some("sum".parse().unwrap()), "42".into()));
        assert_eq!(post().await, (418, None, "nobody".into()));
    });
}

#[test]
fn what_follows_a_reply_changes_the_last_one() {
    World::run(async |_| {
        let server = server();
        let retry = Reply::new(503).header("a", "1").retry_after(Duration::from_millis(1001)).body("later");
        server.on(Method::GET, "/").reply(retry).header("a", "2").then(200).body("now").latency(3 * SECOND);
        let client = server.client();
        let first = assert_took!(client.get(server.url("/").parse().unwrap()), Duration::ZERO).unwrap();
        let (head, body) = first.into_parts();
        assert_eq!(head.status, 503);
        assert_eq!(head.headers.get_all("a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(head.headers["retry-after"], "2");
        assert_eq!(head.headers["content-length"], "5");
        assert!(!head.headers.contains_key("date"), "no real time in a reply");
        assert_eq!(body.collect().await.unwrap().to_bytes(), "later");
        let second = assert_took!(get(&client, &server.url("/")), 3 * SECOND).unwrap();
        assert_eq!(second, (200, "now".to_owned()));
    });
}

#[test]
fn retry_after_is_in_whole_seconds_rounded_up() {
    for (delay, expected) in [(0, "0"), (1, "1"), (1000, "1"), (1001, "2"), (90_000, "90")] {
        World::run(async |_| {
            let server = server();
            let reply = Reply::new(429).retry_after(Duration::from_secs(7)).retry_after(delay * MS);
            server.on(Method::GET, "/").reply(reply);
            let response = server.client().get(server.url("/").parse().unwrap()).await.unwrap();
            assert_eq!(response.headers().get_all("retry-after").iter().collect::<Vec<_>>(), [expected]);
        });
    }
}

#[test]
fn a_slow_body_comes_piece_by_piece() {
    World::run(async |world| {
        let server = server();
        let slow = Reply::new(200).body("0123456789").slow_body(4, 30 * MS).latency(100 * MS);
        server.on(Method::GET, "/").reply(slow);
        let client = server.client();
        let mut body = client.get(server.url("/").parse().unwrap()).await.unwrap().into_body();
        let mut pieces = vec![];
        while let Some(frame) = body.frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            pieces.push((world.elapsed(), String::from_utf8(piece.into()).unwrap()));
        }
        let expected = [(100 * MS, "0123"), (130 * MS, "4567"), (160 * MS, "89")];
        assert_eq!(pieces, expected.map(|(at, piece)| (at, piece.to_owned())));
        assert_took!(get(&client, &server.url("/")), 160 * MS).unwrap();
        assert_eq!(server.link().snapshot().opened, 1, "the connection lives on");
    });
}

#[test]
fn servers_share_a_network() {
    World::run(async |_| {
        let net = MemNet::new();
        let (one, two) = (Server::mem(&net, "one.test").unwrap(), Server::mem(&net, "two.test:81").unwrap());
        one.on(Method::GET, "/").reply(201);
        two.on(Method::GET, "/").reply(202);
        assert_eq!(
            (one.url("/x"), two.url("")),
            ("http://one.test:80/x".into(), "http://two.test:81".into())
        );
        for (url, status) in
            [("http://one.test", 201), ("http://one.test:80", 201), ("http://two.test:81", 202)]
        {
            assert_eq!(get(&one.client(), url).await.unwrap().0, status);
        }
        assert!(get(&one.client(), "http://two.test").await.is_err(), "nobody listens there");
        let tls = get(&one.client(), "https://one.test").await.unwrap_err();
        assert_eq!(super::io_kind(&*tls), Some(std::io::ErrorKind::Unsupported));
        assert!(Server::mem(&net, "one.test:80").is_err());
        drop(one);
        Server::mem(&net, "one.test").unwrap();
    });
}

#[test]
fn a_reply_to_head_has_no_body() {
    World::run(async |_| {
        let server = server();
        server.on(Method::HEAD, "/").reply(200).body("12345");
        let request = Request::head(server.url("/")).body(Full::default()).unwrap();
        let response = server.client().request(request).await.unwrap();
        assert_eq!(response.headers()["content-length"], "5");
        assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    });
}

#[test]
#[should_panic = "a reply that is given zero times"]
fn zero_times_are_refused() {
    World::run(async |_| {
        server().on(Method::GET, "/").reply(200).times(0);
    });
}

#[test]
#[should_panic = "the route has no reply yet"]
fn times_of_nothing_are_refused() {
    World::run(async |_| {
        server().on(Method::GET, "/").times(1);
    });
}

#[test]
#[should_panic = "no status that ends an exchange: 100"]
fn a_status_that_ends_nothing_is_refused() {
    let _ = Reply::new(100);
}

#[test]
#[should_panic = "no status that ends an exchange: 1000"]
fn a_status_that_is_none_is_refused() {
    let _ = Reply::from(1000);
}

#[test]
#[should_panic = "no name of a header: \"a b\""]
fn a_header_without_a_name_is_refused() {
    let _ = Reply::new(200).header("a b", "c");
}

#[test]
#[should_panic = "no value of a header: \"a\\nb\""]
fn a_header_without_a_value_is_refused() {
    let _ = Reply::new(200).header("a", "a\nb");
}

#[test]
#[should_panic = "pieces of zero bytes"]
fn pieces_of_zero_bytes_are_refused() {
    let _ = Reply::new(200).slow_body(0, MS);
}
