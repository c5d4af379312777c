//! The line from a worker to its server, over TCP.

use std::{io, time::Duration};

use evenkeel_testkit::net::{Proxy, Toxics};
use tokio::time::sleep;

pub(crate) struct TcpLine {
    proxy: Proxy,
}

impl TcpLine {
    pub(crate) async fn to(port: u16) -> io::Result<Self> {
        Ok(Self { proxy: Proxy::start(("127.0.0.1", port)).await? })
    }

    /// The port to which the worker connects.
    pub(crate) fn port(&self) -> u16 {
        self.proxy.address().port()
    }

    /// Resets its connections, and lets none be made for a time.
    pub(crate) fn cut(&self, time: Duration) {
        let link = self.proxy.link();
        link.refuse(usize::MAX);
        link.reset();
        self.heal_after(time);
    }

    /// Holds back what the server sends, and ends the connections after a time, without it.
    pub(crate) fn lose_answers(&self, time: Duration) {
        self.proxy.link().downstream(Toxics::new().timeout(time));
        self.heal_after(time);
    }

    fn heal_after(&self, time: Duration) {
        let link = self.proxy.link().clone();
        tokio::spawn(async move {
            sleep(time + Duration::from_millis(5)).await;
            link.heal();
        });
    }
}
