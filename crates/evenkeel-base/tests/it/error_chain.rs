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
