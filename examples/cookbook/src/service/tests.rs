//! Tests in virtual time: they wait for nothing, and times are exact.

use std::{sync::Arc, time::Duration};

use evenkeel_testkit::{
    World, assert_took,
    http::{Method, Server},
};

use tokio::task::JoinSet;

use super::prices::Prices;

#[test]
fn a_busy_partner_is_asked_again() {
    World::run(async |world| {
        let partner = Server::loopback().await.unwrap();
        partner.on(Method::GET, "/apple").reply(503).then(503).then(200).body("42").expect(3);
        let prices = Prices::new(partner.url(""));

        assert_eq!(prices.price("apple").await.unwrap(), 42);
        // The third turn comes after 200 ms; the second pause is drawn, and 200 ms at most.
        let elapsed = world.elapsed().as_millis();
        assert!((200..=300).contains(&elapsed), "{elapsed} ms");
    });
}

#[test]
fn an_item_that_nobody_knows_is_asked_for_once() {
    World::run(async |_| {
        let partner = Server::loopback().await.unwrap();
        partner.on(Method::GET, "/nothing").reply(404).expect(1);
        let prices = Prices::new(partner.url(""));

        assert!(prices.price("nothing").await.is_err());
    });
}

#[test]
fn eleven_calls_take_a_second() {
    World::run(async |_| {
        let partner = Server::loopback().await.unwrap();
        partner.on(Method::GET, "/apple").reply(200).body("42");
        let prices = Prices::new(partner.url(""));

        let calls = async {
            for _ in 0..11 {
                prices.price("apple").await.unwrap();
            }
        };
        assert_took!(calls, Duration::from_secs(1));
    });
}

#[test]
fn a_queue_takes_no_longer_than_the_time_for_all() {
    World::run(async |_| {
        let partner = Server::loopback().await.unwrap();
        partner.on(Method::GET, "/apple").reply(200).body("42").expect(50);
        let prices = Arc::new(Prices::new(partner.url("")));

        // Fifty of a hundred callers have a turn before five seconds are over. No other waits longer than that.
        let call = |_| {
            let prices = Arc::clone(&prices);
            async move { prices.price("apple").await.is_ok() }
        };
        let calls: JoinSet<bool> = (0..100).map(call).collect();
        let answers = assert_took!(calls.join_all(), Duration::from_secs(5));
        assert_eq!(answers.into_iter().filter(|ok| *ok).count(), 50);
    });
}
