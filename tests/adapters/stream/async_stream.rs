//! async-stream: the macro `stream!`.

use async_stream::stream;
use evenkeel_tck::{
    Adapter, AdapterError,
    stream::{Capability, Operator, Settings},
};
use futures::StreamExt as _;

use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "async-stream",
    package: "async-stream",
    docs: "https://docs.rs/async-stream/0.3.6/async_stream/",
    adapter: &AsyncStream,
    isolated: &[],
    fails: &[],
};

const ONLY_GENERATORS: &str = "it has generators alone";

struct AsyncStream;

impl Adapter<Settings> for AsyncStream {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Generate => Ok(()),
            _ => Err(ONLY_GENERATORS),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Operator, AdapterError> {
        let Settings::Generate = settings else {
            return Err(AdapterError::NotExpressible(ONLY_GENERATORS));
        };
        Ok(Operator::generate(|mut source| {
            stream! {
                while let Some(item) = source.next().await {
                    yield item;
                }
            }
        }))
    }
}
