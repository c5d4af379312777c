//! The lines of a suite, and the replies.

use std::{
    io::{self, BufRead, Write},
    time::Duration,
};

use super::super::wire::{Object, Turn};

/// The lines of a suite.
pub(super) struct Lines<I> {
    input: I,
    /// The turn that is not answered yet.
    open: Option<Turn>,
}

impl<I: BufRead> Lines<I> {
    pub(super) const fn of(input: I) -> Self {
        Self { input, open: None }
    }

    pub(super) fn read(&mut self) -> io::Result<Option<Turn>> {
        let mut line = String::new();
        if self.input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let turn = Turn::read(&line, "messages").map_err(io::Error::other)?;
        self.open = Some(turn.clone());
        Ok(Some(turn))
    }

    /// Replies to the turn that is open, if there is one, at its own time.
    pub(super) fn end(&mut self, items: Vec<Object>) -> io::Result<()> {
        match self.open {
            Some(Turn { at, .. }) => self.reply(at, items),
            None => Ok(()),
        }
    }

    pub(super) fn reply(&mut self, at: Duration, items: Vec<Object>) -> io::Result<()> {
        let Some(turn) = self.open.take() else { return Ok(()) };
        let mut output = io::stdout().lock();
        output.write_all(Turn { at, items, ..turn }.reply().as_bytes())?;
        output.flush()
    }
}
