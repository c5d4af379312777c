//! Clients in other threads of a server in this one.

use std::{thread, time::Duration};

use evenkeel_testkit::{
    Clock, World,
    http::{Method, Reply, Server},
};
use tokio::sync::oneshot;

/// Status and body, or `None` if the connection broke; from a thread with its own runtime.
async fn fetch(urls: Vec<String>) -> Vec<Option<(u16, String)>> {
    let (answer, answered) = oneshot::channel();
    let fetch = async move |url: String| {
        let response = reqwest::get(url).await.ok()?;
        Some((response.status().as_u16(), response.text().await.ok()?))
    };
    let client = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let answers = runtime.block_on(async {
            let mut answers = vec![];
            for url in urls {
                answers.push(fetch(url).await);
            }
            answers
        });
        answer.send(answers).expect("a test that waits");
    });
    let answers = answered.await.expect("a client");
    client.join().expect("a client");
    answers
}

#[test]
#[ignore = "real tier"]
fn they_are_served_in_real_time_and_in_quiet() {
    for clock in [Clock::Real, Clock::Quiet(Duration::from_millis(200))] {
        World::builder().clock(clock).run(async |_| {
            let server = Server::loopback().await.expect("a free port");
            server
                .on(Method::GET, "/users/{id}")
                .reply_with(|call| Reply::new(200).body(call.parameter("id").unwrap_or_default().to_owned()))
                .latency(Duration::from_millis(20))
                .times(2)
                .then(Reply::reset())
                .then(Reply::new(200).body("half").cut_body(2))
                .then(503);
            let answers = fetch((1..=5).map(|id| server.url(&format!("/users/{id}"))).collect()).await;
            let text = |status, text: &str| Some((status, text.to_owned()));
            assert_eq!(answers, [text(200, "1"), text(200, "2"), None, None, text(503, "")]);
            assert_eq!((server.calls().len(), server.peak_in_flight()), (5, 1));
        });
    }
}
