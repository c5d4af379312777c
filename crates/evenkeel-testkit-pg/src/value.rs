//! Values in PostgreSQL's binary format, and their text format for common types.

use std::{cmp::Ordering, fmt::Display, str::FromStr};

use bytes::{BufMut, Bytes, BytesMut};
use tokio_postgres::types::Type;

use super::error::SqlError;

/// A value in binary format; `None` is NULL.
pub(super) type Cell = Option<Bytes>;

/// Appends a value with its length, as in rows and binary COPY data.
pub(super) fn put_cell(data: &mut BytesMut, cell: &Cell) {
    data.put_i32(cell.as_ref().map_or(-1, |bytes| bytes.len() as i32));
    data.put_slice(cell.as_deref().unwrap_or_default());
}

/// Looks a type up by its name, as in `create table` and after `::`.
pub(super) fn type_named(name: &str) -> Option<Type> {
    Some(match name {
        "bool" | "boolean" => Type::BOOL,
        "int2" | "smallint" | "smallserial" => Type::INT2,
        "int4" | "int" | "integer" | "serial" => Type::INT4,
        "int8" | "bigint" | "bigserial" => Type::INT8,
        "float4" | "real" => Type::FLOAT4,
        "float8" | "double" => Type::FLOAT8,
        "text" => Type::TEXT,
        "varchar" => Type::VARCHAR,
        "bytea" => Type::BYTEA,
        "uuid" => Type::UUID,
        "json" => Type::JSON,
        "jsonb" => Type::JSONB,
        "date" => Type::DATE,
        "timestamp" => Type::TIMESTAMP,
        "timestamptz" => Type::TIMESTAMPTZ,
        _ => return None,
    })
}

/// The array type of a type; arrays have no text format here.
pub(super) fn array_of(ty: &Type) -> Option<Type> {
    // The OIDs of built-in types are assigned by hand, below 10,000.
    (0..10_000).filter_map(Type::from_oid).find(|array| array.name().strip_prefix('_') == Some(ty.name()))
}

/// Converts a text to the binary format.
pub(super) fn from_text(ty: &Type, text: &str) -> Result<Bytes, SqlError> {
    let bytes = match *ty {
        Type::BOOL => match text.to_ascii_lowercase().as_str() {
            "t" | "true" | "on" | "yes" | "1" => vec![1],
            "f" | "false" | "off" | "no" | "0" => vec![0],
            _ => return Err(invalid(ty, text)),
        },
        Type::INT2 => parse::<i16>(ty, text)?.to_be_bytes().to_vec(),
        Type::INT4 => parse::<i32>(ty, text)?.to_be_bytes().to_vec(),
        Type::INT8 => parse::<i64>(ty, text)?.to_be_bytes().to_vec(),
        Type::OID => parse::<u32>(ty, text)?.to_be_bytes().to_vec(),
        Type::FLOAT4 => parse::<f32>(ty, text)?.to_be_bytes().to_vec(),
        Type::FLOAT8 => parse::<f64>(ty, text)?.to_be_bytes().to_vec(),
        Type::BYTEA => match text.strip_prefix("\\x") {
            Some(digits) => hex(digits).ok_or_else(|| invalid(ty, text))?,
            None => text.as_bytes().to_vec(),
        },
        Type::UUID => {
            let bytes = hex(&text.replace('-', "")).filter(|bytes| bytes.len() == 16);
            bytes.ok_or_else(|| invalid(ty, text))?
        }
        Type::JSONB => [b"\x01", text.as_bytes()].concat(),
        _ if is_text(ty) => text.as_bytes().to_vec(),
        _ => return Err(no_text(ty)),
    };
    Ok(bytes.into())
}

