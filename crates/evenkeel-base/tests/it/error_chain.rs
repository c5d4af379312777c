//! Errors as text.

use std::{error::Error, io, num::ParseIntError};

use evenkeel_base::error_chain;

#[derive(Debug)]
struct Config(ParseIntError);

impl std::fmt::Display for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the configuration is wrong")
    }
}

impl Error for Config {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn every_source_is_on_the_line() {
    let cause = "x".parse::<u8>().unwrap_err();
    let error = Config(cause);
    assert_eq!(error_chain(&error), "the configuration is wrong: invalid digit found in string");
    assert_eq!(error_chain(&io::Error::other("alone")), "alone");
}

/// A text, and the source below it.
#[derive(Debug)]
struct Layer(String, Option<Box<Layer>>);

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Layer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|source| source as _)
    }
}

/// A loop and no recursion, for a chain of any length.
impl Drop for Layer {
    fn drop(&mut self) {
        let mut next = self.1.take();
        while let Some(mut layer) = next {
            next = layer.1.take();
        }
    }
}

fn chain_of(texts: &[&str]) -> String {
    let layers = texts.iter().rev().fold(None, |below, text| Some(Box::new(Layer((*text).into(), below))));
    error_chain(&*layers.expect("there are texts"))
}

#[test]
fn a_source_whose_text_is_in_the_one_above_is_there_once() {
    for (texts, line) in [
        // As async-nats has it, in two layers.
        (
            &["no stream: timed out: no responders", "timed out: no responders", "no responders"][..],
            "no stream: timed out: no responders",
        ),
        // The text of the source, without those below it.
        (&["cannot read (a row)", "(a row)", "bad digit"], "cannot read (a row): bad digit"),
        (&["cannot read a row", "a row", "bad digit", "seen 'x'"], "cannot read a row: bad digit: seen 'x'"),
        // The whole chain in the text of its head.
        (&["no connection; last: a: b: c", "a", "b", "c"], "no connection; last: a: b: c"),
        (&["top", "no connection; last: a: b: c", "a", "b", "c"], "top: no connection; last: a: b: c"),
        // The same text twice is said once.
        (&["closed", "closed", "closed"], "closed"),
        // The end of a word is no text, and neither is the middle of one.
        (&["reconnected", "connected"], "reconnected: connected"),
        (&["attempt 12", "2"], "attempt 12: 2"),
        (&["a row of it", "row"], "a row of it: row"),
        (&["über", "ber"], "über: ber"),
        // Texts that are empty, or shorter than their source.
        (&["", "a"], ": a"),
        (&["a", ""], "a: "),
        (&["b", "a: b"], "b: a: b"),
    ] {
        assert_eq!(chain_of(texts), line, "{texts:?}");
    }
}

#[test]
fn a_long_chain_is_no_recursion_and_costs_no_more_than_its_length() {
    let texts: Vec<String> = (0..100_000).map(|number| format!("layer {number}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(chain_of(&texts), texts.join(": "));
}
