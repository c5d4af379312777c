//! The sentences about the durability and the limits that a stream really has.

use std::time::Duration;

use async_nats::jetstream::stream::{DiscardPolicy, RetentionPolicy, StorageType};

use super::{link::Link, sweep::stuck};
use crate::{SourceError, Warning, Workload};

/// The version whose behavior the tests have seen, and which repairs what the sentences about older ones name.
const RECOMMENDED: (i64, i64, i64) = (2, 14, 0);

pub(super) async fn check(link: &Link, workload: &Workload) -> Result<Vec<Warning>, SourceError> {
    let stream = link.stream_info().await?;
    let (name, config, ack_wait) = (&link.config.stream, &stream.config, link.config.ack_wait);
    let mut warnings = Vec::new();
    let mut warn = |sentence: String| warnings.push(Warning::new(sentence));

    let (major, minor, patch) = RECOMMENDED;
    if !link.client.is_server_compatible(major, minor, patch) {
        warn(format!(
            "NATS server {} is older than {major}.{minor}: it drops settings that it does not know, and after a kill its work \
             queues may count messages that are acked",
            link.version()
        ));
    }
    match config.storage {
        StorageType::Memory => {
            warn(format!("the stream {name} is in memory: a restart of the server loses it"))
        }
        StorageType::File if config.num_replicas <= 1 => warn(format!(
            "the stream {name} has one replica: a lost disk loses it, and as a server syncs its files every two minutes by \
             default (sync_interval, which it tells no client), a power loss may lose what it has confirmed"
        )),
        StorageType::File => {}
    }
    let is_limited = config.max_messages > 0 || config.max_bytes > 0;
    if config.discard == DiscardPolicy::Old && is_limited && config.retention != RetentionPolicy::Limits {
        warn(format!(
            "the stream {name} discards its oldest messages when it is full, acked or not: a queue needs discard=new"
        ));
    }
    if !config.max_age.is_zero() && config.retention != RetentionPolicy::Limits {
        warn(format!("the stream {name} discards messages after {:?}, acked or not", config.max_age));
    }
    if config.duplicate_window < Duration::from_secs(120) {
        warn(format!(
            "the stream {name} knows ids of messages for {:?}: one that is published again later is stored twice",
            config.duplicate_window
        ));
    }
    if u64::try_from(link.config.max_ack_pending).is_ok_and(|limit| limit < workload.window as u64) {
        warn(format!(
            "the window of {} items is larger than max_ack_pending, {}: the rest of it stays empty",
            workload.window, link.config.max_ack_pending
        ));
    }
    if let Some(timeout) = workload.timeout.filter(|timeout| *timeout > ack_wait) {
        warn(format!(
            "an item may take {timeout:?}, and the ack wait is {ack_wait:?}: a process that stands still for that long has \
             its items delivered again while it works on them"
        ));
    }
    if let Some(former) = link.former_ack_wait {
        warn(format!(
            "the ack wait of the consumer was {former:?}, and is {ack_wait:?} now: sources that are open extend by the former \
             one"
        ));
    }
    if let Some((stuck, _)) = stuck(&link.context, &link.config).await? {
        warn(format!(
            "the stream {name} has {stuck} messages that its consumer will not deliver: they have used up a max_deliver of the \
             server, or a kill of the server has kept messages that are acked; `JetStream::sweep` has them delivered"
        ));
    }
    Ok(warnings)
}
