//! The handle of a delivery, read from the subject of its ack.

use std::fmt::{self, Write as _};

use async_nats::{Subject, ToSubject};

use super::names::Route;

/// The handle of a delivery of JetStream.
///
/// Its text is the identity of the message: `STREAM/SEQUENCE@TIME`, with the time of its publication in nanoseconds, so that
/// a stream that was deleted and created again does not use an identity twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JetStreamReceipt {
    route: &'static Route,
    pub(super) sequence: u64,
    published: u64,
    consumer_sequence: u64,
    /// How often the server has delivered the message.
    pub(super) delivered: u64,
    /// How many of these were handed back.
    pub(super) released: u64,
    /// The consumer, as long as nobody deletes it and creates it again.
    pub(super) generation: u32,
    /// The number of the connection over which it has come, or of an earlier one.
    pub(super) connection: u32,
}

impl JetStreamReceipt {
    /// Reads the subject of an ack; `None` for the subject of anything else. `last` is a receipt of the same source, whose
    /// messages have the same route mostly.
    pub(super) fn parse(reply: &str, generation: u32, last: Option<&Self>) -> Option<Self> {
        let known = last.map(|last| last.route).filter(|route| reply.starts_with(route.text));
        let mut receipt = known.and_then(|route| Self::numbers(route, reply));
        if receipt.is_none() {
            receipt = Self::numbers(Route::of(reply)?, reply);
        }
        receipt.map(|receipt| Self { generation, ..receipt })
    }

    fn numbers(route: &'static Route, reply: &str) -> Option<Self> {
        let mut rest = reply.get(route.text.len()..)?.as_bytes();
        let mut next = || {
            let mut number = 0_u64;
            let mut digits = 0;
            while let Some((byte, behind)) = rest.split_first() {
                rest = behind;
                match byte {
                    b'0'..=b'9' => {
                        number = number.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
                        digits += 1;
                    }
                    b'.' => break,
                    _ => return None,
                }
            }
            (digits > 0).then_some(number)
        };
        let (delivered, sequence, consumer_sequence, published) = (next()?, next()?, next()?, next()?);
        let _pending = next()?;
        if route.is_short && !rest.is_empty() {
            return None;
        }
        let (released, generation, connection) = (0, 0, 0);
        Some(Self {
            route,
            sequence,
            published,
            consumer_sequence,
            delivered,
            released,
            generation,
            connection,
        })
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

/// The subject to which the acks of a delivery are sent.
pub(super) struct AckSubject<'a>(pub(super) &'a JetStreamReceipt);

impl ToSubject for AckSubject<'_> {
    fn to_subject(&self) -> Subject {
        let JetStreamReceipt { route, delivered, sequence, consumer_sequence, published, .. } = *self.0;
        let digits = |number: u64| number.checked_ilog10().unwrap_or(0) as usize + 1;
        let numbers = [delivered, sequence, consumer_sequence, published].into_iter().map(digits);
        // Of its exact length, so that it is not copied once more.
        let mut text = String::with_capacity(route.text.len() + numbers.sum::<usize>() + "....0".len());
        // A text takes all that is written.
        let _ = write!(text, "{}{delivered}.{sequence}.{consumer_sequence}.{published}.0", route.text);
        Subject::from(text)
    }
}

impl fmt::Display for JetStreamReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.route.stream, self.sequence, self.published)
    }
}

#[cfg(test)]
mod tests {
    use async_nats::ToSubject as _;

    use super::{AckSubject, JetStreamReceipt};

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
            assert_eq!((receipt.route.stream, receipt.sequence, receipt.attempt()), ("S", 100, 3));
            assert_eq!(&*AckSubject(&receipt).to_subject(), subject);
            assert_eq!(receipt.to_string(), "S/100@17");
            assert_eq!(JetStreamReceipt::parse(reply, 0, Some(&receipt)), Some(receipt));
        }
    }

    #[test]
    fn a_route_that_begins_like_another_one_is_read_by_itself() {
        let short = parse("$JS.ACK.S.c.3.100.7.17.42").unwrap();
        let long = JetStreamReceipt::parse("$JS.ACK.S.c.1.2.3.100.7.17.42", 0, Some(&short)).unwrap();
        assert_eq!((long.route.stream, long.to_string().as_str()), ("1", "1/100@17"));
    }

    #[test]
    fn other_subjects_are_refused() {
        for reply in [
            "",
            "_INBOX.a.b",
            "$JS.ACK.S.c.3.100.7.17",
            "$JS.ACK.S.c.3.100.7.17.",
            "$JS.ACK.h.h.S.c.3.100.7.17",
            "$JS.FC.S.c.3.100.7.17.42",
            "$JS.ACK.S.c.3.x.7.17.42",
            "$JS.ACK.S.c.3.99999999999999999999.7.17.42",
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
