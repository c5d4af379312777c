//! The flags of harvest, as its own file has them.

use std::str::FromStr;

use command_line::{is_store, no_such_store};

#[path = "../../../examples/harvest/src/cli/flags.rs"]
#[expect(dead_code, reason = "the application uses the values")]
mod flags;

pub(crate) use self::flags::Harvest;

/// The value of `--store`: also a private server.
#[derive(Debug)]
struct Choice;

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        one_of_the_stores(text, "auto, env, postgres, sqlite:PATH or postgres:URL").map(|()| Self)
    }
}

/// The value of `--queue`: also one in a private server.
#[derive(Debug)]
struct QueueChoice;

impl FromStr for QueueChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_own = is_store(text, "memory, tls:URL, nats:URL or postgres:URL");
        if is_own { Ok(Self) } else { one_of_the_stores(text, "memory, postgres or nats").map(|()| Self) }
    }
}

fn one_of_the_stores(text: &str, choices: &str) -> Result<(), String> {
    if is_store(text, choices) { Ok(()) } else { Err(no_such_store(text, choices)) }
}
