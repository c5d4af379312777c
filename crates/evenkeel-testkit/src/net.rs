//! A network in memory, and the faults of a real one.
//!
//! [`MemNet`] has addresses with names, [`listen`](MemNet::listen) and [`connect`](MemNet::connect). Each way
//! from a host to an address is a [`Link`], with [`Toxics`] for each direction; they may change while
//! connections are open. A [`MemStream`] meets them as a socket would.
//!
//! | what goes wrong | how |
//! |---|---|
//! | slow, far, unsteady | [`Toxics::latency`], [`jitter`](Toxics::jitter), [`bandwidth`](Toxics::bandwidth), [`slicer`](Toxics::slicer), [`slow_close`](Toxics::slow_close) |
//! | silent | [`Toxics::partition`], [`stall`](Toxics::stall), [`timeout`](Toxics::timeout) |
//! | breaks after so many bytes | [`Toxics::limit_data`], [`reset_data`](Toxics::reset_data) |
//! | breaks after so long | [`Toxics::timeout`], [`reset_peer`](Toxics::reset_peer) |
//! | breaks now | [`Link::cut`], [`Link::reset`], [`MemStream::reset`] |
//! | cannot be reached | [`Link::refuse`], [`Link::connect_delay`], [`Toxics::partition`], a full [backlog](MemNet::backlog) |
//!
//! A [`Script`] is a sequence of such [`Fault`]s as data, for property tests.
//!
//! The feature `proxy` has `Proxy`, the same link in front of a real TCP server. It is for the tests that
//! need one: everything else is exact in memory, on any machine.

#[cfg(feature = "proxy")]
#[cfg_attr(docsrs, doc(cfg(feature = "proxy")))]
pub use self::proxy::Proxy;
pub(crate) use self::random::Random;
#[cfg(feature = "http")]
pub(crate) use self::schedule::later;
pub use self::{
    link::{Link, LinkStats},
    listener::MemListener,
    mem_net::MemNet,
    script::{Fault, Script},
    stream::MemStream,
    toxics::Toxics,
};

mod connection;
mod direction;
mod link;
mod listener;
mod mem_net;
#[cfg(feature = "proxy")]
pub(crate) mod owned;
mod pipe;
#[cfg(feature = "proxy")]
mod proxy;
mod random;
mod schedule;
mod script;
mod stream;
#[cfg(feature = "proxy")]
pub(crate) mod tcp;
mod toxics;
mod waiter;
