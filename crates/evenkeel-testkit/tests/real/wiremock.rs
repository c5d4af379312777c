//! wiremock under the quiet clock, and its limits.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use wiremock::{Mock, ResponseTemplate, matchers::method};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
#[ignore = "real tier"]
fn answers_come_in_no_virtual_time() {
    evenkeel_testkit::wiremock::run(async |world, server| {
        let reply = ResponseTemplate::new(200).set_body_string("Ada");
        Mock::given(method("GET")).respond_with(reply).expect(10).mount(&server).await;
        let client = reqwest::Client::new();
        for hours in 1..=10 {
            let call = async { client.get(server.uri()).send().await?.text().await };
            assert_eq!(
                timeout(Duration::from_secs(5), call).await.expect("no timeout").expect("a text"),
                "Ada"
            );
            sleep(HOUR).await;
            assert_eq!(world.elapsed(), hours * HOUR);
        }
    });
}

#[test]
#[ignore = "real tier"]
fn a_delay_of_its_own_is_taken_for_silence() {
    evenkeel_testkit::wiremock::run(async |world, server| {
        let late = ResponseTemplate::new(200).set_delay(Duration::from_secs(2));
        Mock::given(method("GET")).respond_with(late).mount(&server).await;
        let call = timeout(Duration::from_secs(5), reqwest::get(server.uri())).await;
        assert!(call.is_err(), "it would come after 2 s of real time");
        assert_eq!(world.elapsed(), Duration::from_secs(5));
    });
}

#[test]
#[ignore = "real tier"]
#[should_panic = "Verifications failed"]
fn expectations_are_checked_at_the_end() {
    evenkeel_testkit::wiremock::run(async |_, server| {
        Mock::given(method("GET")).respond_with(ResponseTemplate::new(200)).expect(1).mount(&server).await;
    });
}

#[test]
#[ignore = "real tier"]
fn a_server_that_was_dropped_answers_nobody() {
    for _ in 0..20 {
        evenkeel_testkit::wiremock::run(async |_, server| {
            Mock::given(method("GET")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
            // One client has a connection already, the other has none.
            let (known, new, uri) = (reqwest::Client::new(), reqwest::Client::new(), server.uri());
            assert_eq!(known.get(&uri).send().await.expect("an answer").status(), 200);
            drop(server);
            for client in [known, new] {
                let answer = client.get(&uri).send().await;
                assert!(answer.is_err(), "{answer:?}");
            }
        });
    }
}
