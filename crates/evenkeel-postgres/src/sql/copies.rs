//! Tells from the text of statements whether one is a `COPY` that sends or takes data over the connection.

use super::tokens::{Token, Tokens, is_in};

/// Whether one of these statements is such a `COPY`.
pub(crate) fn copies(sql: &str) -> bool {
    let names = |word: &[u8]| word.eq_ignore_ascii_case(b"stdin") || word.eq_ignore_ascii_case(b"stdou");
    // Scripts may be long.
    if !sql.as_bytes().windows(5).any(names) {
        return false;
    }
    let mut scanner = CopyScanner::default();
    Tokens::new(sql, false).for_each(|token| scanner.push(token));
    scanner.found
}

/// Reads statements token by token.
#[derive(Default)]
pub(crate) struct CopyScanner<'a> {
    /// There is one.
    pub(crate) found: bool,
    // The present statement is a `COPY`.
    is_copy: bool,
    depth: usize,
    last: Option<Token<'a>>,
}

impl<'a> CopyScanner<'a> {
    pub(crate) fn push(&mut self, token: Token<'a>) {
        match token {
            Token::Sign(b'(') => self.depth += 1,
            Token::Sign(b')') => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        match self.last {
            None | Some(Token::Sign(b';')) => self.is_copy = token.is("copy"),
            Some(last) if self.is_copy && self.depth == 0 && (last.is("from") || last.is("to")) => {
                self.found |= matches!(token, Token::Word(word) if is_in("stdin stdout", word));
            }
            Some(_) => {}
        }
        self.last = Some(token);
    }
}

#[cfg(test)]
mod tests {
    use super::copies;

    #[test]
    fn a_copy_over_the_connection_is_told_from_one_of_the_server() {
        for sql in [
            "copy t from stdin",
            "COPY s.t (a, b) FROM STDIN (format csv)",
            "copy (select 1) to stdout",
            "copy t to stdin with binary",
            "-- x\ncopy \"T\" from stdout where a > 1",
            "create table t (n int); copy t from stdin; select 1",
        ] {
            assert!(copies(sql), "{sql}");
        }
        for sql in [
            "copy t from '/a/stdin'",
            "copy stdin from 'file'",
            "copy stdin to program 'cat'",
            "copy (select a from stdin) to 'file'",
            "copy t from \"stdin\"",
            "select copy from stdin",
            "insert into t values ('copy t from stdin')",
            "select 1; insert into copy select a from stdout",
            "copy t to 'x'; select * from stdin",
        ] {
            assert!(!copies(sql), "{sql}");
        }
    }
}
