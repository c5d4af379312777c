//! The values of expressions.

use std::time::Duration;

use tokio_postgres::types::Type;

use super::{Field, Undo, no_column};
use crate::pg::{
    error::SqlError,
    sql::{Expr, Item},
    value::{Cell, add, convert, from_text, to_text},
};

/// What a statement knows of its session, and does to it.
#[derive(Debug)]
pub(in crate::pg) struct Effects<'a> {
    pid: i32,
    parameters: &'a [(Type, Cell)],
    pub(super) undo: &'a mut Vec<Undo>,
    /// Channel and payload.
    notify: &'a mut Vec<(String, String)>,
    /// How long it takes.
    pub(in crate::pg) sleep: Duration,
}

impl<'a> Effects<'a> {
    pub(in crate::pg) fn new(
        pid: i32,
        parameters: &'a [(Type, Cell)],
        undo: &'a mut Vec<Undo>,
        notify: &'a mut Vec<(String, String)>,
    ) -> Self {
        Effects { pid, parameters, undo, notify, sleep: Duration::ZERO }
    }

    /// The types of the parameters.
    pub(super) fn types(&self) -> Vec<Option<Type>> {
        self.parameters.iter().map(|(ty, _)| Some(ty.clone())).collect()
    }
}

/// A row, with the names of its columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'a> {
    pub(super) fields: &'a [Field],
    pub(super) cells: &'a [Cell],
}

impl Values<'_> {
    pub(super) fn items(
        self,
        items: &[Item],
        effects: &mut Effects<'_>,
    ) -> Result<(Vec<Field>, Vec<Cell>), SqlError> {
        let (mut fields, mut cells) = (Vec::new(), Vec::new());
        for item in items {
            match item {
                Item::All => {
                    fields.extend_from_slice(self.fields);
                    cells.extend_from_slice(self.cells);
                }
                Item::Count { name } => {
                    fields.push((name.clone(), Type::INT8));
                    cells.push(Some(1_i64.to_be_bytes().to_vec().into()));
                }
                Item::Expr { expr, name } => {
                    let (ty, cell) = self.value(expr, None, effects)?;
                    fields.push((name.clone(), ty));
                    cells.push(cell);
                }
            }
        }
        Ok((fields, cells))
    }

    /// The value of an expression, and its type, which is `hint` where that is open.
    pub(super) fn value(
        self,
        expr: &Expr,
        hint: Option<&Type>,
        effects: &mut Effects<'_>,
    ) -> Result<(Type, Cell), SqlError> {
        let ty = expr.ty(hint, self.fields, &mut effects.types())?;
        let cell = match expr {
            Expr::Null => None,
            Expr::Bool(value) => Some(from_text(&ty, if *value { "true" } else { "false" })?),
            Expr::Number(text) | Expr::Text(text) => Some(from_text(&ty, text)?),
            Expr::Param(number) => {
                let missing = || SqlError::new("42P02", format!("there is no parameter ${}", number + 1));
                effects.parameters.get(*number).ok_or_else(missing)?.1.clone()
            }
            Expr::Column(name) => {
                let place = self.fields.iter().position(|(field, _)| field == name);
                self.cells[place.ok_or_else(|| no_column(name))?].clone()
            }
            Expr::Cast(expr, _) => {
                let (from, cell) = self.value(expr, Some(&ty), effects)?;
                convert(cell, &from, &ty)?
            }
            Expr::Add(a, b, minus) => {
                let mut side = |expr: &Expr| {
                    let (from, cell) = self.value(expr, Some(&ty), effects)?;
                    convert(cell, &from, &ty)
                };
                match (side(a)?, side(b)?) {
                    (Some(a), Some(b)) => Some(add(&ty, &a, &b, *minus)?),
                    _ => None,
                }
            }
            Expr::Call(name, arguments) => self.call(name, arguments, effects)?,
        };
        Ok((ty, cell))
    }

    fn call(self, name: &str, arguments: &[Expr], effects: &mut Effects<'_>) -> Result<Cell, SqlError> {
        let mut text = |place: usize, hint: &Type| {
            let (ty, cell) = self.value(&arguments[place], Some(hint), effects)?;
            cell.map_or(Ok(String::new()), |data| to_text(&ty, &data))
        };
        match name {
            "pg_backend_pid" => return Ok(Some(effects.pid.to_be_bytes().to_vec().into())),
            "pg_sleep" => {
                let seconds = text(0, &Type::FLOAT8)?.parse().unwrap_or(0.0);
                effects.sleep += Duration::try_from_secs_f64(seconds).unwrap_or_default();
            }
            "pg_notify" => {
                let notification = (text(0, &Type::TEXT)?, text(1, &Type::TEXT)?);
                effects.notify.push(notification);
            }
            _ => {}
        }
        Ok(Some(Default::default()))
    }
}
