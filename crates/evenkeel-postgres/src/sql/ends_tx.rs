//! Reading off the text of statements whether they end the transaction that they run in.

use crate::sql::effect::has;
use crate::sql::{Token, Tokens};

/// Whether statements end the transaction that they run in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ends {
    #[default]
    Never,
    Perhaps,
    Surely,
}

impl Ends {
    /// Whether one of these statements ends it, whichever way the server reads their strings.
    pub(crate) fn of(sql: &str) -> Self {
        let (one, has_backslashes) = Self::read(sql, false);
        if has_backslashes && Self::read(sql, true).0 != one { Self::Perhaps } else { one }
    }

    fn read(sql: &str, escapes: bool) -> (Self, bool) {
        let (mut tokens, mut ending) = (Tokens::new(sql, escapes), Ending::default());
        tokens.by_ref().for_each(|token| ending.see(token));
        (ending.ends(), tokens.has_backslashes())
    }
}

/// Looks for the ends of transactions among statements.
#[derive(Default)]
pub(crate) struct Ending<'a> {
    most: Ends,
    depth: usize,
    first: [Option<Token<'a>>; 3],
    has_body: bool,
}

impl<'a> Ending<'a> {
    pub(crate) fn see(&mut self, token: Token<'a>) {
        match token {
            Token::Sign(b'(') => self.depth += 1,
            Token::Sign(b')') => self.depth = self.depth.saturating_sub(1),
            Token::Sign(b';') if self.depth == 0 => {
                self.most = self.ends();
                self.first = [None; 3];
                return;
            }
            _ => {}
        }
        if let Some(free) = self.first.iter_mut().find(|first| first.is_none()) {
            *free = Some(token);
        }
        // The body of a function, with statements and an `END` of its own.
        self.has_body |= token.is("atomic");
    }

    /// Whether one of the statements so far ends it.
    pub(crate) fn ends(&self) -> Ends {
        let [Some(Token::Word(word)), next, third] = self.first else { return self.most };
        let is = |token: Option<Token<'_>>, keyword| token.is_some_and(|token| token.is(keyword));
        let noise = is(next, "work") || is(next, "transaction");
        let goes_back = is(if noise { third } else { next }, "to");
        let ends = has("abort commit end", word)
            || (has("rollback", word) && !goes_back)
            || (has("prepare", word) && is(next, "transaction"));
        match (ends, self.has_body) {
            (true, false) => Ends::Surely,
            (true, true) => self.most.max(Ends::Perhaps),
            (false, _) => self.most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ends;

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
            assert_eq!(Ends::of(sql), Ends::Surely, "{sql}");
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
            assert_eq!(Ends::of(sql), Ends::Never, "{sql}");
        }
        for sql in [
            "select 'a\\'; commit; --'",
            "create function f() returns int language sql begin atomic select 1; end",
            "select '\\'' ; commit; --'",
        ] {
            assert_eq!(Ends::of(sql), Ends::Perhaps, "{sql}");
        }
    }
}
