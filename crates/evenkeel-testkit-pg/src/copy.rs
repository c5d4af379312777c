//! The text and binary formats of COPY.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{
    error::SqlError,
    store::Field,
    value::{Cell, from_text, put_cell, to_text},
};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// The header before the rows.
pub(super) fn head(binary: bool) -> Bytes {
    if !binary {
        return Bytes::new();
    }
    // Neither flags nor an extension.
    [SIGNATURE, &[0; 8]].concat().into()
}

/// The trailer after the rows.
pub(super) fn tail(binary: bool) -> &'static [u8] {
    if binary { &[0xff, 0xff] } else { b"" }
}

/// Encodes a row.
pub(super) fn encode(fields: &[Field], cells: &[Cell], binary: bool) -> Result<Bytes, SqlError> {
    let mut row = BytesMut::new();
    if binary {
        row.put_i16(cells.len() as i16);
    }
    for (number, ((_, ty), cell)) in fields.iter().zip(cells).enumerate() {
        match (binary, cell) {
            (true, cell) => put_cell(&mut row, cell),
            (false, cell) => {
                if number > 0 {
                    row.put_u8(b'\t');
                }
                match cell {
                    None => row.put_slice(b"\\N"),
                    Some(data) => row.put_slice(escape(&to_text(ty, data)?).as_bytes()),
                }
            }
        }
    }
    if !binary {
        row.put_u8(b'\n');
    }
    Ok(row.freeze())
}

/// Decodes all rows.
pub(super) fn decode(fields: &[Field], data: Bytes, binary: bool) -> Result<Vec<Vec<Cell>>, SqlError> {
    if binary {
        return decode_binary(fields.len(), data).ok_or_else(|| bad("invalid COPY file"))?;
    }
    let text = std::str::from_utf8(&data).map_err(|_| SqlError::new("22021", "invalid byte sequence"))?;
    let lines = text.lines().take_while(|line| *line != "\\.");
    let row = |line: &str| {
        let values: Vec<&str> = line.split('\t').collect();
        check(values.len(), fields.len())?;
        let cell = |(value, (_, ty)): (&str, &Field)| match value {
            "\\N" => Ok(None),
            value => from_text(ty, &unescape(value)).map(Some),
        };
        values.into_iter().zip(fields).map(cell).collect()
    };
    lines.map(row).collect()
}

/// Returns `None` if the data are truncated, or have no signature.
fn decode_binary(columns: usize, mut data: Bytes) -> Option<Result<Vec<Vec<Cell>>, SqlError>> {
    if !data.starts_with(SIGNATURE) {
        return None;
    }
    data.advance(SIGNATURE.len());
    data.try_get_i32().ok()?;
    let extension = usize::try_from(data.try_get_i32().ok()?).ok()?;
    take(&mut data, extension)?;
    let mut rows = Vec::new();
    loop {
        let Ok(count) = usize::try_from(data.try_get_i16().ok()?) else { return Some(Ok(rows)) };
        if let Err(error) = check(count, columns) {
            return Some(Err(error));
        }
        let mut row = Vec::with_capacity(count);
        for _ in 0..count {
            row.push(match usize::try_from(data.try_get_i32().ok()?) {
                Ok(len) => Some(take(&mut data, len)?),
                Err(_) => None,
            });
        }
        rows.push(row);
    }
}

fn take(data: &mut Bytes, len: usize) -> Option<Bytes> {
    (len <= data.len()).then(|| data.split_to(len))
}

fn check(got: usize, columns: usize) -> Result<(), SqlError> {
    if got == columns { Ok(()) } else { Err(bad(&format!("{got} values for {columns} columns"))) }
}

fn bad(message: &str) -> SqlError {
    SqlError::new("22P04", message)
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

fn unescape(text: &str) -> String {
    let mut chars = text.chars();
    let mut unescaped = String::new();
    while let Some(c) = chars.next() {
        unescaped.push(match c {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some(c) => c,
                None => '\\',
            },
            c => c,
        });
    }
    unescaped
}
