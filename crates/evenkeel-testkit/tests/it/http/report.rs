//! The complaints of a server at its end.

use evenkeel_testkit::{World, http::Method};

use super::{get, server};
use crate::panic_of;

#[test]
fn a_route_that_was_not_called_as_expected_fails_the_test() {
    for (expected, calls) in [(0, 1), (1, 0), (2, 1), (2, 3)] {
        let message = panic_of(|| {
            World::run(async |_| {
                let server = server();
                server.on(Method::GET, "/users/{id}").reply(200).expect(expected);
                for _ in 0..calls {
                    get(&server.client(), &server.url("/users/1")).await.unwrap();
                }
            });
        });
        let (first, second) = message.split_once('\n').unwrap();
        assert_eq!(first, "the server api.test:80 was not called as it should be:");
        assert!(second.starts_with("  GET /users/{id} (crates/evenkeel-testkit/tests/it/http/report.rs:"));
        assert!(second.ends_with(&format!("): expected {expected} call(s), got {calls}")), "{second}");
    }
}

#[test]
fn a_route_that_was_called_as_expected_passes() {
    for calls in 0..3 {
        World::run(async |_| {
            let server = server();
            server.on(Method::GET, "/").reply(200).expect(calls);
            for _ in 0..calls {
                get(&server.client(), &server.url("/")).await.unwrap();
            }
        });
    }
}

#[test]
fn calls_that_no_route_answers_get_a_404_and_fail_the_test() {
    let message = panic_of(|| {
        World::run(async |_| {
            let server = server();
            server.on(Method::POST, "/users").reply(200);
            server.on(Method::GET, "/once").reply(200).times(1);
            let client = server.client();
            for path in ["/once", "/once?again", "/users"] {
                let (status, _) = get(&client, &server.url(path)).await.unwrap();
                assert_eq!(status, if path == "/once" { 200 } else { 404 });
            }
            let matched: Vec<bool> = server.calls().iter().map(|call| call.matched).collect();
            assert_eq!(matched, [true, false, false]);
        });
    });
    assert_eq!(
        message,
        "the server api.test:80 was not called as it should be:\n  no route for GET /once?again at 0ns\n  \
         no route for GET /users at 0ns"
    );
}

#[test]
fn many_calls_without_a_route_are_summed_up() {
    for (calls, last) in [(10, "  no route for GET /10 at 0ns"), (13, "  no route for 3 more")] {
        let message = panic_of(|| {
            World::run(async |_| {
                let server = server();
                for id in 1..=calls {
                    get(&server.client(), &server.url(&format!("/{id}"))).await.unwrap();
                }
            });
        });
        assert_eq!(message.lines().last().unwrap(), last);
    }
}

#[test]
fn a_test_that_fails_anyway_says_why() {
    let message = panic_of(|| {
        World::run(async |_| {
            let server = server();
            server.on(Method::GET, "/").reply(200).expect(1);
            panic!("the reason");
        });
    });
    assert_eq!(message, "the reason");
}

#[test]
fn a_panic_in_a_computed_reply_fails_the_test() {
    let message = panic_of(|| {
        World::builder().allow_panics(1).run(async |_| {
            let server = server();
            server.on(Method::GET, "/users/{id}").reply_with(|_| panic!("no such user"));
            assert!(get(&server.client(), &server.url("/users/1")).await.is_err());
        });
    });
    let expected = "the server api.test:80 was not called as it should be:\n  \
                    a route panicked at GET /users/1 at 0ns";
    assert_eq!(message, expected);
}
