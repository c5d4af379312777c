//! Tests in virtual time: they wait for nothing, and times are exact.

use std::time::Duration;

use evenkeel::shutdown::{Reason, Report, Shutdown};
use evenkeel_testkit::{
    World, assert_took,
    http::{Method, Server},
};
use tokio::{net::TcpListener, time::sleep};

use super::{deliveries::Deliveries, orders::Orders, program};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Runs the program, and sends it a signal after this time.
async fn run_for(time: Duration, orders: &Orders, partner: &Server) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (shutdown, _) = Shutdown::manual();
    let handle = shutdown.handle();
    let deliveries = Deliveries::new(partner.url(""));
    let running = tokio::spawn(program(shutdown, listener, orders.clone(), deliveries).run());
    sleep(time).await;
    handle.signal(15);
    running.await.unwrap()
}

#[test]
fn the_partner_says_when_to_come_again() {
    World::run(async |_| {
        let partner = Server::loopback().await.unwrap();
        partner.on(Method::POST, "/7").reply(503).header("retry-after", "7").then(200).expect(2);
        let (_shutdown, stop) = Shutdown::manual();
        let deliveries = Deliveries::new(partner.url(""));
        assert_eq!(assert_took!(deliveries.deliver(7, &stop), secs(7)).unwrap(), Some(()));
    });
}

#[test]
fn an_order_that_is_refused_is_not_delivered_again() {
    World::run(async |_| {
        let partner = Server::loopback().await.unwrap();
        partner.on(Method::POST, "/7").reply(422).expect(1);
        let orders = Orders::default();
        orders.set(7, "waiting");
        assert_eq!(run_for(secs(60), &orders, &partner).await.exit_code(), 0);
        let list = orders.list();
        assert!(list.ends_with("the error is permanent: status 422\n"), "{list}");
    });
}

/// Its call is under way when the signal comes. The next start would deliver it again if it were waiting still.
#[test]
fn an_order_that_is_refused_behind_the_signal_is_not_delivered_again() {
    World::run(async |_| {
        let partner = Server::loopback().await.unwrap();
        partner.on(Method::POST, "/7").reply(422).latency(secs(2)).expect(1);
        let orders = Orders::default();
        orders.set(7, "waiting");
        assert_eq!(run_for(secs(1), &orders, &partner).await.exit_code(), 0);
        let list = orders.list();
        assert!(list.ends_with("the error is permanent: status 422\n"), "{list}");
    });
}

#[test]
fn four_are_delivered_at_once_and_ten_a_second() {
    World::run(async |_| {
        let partner = Server::loopback().await.unwrap();
        let orders = Orders::default();
        for order in 1..=20 {
            orders.set(order, "waiting");
            partner.on(Method::POST, format!("/{order}")).reply(200).latency(secs(1)).expect(1);
        }
        assert_eq!(run_for(secs(10), &orders, &partner).await.exit_code(), 0);
        assert_eq!(orders.all_in("delivered").len(), 20);
        assert_eq!(partner.peak_in_flight(), 4);
        let at: Vec<_> = partner.calls().iter().map(|call| call.at.as_millis()).collect();
        assert!(at.windows(2).all(|two| two[1] - two[0] >= 100), "{at:?}");
    });
}

#[test]
fn a_stop_waits_for_attempts_alone_and_the_next_start_delivers_the_rest() {
    World::run(async |world| {
        let partner = Server::loopback().await.unwrap();
        let orders = Orders::default();
        for order in 1..=40 {
            orders.set(order, "waiting");
            let mut route = partner.on(Method::POST, format!("/{order}"));
            match order {
                // In its pause when the signal comes.
                1 => route.reply(503).header("retry-after", "50").then(200).expect(2),
                _ => route.reply(200).latency(secs(2)).expect(1),
            };
        }
        let report = run_for(secs(1), &orders, &partner).await;
        assert_eq!((&report.reason, report.exit_code()), (&Reason::Signal(15), 0), "{report}");
        // The last attempt had begun at 400 ms. Workers waited for a slot, others stood in the queue.
        assert_eq!(world.elapsed().as_millis(), 2400);
        assert_eq!((partner.calls().len(), orders.all_in("delivered")), (5, vec![2, 3, 4, 5]));
        assert_eq!(orders.all_in("waiting").len(), 36);

        assert_eq!(run_for(secs(60), &orders, &partner).await.exit_code(), 0);
        assert_eq!(orders.all_in("delivered").len(), 40);
    });
}
