//! The lexer: from text to statements of tokens.

/// The limit of the protocol.
const MAX_PARAMETERS: usize = 65_535;

/// A token of SQL.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// A keyword or a name, in lower case unless it is quoted.
    Word(String),
    Number(String),
    Text(String),
    /// `$1` is 0.
    Param(usize),
    /// `::`
    Cast,
    Symbol(char),
}

/// A statement of a text, not parsed yet.
#[derive(Clone, Debug)]
pub(crate) struct RawStatement {
    /// Its text without the semicolon.
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
}

impl RawStatement {
    /// The first word.
    pub(crate) fn verb(&self) -> &str {
        match self.tokens.first() {
            Some(Token::Word(word)) => word,
            _ => "",
        }
    }

    /// Whether its last word is `all`, as in `discard all`.
    pub(crate) fn is_all(&self) -> bool {
        matches!(self.tokens.last(), Some(Token::Word(word)) if word == "all")
    }

    /// The number of its parameters.
    pub(crate) fn parameters(&self) -> usize {
        let parameters = self.tokens.iter().filter_map(|token| match token {
            Token::Param(number) => Some(number + 1),
            _ => None,
        });
        parameters.max().unwrap_or(0)
    }
}

/// Splits a text at its semicolons; statements without a token are left out.
pub(crate) fn split_statements(sql: &str) -> Vec<RawStatement> {
    let mut lexer = Lexer { rest: sql };
    let (mut statements, mut tokens, mut start) = (Vec::new(), Vec::new(), sql);
    loop {
        let before = lexer.skip();
        if tokens.is_empty() {
            start = before;
        }
        let token = lexer.token();
        if let Some(Token::Symbol(';')) | None = token {
            if !tokens.is_empty() {
                let text = start[..start.len() - before.len()].trim_end().to_owned();
                statements.push(RawStatement { text, tokens: std::mem::take(&mut tokens) });
            }
            if token.is_none() {
                return statements;
            }
        }
        tokens.extend(token.filter(|token| *token != Token::Symbol(';')));
    }
}

struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    /// Skips white space and comments; returns the rest.
    fn skip(&mut self) -> &'a str {
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.starts_with("--") {
                self.take(|c| c != '\n' && c != '\r');
            } else if self.rest.starts_with("/*") {
                self.skip_comment();
            } else {
                return self.rest;
            }
        }
    }

    /// Skips a comment, in which others may be nested.
    fn skip_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            if let Some(rest) = self.rest.strip_prefix("/*") {
                (depth, self.rest) = (depth + 1, rest);
            } else if let Some(rest) = self.rest.strip_prefix("*/") {
                (depth, self.rest) = (depth - 1, rest);
            } else if self.next_char().is_none() {
                return;
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn next_char(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    fn token(&mut self) -> Option<Token> {
        let first = self.rest.chars().next()?;
        Some(match first {
            '\'' => Token::Text(self.quoted('\'')),
            '"' => Token::Word(self.quoted('"')),
            '$' if self.rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                self.rest = &self.rest[1..];
                let number = self.take(|c| c.is_ascii_digit()).parse().unwrap_or(MAX_PARAMETERS);
                Token::Param(number.clamp(1, MAX_PARAMETERS) - 1)
            }
            '$' => match self.dollar_tag() {
                Some(tag) => self.dollar_quoted(tag),
                None => {
                    self.next_char();
                    Token::Symbol('$')
                }
            },
            'e' | 'E' if self.rest[1..].starts_with('\'') => {
                self.next_char();
                Token::Text(self.escaped())
            }
            ':' if self.rest.starts_with("::") => {
                self.rest = &self.rest[2..];
                Token::Cast
            }
            c if c.is_ascii_digit() => {
                Token::Number(self.take(|c| c.is_ascii_alphanumeric() || c == '.').to_owned())
            }
            c if starts_word(c) => {
                Token::Word(self.take(|c| starts_word(c) || c.is_ascii_digit() || c == '$').to_lowercase())
            }
            c => {
                self.rest = &self.rest[c.len_utf8()..];
                Token::Symbol(c)
            }
        })
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let (token, rest) = self.rest.split_at(self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len()));
        self.rest = rest;
        token
    }

    /// Reads a quoted text, in which two quotes stand for one.
    fn quoted(&mut self, quote: char) -> String {
        let mut text = String::new();
        self.rest = &self.rest[1..];
        loop {
            text.push_str(self.take(|c| c != quote));
            self.rest = self.rest.strip_prefix(quote).unwrap_or_default();
            match self.rest.strip_prefix(quote) {
                Some(rest) => self.rest = rest,
                None => return text,
            }
            text.push(quote);
        }
    }

    /// Reads the quoted part of `E'…'`, in which a backslash escapes.
    fn escaped(&mut self) -> String {
        let mut text = String::new();
        self.next_char();
        while let Some(c) = self.next_char() {
            text.push(match c {
                '\'' if self.rest.starts_with('\'') => self.next_char().unwrap_or_default(),
                '\'' => break,
                '\\' if self.rest.starts_with(|c: char| c.is_digit(8)) => self.code(8, 3).unwrap_or_default(),
                '\\' => match self.next_char() {
                    Some('b') => '\u{8}',
                    Some('f') => '\u{c}',
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('t') => '\t',
                    Some('x') => self.code(16, 2).unwrap_or('x'),
                    Some('u') => self.code(16, 4).unwrap_or('u'),
                    Some('U') => self.code(16, 8).unwrap_or('U'),
                    Some(c) => c,
                    None => break,
                },
                c => c,
            });
        }
        text
    }

    /// Reads the code of a character, of at most this number of digits.
    fn code(&mut self, radix: u32, digits: usize) -> Option<char> {
        let count = self.rest.chars().take(digits).take_while(|c| c.is_digit(radix)).count();
        let (code, rest) = self.rest.split_at(count);
        let code = char::from_u32(u32::from_str_radix(code, radix).ok()?)?;
        self.rest = rest;
        Some(code)
    }

    /// The tag in front of a text of the form `$tag$ … $tag$`.
    fn dollar_tag(&self) -> Option<&'a str> {
        let (name, _) = self.rest[1..].split_once('$')?;
        let fits = |(index, c): (usize, char)| starts_word(c) || (index > 0 && c.is_ascii_digit());
        name.char_indices().all(fits).then(|| &self.rest[..name.len() + 2])
    }

    fn dollar_quoted(&mut self, tag: &str) -> Token {
        let body = &self.rest[tag.len()..];
        let end = body.find(tag).unwrap_or(body.len());
        self.rest = body.get(end + tag.len()..).unwrap_or_default();
        Token::Text(body[..end].to_owned())
    }
}