/// Converts a value to its text format.
pub(super) fn to_text(ty: &Type, data: &[u8]) -> Result<String, SqlError> {
    let text = match *ty {
        Type::BOOL => if number(ty, data, |[byte]: [u8; 1]| byte)? == "0" { "f" } else { "t" }.to_owned(),
        Type::INT2 => number(ty, data, i16::from_be_bytes)?,
        Type::INT4 => number(ty, data, i32::from_be_bytes)?,
        Type::INT8 => number(ty, data, i64::from_be_bytes)?,
        Type::OID => number(ty, data, u32::from_be_bytes)?,
        Type::FLOAT4 => number(ty, data, f32::from_be_bytes)?,
        Type::FLOAT8 => number(ty, data, f64::from_be_bytes)?,
        Type::BYTEA => format!("\\x{}", digits(data)),
        Type::UUID => {
            let digits = digits(data);
            let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|group| digits.get(group).unwrap_or(""));
            groups.join("-")
        }
        Type::JSONB => utf8(ty, data.get(1..).unwrap_or_default())?,
        Type::VOID => String::new(),
        _ if is_text(ty) => utf8(ty, data)?,
        _ => return Err(no_text(ty)),
    };
    Ok(text)
}

/// Converts a value to another type.
pub(super) fn convert(cell: Cell, from: &Type, to: &Type) -> Result<Cell, SqlError> {
    match cell {
        Some(data) if from != to && !(is_text(from) && is_text(to)) => {
            Ok(Some(from_text(to, &to_text(from, &data)?)?))
        }
        cell => Ok(cell),
    }
}

/// Compares two values in the order of their type: NULL is last, and text is compared by bytes.
pub(super) fn compare(ty: &Type, a: &Cell, b: &Cell) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else { return a.is_none().cmp(&b.is_none()) };
    match *ty {
        Type::INT2 | Type::INT4 | Type::INT8 | Type::DATE | Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            integer(a).cmp(&integer(b))
        }
        Type::FLOAT4 | Type::FLOAT8 => float(ty, a).total_cmp(&float(ty, b)),
        _ => a.cmp(b),
    }
}

/// Adds or subtracts two numbers of this type.
pub(super) fn add(ty: &Type, a: &[u8], b: &[u8], minus: bool) -> Result<Bytes, SqlError> {
    let sign = if minus { -1 } else { 1 };
    let out_of_range = || SqlError::new("22003", format!("{ty} out of range"));
    let text = match *ty {
        Type::INT2 | Type::INT4 | Type::INT8 => {
            let sum = i128::from(integer(a)) + i128::from(integer(b)) * sign;
            return from_text(ty, &sum.to_string()).map_err(|_| out_of_range());
        }
        Type::FLOAT4 | Type::FLOAT8 => (float(ty, a) + float(ty, b) * sign as f64).to_string(),
        _ => return Err(SqlError::new("42883", format!("operator does not exist: {ty} + {ty}"))),
    };
    from_text(ty, &text)
}

fn is_text(ty: &Type) -> bool {
    matches!(*ty, Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::JSON | Type::UNKNOWN)
}

/// An integer of at most eight bytes.
fn integer(data: &[u8]) -> i64 {
    let negative = data.first().is_some_and(|byte| byte & 0x80 > 0);
    data.iter().fold(if negative { -1 } else { 0 }, |value, byte| value << 8 | i64::from(*byte))
}

