//! The flags of crawl, as its own file has them.

use std::str::FromStr;

use command_line::{is_store, no_such_store, store_file_can_be};

#[path = "../../../examples/crawl/src/cli/flags.rs"]
#[expect(dead_code, reason = "the application uses the values")]
mod flags;

pub(crate) use self::flags::Crawl;

/// The value of `--store`.
#[derive(Debug)]
struct Choice;

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let choices = "auto, sqlite:PATH or postgres:URL";
        if !is_store(text, choices) {
            return Err(no_such_store(text, choices));
        }
        store_file_can_be(text).map(|()| Self)
    }
}