/// Whether a name may begin with this character.
fn starts_word(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<String> {
        split_statements(sql).into_iter().map(|raw| raw.text).collect()
    }

    #[test]
    fn statements_end_at_semicolons() {
        assert_eq!(texts(""), [""; 0]);
        assert_eq!(texts(" ; ;; "), [""; 0]);
        assert_eq!(texts(" select 1 ; select\n2"), ["select 1", "select\n2"]);
        assert_eq!(texts("select ';' ; -- no; thing\n select \";\""), ["select ';'", "select \";\""]);
        assert_eq!(texts("/* a; b */ select 'it''s;'"), ["select 'it''s;'"]);
        assert_eq!(texts("do $x$ a; $$ b; $x$; commit"), ["do $x$ a; $$ b; $x$", "commit"]);
        assert_eq!(texts("select 'open; end"), ["select 'open; end"]);
    }

    #[test]
    fn a_semicolon_may_be_in_a_comment_or_a_text() {
        assert_eq!(texts("/* a /* b */ ; c */ select 1; /* open /* ; */ ;"), ["select 1"]);
        let nested = ["select /**/ 1 /*/ ; */", "select /* /*/ */ ; */ */ 2"];
        assert_eq!(texts(&nested.join(";")), nested);
        assert_eq!(texts("select 1 -- a;\r; select 2"), ["select 1 -- a;", "select 2"]);
        assert_eq!(
            texts(r"select e'it\'s; ''; ', E'\\'; select 2"),
            [r"select e'it\'s; ''; ', E'\\'", "select 2"]
        );
        let dollars = ["select $1", "$$a;b$$", "$a$$; $a$", "$1$", "a$b$", "$é1$ ; $é1$", "$"];
        assert_eq!(texts(&dollars.join(";")), dollars);
    }

    #[test]
    fn a_backslash_escapes_in_some_texts() {
        let text = |sql: &str| split_statements(sql).remove(0).tokens.remove(0);
        let escaped = text(r"E'a\n\t\'''\\\x41\102\u00e9\U0001F600\q'");
        assert_eq!(escaped, Token::Text("a\n\t''\\ABé😀q".to_owned()));
        assert_eq!(text(r"'a\n'"), Token::Text(r"a\n".to_owned()));
        assert_eq!(text(r"E'open\"), Token::Text("open".to_owned()));
    }

    #[test]
    fn tokens_are_words_numbers_texts_and_parameters() {
        let tokens = split_statements("SELECT \"A b\", 1.5, 'it''s', $2::Int8 <> é").remove(0);
        let word = |word: &str| Token::Word(word.to_owned());
        let expected = [
            word("select"),
            word("A b"),
            Token::Symbol(','),
            Token::Number("1.5".to_owned()),
            Token::Symbol(','),
            Token::Text("it's".to_owned()),
            Token::Symbol(','),
            Token::Param(1),
            Token::Cast,
            word("int8"),
            Token::Symbol('<'),
            Token::Symbol('>'),
            word("é"),
        ];
        assert_eq!(tokens.tokens, expected);
        assert_eq!((tokens.verb(), tokens.parameters()), ("select", 2));
    }
}
