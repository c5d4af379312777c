//! Ports for servers that a test starts itself.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{TcpListener, TcpStream, UdpSocket},
    thread,
};

use evenkeel_testkit::net::unused_port;

#[test]
#[ignore = "real tier"]
fn no_two_calls_return_the_same_port_and_a_server_can_come_back_to_it() {
    let ports = |_| thread::spawn(|| [(); 20].map(|()| unused_port().expect("there is one")));
    let threads: Vec<_> = (0..5).map(ports).collect();
    let ports: BTreeSet<u16> =
        threads.into_iter().flat_map(|thread| thread.join().expect("it returns them")).collect();
    assert_eq!(ports.len(), 100);
    for port in ports {
        for _start in 0..2 {
            let server = TcpListener::bind(("127.0.0.1", port)).expect("it is free");
            let client = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
            // The server closes first, as one that is killed does.
            drop(server.accept().expect("the client"));
            drop((server, client));
        }
        // A call in another process finds the port taken, while no server is there.
        let taken = UdpSocket::bind(("127.0.0.1", port)).expect_err("it is reserved");
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    }
}
