//! The target of a bulk write: a table and its columns.

use tokio_postgres::{Column, types::Type};

use crate::{
    Error,
    connection::{Connection, prepared::PreparedStatement},
    sql::effect::SqlEffect,
};

/// A table and its columns, as in SQL: `users (id, name)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// The whole text.
    pub(crate) text: &'a str,
    table: &'a str,
    pub(crate) columns: &'a str,
}

impl<'a> Target<'a> {
    /// Splits the text at the first parenthesis that is not part of a quoted name.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Error> {
        let mut is_quoted = false;
        let open = text.char_indices().find_map(|(index, c)| {
            is_quoted ^= c == '"';
            (c == '(' && !is_quoted).then_some(index)
        });
        let split = open.and_then(|open| {
            let columns = text[open + 1..].trim_end().strip_suffix(')')?.trim();
            Some(Self { text, table: text[..open].trim(), columns })
        });
        split
            .filter(|target| !target.table.is_empty() && !target.columns.is_empty())
            .ok_or_else(|| Error::Target(text.to_owned()))
    }

    /// Reads the columns, and no row. The server tells their types when it prepares it.
    pub(crate) fn select(&self) -> String {
        format!("select {} from {}", self.columns, self.table)
    }

    /// The effect of a write of rows.
    pub(crate) fn effect(&self) -> SqlEffect {
        SqlEffect { writes: true, ..SqlEffect::of(&self.select()) }
    }
}

impl Connection {
    /// Asks the server for the types of the columns. They are not remembered: a table may be altered at any time, and the
    /// server cannot tell a value of another type from a broken one.
    pub(crate) async fn column_types(&self, target: &Target<'_>) -> Result<Vec<Type>, Error> {
        Ok(column_types(&self.prepare(&target.select(), target.effect()).await?))
    }
}

/// The types of the columns of a statement.
pub(crate) fn column_types(prepared: &PreparedStatement) -> Vec<Type> {
    prepared.statement.columns().iter().map(Column::type_).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_table_and_its_columns() {
        for (text, table, columns) in [
            ("users (id, name)", "users", "id, name"),
            (" app.users(id) ", "app.users", "id"),
            (r#""odd (table" ("a)b", c)"#, r#""odd (table""#, r#""a)b", c"#),
            (r#""quote""(d" (id)"#, r#""quote""(d""#, "id"),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!((target.table, target.columns), (table, columns), "{text}");
        }
        for text in ["", "users", "users ()", "(id)", "users (id", r#""users (id)"#, "users (id) x"] {
            assert!(matches!(Target::parse(text), Err(Error::Target(_))), "{text}");
        }
    }
}
