//! Calls cut short at each of their awaits.

use std::rc::Rc;

use evenkeel_testkit::{
    World, cancel,
    http::{Method, Server},
    net::{MemNet, Proxy},
};

use super::{get, server};
use crate::SECOND;

#[test]
fn a_call_that_is_cut_leaves_a_server_that_answers_the_next() {
    let cuts = cancel::every_point(
        async || {
            let server = server();
            server.on(Method::GET, "/").reply(200).body("whole").latency(SECOND);
            server.link().connect_delay(SECOND);
            Rc::new((server.client(), server))
        },
        async |state| get(&state.0, &state.1.url("/")).await.unwrap(),
        async |state| {
            assert_eq!(state.1.in_flight(), 0);
            assert_eq!(get(&state.0, &state.1.url("/")).await.unwrap(), (200, "whole".to_owned()));
        },
    );
    assert!(cuts.points() >= 2, "to connect, and to get the answer: {}", cuts.points());
}

#[test]
fn starting_leaves_nothing_when_it_is_cut() {
    // It may have no suspension point: then the only cuts are before and after it.
    let _ = cancel::every_point(async || (), async |()| Server::loopback().await.unwrap(), async |()| {});
    let proxy = async |()| Proxy::start("127.0.0.1:9").await.unwrap();
    let _ = cancel::every_point(async || (), proxy, async |()| {});
}

#[test]
fn a_server_that_is_dropped_ends_its_tasks_and_frees_its_address() {
    World::run(async |world| {
        let net = MemNet::new();
        let server = Server::mem(&net, "api.test").unwrap();
        server.on(Method::GET, "/").reply(200).latency(9 * SECOND);
        let client = server.client();
        let call = tokio::spawn({
            let url = server.url("/");
            async move { get(&client, &url).await.is_err() }
        });
        world.settle().await;
        assert_eq!(server.in_flight(), 1);
        drop(server);
        assert!(call.await.unwrap());
        assert_eq!(world.elapsed().as_secs(), 0);
        Server::mem(&net, "api.test").unwrap();
    });
}
