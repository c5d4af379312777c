//! Plain text tables: columns as wide as their content, readable without colour.

/// Rows under a head; columns of numbers are set right, others left.
pub(crate) struct Table {
    head: Vec<String>,
    lines: Vec<Line>,
}

enum Line {
    Row(Vec<String>),
    Note(String),
    Rule,
}

impl Table {
    pub(crate) fn new<const N: usize>(head: [&str; N]) -> Table {
        Table { head: head.map(str::to_owned).to_vec(), lines: Vec::new() }
    }

    /// Adds a row; cells that are missing at its end stay empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.lines.push(Line::Row(cells.into_iter().collect()));
    }

    /// Adds a line of text under the row before.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.lines.push(Line::Note(text.into()));
    }

    /// Draws a line across the table.
    pub(crate) fn rule(&mut self) {
        self.lines.push(Line::Rule);
    }

    pub(crate) fn render(&self) -> String {
        let columns: Vec<Column> = (0..self.head.len()).map(|index| self.column(index)).collect();
        let width = columns.iter().map(|column| column.width + GAP.len()).sum::<usize>() - GAP.len();
        let across = "-".repeat(width.min(100));
        let mut text = format!("{}\n{across}\n", set(&self.head, &columns));
        for line in &self.lines {
            text.push_str(&match line {
                Line::Row(cells) => set(cells, &columns),
                Line::Note(note) => format!("    {note}"),
                Line::Rule => across.clone(),
            });
            text.push('\n');
        }
        text
    }

    fn column(&self, index: usize) -> Column {
        let mut column = Column { width: self.head[index].chars().count(), right: true };
        for line in &self.lines {
            if let Line::Row(cells) = line
                && let Some(cell) = cells.get(index)
            {
                column.width = column.width.max(cell.chars().count());
                column.right &= cell.is_empty() || cell.parse::<f64>().is_ok();
            }
        }
        column
    }
}

const GAP: &str = "  ";

struct Column {
    width: usize,
    right: bool,
}

fn set(cells: &[String], columns: &[Column]) -> String {
    let set = |(cell, Column { width, right }): (&String, &Column)| {
        if *right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
    };
    let text = cells.iter().zip(columns).map(set).collect::<Vec<_>>().join(GAP);
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["suite", "passed", "why"]);
        table.row(["retry unit", "7", "fine"].map(str::to_owned));
        table.note("1 skipped: no server");
        table.rule();
        table.row(["all", "107"].map(str::to_owned));
        let expected = "\
suite       passed  why
------------------------
retry unit       7  fine
    1 skipped: no server
------------------------
all            107
";
        assert_eq!(table.render(), expected);
    }
}
