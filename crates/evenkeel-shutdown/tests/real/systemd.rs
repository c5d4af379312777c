//! What a service manager is told.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::process::Program;

/// A socket as systemd has it, and the address that it hands out.
fn manager(address: &str) -> UnixDatagram {
    let socket = match address.strip_prefix('@') {
        None => UnixDatagram::bind(address),
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::linux::net::SocketAddrExt;
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name).expect("a name");
            UnixDatagram::bind_addr(&address)
        }
        #[cfg(not(target_os = "linux"))]
        Some(_) => return UnixDatagram::unbound().expect("a socket"),
    };
    let socket = socket.expect("the address is free");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("it is not zero");
    socket
}

fn told(socket: &UnixDatagram) -> String {
    let mut text = [0; 100];
    let length = socket.recv(&mut text).expect("the program tells something");
    String::from_utf8_lossy(&text[..length]).into_owned()
}

#[tokio::test]
#[ignore = "real tier"]
async fn systemd_hears_ready_and_stopping_once() {
    let folder = std::env::temp_dir();
    let path = folder.join(format!("evenkeel-shutdown-{}", std::process::id()));
    let path = path.to_str().expect("it is text");
    let mut addresses = vec![path.to_owned()];
    if cfg!(target_os = "linux") {
        addresses.push(format!("@evenkeel-shutdown-{}", std::process::id()));
    }
    for address in &addresses {
        let socket = manager(address);
        let mut program = Program::start_with("programs::drains", &[("NOTIFY_SOCKET", address)]);
        program.prints("ready").await;
        assert_eq!(told(&socket), "READY=1");
        program.signal("TERM").await;
        assert_eq!(told(&socket), "STOPPING=1");
        assert_eq!(program.ends().await.0, Some(0));
        socket.set_nonblocking(true).expect("it can be");
        assert!(socket.recv(&mut [0; 1]).is_err(), "it was told something else");
    }
    std::fs::remove_file(path).expect("it was bound");
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_manager_that_is_not_there_changes_nothing() {
    for address in ["", "/nowhere/to/be/found", "@nobody-listens-here"] {
        let mut program = Program::start_with("programs::drains", &[("NOTIFY_SOCKET", address)]);
        program.prints("ready").await.signal("TERM").await.prints("drained").await;
        assert_eq!(program.ends().await, (Some(0), String::new()));
    }
}
