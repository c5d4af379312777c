//! Errors as text.

use std::{error::Error, iter::successors};

/// Returns the texts of an error and its sources on one line, with `: ` between them.
///
/// Errors of other crates may have the texts of their sources in their own. These are there once.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> =
        successors(Some(error), |&error| error.source()).map(ToString::to_string).collect();
    let mut chain = Chain { parts: Vec::new(), source: String::new(), length: 0 };
    while let Some(text) = texts.pop() {
        chain.prepend(text);
    }
    chain.parts.reverse();
    chain.parts.join(": ")
}

/// The texts of the last sources.
struct Chain {
    /// The last one first; one that ends with others stands for these.
    parts: Vec<String>,
    /// The text of the first source alone, with which the last part begins.
    source: String,
    /// The length of the parts with their separators.
    length: usize,
}

impl Chain {
    fn prepend(&mut self, text: String) {
        if self.is_end_of(&text) {
            self.parts = vec![text.clone()];
            self.length = text.len();
        } else if let Some(last) = self.parts.last_mut().filter(|_| ends_with(&text, &self.source)) {
            last.replace_range(..self.source.len(), &text);
            self.length += text.len() - self.source.len();
        } else {
            self.length += text.len() + 2;
            self.parts.push(text.clone());
        }
        self.source = text;
    }

    /// Whether the text ends with all parts.
    fn is_end_of(&self, text: &str) -> bool {
        // Most texts are shorter, so that a long chain costs no more than its length.
        text.len() >= self.length && !self.parts.is_empty() && {
            let parts: Vec<&str> = self.parts.iter().rev().map(String::as_str).collect();
            ends_with(text, &parts.join(": "))
        }
    }
}

/// Whether a text ends with another one, as words of its own.
fn ends_with(text: &str, end: &str) -> bool {
    let is_word = |begin: &str| begin.ends_with(|last: char| last.is_alphanumeric() || last == '_');
    !end.is_empty() && text.strip_suffix(end).is_some_and(|begin| !is_word(begin))
}
