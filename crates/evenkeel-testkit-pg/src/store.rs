//! The tables: changes of rows, with an undo log.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::types::Type;

pub(super) use self::eval::ExecContext;
use self::{eval::RowValues, table::Table};
use super::{
    error::SqlError,
    sql::{Column, Copy, Expr, Item, Sql},
    value::Cell,
};

mod describe;
mod eval;
mod table;

/// The name and the type of a column of a result.
pub(super) type Field = (String, Type);

/// Tables by their names.
#[derive(Debug, Default)]
pub(super) struct Store {
    tables: BTreeMap<String, Table>,
    /// The last id given to a row or a table.
    next_id: u64,
}

/// An entry of the undo log: a row, and its value before the change, if it existed.
#[derive(Debug)]
pub(super) struct Undo {
    table: u64,
    row: u64,
    before: Option<Vec<Cell>>,
}

/// The result of a statement.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) tag: String,
    /// `None` for a statement without rows.
    pub(super) fields: Option<Vec<Field>>,
    pub(super) rows: Vec<Vec<Cell>>,
}

impl Answer {
    pub(super) fn tagged(tag: impl Into<String>) -> Self {
        Answer { tag: tag.into(), ..Self::default() }
    }
}

impl Store {
    /// Runs a statement about tables; on an error, all its changes are undone.
    pub(super) fn run(&mut self, sql: &Sql, context: &mut ExecContext<'_>) -> Result<Answer, SqlError> {
        let done = context.undo.len();
        let result = self.change(sql, context);
        if result.is_err() {
            self.roll_back(context.undo.drain(done..));
        }
        result
    }

    /// Undoes changes, the last one first.
    pub(super) fn roll_back(&mut self, undo: impl DoubleEndedIterator<Item = Undo>) {
        for Undo { table, row, before } in undo.rev() {
            // The table may have been dropped meanwhile.
            if let Some(table) = self.tables.values_mut().find(|known| known.id == table) {
                table.put(row, before);
            }
        }
    }

    /// The columns of a COPY, in its order.
    pub(super) fn copied(&self, copy: &Copy) -> Result<Vec<Field>, SqlError> {
        let table = self.table(&copy.table)?;
        let indices = table.indices(&copy.columns)?;
        Ok(indices.into_iter().map(|index| table.columns[index].field()).collect())
    }

    /// Inserts the rows of a COPY.
    pub(super) fn insert(
        &mut self,
        copy: &Copy,
        rows: Vec<Vec<Cell>>,
        undo: &mut Vec<Undo>,
    ) -> Result<Answer, SqlError> {
        let (done, count) = (undo.len(), rows.len());
        let indices = self.table(&copy.table)?.indices(&copy.columns)?;
        for row in rows {
            if let Err(error) = self.insert_row(&copy.table, &indices, row, undo) {
                self.roll_back(undo.drain(done..));
                return Err(error);
            }
        }
        Ok(Answer::tagged(format!("COPY {count}")))
    }

    fn change(&mut self, sql: &Sql, context: &mut ExecContext<'_>) -> Result<Answer, SqlError> {
        match sql {
            Sql::CreateTable { name, columns, if_not_exists } => self.create(name, columns, *if_not_exists),
            Sql::DropTable { name, if_exists } => match self.tables.remove(name).is_some() || *if_exists {
                true => Ok(Answer::tagged("DROP TABLE")),
                false => Err(no_table(name)),
            },
            Sql::Truncate(name) => {
                let all = self.table(name)?.matching(&[], context)?;
                self.put(name, all.into_iter().map(|row| (row, None)), context.undo)?;
                Ok(Answer::tagged("TRUNCATE TABLE"))
            }
            Sql::Insert { table, columns, rows, returning } => {
                let indices = self.table(table)?.indices(columns)?;
                let mut changed = Vec::new();
                for row in rows {
                    if row.len() < columns.len() {
                        let message = "INSERT has more target columns than expressions";
                        return Err(SqlError::new("42601", message));
                    }
                    let cells = self.table(table)?.row_of(&indices, row, context)?;
                    changed.push(self.insert_row(table, &indices, cells, context.undo)?);
                }
                let tag = format!("INSERT 0 {}", changed.len());
                self.answer(tag, table, &changed, returning, context)
            }
            Sql::Update { table, set, filter, returning } => {
                let found = self.table(table)?.matching(filter, context)?;
                for &row in &found {
                    self.update_row(table, row, set, context)?;
                }
                let tag = format!("UPDATE {}", found.len());
                self.answer(tag, table, &found, returning, context)
            }
            Sql::Delete { table, filter, returning } => {
                let found = self.table(table)?.matching(filter, context)?;
                let tag = format!("DELETE {}", found.len());
                let answer = self.answer(tag, table, &found, returning, context)?;
                self.put(table, found.into_iter().map(|row| (row, None)), context.undo)?;
                Ok(answer)
            }
            Sql::Select { items, table: None, .. } => {
                let fields = self.fields(items, None, &mut context.types())?;
                let cells = RowValues { fields: &[], cells: &[] }.items(items, context)?;
                Ok(Answer { tag: "SELECT 1".to_owned(), fields: Some(fields), rows: vec![cells] })
            }
            Sql::Select { items, table: Some(name), filter, order, limit } => {
                let table = self.table(name)?;
                let mut found = table.matching(filter, context)?;
                table.sort(&mut found, order)?;
                if !counts(items) {
                    found.truncate(limit.unwrap_or(usize::MAX));
                }
                let mut answer = self.answer(String::new(), name, &found, items, context)?;
                answer.tag = format!("SELECT {}", answer.rows.len());
                Ok(answer)
            }
            _ => Err(SqlError::new("0A000", "not a statement about tables")),
        }
    }

