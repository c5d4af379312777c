//! Splits a document into the texts of its records, so that an invalid record costs no other.

use std::iter::successors;

use serde::de::IgnoredAny;

/// Returns the fields of an object: names, and the texts of the values.
///
/// # Errors
///
/// The reason why the text is not an object.
pub(crate) fn fields(text: &str) -> Result<Vec<(String, &str)>, String> {
    let fields = split(text, '{', '}').and_then(|fields| fields.into_iter().map(field).collect());
    fields.ok_or_else(|| reason(text, "an object"))
}

/// Returns the texts of the elements of a list. `null` is an empty list, as some servers send it.
///
/// # Errors
///
/// The reason why the text is not a list.
pub(crate) fn elements(text: &str) -> Result<Vec<&str>, String> {
    if text.trim() == "null" {
        return Ok(Vec::new());
    }
    split(text, '[', ']').ok_or_else(|| reason(text, "a list"))
}

fn reason(text: &str, expected: &str) -> String {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => format!("not {expected}"),
        Err(error) => format!("not valid JSON: {error}"),
    }
}

/// Splits a text at its commas. Only brackets and quotes are examined.
fn split(text: &str, open: char, close: char) -> Option<Vec<&str>> {
    let inner = text.trim().strip_prefix(open)?.strip_suffix(close)?;
    let (mut parts, mut begin, mut at, mut closers) = (Vec::new(), 0, 0, Vec::new());
    while let Some(&byte) = inner.as_bytes().get(at) {
        match byte {
            b'"' => at += string(&inner[at..])? - 1,
            b'{' => closers.push(b'}'),
            b'[' => closers.push(b']'),
            b'}' | b']' if closers.pop() != Some(byte) => return None,
            b',' if closers.is_empty() => {
                parts.push(inner[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    // A trailing comma is accepted.
    let last = inner[begin..].trim();
    parts.extend(Some(last).filter(|last| !last.is_empty()));
    closers.is_empty().then_some(parts)
}

fn field(text: &str) -> Option<(String, &str)> {
    let (name, value) = text.split_at(string(text)?);
    let value = value.trim_start().strip_prefix(':')?.trim();
    // A name that is not a valid string is not one of the expected names.
    Some((serde_json::from_str(name).unwrap_or_default(), value))
}

/// Returns the length of the string at the beginning, with its quotes.
fn string(text: &str) -> Option<usize> {
    let text = text.as_bytes();
    let next = |&at: &usize| Some(at + if *text.get(at)? == b'\\' { 2 } else { 1 });
    let begin = text.first().filter(|byte| **byte == b'"').map(|_| 1);
    successors(begin, next).find(|at| text.get(*at) == Some(&b'"')).map(|end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_the_elements_that_were_sent() {
        for (text, parts) in [
            ("[]", &[][..]),
            (" [ ] ", &[]),
            ("null", &[]),
            ("[1, 2]", &["1", "2"]),
            ("[1, 2,]", &["1", "2"]),
            ("[1, , 2]", &["1", "", "2"]),
            ("[NaN, -Infinity, undefined]", &["NaN", "-Infinity", "undefined"]),
            (r#"["a,]\"}\\", {"b": [1, {"c": "d]"}]}]"#, &[r#""a,]\"}\\""#, r#"{"b": [1, {"c": "d]"}]}"#]),
            ("[\"ż\0\n\\x\", 1]", &["\"ż\0\n\\x\"", "1"]),
        ] {
            assert_eq!(elements(text).as_deref(), Ok(parts), "{text}");
        }
    }

    #[test]
    fn an_object_has_the_fields_that_were_sent() {
        let found = fields(r#"{"\u0061": 1, "b,:" :[2, 3] , "\ud800": NaN, "": "}",}"#);
        let expected = [("a", "1"), ("b,:", "[2, 3]"), ("", "NaN"), ("", r#""}""#)];
        assert_eq!(found.unwrap(), expected.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(fields("{}"), Ok(vec![]));
    }

    #[test]
    fn a_document_that_cannot_be_taken_apart_says_why() {
        for (text, reason) in [
            ("", "not valid JSON: EOF"),
            ("<html>", "not valid JSON: expected value"),
            ("[]", "not an object"),
            ("7", "not an object"),
            (r#"{"a": [1, 2}"#, "not valid JSON: expected `,` or `]`"),
            (r#"{"a": "1}"#, "not valid JSON: EOF"),
            (r#"{"a": "\"#, "not valid JSON: EOF"),
            (r#"{"a": 1}{"b": 2}"#, "not valid JSON: trailing characters"),
            (r#"{"a": 1} x"#, "not valid JSON: trailing characters"),
            (r#"{"a" 1}"#, "not valid JSON: expected `:`"),
            ("{a: 1}", "not valid JSON: key must be a string"),
            ("{]}", "not valid JSON: key must be a string"),
        ] {
            let told = fields(text).unwrap_err();
            assert!(told.starts_with(reason), "{text}: {told}");
        }
        assert_eq!(elements("{}").unwrap_err(), "not a list");
        assert!(elements("[[1]").unwrap_err().contains("EOF"));
    }
}
