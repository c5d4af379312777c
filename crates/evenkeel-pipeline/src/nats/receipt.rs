//! The handle of a delivery, read from the subject of its ack.

use std::fmt;

use super::names::intern;

/// The tokens of an ack subject in front of its numbers; without and with the domain and the hash of the account.
const ROUTES: [(usize, usize); 2] = [(9, 4), (11, 6)];

/// The handle of a delivery of JetStream.
///
/// Its text is the identity of the message: `STREAM/SEQUENCE@TIME`, with the time of its publication in nanoseconds, so that
/// a stream that was deleted and created again does not use an identity twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JetStreamReceipt {
    pub(super) stream: &'static str,
    /// The subject of its ack, up to the numbers.
    route: &'static str,
    pub(super) sequence: u64,
    published: u64,
    consumer_sequence: u64,
    /// How often the server has delivered the message.
    pub(super) delivered: u64,
    /// How many of these were handed back.
    pub(super) released: u64,
    /// The consumer, as long as nobody deletes it and creates it again.
    pub(super) generation: u32,
}

impl JetStreamReceipt {
    /// Reads the subject of an ack; `None` for the subject of anything else. `last` is a receipt of the same source.
    pub(super) fn parse(reply: &str, generation: u32, last: Option<&Self>) -> Option<Self> {
        if !reply.starts_with("$JS.ACK.") {
            return None;
        }
        let dots = reply.bytes().filter(|byte| *byte == b'.').count();
        // Newer servers may add tokens behind the eleventh.
        let (_, route_tokens) = ROUTES.into_iter().rfind(|(tokens, _)| dots + 1 >= *tokens)?;
        if route_tokens == 4 && dots != 8 {
            return None;
        }
        let end = reply.match_indices('.').nth(route_tokens - 1)?.0 + 1;
        let (route, numbers) = reply.split_at(end);
        let mut numbers = numbers.split('.').map(|number| number.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        let (delivered, sequence, consumer_sequence, published) = (next()?, next()?, next()?, next()?);
        let (route, stream) = match last {
            Some(last) if last.route == route => (last.route, last.stream),
            _ => (intern(route), intern(route.split('.').nth(route_tokens - 2)?)),
        };
        Some(Self {
            stream,
            route,
            sequence,
            published,
            consumer_sequence,
            delivered,
            released: 0,
            generation,
        })
    }

    /// The subject to which its acks are sent.
    pub(super) fn subject(&self) -> String {
        let Self { route, delivered, sequence, consumer_sequence, published, .. } = self;
        format!("{route}{delivered}.{sequence}.{consumer_sequence}.{published}.0")
    }

    /// The time of its publication, in nanoseconds.
    pub(super) const fn published(&self) -> u64 {
        self.published
    }

    /// The number of the attempt.
    pub(super) fn attempt(&self) -> u32 {
        let counted = self.delivered.saturating_sub(self.released).max(1);
        counted.try_into().unwrap_or(u32::MAX)
    }

    /// Returns the number of the message in its stream.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl fmt::Display for JetStreamReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.stream, self.sequence, self.published)
    }
}

#[cfg(test)]
mod tests {
    use super::JetStreamReceipt;

    fn parse(reply: &str) -> Option<JetStreamReceipt> {
        JetStreamReceipt::parse(reply, 0, None)
    }

    #[test]
    fn the_subject_of_an_ack_is_read_in_all_its_forms() {
        for (reply, subject) in [
            ("$JS.ACK.S.c.3.100.7.17.42", "$JS.ACK.S.c.3.100.7.17.0"),
            ("$JS.ACK._.hash.S.c.3.100.7.17.42", "$JS.ACK._.hash.S.c.3.100.7.17.0"),
            ("$JS.ACK.hub.hash.S.c.3.100.7.17.42.random.more", "$JS.ACK.hub.hash.S.c.3.100.7.17.0"),
        ] {
            let receipt = parse(reply).unwrap();
            assert_eq!((receipt.stream, receipt.sequence, receipt.attempt()), ("S", 100, 3));
            assert_eq!(receipt.subject(), subject);
            assert_eq!(receipt.to_string(), "S/100@17");
            assert_eq!(JetStreamReceipt::parse(reply, 0, Some(&receipt)), Some(receipt));
        }
    }

    #[test]
    fn other_subjects_are_refused() {
        for reply in [
            "",
            "_INBOX.a.b",
            "$JS.ACK.S.c.3.100.7.17",
            "$JS.ACK.h.h.S.c.3.100.7.17",
            "$JS.FC.S.c.3.100.7.17.42",
            "$JS.ACK.S.c.3.x.7.17.42",
        ] {
            assert_eq!(parse(reply), None, "{reply}");
        }
    }

    #[test]
    fn what_was_handed_back_is_no_attempt() {
        let receipt = parse("$JS.ACK.S.c.5.100.7.17.42").unwrap();
        assert_eq!(JetStreamReceipt { released: 3, ..receipt }.attempt(), 2);
        assert_eq!(JetStreamReceipt { released: 9, ..receipt }.attempt(), 1);
    }
}
