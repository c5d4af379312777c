//! The command lines of the project's programs. xflags reads them into types; this crate says what is wrong with one, in
//! one form for all programs, and has help that fits on a screen.

// | file | contents |
// |---|---|
// | `parse.rs` | from the words to the flags, or to the line that says what is wrong |
// | `help.rs` | the commands and flags, as the help of xflags tells them, and the pages made of them |
// | `suggest.rs` | the word that was meant |
// | `number.rs`, `time.rs`, `address.rs`, `listen.rs`, `one_of.rs`, `store.rs` | values, and what is said about wrong ones |
// | `output.rs` | a report's destination: a file, or stdout |

mod address;
mod help;
mod listen;
mod number;
mod one_of;
mod output;
mod parse;
mod store;
mod suggest;
mod time;

pub use self::{
    address::{WebUrl, with_scheme},
    listen::Address,
    number::Number,
    one_of::one_of,
    output::{Output, folders_are_there, is_stdout, one_at_most_is_stdout},
    parse::{Program, Refused, checked_words, parse},
    store::{is_store, no_such_store, store_file_can_be},
    suggest::closest,
    time::Time,
};
