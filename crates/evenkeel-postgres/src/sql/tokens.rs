//! SQL as a sequence of tokens, by the lexical rules of PostgreSQL.

/// A token. Comments and white space are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A keyword or an identifier, as it is written.
    Word(&'a str),
    /// An identifier in double quotes, without them.
    Quoted(&'a str),
    /// A string, a number or a parameter.
    Literal,
    /// Any other character.
    Sign(u8),
}

impl Token<'_> {
    /// Whether it is this keyword.
    pub(crate) fn is(self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }
}

/// The tokens of a text.
pub(crate) struct Tokens<'a> {
    text: &'a str,
    at: usize,
    escapes: bool,
    /// A server with the other setting may read the text in another way.
    pub(super) has_backslashes: bool,
    /// A quotation or comment has no end, or a name is written in escapes.
    pub(super) is_doubtful: bool,
}

impl<'a> Tokens<'a> {
    /// Reads a text. `escapes` says whether a backslash escapes in strings, as on a server without
    /// `standard_conforming_strings`.
    pub(crate) const fn new(text: &'a str, escapes: bool) -> Self {
        Self { text, at: 0, escapes, has_backslashes: false, is_doubtful: false }
    }

    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    /// Moves past the bytes that match, and returns them.
    fn take_while(&mut self, matches: impl Fn(u8) -> bool) -> &'a str {
        let from = self.at;
        self.at += self.rest().iter().position(|byte| !matches(*byte)).unwrap_or(self.rest().len());
        &self.text[from..self.at]
    }

    /// Moves past the next `end`, or to the end of the text if there is none.
    fn skip_past(&mut self, end: &str) {
        match self.text[self.at..].find(end) {
            Some(found) => self.at += found + end.len(),
            None => self.run_out(),
        }
    }

    fn run_out(&mut self) {
        self.at = self.text.len();
        self.is_doubtful = true;
    }

    fn skip_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            match self.rest() {
                [b'/', b'*', ..] => (depth, self.at) = (depth + 1, self.at + 2),
                [b'*', b'/', ..] => (depth, self.at) = (depth - 1, self.at + 2),
                [] => return self.run_out(),
                _ => self.at += 1,
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Reads a quotation, from its first quote to its last, and returns the text between them.
    fn quotation(&mut self, quote: u8, escapes: bool) -> &'a str {
        let from = self.at + 1;
        self.at = from;
        loop {
            match self.rest() {
                [b'\\', _, ..] if escapes => self.at += 2,
                [one, two, ..] if *one == quote && *two == quote => self.at += 2,
                [one, ..] if *one == quote => break,
                [] => {
                    self.run_out();
                    return "";
                }
                _ => self.at += 1,
            }
        }
        self.at += 1;
        &self.text[from..self.at - 1]
    }

    fn string(&mut self) -> Token<'a> {
        self.has_backslashes |= self.quotation(b'\'', self.escapes).contains('\\');
        Token::Literal
    }

    fn word(&mut self) -> Token<'a> {
        let word = self.take_while(|byte| is_start(byte) || byte.is_ascii_digit() || byte == b'$');
        match (word, self.rest()) {
            ("e" | "E", [b'\'', ..]) => {
                self.quotation(b'\'', true);
                Token::Literal
            }
            ("u" | "U", [b'&', b'\'' | b'"', ..]) => {
                self.is_doubtful = true;
                Token::Word(word)
            }
            _ => Token::Word(word),
        }
    }

    /// Reads a parameter, a string between tags, or the sign alone.
    fn dollar(&mut self) -> Token<'a> {
        let (from, digits) = (self.at, |byte: u8| byte.is_ascii_digit());
        self.at += 1;
        if !self.take_while(digits).is_empty() {
            return Token::Literal;
        }
        if self.rest().first().is_some_and(|byte| is_start(*byte)) {
            self.take_while(|byte| is_start(byte) || byte.is_ascii_digit());
        }
        if self.rest().first() != Some(&b'$') {
            self.at = from + 1;
            return Token::Sign(b'$');
        }
        self.at += 1;
        let tag = &self.text[from..self.at];
        self.skip_past(tag);
        Token::Literal
    }
}

