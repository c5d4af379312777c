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
            let end = match self.rest.get(..2) {
                Some("--") => self.rest.find('\n'),
                Some("/*") => self.rest.find("*/").map(|end| end + 2),
                _ => return self.rest,
            };
            self.rest = &self.rest[end.unwrap_or(self.rest.len())..];
        }
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
            '$' if self.rest[1..].find('$').is_some() => self.dollar_quoted(),
            ':' if self.rest.starts_with("::") => {
                self.rest = &self.rest[2..];
                Token::Cast
            }
            c if c.is_ascii_digit() => {
                Token::Number(self.take(|c| c.is_ascii_alphanumeric() || c == '.').to_owned())
            }
            c if c.is_alphabetic() || c == '_' => {
                Token::Word(self.take(|c| c.is_alphanumeric() || c == '_').to_lowercase())
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

    /// `$tag$ … $tag$`
    fn dollar_quoted(&mut self) -> Token {
        let tag = self.rest[1..].find('$').map_or(self.rest, |end| &self.rest[..end + 2]);
        let body = &self.rest[tag.len()..];
        let end = body.find(tag).unwrap_or(body.len());
        self.rest = body.get(end + tag.len()..).unwrap_or_default();
        Token::Text(body[..end].to_owned())
    }
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
