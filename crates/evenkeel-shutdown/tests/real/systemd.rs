//! Notifications to a service manager.

use std::{os::unix::net::UnixDatagram, process::Stdio, time::Duration};

use evenkeel_shutdown::{BoxError, Shutdown, Stop, without_notify_socket};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{
    process::{Program, STARTED},
    programs::{end, threads},
};

/// A service with two children that use sd_notify themselves, of std and of tokio.
#[test]
#[ignore = "a program"]
fn has_children() {
    if std::env::var_os(STARTED).is_some() {
        let shutdown = Shutdown::new().task("parent", async |stop: Stop| {
            let this = std::env::current_exe()?;
            let program = ["--exact", "programs::drains", "--ignored", "--nocapture"];
            let mut one = std::process::Command::new(&this);
            let mut one = without_notify_socket(&mut one).args(program).stdout(Stdio::null()).spawn()?;
            let mut two = tokio::process::Command::new(&this);
            without_notify_socket(two.as_std_mut()).args(program);
            let mut two = two.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
            // A process that is ready has sent its notification, if it sends any.
            let mut lines = BufReader::new(two.stdout.take().ok_or("it is piped")?).lines();
            while lines.next_line().await?.is_some_and(|line| !line.ends_with("ready")) {}
            println!("ready");
            stop.draining().await;
            one.kill()?;
            one.wait()?;
            two.kill().await?;
            Ok::<_, BoxError>(())
        });
        end(threads().block_on(shutdown.run()));
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn children_do_not_speak_for_the_service() {
    let path = std::env::temp_dir().join(format!("evenkeel-shutdown-parent-{}", std::process::id()));
    let path = path.to_str().expect("it is text");
    let socket = manager(path);
    let mut program = Program::start_with("systemd::has_children", &[("NOTIFY_SOCKET", path)]);
    program.prints("ready").await;
    assert_eq!(told(&socket), "READY=1");
    program.signal("TERM");
    // No second one.
    assert_eq!(told(&socket), "STOPPING=1");
    assert_eq!(program.ends().await.0, Some(0));
    socket.set_nonblocking(true).expect("it can be");
    assert!(socket.recv(&mut [0; 1]).is_err(), "it was told something else");
    std::fs::remove_file(path).expect("it was bound");
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_service_that_is_stopped_before_it_runs_is_never_ready() {
    let path = std::env::temp_dir().join(format!("evenkeel-shutdown-early-{}", std::process::id()));
    let path = path.to_str().expect("it is text");
    let socket = manager(path);
    let mut program = Program::start_with("starts::starts_slowly", &[("NOTIFY_SOCKET", path)]);
    program.prints("new").await.signal("TERM").prints("drained").await;
    assert_eq!(program.ends().await.0, Some(0));
    assert_eq!(told(&socket), "STOPPING=1");
    std::fs::remove_file(path).expect("it was bound");
}

/// A socket like systemd's, and its address.
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
        program.signal("TERM");
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
        program.prints("ready").await.signal("TERM").prints("drained").await;
        assert_eq!(program.ends().await, (Some(0), String::new()));
    }
}
