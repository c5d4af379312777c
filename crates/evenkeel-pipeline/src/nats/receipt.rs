//! The handle of a delivery, read from the subject of its ack.

use std::fmt;

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
        let mut next = || take_number(&mut rest);
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

/// Takes a number, and the dot behind it, from the start of a text.
fn take_number(text: &mut &[u8]) -> Option<u64> {
    let (mut number, mut rest) = (0_u64, *text);
    while let Some((digits, behind)) = rest.split_first_chunk()
        && let Some(value) = eight_digits(*digits)
    {
        number = number.checked_mul(100_000_000)?.checked_add(value)?;
        rest = behind;
    }
    while let [digit @ b'0'..=b'9', behind @ ..] = rest {
        number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        rest = behind;
    }
    let is_empty = rest.len() == text.len();
    *text = match rest {
        [] => rest,
        [b'.', behind @ ..] => behind,
        _ => return None,
    };
    (!is_empty).then_some(number)
}

/// Reads eight digits at once: the time of a publication has 19 of them. Each step adds up neighbors: digits to numbers of two,
/// these to numbers of four, and these to the whole.
fn eight_digits(text: [u8; 8]) -> Option<u64> {
    const ALL: u64 = 0x0101_0101_0101_0101;
    let digits = u64::from_le_bytes(text) ^ (0x30 * ALL);
    if (digits | digits.wrapping_add(6 * ALL)) & (0xF0 * ALL) != 0 {
        return None;
    }
    let twos = (digits.wrapping_mul(1 + (10 << 8)) >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = (twos.wrapping_mul(1 + (100 << 16)) >> 16) & 0x0000_FFFF_0000_FFFF;
    Some(fours.wrapping_mul(1 + (10_000 << 32)) >> 32)
}

/// The subject to which the acks of a delivery are sent.
pub(super) struct AckSubject<'a>(pub(super) &'a JetStreamReceipt);

impl ToSubject for AckSubject<'_> {
    fn to_subject(&self) -> Subject {
        let JetStreamReceipt { route, delivered, sequence, consumer_sequence, published, .. } = *self.0;
        // From the end, two digits at a time.
        let mut text = [b'0'; NUMBERS];
        let mut start = NUMBERS - 1;
        for mut number in [published, consumer_sequence, sequence, delivered] {
            start -= 1;
            text[start] = b'.';
            let end = start;
            while number >= 10 {
                let pair = (number % 100) as u8;
                number /= 100;
                start -= 2;
                (text[start], text[start + 1]) = (b'0' + pair / 10, b'0' + pair % 10);
            }
            if number > 0 || start == end {
                start -= 1;
                text[start] = b'0' + number as u8;
            }
        }
        let numbers = str::from_utf8(&text[start..]).unwrap_or_default();
        // Of its exact length, so that it is not copied once more.
        let mut subject = String::with_capacity(route.text.len() + numbers.len());
        subject.push_str(route.text);
        subject.push_str(numbers);
        Subject::from(subject)
    }
}

/// The longest text of four numbers, with a dot behind each, and of that of the messages that wait, which nobody reads.
const NUMBERS: usize = 4 * 21 + 1;

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
    fn numbers_of_each_length_are_read_and_written() {
        let numbers = (0..20).flat_map(|digits| {
            let least = 10_u64.pow(digits);
            [least - 1, least, least + 1, u64::MAX / least]
        });
        for number in numbers {
            let reply = format!("$JS.ACK.S.c.{number}.{number}.{number}.{number}.42");
            let receipt = parse(&reply).unwrap();
            let read = [receipt.delivered, receipt.sequence, receipt.consumer_sequence, receipt.published];
            assert_eq!(read, [number; 4]);
            let subject = format!("$JS.ACK.S.c.{number}.{number}.{number}.{number}.0");
            assert_eq!(&*AckSubject(&receipt).to_subject(), subject);
        }
        let zeros = parse("$JS.ACK.S.c.000000001.0000000000000000000000017.7.17.42").unwrap();
        assert_eq!((zeros.delivered, zeros.sequence), (1, 17));
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
            "$JS.ACK.S.c.3.18446744073709551616.7.17.42",
            "$JS.ACK.S.c.3.100.7.1234567/.42",
            "$JS.ACK.S.c.3.100.7.1234567:.42",
            "$JS.ACK.S.c.3.100.7.12345678 .42",
            "$JS.ACK.S.c.3..7.17.42",
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
