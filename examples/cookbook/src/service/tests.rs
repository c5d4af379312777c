//! Tests in virtual time: they wait for nothing, and times are exact.

use std::{env, fs, process, sync::Arc, time::Duration};

use evenkeel::shutdown::{Reason, Shutdown};
use evenkeel_testkit::{
    World, assert_took,
    http::{Method, Server},
};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};

use super::{Service, prices::Prices, program, store::Store};

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

/// Makes a request to the service; returns the answer, and the time of the world in ms.
async fn get(world: World, url: String) -> (String, u128) {
    let answer = reqwest::get(url).await.unwrap().text().await.unwrap();
    (answer, world.elapsed().as_millis())
}

#[test]
fn requests_under_way_are_answered_after_the_signal_and_kept() {
    let file = env::temp_dir().join(format!("prices-{}.sqlite", process::id()));
    // It is there if a test before was killed.
    let _ = fs::remove_file(&file);
    World::run(async |world| {
        let partner = Server::loopback().await.unwrap();
        let ms = Duration::from_millis;
        partner.on(Method::GET, "/apple").reply(200).body("50").expect(1);
        partner.on(Method::GET, "/banana").reply(200).body("60").latency(ms(1500)).expect(1);
        partner.on(Method::GET, "/pear").reply(503).then(200).body("40").expect(2);
        let service = Service { prices: Prices::new(partner.url("")), store: Store::open(&file).unwrap() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (shutdown, _) = Shutdown::manual();
        let handle = shutdown.handle();
        let running = tokio::spawn(program(shutdown, listener, service, unused).run());

        // Three requests, a millisecond after each other.
        let request = |item| tokio::spawn(get(world.clone(), format!("{url}/price/{item}")));
        let apple = request("apple");
        sleep(ms(1)).await;
        let banana = request("banana");
        sleep(ms(1)).await;
        let pear = request("pear");

        sleep(ms(248)).await;
        assert_eq!(get(world.clone(), format!("{url}/prices")).await, ("apple: 50\n".to_owned(), 250));
        handle.signal(15);
        sleep(ms(1)).await;
        assert!(reqwest::get(format!("{url}/prices")).await.is_err(), "there are no new requests");
        assert_eq!(apple.await.unwrap(), ("50\n".to_owned(), 0));
        // Its second turn comes at 300 ms, after the signal.
        assert_eq!(pear.await.unwrap(), ("40\n".to_owned(), 300));
        // It has the turn at 100 ms, and the partner takes 1500 ms.
        assert_eq!(banana.await.unwrap(), ("60\n".to_owned(), 1600));
        let report = running.await.unwrap();
        assert_eq!((&report.reason, report.exit_code()), (&Reason::Signal(15), 0), "{report}");
        assert_eq!(world.elapsed(), ms(1600));

        let calls: Vec<_> = partner.calls().iter().map(|call| (call.path().to_owned(), call.at)).collect();
        let turns = ["/apple", "/banana", "/pear", "/pear"].map(str::to_owned).into_iter();
        assert_eq!(calls, turns.zip([0, 100, 200, 300].map(ms)).collect::<Vec<_>>());
        let store = Store::open(&file).unwrap();
        let known =
            [("apple", 50), ("banana", 60), ("pear", 40)].map(|(item, price)| (item.to_owned(), price));
        assert_eq!(store.known().await.unwrap(), known);
        store.close().await.unwrap();
    });
    fs::remove_file(file).unwrap();
}
