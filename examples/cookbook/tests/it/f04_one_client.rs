//! How do I reuse connections of a client? By one client for the whole program: here connecting takes 100 ms, and a call 50.

use std::time::Duration;

use evenkeel_testkit::{
    World,
    http::{Method, Server},
    net::{MemNet, Toxics},
};

#[test]
fn one_client_connects_once() {
    let drawn = World::timeline(async |world| {
        let server = Server::mem(&MemNet::new(), "api.test").unwrap();
        server.on(Method::GET, "/").reply(204);
        server.link().connect_delay(Duration::from_millis(100));
        server.link().downstream(Toxics::new().latency(Duration::from_millis(50)));
        let url = || server.url("/").parse().unwrap();

        let client = server.client();
        for _ in 0..3 {
            client.get(url()).await.unwrap();
        }
        println!("one client: {} ms", world.elapsed().as_millis());

        let before = world.elapsed();
        for _ in 0..3 {
            server.client().get(url()).await.unwrap();
        }
        println!("a client for each call: {} ms", (world.elapsed() - before).as_millis());
    });
    crate::output::assert_is_the_books("f04_one_client");
    crate::output::assert_is_drawn("f04_one_client", drawn.titled("Reuse one client"));
}
