//! Rewrites the messages of the protocol, in pieces of any size.
//!
//! The formats are those of <https://www.postgresql.org/docs/current/protocol-message-formats.html>: a letter, the length
//! of the rest, and the rest. The first message of the client has no letter.

use std::collections::{HashMap, VecDeque};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

const HEADER: usize = 5;

/// The messages of the client.
#[derive(Debug, Default)]
pub(super) struct Requests {
    messages: Messages,
    has_started: bool,
    // The named statements: their texts and types, as in the message that prepared them.
    statements: HashMap<Bytes, Bytes>,
    // For each answer that is still to end: the statement that it prepares, if it does.
    in_flight: VecDeque<Option<Bytes>>,
    prepares: Option<Bytes>,
}

/// The messages of the server.
#[derive(Debug, Default)]
pub(super) struct Answers {
    messages: Messages,
    // A statement was parsed, and the next message tells whether the client asked for it.
    has_parsed: bool,
    is_described: bool,
}

/// Takes a sequence of bytes apart into messages.
#[derive(Debug, Default)]
struct Messages {
    partial: BytesMut,
    // The number of bytes of the present message that are passed on as they are.
    passing: usize,
}

/// A message, or the part of one.
enum Part<'a> {
    /// The bytes of a message that is passed on.
    Passed(&'a [u8]),
    /// The letter of a message, whose header is complete.
    Header(u8),
}

impl Messages {
    /// Takes the next part off the bytes. A message whose header is returned stays in `partial` until it is taken.
    fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Part<'a>> {
        if self.passing > 0 && !bytes.is_empty() {
            let (passed, rest) = bytes.split_at(self.passing.min(bytes.len()));
            (*bytes, self.passing) = (rest, self.passing - passed.len());
            return Some(Part::Passed(passed));
        }
        self.fill(bytes, HEADER).then(|| Part::Header(self.partial[0]))
    }

    /// The length of the message, with its header.
    fn length(&self) -> usize {
        let length = u32::from_be_bytes([self.partial[1], self.partial[2], self.partial[3], self.partial[4]]);
        HEADER.max(1 + length as usize)
    }

    /// Moves bytes to the message until it has this length; returns whether it has.
    fn fill(&mut self, bytes: &mut &[u8], length: usize) -> bool {
        let missing = length.saturating_sub(self.partial.len()).min(bytes.len());
        self.partial.put_slice(&bytes[..missing]);
        bytes.advance(missing);
        self.partial.len() >= length
    }

    /// Passes the present message on as it is.
    fn pass(&mut self, out: &mut BytesMut) {
        self.passing = self.length() - HEADER;
        out.put_slice(&self.partial);
        self.partial.clear();
    }
}

impl Requests {
    /// Rewrites bytes of the client.
    pub(super) fn rewrite(&mut self, mut bytes: &[u8], out: &mut BytesMut) {
        if !self.has_started {
            self.start(&mut bytes, out);
        }
        while let Some(part) = self.messages.next(&mut bytes) {
            match part {
                Part::Passed(passed) => out.put_slice(passed),
                Part::Header(letter @ (b'P' | b'B' | b'D' | b'C')) => {
                    let length = self.messages.length();
                    if !self.messages.fill(&mut bytes, length) {
                        return;
                    }
                    let message = self.messages.partial.split().freeze();
                    self.statement(letter, message, out);
                }
                Part::Header(letter) => {
                    if letter == b'S' || letter == b'Q' {
                        self.in_flight.push_back(self.prepares.take());
                    }
                    self.messages.pass(out);
                }
            }
        }
    }

    /// Passes on the first message.
    fn start(&mut self, bytes: &mut &[u8], out: &mut BytesMut) {
        if !self.messages.fill(bytes, 4) {
            return;
        }
        let partial = self.messages.partial.split();
        let length = u32::from_be_bytes([partial[0], partial[1], partial[2], partial[3]]);
        self.messages.passing = (length as usize).saturating_sub(4);
        self.has_started = true;
        out.unsplit(partial);
    }

    /// Rewrites a message about a statement.
    fn statement(&mut self, letter: u8, message: Bytes, out: &mut BytesMut) {
        let mut rest = message.slice(HEADER..);
        match letter {
            b'P' => {
                let name = text(&mut rest);
                write(out, letter, &[b"\0", &rest]);
                if !name.is_empty() {
                    self.statements.insert(name.clone(), rest);
                    self.prepares = Some(name);
                }
            }
            b'B' => {
                let portal = text(&mut rest);
                match self.statements.get(&text(&mut rest)) {
                    Some(statement) => {
                        write(out, b'P', &[b"\0", statement]);
                        write(out, letter, &[&portal, b"\0\0", &rest]);
                    }
                    None => out.put_slice(&message),
                }
            }
            // `D` and `C`, of a statement or a portal.
            _ if rest.first() == Some(&b'S') => {
                rest.advance(1);
                if letter == b'C' {
                    self.statements.remove(&text(&mut rest));
                }
                write(out, letter, &[b"S\0"]);
            }
            _ => out.put_slice(&message),
        }
    }

