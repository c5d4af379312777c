//! A subject for dead letters: each is written once, though the write or what follows it is repeated.

use std::fmt;

use async_nats::{Client, HeaderMap, HeaderName, HeaderValue, Subject, jetstream::ErrorCode};

use super::{
    JetStreamMessage,
    publish::{Publication, Publisher},
};
use crate::{DeadLetter, Message, Sink, SinkError};

/// The publications of dead letters that are under way at the same time.
const WINDOW: usize = 64;

/// The line in front of headers, and the one behind them.
const FRAME: usize = "NATS/1.0\r\n\r\n".len();

/// A sink that publishes dead letters below a subject: those of the message 17 of the stream `ORDERS` that was published at the
/// time T go to `PREFIX.ORDERS.17.T`.
///
/// A crash between the write of a dead letter and the end of its message has the message delivered again. It is over its
/// attempts then, so its dead letter is written again, before its stages run: the stream refuses a second one of the same
/// subject, and the message ends. So a dead letter is neither lost nor there twice, as long as the first one is in the
/// stream, and not only within its `duplicate_window`.
///
/// The payload and the headers are those of the message; a header that the server would obey (`Nats-…`) is renamed
/// (`Evenkeel-Nats-…`). `Evenkeel-Origin`, `-Attempts`, `-Subject` and `-Reason` are added as far as they fit into the largest
/// payload of the server; the reason is cut.
///
/// # Examples
///
/// ```no_run
/// use evenkeel_pipeline::{Pipeline, nats::{DeadLetterSubject, JetStream, JetStreamMessage}};
///
/// # async fn run(client: async_nats::Client) -> Result<(), Box<dyn std::error::Error>> {
/// // A stream with the subjects `dead.orders.>` takes them.
/// let dead = DeadLetterSubject::new(client.clone(), "dead.orders");
/// let orders = JetStream::new(client, "ORDERS", "billing").open().await?;
/// Pipeline::from(orders)
///     .stage("bill", async |_: JetStreamMessage| Err::<(), _>(std::io::Error::other("no account")))
///     .max_attempts(3)
///     .dead_letter(dead)
///     .start()?
///     .await?;
/// # Ok(()) }
/// ```
pub struct DeadLetterSubject {
    client: Client,
    publisher: Publisher,
    prefix: String,
}

impl DeadLetterSubject {
    /// Creates a sink; a stream must have the subjects below the prefix.
    pub fn new(client: Client, prefix: impl Into<String>) -> Self {
        Self { publisher: Publisher::new(client.clone(), WINDOW), client, prefix: prefix.into() }
    }

    fn publication(&self, message: &Message<DeadLetter<JetStreamMessage>>) -> Publication {
        let DeadLetter { item, reason, attempts } = &message.item;
        let origin = one_line(&message.id);
        let token = |c: char| match c {
            '/' | '@' => '.',
            '.' | '*' | '>' => '_',
            c if c.is_whitespace() || c.is_control() => '_',
            c => c,
        };
        let subject = format!("{}.{}", self.prefix, message.id.chars().map(token).collect::<String>());
        let room = self.client.max_payload().saturating_sub(item.payload.len());
        let mut headers = Headers { map: HeaderMap::new(), room: room.saturating_sub(FRAME) };
        for (name, values) in item.headers.iter().flat_map(HeaderMap::iter) {
            let name = name.to_string();
            let is_obeyed = name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("nats-"));
            let name = if is_obeyed { format!("Evenkeel-{name}") } else { name };
            values.iter().for_each(|value| headers.add(&name, value.as_str()));
        }
        headers.add("Nats-Expected-Last-Subject-Sequence", "0");
        headers.add("Nats-Msg-Id", &origin);
        headers.add("Evenkeel-Origin", &origin);
        headers.add("Evenkeel-Attempts", &attempts.to_string());
        headers.add("Evenkeel-Subject", &item.subject);
        headers.add_cut("Evenkeel-Reason", &one_line(reason));
        Publication { subject: Subject::from(subject), headers: headers.map, payload: item.payload.clone() }
    }
}

impl Sink<DeadLetter<JetStreamMessage>> for DeadLetterSubject {
    async fn send(&self, batch: Vec<Message<DeadLetter<JetStreamMessage>>>) -> Result<(), SinkError> {
        let make = |index: usize| Ok(self.publication(&batch[index]));
        self.publisher.publish_all(batch.len(), Some(ErrorCode::STREAM_WRONG_LAST_SEQUENCE), make).await
    }
}

/// Headers that fit into a number of bytes.
struct Headers {
    map: HeaderMap,
    room: usize,
}

impl Headers {
    /// Adds a header if it fits.
    fn add(&mut self, name: &str, value: &str) {
        let size = name.len() + value.len() + ": \r\n".len();
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>())
            && size <= self.room
        {
            self.room -= size;
            self.map.append(name, value);
        }
    }

    /// Adds a header, cut to fit.
    fn add_cut(&mut self, name: &str, value: &str) {
        let room = self.room.saturating_sub(name.len() + ": \r\n".len());
        let end = (0..=room.min(value.len())).rev().find(|end| value.is_char_boundary(*end));
        if let Some(end @ 1..) = end {
            self.add(name, &value[..end]);
        }
    }
}

fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

impl fmt::Debug for DeadLetterSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetterSubject").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