fn float(ty: &Type, data: &[u8]) -> f64 {
    to_text(ty, data).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

fn parse<T: FromStr>(ty: &Type, text: &str) -> Result<T, SqlError> {
    text.trim().parse().map_err(|_| invalid(ty, text))
}

fn number<const N: usize, T: Display>(
    ty: &Type,
    data: &[u8],
    read: impl Fn([u8; N]) -> T,
) -> Result<String, SqlError> {
    let data = data.try_into().map_err(|_| malformed(ty))?;
    Ok(read(data).to_string())
}

fn utf8(ty: &Type, data: &[u8]) -> Result<String, SqlError> {
    String::from_utf8(data.to_vec()).map_err(|_| malformed(ty))
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.len().is_multiple_of(2).then(|| pairs.map(byte).collect())?
}

fn digits(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn invalid(ty: &Type, text: &str) -> SqlError {
    SqlError::new("22P02", format!("invalid input syntax for type {ty}: \"{text}\""))
}

fn malformed(ty: &Type) -> SqlError {
    SqlError::new("22P03", format!("incorrect binary data format for type {ty}"))
}

fn no_text(ty: &Type) -> SqlError {
    SqlError::new("0A000", format!("the test kit has no text form of type {ty}: use the binary format"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_common_type_has_both_forms() {
        let texts = [
            (Type::BOOL, "t", &[1][..]),
            (Type::BOOL, "f", &[0]),
            (Type::INT2, "-2", &[255, 254]),
            (Type::INT4, "258", &[0, 0, 1, 2]),
            (Type::INT8, "-1", &[255; 8]),
            (Type::OID, "4294967295", &[255; 4]),
            (Type::FLOAT4, "0.5", &[63, 0, 0, 0]),
            (Type::FLOAT8, "-1.5", &[191, 248, 0, 0, 0, 0, 0, 0]),
            (Type::TEXT, "Ada", b"Ada"),
            (Type::BYTEA, "\\x00ff", &[0, 255]),
            (
                Type::UUID,
                "00010203-0405-0607-0809-0a0b0c0d0e0f",
                &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
            ),
            (Type::JSON, "{}", b"{}"),
            (Type::JSONB, "{}", b"\x01{}"),
        ];
        for (ty, text, data) in texts {
            assert_eq!(from_text(&ty, text).unwrap(), data, "{ty}");
            assert_eq!(to_text(&ty, data).unwrap(), text, "{ty}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let refused = |ty: Type, text| from_text(&ty, text).unwrap_err().code;
        for (ty, text) in [
            (Type::BOOL, "x"),
            (Type::INT2, "40000"),
            (Type::BYTEA, "\\x0"),
            (Type::BYTEA, "\\xzz"),
            (Type::UUID, "00"),
        ] {
            assert_eq!(refused(ty, text), "22P02");
        }
        assert_eq!(refused(Type::POINT, "(1,2)"), "0A000");
        assert_eq!(to_text(&Type::INT4, &[1]).unwrap_err().code, "22P03");
        assert_eq!(to_text(&Type::TEXT, &[255]).unwrap_err().code, "22P03");
    }

    #[test]
    fn order_is_that_of_the_type() {
        let cell = |ty: &Type, text| Some(from_text(ty, text).unwrap());
        for (ty, small, large) in [
            (Type::INT4, "-1", "1"),
            (Type::INT8, "255", "256"),
            (Type::FLOAT8, "-0.5", "0.25"),
            (Type::TEXT, "B", "a"),
        ] {
            assert_eq!(compare(&ty, &cell(&ty, small), &cell(&ty, large)), Ordering::Less, "{ty}");
            assert_eq!(compare(&ty, &None, &cell(&ty, large)), Ordering::Greater, "{ty}");
        }
    }

    #[test]
    fn sums_stay_in_their_type() {
        let sum = |ty: Type, a, b, minus| {
            let sum = add(&ty, &from_text(&ty, a).unwrap(), &from_text(&ty, b).unwrap(), minus);
            sum.and_then(|sum| to_text(&ty, &sum))
        };
        assert_eq!(sum(Type::INT4, "40", "2", false).unwrap(), "42");
        assert_eq!(sum(Type::INT8, "-1", "2", true).unwrap(), "-3");
        assert_eq!(sum(Type::FLOAT8, "0.5", "0.25", true).unwrap(), "0.25");
        assert_eq!(sum(Type::INT2, "32767", "1", false).unwrap_err().code, "22003");
        assert_eq!(sum(Type::TEXT, "a", "b", false).unwrap_err().code, "42883");
    }
}
