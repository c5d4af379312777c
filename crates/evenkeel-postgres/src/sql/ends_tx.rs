//! Tells from the text of statements whether they end the transaction that they run in.

use super::tokens::{Token, Tokens, is_in};

/// Whether statements end their transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EndsTx {
    #[default]
    No,
    Maybe,
    Yes,
}

impl EndsTx {
    /// Reads statements, with both ways in which a server may read their strings.
    pub(crate) fn of(sql: &str) -> Self {
        let (one, has_backslashes) = Self::read(sql, false);
        if has_backslashes && Self::read(sql, true).0 != one { Self::Maybe } else { one }
    }

    fn read(sql: &str, escapes: bool) -> (Self, bool) {
        let (mut tokens, mut scanner) = (Tokens::new(sql, escapes), EndScanner::default());
        tokens.by_ref().for_each(|token| scanner.push(token));
        (scanner.ends_tx(), tokens.has_backslashes)
    }
}

/// Reads statements token by token.
#[derive(Default)]
pub(crate) struct EndScanner<'a> {
    // The result of the statements that are complete.
    so_far: EndsTx,
    depth: usize,
    // The first tokens of the present statement.
    first: [Option<Token<'a>>; 3],
    has_body: bool,
}

impl<'a> EndScanner<'a> {
    pub(crate) fn push(&mut self, token: Token<'a>) {
        match token {
            Token::Sign(b'(') => self.depth += 1,
            Token::Sign(b')') => self.depth = self.depth.saturating_sub(1),
            Token::Sign(b';') if self.depth == 0 => {
                self.so_far = self.ends_tx();
                self.first = [None; 3];
                return;
            }
            _ => {}
        }
        if let Some(free) = self.first.iter_mut().find(|first| first.is_none()) {
            *free = Some(token);
        }
        // A function may have a body with statements and an `END` of its own.
        self.has_body |= token.is("atomic");
    }

    /// Whether one of the statements so far ends the transaction.
    pub(crate) fn ends_tx(&self) -> EndsTx {
        let [Some(Token::Word(word)), next, third] = self.first else { return self.so_far };
        let is = |token: Option<Token<'_>>, keyword| token.is_some_and(|token| token.is(keyword));
        let noise = is(next, "work") || is(next, "transaction");
        let goes_back = is(if noise { third } else { next }, "to");
        let ends = is_in("abort commit end", word)
            || (is_in("rollback", word) && !goes_back)
            || (is_in("prepare", word) && is(next, "transaction"));
        match (ends, self.has_body) {
            (true, false) => EndsTx::Yes,
            (true, true) => self.so_far.max(EndsTx::Maybe),
            (false, _) => self.so_far,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::EndsTx;

    #[test]
    fn what_ends_a_transaction() {
        for sql in [
            "commit",
            " COMMIT WORK and chain;",
            "end",
            "abort",
            "rollback",
            "rollback work",
            "rollback transaction and chain",
            "/* */ rollback",
            ";; commit",
            "insert into t values (1); rollback; insert into t values (2)",
            "rollback to savepoint s; rollback",
            "prepare transaction 'x'",
            "set x = 1; end",
            "begin; end",
            "commit; select 'a\\b'",
        ] {
            assert_eq!(EndsTx::of(sql), EndsTx::Yes, "{sql}");
        }
        for sql in [
            "savepoint commit",
            "release savepoint s; rollback to s; ROLLBACK WORK TO SAVEPOINT s",
            "rollback transaction to s",
            "prepare p as select 1",
            "select 'x; commit', \"; end\", $$; rollback$$ /* ; abort */ -- ; end",
            "select case when true then 1 end; select 2",
            "create rule r as on insert to t do also (select 1; select 2)",
            "do $$ begin commit; end $$",
            "lock table t; set local x = 1",
            "begin",
            "1; select 1",
            "select 'never ends; commit",
            "select 'a\\b; commit'; select '\\d'",
        ] {
            assert_eq!(EndsTx::of(sql), EndsTx::No, "{sql}");
        }
        for sql in [
            "select 'a\\'; commit; --'",
            "create function f() returns int language sql begin atomic select 1; end",
            "select '\\'' ; commit; --'",
        ] {
            assert_eq!(EndsTx::of(sql), EndsTx::Maybe, "{sql}");
        }
    }
}
