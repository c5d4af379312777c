//! tokio-stream: `chunks_timeout`, and `StreamMap`, which its documentation recommends for more than two streams.

use std::time::Duration;

use evenkeel_tck::{
    Adapter, AdapterError,
    stream::{Capability, Operator, Settings},
};
use tokio_stream::{StreamExt as _, StreamMap};

use super::NO_SUCH_THING;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "tokio-stream",
    package: "tokio-stream",
    docs: "https://docs.rs/tokio-stream/0.1.19/tokio_stream/trait.StreamExt.html",
    adapter: &TokioStream,
    isolated: &[],
    fails: &[
        ("STREAM-49", "the timer is looked at where the source is silent (`ChunksTimeout::poll_next`)"),
        ("STREAM-52", "`chunks_timeout` allocates its maximum (`ChunksTimeout::poll_next`)"),
    ],
};

/// A time that is never over in a rule without one.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

struct TokioStream;

impl Adapter<Settings> for TokioStream {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Batch | Capability::BatchTime | Capability::Merge => Ok(()),
            Capability::Map => Err("`then` runs one item at a time"),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Operator, AdapterError> {
        Ok(match settings {
            Settings::Batch(batch) => {
                let (items, within) = (batch.items, batch.within.unwrap_or(NEVER));
                Operator::batch(move |source| source.chunks_timeout(items, within))
            }
            Settings::Merge => Operator::merge(|sources| {
                StreamMap::from_iter(sources.into_iter().enumerate()).map(|(_, item)| item)
            }),
            _ => return Err(AdapterError::NotExpressible(NO_SUCH_THING)),
        })
    }
}
