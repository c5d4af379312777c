//! A network in memory, and the faults of a real one.
//!
//! [`MemNet`] has addresses with names, [`listen`](MemNet::listen) and [`connect`](MemNet::connect). Each
//! pair of a host and an address has a [`Link`], with [`Toxics`] for each direction; they may change while
//! connections are open. A [`MemStream`] meets them as a socket would.
//!
//! | fault | by |
//! |---|---|
//! | slow, far, unsteady | [`Toxics::latency`], [`jitter`](Toxics::jitter), [`bandwidth`](Toxics::bandwidth), [`slicer`](Toxics::slicer), [`slow_close`](Toxics::slow_close) |
//! | silent | [`Toxics::partition`], [`stall`](Toxics::stall), [`timeout`](Toxics::timeout) |
//! | breaks after a number of bytes | [`Toxics::limit_data`], [`reset_data`](Toxics::reset_data) |
//! | breaks after a time | [`Toxics::timeout`], [`reset_peer`](Toxics::reset_peer) |
//! | breaks now | [`Link::cut`], [`Link::reset`], [`MemStream::reset`] |
//! | cannot be reached | [`Link::refuse`], [`Link::connect_delay`], [`Toxics::partition`], a full [backlog](MemNet::backlog) |
//!
//! [`Link::play`] plays a sequence of such [`Fault`]s, which is data for property tests.
//!
//! The feature `proxy` has `Proxy`, the same link in front of a real TCP server, for tests that need one: in
//! memory everything is exact, on any machine. [`unused_port`] has the port for a server that a test starts itself.

// file         | holds
// mem_net.rs   | `MemNet`: addresses, listeners, links
// listener.rs, stream.rs | the two ends that users hold
// link.rs      | `Link`: faults, counts, the lock over all connections
// connection.rs, pipe.rs | the state of a connection, and of each direction
// waiter.rs    | wakers and timers of a pipe, and the work done without the lock
// schedule.rs  | when sent bytes arrive
// toxics.rs, fault.rs | faults as data
// tcp_bridge.rs, proxy.rs | between a `MemNet` and TCP
// unused_port.rs | ports for servers that a test starts itself

#[cfg(feature = "proxy")]
#[cfg_attr(docsrs, doc(cfg(feature = "proxy")))]
pub use self::proxy::Proxy;
pub(crate) use self::random::Random;
#[cfg(feature = "http")]
pub(crate) use self::schedule::later;
pub use self::{
    fault::Fault,
    link::{Link, LinkSnapshot},
    listener::MemListener,
    mem_net::MemNet,
    stream::MemStream,
    toxics::Toxics,
    unused_port::unused_port,
};

mod connection;
mod direction;
mod fault;
mod link;
mod listener;
mod mem_net;
mod pipe;
#[cfg(feature = "proxy")]
mod proxy;
mod random;
mod schedule;
mod stream;
#[cfg(feature = "proxy")]
pub(crate) mod tcp_bridge;
mod toxics;
mod unused_port;
mod waiter;
