//! What systemd is told of a service of `Type=notify`.

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
