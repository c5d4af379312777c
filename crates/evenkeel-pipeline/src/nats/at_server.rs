//! The numbers of a consumer that gives nothing, for dumps.
//!
//! # How it works
//!
//! A pull that waits says nothing of why: the stream may be empty, or the server may have stopped to deliver. So a source that has
//! got nothing for [`IDLE`] asks for the numbers of its consumer, and again after each [`PAUSE`], beside the wait. It compares
//! them with those before: if a message was delivered or acked meanwhile, by another process, the consumer moves.
//!
//! - **Messages win**: what comes while the numbers are on their way is delivered, and the numbers are dropped. Heartbeats, which
//!   come each second, drop nothing.
//! - **The limit of messages in hand** is no fault of the server: the usual time of a pull is not known then.
//! - **A server that does not answer here** is told by the pulls, which hear of it as well.

use std::{pin::pin, sync::Mutex, time::Duration};

use async_nats::jetstream::{Context, consumer::Info};
use evenkeel_base::lock;
use tokio::time::{Instant, sleep_until};

use super::{JetStream, call::consumer_info};
use crate::{
    AtServer, ServerBacklog,
    race::{First, race},
};

/// The time without a message before the first read.
const IDLE: Duration = Duration::from_secs(5);

/// The time between two reads.
const PAUSE: Duration = Duration::from_secs(15);

/// The numbers of a consumer that gives nothing.
pub(super) struct Numbers {
    context: Context,
    stream: String,
    consumer: String,
    at_server: AtServer,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// When to read, unless messages come before.
    read_at: Option<Instant>,
    /// No read before this, also after messages.
    pause_until: Option<Instant>,
    /// The positions of the consumer when they were read last, and since when they are the same.
    last: Option<(Position, Instant)>,
}

impl Idle {
    fn read_at(&mut self, now: Instant) -> Instant {
        *self
            .read_at
            .get_or_insert_with(|| self.pause_until.map_or(now + IDLE, |pause| pause.max(now + IDLE)))
    }

    fn sent(&mut self, now: Instant) {
        self.pause_until = Some(now + PAUSE);
        self.read_at = self.pause_until;
    }

    fn forget(&mut self) {
        *self = Self { pause_until: self.pause_until, ..Self::default() };
    }
}

/// The numbers that change when a message moves.
type Position = (u64, u64, usize, usize);

impl Numbers {
    pub(super) fn new(context: &Context, config: &JetStream) -> Self {
        let (stream, consumer) = (config.stream.clone(), config.consumer.clone());
        let (at_server, idle) = (AtServer::default(), Mutex::default());
        Self { context: context.clone(), stream, consumer, at_server, idle }
    }

    /// Waits for messages to come, and reads the numbers at their times.
    pub(super) async fn read_while<F: Future>(&self, come: F) -> F::Output {
        let mut come = pin!(come);
        loop {
            let read_at = lock(&self.idle).read_at(Instant::now());
            let read = async {
                sleep_until(read_at).await;
                // Before the answer: one that takes longer than the wait is not asked for at once again.
                let sent = Instant::now();
                lock(&self.idle).sent(sent);
                (sent, consumer_info(&self.context, &self.stream, &self.consumer).await)
            };
            match race(come.as_mut(), read).await {
                First::A(output) => return output,
                First::B((sent, Ok(Some(info)))) => self.note(&info, sent),
                First::B(_) => self.at_server.set(None),
            }
        }
    }

    fn note(&self, info: &Info, sent: Instant) {
        let now = Instant::now();
        let position = (
            info.delivered.consumer_sequence,
            info.ack_floor.consumer_sequence,
            info.num_ack_pending,
            info.num_redelivered,
        );
        let moved_at = {
            let mut idle = lock(&self.idle);
            let last = idle.last.filter(|(last, _)| *last == position);
            let (_, moved_at) = last.unwrap_or((position, now));
            idle.last = Some((position, moved_at));
            moved_at
        };
        let (stream, consumer) = (&self.stream, &self.consumer);
        let (pending, in_hand, most) = (info.num_pending, info.num_ack_pending, info.config.max_ack_pending);
        let most = usize::try_from(most).ok().filter(|most| *most > 0);
        let of_most = most.map_or_else(String::new, |most| format!(" of at most {most}"));
        let text = format!(
            "the consumer {consumer} of the stream {stream} had {pending} messages to deliver, {in_hand}{of_most} in hand, and {} \
             requests of pulls",
            info.num_waiting
        );
        let mut backlog = ServerBacklog::new(pending, moved_at, text);
        backlog.usual = most.is_none_or(|most| in_hand < most).then(|| now.saturating_duration_since(sent));
        self.at_server.set(Some(backlog));
    }

    /// Forgets what was read, as messages have come, or none is asked for.
    pub(super) fn forget(&self) {
        lock(&self.idle).forget();
        self.at_server.set(None);
    }

    pub(super) fn handle(&self) -> Option<AtServer> {
        Some(self.at_server.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_trickle_of_messages_is_read_no_more_often() {
        let (start, mut idle) = (Instant::now(), Idle::default());
        assert_eq!(idle.read_at(start), start + IDLE);
        // Time goes by, and the wait is the same.
        assert_eq!(idle.read_at(start + 2 * SECOND), start + IDLE);
        idle.sent(start + IDLE);
        assert_eq!(idle.read_at(start + IDLE), start + IDLE + PAUSE);
        // A message each six seconds.
        idle.forget();
        assert_eq!(idle.read_at(start + 6 * SECOND), start + IDLE + PAUSE);
        idle.forget();
        assert_eq!(idle.read_at(start + 18 * SECOND), start + 18 * SECOND + IDLE);
    }
}
