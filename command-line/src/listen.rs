//! The address at which a program listens.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

/// An address of this machine, which is a loopback address unless another one is given: `8080` is `127.0.0.1:8080`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let port = ["localhost:", ":", ""].iter().find_map(|name| text.strip_prefix(name));
        let address = port.and_then(|port| port.parse().ok()).map(local);
        let address = address.or_else(|| text.parse().ok());
        let address = address.or_else(|| Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, 0)));
        let wrong = || format!("takes an address like 127.0.0.1:0, or a port of this machine, not `{text}`");
        address.map(Self).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_on_loopback_unless_another_address_is_given() {
        for (text, address) in [
            ("0", "127.0.0.1:0"),
            ("8080", "127.0.0.1:8080"),
            (":8080", "127.0.0.1:8080"),
            ("localhost:8080", "127.0.0.1:8080"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("127.0.0.1", "127.0.0.1:0"),
            ("[::1]:80", "[::1]:80"),
            ("::1", "[::1]:0"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("10.1.2.3", "10.1.2.3:0"),
        ] {
            assert_eq!(text.parse(), Ok(Address(address.parse().unwrap())), "{text}");
        }
        for text in [
            "",
            ":",
            "localhost",
            "65536",
            "-1",
            "example.com:80",
            "http://127.0.0.1:80/",
            "127.0.0.1:x",
            "[::1]",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }
}
