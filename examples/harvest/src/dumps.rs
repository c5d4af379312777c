//! Dumps of the run: which task waits for what, and who holds it, at an address of this machine, or at SIGUSR1. The crawler has
//! this file, too.

use command_line::Address;

pub(crate) use built::{DumpServer, at_signal};

/// The reason why there are no dumps.
pub(crate) const NOT_BUILT: &str = "this program was built without dumps: build it with --features inspect";

/// Checks the address of the dumps: others may reach it only if they are meant to.
pub(crate) fn address(address: Option<Address>, is_public: bool) -> Result<Option<Address>, String> {
    match address {
        None if is_public => Err("--inspect-public does nothing without --inspect".to_owned()),
        None => Ok(None),
        Some(_) if cfg!(not(feature = "inspect")) => Err(format!("--inspect: {NOT_BUILT}")),
        Some(Address(at)) if is_public || at.ip().to_canonical().is_loopback() => Ok(Some(Address(at))),
        Some(Address(at)) => Err(format!(
            "--inspect: {at} is not a loopback address; with --inspect-public everybody who reaches it can read the dumps"
        )),
    }
}

#[cfg(feature = "inspect")]
mod built {
    use command_line::Address;
    use evenkeel::{
        inspect::{InspectServer, serve_public},
        shutdown::Shutdown,
        task::Stop,
    };

    use crate::error::Fatal;

    /// The server of dumps, at its address.
    #[derive(Debug)]
    pub(crate) struct DumpServer(InspectServer);

    impl DumpServer {
        /// Listens at an address; the flags have said whether others may reach it.
        pub(crate) async fn bind(Address(address): Address) -> Result<Self, Fatal> {
            let server = serve_public(address).await;
            let failed = |error| Fatal::Input(format!("cannot serve dumps at {address}: {error}"));
            server.map(Self).map_err(failed)
        }

        /// Returns a line with the URL, and who can read it.
        pub(crate) fn announcement(&self) -> String {
            let address = self.0.local_addr();
            let is_local = address.ip().to_canonical().is_loopback();
            let open = if is_local { "" } else { ", open to everybody who reaches this address" };
            format!("dumps: http://{address}/debug/evenkeel{open}")
        }

        /// Answers until the end.
        pub(crate) async fn serve(self, end: Stop) {
            self.0.run(end.draining()).await;
        }
    }

    /// Prints a dump to stderr at each SIGUSR1.
    pub(crate) fn at_signal(shutdown: Shutdown) -> Shutdown {
        shutdown.dump_on_sigusr1()
    }
}

#[cfg(not(feature = "inspect"))]
mod built {
    use std::convert::Infallible;

    use command_line::Address;
    use evenkeel::{shutdown::Shutdown, task::Stop};

    use super::NOT_BUILT;
    use crate::error::Fatal;

    /// There is no server of dumps.
    #[derive(Debug)]
    pub(crate) struct DumpServer(Infallible);

    impl DumpServer {
        pub(crate) async fn bind(_: Address) -> Result<Self, Fatal> {
            Err(Fatal::Input(NOT_BUILT.to_owned()))
        }

        pub(crate) fn announcement(&self) -> String {
            match self.0 {}
        }

        pub(crate) async fn serve(self, _: Stop) {
            match self.0 {}
        }
    }

    pub(crate) fn at_signal(shutdown: Shutdown) -> Shutdown {
        shutdown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "inspect")]
    #[test]
    fn others_reach_them_only_if_they_are_meant_to() {
        let parse = |text: &str| Some(text.parse::<Address>().unwrap());
        for local in ["127.0.0.1:0", "127.9.9.9:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            assert_eq!(address(parse(local), false), Ok(parse(local)));
        }
        for other in ["0.0.0.0:0", "192.0.2.1:80", "[::]:0", "[::ffff:192.0.2.1]:80"] {
            let refused = address(parse(other), false).unwrap_err();
            assert!(refused.contains(other) && refused.contains("--inspect-public"), "{refused}");
            assert_eq!(address(parse(other), true), Ok(parse(other)));
        }
        assert_eq!(address(None, false), Ok(None));
        assert!(address(None, true).is_err());
    }

    #[cfg(not(feature = "inspect"))]
    #[test]
    fn a_program_without_them_says_how_to_build_them() {
        let at = "127.0.0.1:0".parse::<Address>().unwrap();
        assert_eq!(address(Some(at), false), Err(format!("--inspect: {NOT_BUILT}")));
        assert_eq!(address(None, false), Ok(None));
    }
}