    fn create(&mut self, name: &str, columns: &[Column], or_not: bool) -> Result<Answer, SqlError> {
        let names: BTreeSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        if names.len() < columns.len() {
            return Err(SqlError::new("42701", "column specified more than once"));
        }
        if !self.tables.contains_key(name) {
            let table = Table::new(self.id(), columns.to_vec());
            self.tables.insert(name.to_owned(), table);
        } else if !or_not {
            return Err(SqlError::new("42P07", format!("relation \"{name}\" already exists")));
        }
        Ok(Answer::tagged("CREATE TABLE"))
    }

    fn insert_row(
        &mut self,
        name: &str,
        indices: &[usize],
        given: Vec<Cell>,
        undo: &mut Vec<Undo>,
    ) -> Result<u64, SqlError> {
        let row = self.id();
        let table = self.table(name)?;
        let mut cells = vec![None; table.columns.len()];
        for (index, cell) in indices.iter().zip(given) {
            cells[*index] = cell;
        }
        table.check(name, row, &cells)?;
        self.put(name, [(row, Some(cells))], undo)?;
        Ok(row)
    }

    fn update_row(
        &mut self,
        name: &str,
        row: u64,
        set: &[(String, Expr)],
        context: &mut ExecContext<'_>,
    ) -> Result<(), SqlError> {
        let table = self.table(name)?;
        let (before, fields) = (table.row(row), table.fields());
        let mut cells = before.to_vec();
        for (column, expr) in set {
            let index = table.index(column)?;
            cells[index] = table.value(index, expr, &fields, before, context)?;
        }
        table.check(name, row, &cells)?;
        self.put(name, [(row, Some(cells))], context.undo)
    }

    /// Evaluates the columns of a result for these rows.
    fn answer(
        &self,
        tag: String,
        name: &str,
        found: &[u64],
        items: &[Item],
        context: &mut ExecContext<'_>,
    ) -> Result<Answer, SqlError> {
        if items.is_empty() {
            return Ok(Answer::tagged(tag));
        }
        let table = self.table(name)?;
        let all = table.fields();
        let fields = self.fields(items, Some(name), &mut context.types())?;
        let mut rows = Vec::new();
        if counts(items) {
            let count = Some((found.len() as i64).to_be_bytes().to_vec().into());
            rows.push(vec![count; fields.len()]);
        } else {
            for row in found {
                let values = RowValues { fields: &all, cells: table.row(*row) };
                rows.push(values.items(items, context)?);
            }
        }
        Ok(Answer { tag, fields: Some(fields), rows })
    }

    fn table(&self, name: &str) -> Result<&Table, SqlError> {
        self.tables.get(name).ok_or_else(|| no_table(name))
    }

    /// Sets or removes rows, and logs their values before.
    fn put(
        &mut self,
        name: &str,
        rows: impl IntoIterator<Item = (u64, Option<Vec<Cell>>)>,
        undo: &mut Vec<Undo>,
    ) -> Result<(), SqlError> {
        let table = self.tables.get_mut(name).ok_or_else(|| no_table(name))?;
        for (row, cells) in rows {
            undo.push(Undo { table: table.id, row, before: table.put(row, cells) });
        }
        Ok(())
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// Whether a result counts rows.
fn counts(items: &[Item]) -> bool {
    items.iter().any(|item| matches!(item, Item::Count { .. }))
}

fn no_table(name: &str) -> SqlError {
    SqlError::new("42P01", format!("relation \"{name}\" does not exist"))
}

fn no_column(name: &str) -> SqlError {
    SqlError::new("42703", format!("column \"{name}\" does not exist"))
}
