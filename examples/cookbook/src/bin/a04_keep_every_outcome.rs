//! How do I get all results, failures included? With `settled`: an outcome for each item, panics included.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::error::Error as _;

use evenkeel_stream::{ItemError, prelude::*};
use futures::{StreamExt as _, stream};

async fn parse(text: &'static str) -> Result<u8, std::num::ParseIntError> {
    // Panics without the text on stderr that `panic!` writes.
    if text.is_empty() {
        std::panic::resume_unwind(Box::new("an empty line"));
    }
    text.parse()
}

pub(crate) async fn scenario() {
    let texts = stream::iter(["1", "two", "3", "", "5"].map(Ok));
    let mut outcomes = texts.try_par_map(2, parse).settled().ordered();
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(number) => println!("{number}"),
            Err(ItemError::Error(error)) => println!("skipped: {error}"),
            Err(bug) => println!("{bug}: {}", bug.source().map(ToString::to_string).unwrap_or_default()),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    scenario().await;
}
