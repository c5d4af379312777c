#![doc = include_str!("../spec/PROTOCOL.md")]

mod limit;
mod link;
mod pipes;
mod process;
mod retry;
mod serve;
mod wire;

pub use self::{process::Process, serve::Server};
