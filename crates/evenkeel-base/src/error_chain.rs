//! Errors as text.

use std::{error::Error, fmt::Write};

/// Returns the texts of an error and its sources on one line, with `: ` between them.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a string does not fail.
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}
