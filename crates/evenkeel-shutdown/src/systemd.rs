//! What systemd is told of a service of `Type=notify`.

use std::process::Command;

/// Hides `NOTIFY_SOCKET` from a child process, so that what it tells does not reach the service manager of this one.
///
/// Children inherit the environment. One that uses sd_notify(3), as a program of this crate does, would send its own
/// `READY=1` and `STOPPING=1` in the name of the service: systemd takes them with `NotifyAccess=all` or `exec`, and
/// then counts a service as started, or as stopping, that is not. Commands of tokio have `as_std_mut` for it.
///
/// # Examples
///
/// ```
/// use evenkeel_shutdown::without_notify_socket;
/// use tokio::process::Command;
///
/// let mut worker = Command::new("worker");
/// without_notify_socket(worker.as_std_mut()).arg("--port=8080");
/// # drop(worker);
///
/// let mut tool = std::process::Command::new("tool");
/// without_notify_socket(&mut tool);
/// # drop(tool);
/// ```
pub fn without_notify_socket(command: &mut Command) -> &mut Command {
    command.env_remove("NOTIFY_SOCKET")
}

/// Sends a datagram as sd_notify(3) does. Without `NOTIFY_SOCKET` nothing happens; nor does a failure matter
/// to a program that stops anyway.
#[cfg(unix)]
pub(crate) fn notify(state: &str) {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::UnixDatagram;

    let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let Ok(socket) = UnixDatagram::unbound() else { return };
    // Nobody waits here for a reader that does not read.
    let _ = socket.set_nonblocking(true);
    let _ = match address.as_bytes().strip_prefix(b"@") {
        None => socket.send_to(state.as_bytes(), &address),
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::linux::net::SocketAddrExt;
            use std::os::unix::net::SocketAddr;
            SocketAddr::from_abstract_name(name).and_then(|to| socket.send_to_addr(state.as_bytes(), &to))
        }
        #[cfg(not(target_os = "linux"))]
        Some(_) => Ok(0),
    };
}

#[cfg(not(unix))]
pub(crate) fn notify(_state: &str) {}
