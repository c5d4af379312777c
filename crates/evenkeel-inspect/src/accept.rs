//! The form in which a request wants the dump: by its query, or by its header `Accept`.
//!
//! The rules are those of RFC 9110, section 12.5.1. Of media types that a client likes as much, the one that it names goes before
//! one that a range such as `*/*` covers, and then the order of the client.

use std::{cmp::Reverse, mem};

use http::{HeaderMap, header};

use crate::Dump;

/// A form of the dump. The first one is what a client gets that likes all of them as much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Html,
    Json,
    Text,
}

impl Form {
    const ALL: [Self; 3] = [Self::Html, Self::Json, Self::Text];

    /// The name of the form in a query.
    fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Json => "json",
            Self::Text => "text",
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    pub(crate) fn write(self, dump: &Dump) -> String {
        match self {
            Self::Html => dump.to_html(),
            Self::Json => dump.to_json(),
            Self::Text => format!("{dump}\n"),
        }
    }

    fn media_type(self) -> (&'static str, &'static str) {
        match self {
            Self::Html => ("text", "html"),
            Self::Json => ("application", "json"),
            Self::Text => ("text", "plain"),
        }
    }
}

/// Returns the form that a request wants, or `None` if there is no such form.
pub(crate) fn wanted(query: Option<&str>, headers: &HeaderMap) -> Option<Form> {
    match query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("format=")) {
        Some(name) => Form::ALL.into_iter().find(|form| form.name().eq_ignore_ascii_case(name)),
        None => accepted(headers),
    }
}

fn accepted(headers: &HeaderMap) -> Option<Form> {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let ranges: Vec<_> = lines.flat_map(|line| split(line, ',')).filter_map(Range::parse).collect();
    if ranges.is_empty() {
        return Some(Form::ALL[0]);
    }
    let of = |form: Form| {
        let matching = ranges.iter().enumerate();
        let matching = matching.filter_map(|(at, range)| Some((range.precision(form)?, Reverse(at), range)));
        // The most precise range decides on a form, and the first of these.
        matching.max_by_key(|(precision, at, _)| (*precision, *at))
    };
    let offers = Form::ALL.into_iter().rev().filter_map(|form| {
        let (precision, at, range) = of(form)?;
        (range.quality > 0).then_some((form, (range.quality, precision, at)))
    });
    // Of equal ones the last, which is the first form.
    offers.max_by_key(|(_, key)| *key).map(|(form, _)| form)
}

/// A media type that a client accepts, or several.
struct Range<'a> {
    main: &'a str,
    sub: &'a str,
    /// Thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    /// Reads a part of the header; one that makes no sense is left out.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = split(text, ';').map(str::trim);
        let (main, sub) = parts.next()?.split_once('/')?;
        let mut quality = 1000;
        for part in parts {
            if let Some(value) = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")) {
                let value = value.parse::<f32>().ok().filter(|value| (0.0..=1.0).contains(value))?;
                quality = (value * 1000.0).round() as u16;
            }
        }
        Some(Self { main, sub, quality })
    }

    /// Returns how precisely it means the form, or `None` if it does not mean it.
    fn precision(&self, form: Form) -> Option<u8> {
        let (main, sub) = form.media_type();
        match (self.main, self.sub) {
            ("*", "*") => Some(0),
            (range, "*") if range.eq_ignore_ascii_case(main) => Some(1),
            (range, rest) if range.eq_ignore_ascii_case(main) && rest.eq_ignore_ascii_case(sub) => Some(2),
            _ => None,
        }
    }
}

/// Splits a text at a character, but not within quotes.
fn split(text: &str, at: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |c| {
        match (mem::take(&mut is_escaped), c) {
            (false, '\\') => is_escaped = is_quoted,
            (false, '"') => is_quoted = !is_quoted,
            _ => {}
        }
        c == at && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn form(accept: &[&str]) -> Option<Form> {
        let mut headers = HeaderMap::new();
        for line in accept {
            headers.append(header::ACCEPT, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        wanted(None, &headers)
    }

    #[test]
    fn the_header_decides() {
        let (html, json, text) = (Some(Form::Html), Some(Form::Json), Some(Form::Text));
        for (accept, expected) in [
            ("", html),
            ("*/*", html),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", html),
            ("text/plain", text),
            ("TEXT/Plain; charset=utf-8", text),
            ("application/json", json),
            ("application/json, text/plain, */*", json),
            ("text/plain, application/json", text),
            ("text/plain;q=0.5, application/json;q=0.9", json),
            ("text/plain;q=0.5, */*;q=0.1", text),
            ("text/*", html),
            ("text/*, text/html;q=0", text),
            ("application/*", json),
            ("*/*, text/html;q=0", json),
            ("*/*;q=0.5, text/html;q=0.2", json),
            ("text/plain;Q=0.1", text),
            ("text/plain ; q=1.000 , text/html;q=0.999", text),
            ("text/plain;v=\"a,b\\\",c\";q=0.1, application/json;q=0.2", json),
            ("image/png", None),
            ("text/html;q=0", None),
            ("*/*;q=0", None),
            ("text/html;q=0.0, application/json;q=0.000, text/plain;q=0", None),
            // Parts that make no sense are left out.
            ("nonsense", html),
            (";;;,,,q=1", html),
            ("text/plain;q=nan, application/json;q=0.1", json),
            ("text/plain;q=2, application/json;q=0.1", json),
            ("text/plain;q=-1", html),
            ("\"text/plain", None),
        ] {
            assert_eq!(form(&[accept]), expected, "{accept:?}");
        }
        assert_eq!(form(&[]), html);
        assert_eq!(form(&["image/png", "text/plain"]), text);
        assert_eq!(form(&["\u{e9}", "text/plain"]), text);
    }

    #[test]
    fn the_query_goes_before_it() {
        let mut headers = HeaderMap::new();
        headers.append(header::ACCEPT, HeaderValue::from_static("image/png"));
        for (query, expected) in [
            ("format=json", Some(Form::Json)),
            ("format=HTML", Some(Form::Html)),
            ("a=b&format=text&format=json", Some(Form::Text)),
            ("format=", None),
            ("format=xml", None),
            ("format", None),
            ("xformat=json", None),
        ] {
            assert_eq!(wanted(Some(query), &headers), expected, "{query}");
        }
        assert_eq!(wanted(Some("x=1"), &HeaderMap::new()), Some(Form::Html));
    }
}
