//! Addresses of clients as keys.

use std::net::{IpAddr, Ipv6Addr};

/// Returns the address by which to limit a client: an IPv4 address unchanged, an IPv6 address without its lower 64 bits.
///
/// A client on IPv6 has a network of 2^64 addresses at least, and may use another one for each request: a limit for each
/// address has no effect, and fills the table of a [`Keyed`](crate::Keyed). An IPv4 address in IPv6 notation
/// (`::ffff:192.0.2.1`), as sockets that listen for both report it, becomes the IPv4 address.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{Keyed, client_ip};
/// use std::net::IpAddr;
///
/// let clients: Keyed<IpAddr> = Keyed::per_second(1);
/// let mut ask = |address: &str| clients.try_acquire(&client_ip(address.parse().unwrap())).is_ok();
/// assert!(ask("2001:db8:1:2::1"));
/// assert!(!ask("2001:db8:1:2:ffff::7"), "the same network");
/// assert!(ask("2001:db8:1:3::1"));
/// assert!(ask("192.0.2.1") && !ask("::ffff:192.0.2.1"));
/// ```
#[must_use]
pub fn client_ip(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            const NETWORK: u128 = !(u64::MAX as u128);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK))
        }
        address => address,
    }
}
