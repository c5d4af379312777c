//! The parser: from tokens to a statement, by recursive descent.

use tokio_postgres::types::Type;

use super::{
    Column, Copy, Expr, Format, Item, Sql,
    lexer::{RawStatement, Token},
};
use crate::{
    error::SqlError,
    value::{array_of, type_named},
};

/// Returns the type of the first cast of a parameter in a statement.
pub(crate) fn cast_of(raw: &RawStatement, parameter: usize) -> Option<Type> {
    let casts = (0..raw.tokens.len()).filter_map(|at| match &raw.tokens[at..] {
        [Token::Param(number), Token::Cast, tokens @ ..] if *number == parameter => Some(tokens),
        _ => None,
    });
    casts.into_iter().find_map(|tokens| Parser { tokens }.ty().ok())
}

/// Parses a statement.
pub(crate) fn parse(raw: &RawStatement) -> Result<Sql, SqlError> {
    let mut parser = Parser { tokens: &raw.tokens };
    let sql = parser.statement()?;
    match parser.tokens {
        [] => Ok(sql),
        _ => Err(parser.error()),
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
}

type Parsed<T> = Result<T, SqlError>;

impl<'a> Parser<'a> {
    fn statement(&mut self) -> Parsed<Sql> {
        let verb = self.name()?;
        match verb.as_str() {
            "begin" => Ok(self.rest(Sql::Begin)),
            "start" => self.expect("transaction").map(|()| self.rest(Sql::Begin)),
            "commit" | "end" => Ok(self.rest(Sql::Commit)),
            "abort" => Ok(self.rest(Sql::Rollback)),
            "rollback" => self.rollback(),
            "savepoint" => Ok(Sql::Savepoint(self.name()?)),
            "release" => {
                self.word("savepoint");
                Ok(Sql::Release(self.name()?))
            }
            "listen" => Ok(Sql::Listen(self.name()?)),
            "unlisten" if self.symbol('*') => Ok(Sql::Unlisten(None)),
            "unlisten" => Ok(Sql::Unlisten(Some(self.name()?))),
            "notify" => {
                let channel = self.name()?;
                let payload = if self.symbol(',') { self.text()? } else { String::new() };
                Ok(Sql::Notify(channel, payload))
            }
            "set" => Ok(self.rest(Sql::Ignored("SET"))),
            "reset" => Ok(self.rest(Sql::Ignored("RESET"))),
            "discard" => Ok(self.rest(Sql::Ignored("DISCARD"))),
            "deallocate" => Ok(self.rest(Sql::Ignored("DEALLOCATE"))),
            "close" => Ok(self.rest(Sql::Ignored("CLOSE CURSOR"))),
            "create" => self.create(),
            "drop" => {
                self.expect("table")?;
                let if_exists = self.words(&["if", "exists"])?;
                Ok(Sql::DropTable { name: self.table()?, if_exists })
            }
            "truncate" => {
                self.word("table");
                Ok(Sql::Truncate(self.table()?))
            }
            "insert" => self.insert(),
            "select" => self.select(),
            "update" => self.update(),
            "delete" => {
                self.expect("from")?;
                Ok(Sql::Delete { table: self.table()?, filter: self.filter()?, returning: self.returning()? })
            }
            "copy" => self.copy(),
            verb => Err(SqlError::syntax(verb)),
        }
    }

    fn rollback(&mut self) -> Parsed<Sql> {
        self.word("transaction");
        if !self.word("to") {
            return Ok(Sql::Rollback);
        }
        self.word("savepoint");
        Ok(Sql::RollbackTo(self.name()?))
    }

    fn create(&mut self) -> Parsed<Sql> {
        let _ = self.word("temp") || self.word("temporary") || self.word("unlogged");
        self.expect("table")?;
        let if_not_exists = self.words(&["if", "not", "exists"])?;
        let name = self.table()?;
        let columns = self.list(|parser| {
            let (name, ty) = (parser.name()?, parser.ty()?);
            let (mut not_null, mut unique) = (false, false);
            loop {
                match () {
                    () if parser.words(&["primary", "key"])? => (not_null, unique) = (true, true),
                    () if parser.words(&["not", "null"])? => not_null = true,
                    () if parser.word("unique") => unique = true,
                    () => return Ok(Column { name, ty, not_null, unique }),
                }
            }
        })?;
        Ok(Sql::CreateTable { name, columns, if_not_exists })
    }

    fn insert(&mut self) -> Parsed<Sql> {
        self.expect("into")?;
        let table = self.table()?;
        let columns = self.columns()?;
        self.expect("values")?;
        let rows = self.commas(|parser| parser.list(Self::expr))?;
        Ok(Sql::Insert { table, columns, rows, returning: self.returning()? })
    }

    fn select(&mut self) -> Parsed<Sql> {
        let items = self.items()?;
        let table = if self.word("from") { Some(self.table()?) } else { None };
        let filter = self.filter()?;
        let mut order = Vec::new();
        if self.words(&["order", "by"])? {
            order = self.commas(|parser| {
                let name = parser.name()?;
                let down = parser.word("desc");
                let _ = !down && parser.word("asc");
                Ok((name, down))
            })?;
        }
        let limit = match self.word("limit") {
            true => Some(self.number()?.parse().map_err(|_| self.error())?),
            false => None,
        };
        // Accepted without effect: rows are never locked.
        let _ = self.words(&["for", "update"])? && self.words(&["skip", "locked"])?;
        Ok(Sql::Select { items, table, filter, order, limit })
    }

    fn update(&mut self) -> Parsed<Sql> {
        let table = self.table()?;
        self.expect("set")?;
        let set = self.commas(Self::equality)?;
        Ok(Sql::Update { table, set, filter: self.filter()?, returning: self.returning()? })
    }

    fn copy(&mut self) -> Parsed<Sql> {
        if let [Token::Symbol('('), ..] = self.tokens {
            let mut query = Parser { tokens: self.in_parentheses()? };
            let sql = query.statement();
            let query = match query.tokens {
                [] => sql.map(Box::new),
                _ => sql.and(Err(query.error())),
            };
            self.expect("to")?;
            self.expect("stdout")?;
            return Ok(Sql::CopyQuery(query, self.format()?));
        }
        let (table, columns) = (self.table()?, self.columns()?);
        let from = self.word("from");
        match from {
            true => self.expect("stdin")?,
            false => {
                self.expect("to")?;
                self.expect("stdout")?;
            }
        }
        Ok(Sql::Copy(Copy { table, columns, from, format: self.format()? }))
    }

    /// Parses the options of a COPY.
    fn format(&mut self) -> Parsed<Format> {
        self.word("with");
        let options = match self.tokens {
            [Token::Symbol('('), ..] => self.in_parentheses()?,
            options => std::mem::replace(&mut self.tokens, &options[..0]),
        };
        let words = options.iter().map(|option| match option {
            Token::Word(word) => word.as_str(),
            _ => "",
        });
        Ok(match words.collect::<Vec<_>>()[..] {
            [] | ["text"] | ["format", "text"] => Format::Text,
            ["binary"] | ["format", "binary"] => Format::Binary,
            _ => Format::Other,
        })
    }

    fn returning(&mut self) -> Parsed<Vec<Item>> {
        if self.word("returning") { self.items() } else { Ok(Vec::new()) }
    }

    fn items(&mut self) -> Parsed<Vec<Item>> {
        self.commas(|parser| {
            if parser.symbol('*') {
                return Ok(Item::All);
            }
            let counts = match parser.tokens {
                [
                    Token::Word(count),
                    Token::Symbol('('),
                    Token::Symbol('*'),
                    Token::Symbol(')'),
                    rest @ ..,
                ] if count == "count" => {
                    parser.tokens = rest;
                    true
                }
                _ => false,
            };
            let expr = if counts { None } else { Some(parser.expr()?) };
            let name = match (parser.word("as"), &expr) {
                (true, _) => parser.name()?,
                (false, None) => "count".to_owned(),
                (false, Some(expr)) => expr.name(),
            };
            Ok(expr.map_or(Item::Count { name: name.clone() }, |expr| Item::Expr { expr, name }))
        })
    }

    fn filter(&mut self) -> Parsed<Vec<(String, Expr)>> {
        let mut filter = Vec::new();
        if self.word("where") {
            filter.push(self.equality()?);
            while self.word("and") {
                filter.push(self.equality()?);
            }
        }
        Ok(filter)
    }

    fn equality(&mut self) -> Parsed<(String, Expr)> {
        let name = self.name()?;
        if !self.symbol('=') {
            return Err(self.error());
        }
        Ok((name, self.expr()?))
    }

    fn expr(&mut self) -> Parsed<Expr> {
        let mut expr = self.operand()?;
        loop {
            let minus = match self.tokens {
                [Token::Symbol('+'), ..] => false,
                [Token::Symbol('-'), ..] => true,
                _ => return Ok(expr),
            };
            self.tokens = &self.tokens[1..];
            expr = Expr::Add(Box::new(expr), Box::new(self.operand()?), minus);
        }
    }

    fn operand(&mut self) -> Parsed<Expr> {
        let [token, rest @ ..] = self.tokens else { return Err(self.error()) };
        let mut expr = match token {
            Token::Number(number) => Expr::Number(number.clone()),
            Token::Text(text) => Expr::Text(text.clone()),
            Token::Param(number) => Expr::Param(*number),
            Token::Symbol('-') if matches!(rest, [Token::Number(_), ..]) => {
                self.tokens = rest;
                let number = self.number()?;
                return self.casts(Expr::Number(format!("-{number}")));
            }
            Token::Word(word) => match word.as_str() {
                "null" => Expr::Null,
                "true" => Expr::Bool(true),
                "false" => Expr::Bool(false),
                _ => Expr::Column(word.clone()),
            },
            _ => return Err(self.error()),
        };
        self.tokens = rest;
        if let (Expr::Column(name), [Token::Symbol('('), ..]) = (&expr, rest) {
            expr = Expr::Call(name.clone(), self.list(Self::expr)?);
        }
        self.casts(expr)
    }

    fn casts(&mut self, mut expr: Expr) -> Parsed<Expr> {
        while let [Token::Cast, rest @ ..] = self.tokens {
            self.tokens = rest;
            expr = Expr::Cast(Box::new(expr), self.ty()?);
        }
        Ok(expr)
    }

    fn ty(&mut self) -> Parsed<Type> {
        let name = self.table()?;
        let ty = type_named(&name)
            .ok_or_else(|| SqlError::new("42704", format!("type \"{name}\" does not exist")))?;
        let _ = self.word("precision");
        if let [Token::Symbol('('), Token::Number(_), Token::Symbol(')'), rest @ ..] = self.tokens {
            self.tokens = rest;
        }
        match self.tokens {
            [Token::Symbol('['), Token::Symbol(']'), rest @ ..] => {
                self.tokens = rest;
                array_of(&ty).ok_or_else(|| self.error())
            }
            _ => Ok(ty),
        }
    }

    fn columns(&mut self) -> Parsed<Vec<String>> {
        match self.tokens {
            [Token::Symbol('('), ..] => self.list(Self::name),
            _ => Ok(Vec::new()),
        }
    }

    /// Parses `(a, b)`, which may be empty.
    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        if !self.symbol('(') {
            return Err(self.error());
        }
        if self.symbol(')') {
            return Ok(Vec::new());
        }
        let items = self.commas(item)?;
        if self.symbol(')') { Ok(items) } else { Err(self.error()) }
    }

    fn commas<T>(&mut self, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.symbol(',') {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Takes the tokens between a parenthesis and its end.
    fn in_parentheses(&mut self) -> Parsed<&'a [Token]> {
        let mut depth = 0_usize;
        for (index, token) in self.tokens.iter().enumerate() {
            match token {
                Token::Symbol('(') => depth += 1,
                Token::Symbol(')') if depth == 1 => {
                    let inside = &self.tokens[1..index];
                    self.tokens = &self.tokens[index + 1..];
                    return Ok(inside);
                }
                Token::Symbol(')') => depth -= 1,
                _ => {}
            }
        }
        Err(SqlError::syntax("end of input"))
    }

    /// Parses a name; a schema before it is ignored.
    fn table(&mut self) -> Parsed<String> {
        let name = self.name()?;
        if self.symbol('.') { self.name() } else { Ok(name) }
    }

    fn name(&mut self) -> Parsed<String> {
        let [Token::Word(word), rest @ ..] = self.tokens else { return Err(self.error()) };
        self.tokens = rest;
        Ok(word.clone())
    }

    fn text(&mut self) -> Parsed<String> {
        let [Token::Text(text), rest @ ..] = self.tokens else { return Err(self.error()) };
        self.tokens = rest;
        Ok(text.clone())
    }

    fn number(&mut self) -> Parsed<String> {
        let [Token::Number(number), rest @ ..] = self.tokens else { return Err(self.error()) };
        self.tokens = rest;
        Ok(number.clone())
    }

    fn symbol(&mut self, symbol: char) -> bool {
        let [Token::Symbol(next), rest @ ..] = self.tokens else { return false };
        if *next == symbol {
            self.tokens = rest;
        }
        *next == symbol
    }

    fn word(&mut self, word: &str) -> bool {
        let [Token::Word(next), rest @ ..] = self.tokens else { return false };
        if next == word {
            self.tokens = rest;
        }
        next == word
    }

    /// Skips these words if the first is next; then all must follow.
    fn words(&mut self, words: &[&str]) -> Parsed<bool> {
        let there = self.word(words[0]);
        if there {
            words[1..].iter().try_for_each(|word| self.expect(word))?;
        }
        Ok(there)
    }

    fn expect(&mut self, word: &str) -> Parsed<()> {
        if self.word(word) { Ok(()) } else { Err(self.error()) }
    }

    /// Ignores all remaining tokens.
    fn rest(&mut self, sql: Sql) -> Sql {
        self.tokens = &[];
        sql
    }

    fn error(&self) -> SqlError {
        match self.tokens.first() {
            Some(Token::Word(text) | Token::Number(text) | Token::Text(text)) => SqlError::syntax(text),
            Some(Token::Param(number)) => SqlError::syntax(&format!("${}", number + 1)),
            Some(Token::Symbol(symbol)) => SqlError::syntax(&symbol.to_string()),
            Some(Token::Cast) => SqlError::syntax("::"),
            None => SqlError::syntax("end of input"),
        }
    }
}

impl Expr {
    /// The name of its column in a result.
    fn name(&self) -> String {
        match self {
            Expr::Column(name) | Expr::Call(name, _) => name.clone(),
            Expr::Cast(expr, _) => expr.name(),
            _ => "?column?".to_owned(),
        }
    }
}
