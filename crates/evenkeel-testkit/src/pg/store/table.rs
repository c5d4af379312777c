//! One table.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
};

use bytes::Bytes;

use super::{
    Field,
    eval::{Effects, Values},
    no_column,
};
use crate::pg::{
    error::SqlError,
    sql::{Column, Expr},
    value::{Cell, compare, convert},
};

#[derive(Debug)]
pub(super) struct Table {
    /// Another for each table that there ever was.
    pub(super) id: u64,
    pub(super) columns: Vec<Column>,
    /// In the order in which they were inserted.
    rows: BTreeMap<u64, Vec<Cell>>,
    /// For each unique column, the rows by their values.
    keys: BTreeMap<usize, HashMap<Bytes, u64>>,
}

impl Table {
    pub(super) fn new(id: u64, columns: Vec<Column>) -> Self {
        let unique = columns.iter().enumerate().filter(|(_, column)| column.unique);
        let keys = unique.map(|(place, _)| (place, HashMap::new())).collect();
        Table { id, columns, rows: BTreeMap::new(), keys }
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        self.columns.iter().map(Column::field).collect()
    }

    pub(super) fn place(&self, name: &str) -> Result<usize, SqlError> {
        self.columns.iter().position(|column| column.name == name).ok_or_else(|| no_column(name))
    }

    /// The places of these columns; of all, if there are none.
    pub(super) fn places(&self, names: &[String]) -> Result<Vec<usize>, SqlError> {
        match names {
            [] => Ok((0..self.columns.len()).collect()),
            names => names.iter().map(|name| self.place(name)).collect(),
        }
    }

    pub(super) fn row(&self, row: u64) -> &[Cell] {
        &self.rows[&row]
    }

    /// Sets a row, or takes it away; what it was.
    pub(super) fn put(&mut self, row: u64, cells: Option<Vec<Cell>>) -> Option<Vec<Cell>> {
        let before = self.rows.remove(&row);
        for (place, keys) in &mut self.keys {
            if let Some(Some(key)) = before.as_ref().map(|cells| &cells[*place])
                && keys.get(key) == Some(&row)
            {
                keys.remove(key);
            }
            if let Some(Some(key)) = cells.as_ref().map(|cells| &cells[*place]) {
                keys.insert(key.clone(), row);
            }
        }
        self.rows.extend(cells.map(|cells| (row, cells)));
        before
    }

    /// Whether a row may be so.
    pub(super) fn check(&self, name: &str, row: u64, cells: &[Cell]) -> Result<(), SqlError> {
        for (place, column) in self.columns.iter().enumerate() {
            match &cells[place] {
                None if column.not_null => {
                    let message = format!("null value in column \"{}\" of relation \"{name}\"", column.name);
                    return Err(SqlError::new("23502", format!("{message} violates not-null constraint")));
                }
                Some(key) if self.with_key(place, key).is_some_and(|other| other != row) => {
                    let message =
                        format!("duplicate key value violates unique constraint on \"{}\"", column.name);
                    return Err(SqlError::new("23505", message));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The values for these places.
    pub(super) fn row_of(
        &self,
        places: &[usize],
        row: &[Expr],
        effects: &mut Effects<'_>,
    ) -> Result<Vec<Cell>, SqlError> {
        if row.len() > places.len() {
            return Err(SqlError::new("42601", "INSERT has more expressions than target columns"));
        }
        let cells = row.iter().zip(places);
        cells.map(|(expr, place)| self.value(*place, expr, &[], &[], effects)).collect()
    }

    /// The value of an expression for a column.
    pub(super) fn value(
        &self,
        place: usize,
        expr: &Expr,
        fields: &[Field],
        cells: &[Cell],
        effects: &mut Effects<'_>,
    ) -> Result<Cell, SqlError> {
        let ty = &self.columns[place].ty;
        let (from, cell) = Values { fields, cells }.value(expr, Some(ty), effects)?;
        convert(cell, &from, ty)
    }

    /// The rows that a filter lets through.
    pub(super) fn matching(
        &self,
        filter: &[(String, Expr)],
        effects: &mut Effects<'_>,
    ) -> Result<Vec<u64>, SqlError> {
        let fields = self.fields();
        let filter = filter.iter().map(|(column, expr)| Ok((self.place(column)?, expr)));
        let filter: Vec<(usize, &Expr)> = filter.collect::<Result<_, SqlError>>()?;
        let keyed = filter.iter().find(|(place, expr)| self.keys.contains_key(place) && expr.is_constant());
        let candidates = match keyed {
            Some((place, expr)) => {
                let key = self.value(*place, expr, &[], &[], effects)?;
                key.and_then(|key| self.with_key(*place, &key)).into_iter().collect()
            }
            None => self.rows.keys().copied().collect::<Vec<u64>>(),
        };
        let mut found = Vec::new();
        'rows: for row in candidates {
            let cells = self.row(row);
            for (place, expr) in &filter {
                let wanted = self.value(*place, expr, &fields, cells, effects)?;
                // NULL equals nothing.
                if wanted.is_none() || cells[*place] != wanted {
                    continue 'rows;
                }
            }
            found.push(row);
        }
        Ok(found)
    }

    pub(super) fn sort(&self, found: &mut [u64], order: &[(String, bool)]) -> Result<(), SqlError> {
        let order = order.iter().map(|(name, down)| Ok((self.place(name)?, *down)));
        let order: Vec<(usize, bool)> = order.collect::<Result<_, SqlError>>()?;
        found.sort_by(|a, b| {
            let by_column = order.iter().map(|&(place, down)| {
                let (a, b) = (&self.row(*a)[place], &self.row(*b)[place]);
                let order = compare(&self.columns[place].ty, a, b);
                if down { order.reverse() } else { order }
            });
            by_column.fold(Ordering::Equal, Ordering::then)
        });
        Ok(())
    }

    /// The row with this value in a unique column.
    fn with_key(&self, place: usize, key: &Bytes) -> Option<u64> {
        self.keys.get(&place)?.get(key).copied()
    }
}

impl Column {
    pub(super) fn field(&self) -> Field {
        (self.name.clone(), self.ty.clone())
    }
}

impl Expr {
    /// Whether it is the same for each row, and has no effect.
    fn is_constant(&self) -> bool {
        match self {
            Expr::Number(_) | Expr::Text(_) | Expr::Param(_) => true,
            Expr::Cast(expr, _) => expr.is_constant(),
            _ => false,
        }
    }
}
