//! The SQL that the tables understand.

pub(super) use self::{
    lexer::{RawStatement, split_statements},
    parser::{cast_of, parse},
};
use super::error::SqlError;
use tokio_postgres::types::Type;

mod lexer;
mod parser;

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sql {
    Begin,
    Commit,
    Rollback,
    Savepoint(String),
    RollbackTo(String),
    Release(String),
    Listen(String),
    /// `None` for all channels.
    Unlisten(Option<String>),
    Notify(String, String),
    /// Answered with its command tag, without effect: `set`, `reset` and others.
    Ignored(&'static str),
    CreateTable {
        name: String,
        columns: Vec<Column>,
        if_not_exists: bool,
    },
    DropTable {
        name: String,
        if_exists: bool,
    },
    Truncate(String),
    Insert {
        table: String,
        /// Empty for all columns.
        columns: Vec<String>,
        rows: Vec<Vec<Expr>>,
        returning: Vec<Item>,
    },
    Update {
        table: String,
        set: Vec<(String, Expr)>,
        filter: Vec<(String, Expr)>,
        returning: Vec<Item>,
    },
    Delete {
        table: String,
        filter: Vec<(String, Expr)>,
        returning: Vec<Item>,
    },
    Select {
        items: Vec<Item>,
        table: Option<String>,
        filter: Vec<(String, Expr)>,
        /// The columns, and whether their order is descending.
        order: Vec<(String, bool)>,
        limit: Option<usize>,
    },
    Copy(Copy),
    /// `copy (select …) to stdout`; the query may be one that the tables do not understand.
    CopyQuery(Result<Box<Sql>, SqlError>, Format),
}

/// `copy t (a, b) from stdin`, or `to stdout`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Copy {
    pub(super) table: String,
    pub(super) columns: Vec<String>,
    pub(super) from: bool,
    pub(super) format: Format,
}

/// The format of a COPY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Binary,
    /// CSV, or text with options: for scripts alone.
    Other,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) ty: Type,
    pub(super) not_null: bool,
    pub(super) unique: bool,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    All,
    Count { name: String },
    Expr { expr: Expr, name: String },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    /// Counted from 0.
    Param(usize),
    Column(String),
    Call(String, Vec<Expr>),
    Cast(Box<Expr>, Type),
    Add(Box<Expr>, Box<Expr>, bool),
}

impl Sql {
    /// `select a, b from t`; all columns, if `columns` is empty.
    pub(super) fn everything(table: &str, columns: &[String]) -> Self {
        let column = |name: &String| Item::Expr { expr: Expr::Column(name.clone()), name: name.clone() };
        let items = match columns {
            [] => vec![Item::All],
            columns => columns.iter().map(column).collect(),
        };
        let (filter, order) = (Vec::new(), Vec::new());
        Sql::Select { items, table: Some(table.to_owned()), filter, order, limit: None }
    }
}