/// Whether a word is in a list of words separated by white space, in any case.
pub(crate) fn is_in(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|known| known.eq_ignore_ascii_case(word))
}

/// Whether an identifier may begin with this byte.
const fn is_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            return Some(match self.rest() {
                [] => return None,
                [b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c', ..] => {
                    self.at += 1;
                    continue;
                }
                [b'-', b'-', ..] => {
                    self.take_while(|byte| byte != b'\n' && byte != b'\r');
                    continue;
                }
                [b'/', b'*', ..] => {
                    self.skip_comment();
                    continue;
                }
                [b'\'', ..] => self.string(),
                [b'"', ..] => Token::Quoted(self.quotation(b'"', false)),
                [b'$', ..] => self.dollar(),
                [first, ..] if is_start(*first) => self.word(),
                [first, ..] if first.is_ascii_digit() => {
                    // Older servers let a word begin where the digits end.
                    self.take_while(|byte| byte.is_ascii_digit() || byte == b'.');
                    Token::Literal
                }
                [sign, ..] => {
                    self.at += 1;
                    Token::Sign(*sign)
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Token, Tokens};

    /// Returns the tokens as a short text (words, `"identifiers"`, `?` for literals, signs), and whether there is doubt.
    fn read(sql: &str, escapes: bool) -> (String, bool) {
        let mut tokens = Tokens::new(sql, escapes);
        let shown: Vec<String> = tokens
            .by_ref()
            .map(|token| match token {
                Token::Word(word) => word.to_owned(),
                Token::Quoted(name) => format!("{name:?}"),
                Token::Literal => "?".to_owned(),
                Token::Sign(sign) => char::from(sign).to_string(),
            })
            .collect();
        (shown.join(" "), tokens.is_doubtful)
    }

    #[test]
    fn it_reads_as_the_server_does() {
        for (sql, shown) in [
            ("", ""),
            ("select 1, $1, 'it''s', x.y from \"a b\"", "select ? , ? , ? , x . y from \"a b\""),
            ("a--b\nc/*d/*e*/f*/g", "a c g"),
            ("a--b\rc", "a c"),
            ("E'\\'; b' e'\\\\' c", "? ? c"),
            ("$$ a'b $$ $t$ $$ $u$ $t$ c", "? ? c"),
            ("a$$b$$ $1$$c$$", "a$$b$$ ? ?"),
            ("\"a\"\"b\" x'1f' 1into 1.5e3 1e'\\''", "\"a\\\"\\\"b\" x ? ? into ? e3 ? ?"),
            ("größe\u{a0}x - -1", "größe\u{a0}x - - ?"),
            ("$ $a b", "$ $ a b"),
        ] {
            for escapes in [false, true] {
                assert_eq!(read(sql, escapes), (shown.to_owned(), false), "{sql}");
            }
        }
        let quotes = "'\\'' a ' b";
        assert_eq!(read(quotes, false), ("? b".to_owned(), false));
        assert_eq!(read(quotes, true), ("? a ?".to_owned(), true));
        for sql in ["'a", "\"a", "/* /* */", "$a$ $$", "e'\\'", "U&\"a\"", "u&'a'"] {
            assert!(read(sql, false).1, "{sql}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// The tokenizer ends without a panic, and moves on at every token.
        #[test]
        fn any_text_has_tokens(sql in "([-'\"$/*\\\\;()&.eU a1é\n]|\\PC){0,40}") {
            for escapes in [false, true] {
                prop_assert!(Tokens::new(&sql, escapes).count() <= sql.len());
            }
        }

        /// Where there is no doubt, a longer text begins with the same tokens.
        #[test]
        fn it_reads_from_left_to_right(sql in "([-'\"$/*\\\\;()&.eU a1é\n]){0,40}", more in "[a1 ;]{0,5}") {
            let (before, doubt) = read(&sql, false);
            prop_assume!(!doubt);
            let (all, _) = read(&format!("{sql}\n{more}"), false);
            prop_assert!(all.starts_with(&before), "{before} / {all}");
        }
    }
}