    /// An answer has ended. A statement that is not described does not exist.
    fn end_answer(&mut self, is_described: bool) {
        if let Some(Some(name)) = self.in_flight.pop_front()
            && !is_described
        {
            self.statements.remove(&name);
        }
    }
}

impl Answers {
    /// Rewrites bytes of the server: leaves out the answers to messages that the client did not send.
    ///
    /// The client describes each statement that it prepares by itself, so that an answer to its `Parse` is followed by the
    /// description. All other statements are parsed ahead of a `Bind`.
    pub(super) fn rewrite(&mut self, mut bytes: &[u8], out: &mut BytesMut, requests: &mut Requests) {
        while let Some(part) = self.messages.next(&mut bytes) {
            match part {
                Part::Passed(passed) => out.put_slice(passed),
                Part::Header(b'1') => {
                    self.has_parsed = true;
                    self.messages.partial.clear();
                }
                Part::Header(letter) => {
                    self.header(letter, out, requests);
                    self.messages.pass(out);
                }
            }
        }
    }

    fn header(&mut self, letter: u8, out: &mut BytesMut, requests: &mut Requests) {
        match letter {
            // Notices, settings and notifications may come between any two others.
            b'N' | b'S' | b'A' => return,
            b't' => {
                if self.has_parsed {
                    write(out, b'1', &[]);
                }
                self.is_described = true;
            }
            b'Z' => {
                requests.end_answer(self.is_described);
                self.is_described = false;
            }
            // The client ends a `COPY` by a second `Sync`, and the server ignores the first one.
            b'G' => drop(requests.in_flight.pop_front()),
            _ => {}
        }
        self.has_parsed = false;
    }
}

/// Takes a text that ends with a zero off the bytes.
fn text(bytes: &mut Bytes) -> Bytes {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = bytes.split_to(end);
    bytes.advance(bytes.len().min(1));
    text
}

