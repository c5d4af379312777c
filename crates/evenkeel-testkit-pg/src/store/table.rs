//! A table: rows, unique keys, filters, order.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
};

use bytes::Bytes;

use super::{
    Field,
    eval::{ExecContext, RowValues},
    no_column,
};
use crate::{
    error::SqlError,
    sql::{Column, Expr},
    value::{Cell, compare, convert},
};

#[derive(Debug)]
pub(super) struct Table {
    /// Unique among all tables so far.
    pub(super) id: u64,
    pub(super) columns: Vec<Column>,
    /// In the order of insertion.
    rows: BTreeMap<u64, Vec<Cell>>,
    /// For each unique column, an index of the rows by value.
    keys: BTreeMap<usize, HashMap<Bytes, u64>>,
}

impl Table {
    pub(super) fn new(id: u64, columns: Vec<Column>) -> Self {
        let unique = columns.iter().enumerate().filter(|(_, column)| column.unique);
        let keys = unique.map(|(index, _)| (index, HashMap::new())).collect();
        Table { id, columns, rows: BTreeMap::new(), keys }
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        self.columns.iter().map(Column::field).collect()
    }

    pub(super) fn index(&self, name: &str) -> Result<usize, SqlError> {
        self.columns.iter().position(|column| column.name == name).ok_or_else(|| no_column(name))
    }

    /// The indices of these columns; of all, if there are none.
    pub(super) fn indices(&self, names: &[String]) -> Result<Vec<usize>, SqlError> {
        match names {
            [] => Ok((0..self.columns.len()).collect()),
            names => names.iter().map(|name| self.index(name)).collect(),
        }
    }

    pub(super) fn row(&self, row: u64) -> &[Cell] {
        &self.rows[&row]
    }

    /// Sets or removes a row, and returns its value before.
    pub(super) fn put(&mut self, row: u64, cells: Option<Vec<Cell>>) -> Option<Vec<Cell>> {
        let before = self.rows.remove(&row);
        for (index, keys) in &mut self.keys {
            if let Some(Some(key)) = before.as_ref().map(|cells| &cells[*index])
                && keys.get(key) == Some(&row)
            {
                keys.remove(key);
            }
            if let Some(Some(key)) = cells.as_ref().map(|cells| &cells[*index]) {
                keys.insert(key.clone(), row);
            }
        }
        self.rows.extend(cells.map(|cells| (row, cells)));
        before
    }

    /// Checks the constraints of a row.
    pub(super) fn check(&self, name: &str, row: u64, cells: &[Cell]) -> Result<(), SqlError> {
        for (index, column) in self.columns.iter().enumerate() {
            match &cells[index] {
                None if column.not_null => {
                    let message = format!("null value in column \"{}\" of relation \"{name}\"", column.name);
                    return Err(SqlError::new("23502", format!("{message} violates not-null constraint")));
                }
                Some(key) if self.with_key(index, key).is_some_and(|other| other != row) => {
                    let message =
                        format!("duplicate key value violates unique constraint on \"{}\"", column.name);
                    return Err(SqlError::new("23505", message));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The values for these indices.
    pub(super) fn row_of(
        &self,
        indices: &[usize],
        row: &[Expr],
        context: &mut ExecContext<'_>,
    ) -> Result<Vec<Cell>, SqlError> {
        if row.len() > indices.len() {
            return Err(SqlError::new("42601", "INSERT has more expressions than target columns"));
        }
        let cells = row.iter().zip(indices);
        cells.map(|(expr, index)| self.value(*index, expr, &[], &[], context)).collect()
    }

    /// Evaluates an expression for a column.
    pub(super) fn value(
        &self,
        index: usize,
        expr: &Expr,
        fields: &[Field],
        cells: &[Cell],
        context: &mut ExecContext<'_>,
    ) -> Result<Cell, SqlError> {
        let ty = &self.columns[index].ty;
        let (from, cell) = RowValues { fields, cells }.value(expr, Some(ty), context)?;
        convert(cell, &from, ty)
    }

    /// The rows that match a filter.
    pub(super) fn matching(
        &self,
        filter: &[(String, Expr)],
        context: &mut ExecContext<'_>,
    ) -> Result<Vec<u64>, SqlError> {
        let fields = self.fields();
        let filter = filter.iter().map(|(column, expr)| Ok((self.index(column)?, expr)));
        let filter: Vec<(usize, &Expr)> = filter.collect::<Result<_, SqlError>>()?;
        let keyed = filter.iter().find(|(index, expr)| self.keys.contains_key(index) && expr.is_constant());
        let candidates = match keyed {
            Some((index, expr)) => {
                let key = self.value(*index, expr, &[], &[], context)?;
                key.and_then(|key| self.with_key(*index, &key)).into_iter().collect()
            }
            None => self.rows.keys().copied().collect::<Vec<u64>>(),
        };
        let mut found = Vec::new();
        'rows: for row in candidates {
            let cells = self.row(row);
            for (index, expr) in &filter {
                let wanted = self.value(*index, expr, &fields, cells, context)?;
                // NULL equals nothing.
                if wanted.is_none() || cells[*index] != wanted {
                    continue 'rows;
                }
            }
            found.push(row);
        }
        Ok(found)
    }

    pub(super) fn sort(&self, found: &mut [u64], order: &[(String, bool)]) -> Result<(), SqlError> {
        let order = order.iter().map(|(name, down)| Ok((self.index(name)?, *down)));
        let order: Vec<(usize, bool)> = order.collect::<Result<_, SqlError>>()?;
        found.sort_by(|a, b| {
            let by_column = order.iter().map(|&(index, down)| {
                let (a, b) = (&self.row(*a)[index], &self.row(*b)[index]);
                let order = compare(&self.columns[index].ty, a, b);
                if down { order.reverse() } else { order }
            });
            by_column.fold(Ordering::Equal, Ordering::then)
        });
        Ok(())
    }

    /// The row with this value in a unique column.
    fn with_key(&self, index: usize, key: &Bytes) -> Option<u64> {
        self.keys.get(&index)?.get(key).copied()
    }
}

impl Column {
    pub(super) fn field(&self) -> Field {
        (self.name.clone(), self.ty.clone())
    }
}

impl Expr {
    /// Whether it has the same value for each row, and no effect.
    fn is_constant(&self) -> bool {
        match self {
            Expr::Number(_) | Expr::Text(_) | Expr::Param(_) => true,
            Expr::Cast(expr, _) => expr.is_constant(),
            _ => false,
        }
    }
}
