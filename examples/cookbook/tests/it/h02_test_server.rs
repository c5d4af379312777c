//! How do I test against a server that is slow, or fails? With one in memory: its replies are a script, its times exact.

use std::time::Duration;

use evenkeel_testkit::{
    World,
    http::{Method, Reply, Server},
    net::MemNet,
};
use tokio::time::{sleep, timeout};

#[test]
fn a_client_outlives_a_bad_minute_of_its_server() {
    let drawn = World::timeline(async |world| {
        let server = Server::mem(&MemNet::new(), "api.test").unwrap();
        let delay = Duration::from_secs(2);
        let mut replies = server.on(Method::GET, "/report");
        replies.reply(503).then(Reply::reset()).then(Reply::new(200).latency(delay)).expect(3);

        let client = server.client();
        loop {
            let call = client.get(server.url("/report").parse().unwrap());
            let seconds = world.elapsed().as_secs();
            match timeout(Duration::from_secs(5), call).await {
                Ok(Ok(response)) if response.status().is_success() => {
                    break println!("at {seconds} s: {}", response.status());
                }
                Ok(Ok(response)) => println!("at {seconds} s: {}", response.status()),
                Ok(Err(_)) => println!("at {seconds} s: the connection broke"),
                Err(_) => println!("at {seconds} s: no answer"),
            }
            sleep(Duration::from_secs(30)).await;
        }
        println!("after {} s it has it", world.elapsed().as_secs());
    });
    crate::output::assert_is_the_books("h02_test_server");
    crate::output::assert_is_drawn("h02_test_server", drawn.titled("Test against a server that fails"));
}