fn write(out: &mut BytesMut, letter: u8, parts: &[&[u8]]) {
    let length = 4 + parts.iter().map(|part| part.len()).sum::<usize>();
    out.put_u8(letter);
    // It is at most a few bytes longer than a message whose length was such a number.
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    parts.iter().for_each(|part| out.put_slice(part));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A message, written as its letter and its body.
    fn message(letter: u8, body: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        write(&mut out, letter, &[body]);
        out.to_vec()
    }

    fn messages(list: &[(u8, &[u8])]) -> Vec<u8> {
        list.iter().flat_map(|(letter, body)| message(*letter, body)).collect()
    }

    const START: &[u8] = b"\0\0\0\x0b\0\x03\0\0P\0\0";

    const PREPARE: [(u8, &[u8]); 3] = [(b'P', b"s1\0select 1\0\0\0"), (b'D', b"Ss1\0"), (b'S', b"")];
    const RUN: [(u8, &[u8]); 3] = [(b'B', b"p\0s1\0values"), (b'E', b"p\0\0\0\0\0"), (b'S', b"")];
    const PREPARED: [(u8, &[u8]); 4] = [(b'1', b""), (b't', b"types"), (b'n', b""), (b'Z', b"I")];

    /// Passes bytes on in pieces of these sizes, one after the other.
    fn in_pieces(bytes: &[u8], sizes: &[usize], mut pass: impl FnMut(&[u8])) {
        let (mut rest, mut sizes) = (bytes, sizes.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            pass(piece);
            rest = after;
        }
    }

    fn sent(requests: &mut Requests, bytes: &[u8], sizes: &[usize]) -> Vec<u8> {
        let mut out = BytesMut::new();
        in_pieces(bytes, sizes, |piece| requests.rewrite(piece, &mut out));
        out.to_vec()
    }

    fn read(answers: &mut Answers, requests: &mut Requests, bytes: &[u8], sizes: &[usize]) -> Vec<u8> {
        let mut out = BytesMut::new();
        in_pieces(bytes, sizes, |piece| answers.rewrite(piece, &mut out, requests));
        out.to_vec()
    }

    fn started() -> (Requests, Answers) {
        let (mut requests, mut answers) = (Requests::default(), Answers::default());
        assert_eq!(sent(&mut requests, START, &[3]), START);
        let ready = messages(&[(b'R', b"\0\0\0\0"), (b'K', b"key"), (b'Z', b"I")]);
        assert_eq!(read(&mut answers, &mut requests, &ready, &[4]), ready);
        (requests, answers)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn each_run_has_the_text_with_it(sizes in prop::collection::vec(1..40_usize, 1..6)) {
            let (mut requests, mut answers) = started();
            let prepare = messages(&[(b'P', b"\0select 1\0\0\0"), (b'D', b"S\0"), (b'S', b"")]);
            prop_assert_eq!(sent(&mut requests, &messages(&PREPARE), &sizes), prepare);
            let answer = messages(&PREPARED);
            prop_assert_eq!(read(&mut answers, &mut requests, &answer, &sizes), answer);

            let run = messages(&[
                (b'P', b"\0select 1\0\0\0"),
                (b'B', b"p\0\0values"),
                (b'E', b"p\0\0\0\0\0"),
                (b'S', b""),
            ]);
            prop_assert_eq!(sent(&mut requests, &messages(&RUN), &sizes), run);
            // A notice may come in between; its length has nothing to do with the pieces.
            let answer = messages(&[(b'1', b""), (b'N', &[b'n'; 50]), (b'2', b""), (b'D', b"row"), (b'Z', b"T")]);
            let client = messages(&[(b'N', &[b'n'; 50]), (b'2', b""), (b'D', b"row"), (b'Z', b"T")]);
            prop_assert_eq!(read(&mut answers, &mut requests, &answer, &sizes), client);

            // Closed, it is not known any more.
            let close = messages(&[(b'C', b"Ss1\0"), (b'S', b"")]);
            let closed = messages(&[(b'C', b"S\0"), (b'S', b"")]);
            prop_assert_eq!(sent(&mut requests, &close, &sizes), closed);
            prop_assert_eq!(sent(&mut requests, &messages(&RUN), &sizes), messages(&RUN));
        }

        #[test]
        fn all_else_is_passed_on(
            letters in prop::collection::vec((prop::sample::select(b"EHQSdcfXp".to_vec()), 0..200_usize), 0..8),
            sizes in prop::collection::vec(1..300_usize, 1..6),
        ) {
            let (mut requests, _) = started();
            let all: Vec<u8> = letters.iter().flat_map(|(letter, length)| message(*letter, &vec![7; *length])).collect();
            prop_assert_eq!(sent(&mut requests, &all, &sizes), all);
        }
    }

    #[test]
    fn a_statement_that_the_server_refuses_is_forgotten() {
        let (mut requests, mut answers) = started();
        sent(&mut requests, &messages(&PREPARE), &[64]);
        let refused = messages(&[(b'E', b"syntax"), (b'Z', b"I")]);
        assert_eq!(read(&mut answers, &mut requests, &refused, &[64]), refused);
        assert!(requests.statements.is_empty() && requests.in_flight.is_empty());
    }

    /// The answer to the text that is sent ahead is left out, also where the statement fails after it.
    #[test]
    fn a_run_that_fails_has_no_answer_to_its_text() {
        let (mut requests, mut answers) = started();
        sent(&mut requests, &messages(&[PREPARE, RUN].concat()), &[64]);
        let prepared = messages(&PREPARED);
        assert_eq!(read(&mut answers, &mut requests, &prepared, &[64]), prepared);
        let failed = messages(&[(b'1', b""), (b'E', b"value"), (b'Z', b"I")]);
        let client = messages(&[(b'E', b"value"), (b'Z', b"I")]);
        assert_eq!(read(&mut answers, &mut requests, &failed, &[64]), client);
        assert!(requests.in_flight.is_empty());
        assert_eq!(requests.statements.len(), 1);
    }

    /// The server ignores the first of the two `Sync` of a `COPY`.
    #[test]
    fn a_copy_does_not_shift_the_answers() {
        let (mut requests, mut answers) = started();
        sent(&mut requests, &messages(&[&PREPARE[..], &RUN].concat()), &[64]);
        let prepared = messages(&PREPARED);
        read(&mut answers, &mut requests, &prepared, &[64]);
        read(&mut answers, &mut requests, &messages(&[(b'1', b""), (b'2', b""), (b'G', b"\0")]), &[64]);
        sent(&mut requests, &messages(&[(b'd', b"data"), (b'c', b""), (b'S', b"")]), &[64]);
        let second: [(u8, &[u8]); 2] = [(b'P', b"s2\0select 2\0\0\0"), (b'S', b"")];
        sent(&mut requests, &messages(&second), &[64]);
        read(&mut answers, &mut requests, &messages(&[(b'C', b"COPY 1"), (b'Z', b"I")]), &[64]);
        assert_eq!(requests.statements.len(), 2, "the second one is not answered yet");
        read(&mut answers, &mut requests, &prepared, &[64]);
        assert_eq!((requests.statements.len(), requests.in_flight.len()), (2, 0));
    }
}
