//! Ports for servers that a test stops and starts again.

use std::{
    fs,
    hash::{BuildHasher as _, RandomState},
    io::{self, ErrorKind},
    net::{Ipv4Addr, TcpListener, UdpSocket},
    ops::Range,
    sync::Mutex,
};

use evenkeel_base::lock;

/// Above the ports of well-known servers, one of which may be away for a moment.
const FIRST: u32 = 7000;

/// The fewest ports to choose from.
const FEW: usize = 100;

/// The range where the system does not tell: below the one of each.
const DEFAULT_EPHEMERAL: (u32, u32) = (10_000, 65_535);

/// Sockets that keep the ports from other calls, in all processes of this machine, until this process ends.
static RESERVED: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());

/// Returns a TCP port of `127.0.0.1` for a server that a test starts itself, and may stop and start again.
///
/// A port that was bound as port 0 and closed again is an ephemeral one: until the server binds it, and each time that the
/// server is away, the system may give it to any socket, as to another test's listener or to an outgoing connection; even
/// a client that tries the absent server again may be connected to itself. The port that this function returns is none of
/// these, nothing listens on it now, and no other call, in any process, returns it until this process ends.
///
/// A UDP socket of the same number keeps it from other calls, so the server cannot use that. A listener that is bound once,
/// and stays open, needs none of this: bind port 0.
///
/// Where the system uses nearly all ports as ephemeral ones, the port is one of them.
///
/// # Errors
///
/// Fails if the system has no more sockets, or if all ports are in use.
///
/// # Examples
///
/// ```
/// use std::net::TcpListener;
///
/// use evenkeel_testkit::net::unused_port;
///
/// # fn main() -> std::io::Result<()> {
/// let port = unused_port()?;
/// for _start in 0..2 {
///     let server = TcpListener::bind(("127.0.0.1", port))?;
///     drop(server);
/// }
/// # Ok(())
/// # }
/// ```
pub fn unused_port() -> io::Result<u16> {
    // Linux has it; elsewhere the file is not there.
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let ports = outside(&range);
    let first = RandomState::new().hash_one(()) as usize;
    for step in 0..ports.len() {
        // All are 16 bits wide.
        let port = (ports.start + (first.wrapping_add(step) % ports.len()) as u32) as u16;
        if let Some(port) = reserve(port)? {
            return Ok(port);
        }
    }
    Err(io::Error::new(ErrorKind::AddrInUse, "all ports for servers of tests are in use"))
}

/// Reserves a port; returns `None` if it is in use.
fn reserve(port: u16) -> io::Result<Option<u16>> {
    // Held while the port is tried, so that two calls do not meet there.
    let bound = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).and_then(|reservation| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        Ok(reservation)
    });
    match bound {
        Ok(reservation) => {
            lock(&RESERVED).push(reservation);
            Ok(Some(port))
        }
        // Some systems keep ports for their own use.
        Err(error) if matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the ports to choose from, by the first and the last ephemeral one, as Linux writes them: those below, or those
/// above if there are few, or else all.
fn outside(ephemeral: &str) -> Range<u32> {
    let mut bounds = ephemeral.split_whitespace().map_while(|bound| bound.parse::<u32>().ok());
    let (first, last) = bounds.next().zip(bounds.next()).unwrap_or(DEFAULT_EPHEMERAL);
    let (below, above) = (FIRST..first, last + 1..65_536);
    [below, above].into_iter().find(|ports| ports.len() >= FEW).unwrap_or(FIRST..65_536)
}

#[cfg(test)]
mod tests {
    use super::outside;

    #[test]
    fn a_port_is_no_ephemeral_one_where_there_are_others() {
        assert_eq!(outside("32768\t60999\n"), 7000..32_768);
        assert_eq!(outside("16000\t65535\n"), 7000..16_000);
        // Hardly any below.
        assert_eq!(outside("7050\t65000\n"), 65_001..65_536);
        assert_eq!(outside("1024\t60000\n"), 60_001..65_536);
        // No room on either side.
        assert_eq!(outside("1024\t65535\n"), 7000..65_536);
        // Not told.
        assert_eq!(outside(""), 7000..10_000);
        assert_eq!(outside("none"), 7000..10_000);
    }
}
