//! Notifications to systemd, for a service of `Type=notify`.

use std::process::Command;

/// Removes `NOTIFY_SOCKET` from the environment of a child process, so that it cannot notify this process's manager.
///
/// Children inherit the environment. A child that uses sd_notify(3), as every program with this crate does, would
/// send its own `READY=1` and `STOPPING=1` in the name of the service. With `NotifyAccess=all` or `exec` systemd
/// accepts them, and takes the service for started or stopping when it is not. A command of tokio is passed by
/// `as_std_mut`.
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

/// Sends a datagram as sd_notify(3) does; without `NOTIFY_SOCKET` it does nothing.
///
/// Failures are ignored: they are no reason to change how a program runs or stops.
#[cfg(unix)]
pub(crate) fn notify(state: &str) {
    use std::os::unix::{ffi::OsStrExt, net::UnixDatagram};

    let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let Ok(socket) = UnixDatagram::unbound() else { return };
    // A manager that does not read must not block the program.
    let _ = socket.set_nonblocking(true);
    let _ = match address.as_bytes().strip_prefix(b"@") {
        None => socket.send_to(state.as_bytes(), &address),
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};
            SocketAddr::from_abstract_name(name).and_then(|to| socket.send_to_addr(state.as_bytes(), &to))
        }
        #[cfg(not(target_os = "linux"))]
        Some(_) => Ok(0),
    };
}

#[cfg(not(unix))]
pub(crate) fn notify(_state: &str) {}
