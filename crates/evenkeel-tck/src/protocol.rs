#![doc = include_str!("../spec/PROTOCOL.md")]

mod answer;
mod children;
mod errors;
mod facts;
mod limit;
mod link;
mod names;
mod pipes;
mod pool;
mod probe;
mod process;
mod retry;
mod run;
mod serve;
mod serve_kit;
mod session;
mod shutdown;
mod stream;
mod task;
mod tasks;
mod testkit;
mod wire;

pub use self::{names::capabilities, process::Process, serve::Server, serve_kit::serve_kit};
