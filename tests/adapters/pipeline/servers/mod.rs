//! Servers of the rules alone, which they may stop and kill, and the lines to them, which they may cut.

pub(crate) mod clock;
mod line;
mod nats;
mod postgres;
mod process;
pub(crate) mod streams;
mod wire;

pub(crate) use self::{
    line::TcpLine,
    nats::Nats,
    postgres::{Cluster, config},
    process::{Restart, Signal},
    wire::{UNIT, encode, read},
};
