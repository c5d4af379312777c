//! The evaluation of expressions.

use std::time::Duration;

use tokio_postgres::types::Type;

use super::{Field, Undo, no_column};
use crate::{
    error::SqlError,
    sql::{Expr, Item},
    value::{Cell, add, convert, from_text, to_text},
};

/// The context of a statement: parameters to read, and effects on its session.
#[derive(Debug)]
pub(crate) struct ExecContext<'a> {
    pid: i32,
    parameters: &'a [(Type, Cell)],
    pub(super) undo: &'a mut Vec<Undo>,
    /// Channel and payload.
    notify: &'a mut Vec<(String, String)>,
    /// The time that the statement takes.
    pub(crate) sleep: Duration,
}

impl<'a> ExecContext<'a> {
    pub(crate) fn new(
        pid: i32,
        parameters: &'a [(Type, Cell)],
        undo: &'a mut Vec<Undo>,
        notify: &'a mut Vec<(String, String)>,
    ) -> Self {
        ExecContext { pid, parameters, undo, notify, sleep: Duration::ZERO }
    }

    /// The types of the parameters.
    pub(super) fn types(&self) -> Vec<Option<Type>> {
        self.parameters.iter().map(|(ty, _)| Some(ty.clone())).collect()
    }
}

/// A row, with the names of its columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowValues<'a> {
    pub(super) fields: &'a [Field],
    pub(super) cells: &'a [Cell],
}

impl RowValues<'_> {
    /// Evaluates the columns of a result for this row.
    pub(super) fn items(self, items: &[Item], context: &mut ExecContext<'_>) -> Result<Vec<Cell>, SqlError> {
        let mut cells = Vec::new();
        for item in items {
            match item {
                Item::All => cells.extend_from_slice(self.cells),
                Item::Count { .. } => cells.push(Some(1_i64.to_be_bytes().to_vec().into())),
                Item::Expr { expr, .. } => cells.push(self.value(expr, None, context)?.1),
            }
        }
        Ok(cells)
    }

    /// Evaluates an expression to its type, which is `hint` where the expression leaves it open, and its value.
    pub(super) fn value(
        self,
        expr: &Expr,
        hint: Option<&Type>,
        context: &mut ExecContext<'_>,
    ) -> Result<(Type, Cell), SqlError> {
        let ty = expr.ty(hint, self.fields, &mut context.types())?;
        let cell = match expr {
            Expr::Null => None,
            Expr::Bool(value) => Some(from_text(&ty, if *value { "true" } else { "false" })?),
            Expr::Number(text) | Expr::Text(text) => Some(from_text(&ty, text)?),
            Expr::Param(number) => {
                let missing = || SqlError::new("42P02", format!("there is no parameter ${}", number + 1));
                context.parameters.get(*number).ok_or_else(missing)?.1.clone()
            }
            Expr::Column(name) => {
                let index = self.fields.iter().position(|(field, _)| field == name);
                self.cells[index.ok_or_else(|| no_column(name))?].clone()
            }
            Expr::Cast(expr, _) => {
                let (from, cell) = self.value(expr, Some(&ty), context)?;
                convert(cell, &from, &ty)?
            }
            Expr::Add(a, b, minus) => {
                let mut side = |expr: &Expr| {
                    let (from, cell) = self.value(expr, Some(&ty), context)?;
                    convert(cell, &from, &ty)
                };
                match (side(a)?, side(b)?) {
                    (Some(a), Some(b)) => Some(add(&ty, &a, &b, *minus)?),
                    _ => None,
                }
            }
            Expr::Call(name, arguments) => self.call(name, arguments, context)?,
        };
        Ok((ty, cell))
    }

    fn call(self, name: &str, arguments: &[Expr], context: &mut ExecContext<'_>) -> Result<Cell, SqlError> {
        let mut text = |index: usize, hint: &Type| {
            let (ty, cell) = self.value(&arguments[index], Some(hint), context)?;
            cell.map_or(Ok(String::new()), |data| to_text(&ty, &data))
        };
        match name {
            "pg_backend_pid" => return Ok(Some(context.pid.to_be_bytes().to_vec().into())),
            "pg_sleep" => {
                let seconds: f64 = text(0, &Type::FLOAT8)?.parse().unwrap_or(0.0);
                let time = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
                context.sleep = context.sleep.saturating_add(time);
            }
            "pg_notify" => {
                let notification = (text(0, &Type::TEXT)?, text(1, &Type::TEXT)?);
                context.notify.push(notification);
            }
            _ => {}
        }
        Ok(Some(Default::default()))
    }
}
