//! Canonical URLs: two addresses of one resource are one text.
//!
//! The six steps, in this order: the fragment is cut off, since it is no part of what is fetched; escapes of
//! unreserved characters are decoded, and the digits of all others are upper case; one trailing dot of the host is
//! removed; an empty query is removed; so are user and password, which must not be stored; anything but http and https
//! is no page. The order of a query, `index.html`, the case of a path and a trailing slash stay as they are: they may
//! matter.
//!
//! RFC 3986, sections 6.2.2 and 6.2.3; RFC 9110, section 4.2.3. The result is a fixed point.

use std::borrow::Cow;

use reqwest::Url;

/// Returns the canonical form of a URL without its fragment, or `None` if it is no address of a page.
pub(crate) fn canonical(url: &Url) -> Option<Url> {
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let mut url = url.clone();
    url.set_fragment(None);
    if let Cow::Owned(path) = plain_escapes(url.path()) {
        url.set_path(&path);
    }
    if let Some(Cow::Owned(query)) = url.query().map(plain_escapes) {
        url.set_query(Some(&query));
    }
    // An IP address never ends with a dot here. Two dots are an empty label, which stays an error.
    let host = url.domain().and_then(|host| host.strip_suffix('.')).filter(|host| !host.ends_with('.'));
    if let Some(host) = host.filter(|host| !host.is_empty()).map(str::to_owned) {
        url.set_host(Some(&host)).ok()?;
    }
    if url.query() == Some("") {
        url.set_query(None);
    }
    if !url.username().is_empty() || url.password().is_some() {
        // These fail only without a host, which http and https have.
        let _ = url.set_username("");
        let _ = url.set_password(None);
    }
    Some(url)
}

/// Decodes escapes of unreserved characters, and makes the digits of all others upper case.
fn plain_escapes(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return text.into();
    }
    let bytes = text.as_bytes();
    let mut plain = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let Some(value) = escape(&bytes[at..]) else {
            let first = rest.chars().next().unwrap_or_default();
            plain.push(first);
            at += first.len_utf8();
            continue;
        };
        let is_plain = value.is_ascii_alphanumeric() || b"-._~".contains(&value);
        if is_plain && !(value.is_ascii_hexdigit() && ends_in_half_an_escape(plain.as_bytes())) {
            plain.push(value.into());
        } else {
            plain.push_str(&format!("%{value:02X}"));
        }
        at += 3;
    }
    if plain == text { text.into() } else { plain.into() }
}

/// Returns the octet of the escape at the beginning.
fn escape(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(*high)? * 16 + digit(*low)?) as u8)
}

/// Whether a digit behind this text would make an escape of a percent sign that is none: `%%34%31` is not `%41`.
fn ends_in_half_an_escape(text: &[u8]) -> bool {
    match text {
        [.., b'%'] => true,
        // A whole escape has two digits, so this percent sign begins none.
        [.., b'%', digit] => digit.is_ascii_hexdigit(),
        _ => false,
    }
}

/// Returns a fragment as the URL standard writes it, from one as a document has it.
pub(crate) fn fragment(raw: &str) -> Cow<'_, str> {
    let stays = |byte: u8| byte.is_ascii_graphic() && !b"\"<>`".contains(&byte);
    if raw.bytes().all(stays) {
        return raw.into();
    }
    let mut url = Url::parse("http://h/").expect("it is a URL");
    url.set_fragment(Some(raw));
    url.fragment().unwrap_or_default().to_owned().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(url: &str) -> String {
        canonical(&Url::parse(url).unwrap()).unwrap().into()
    }

    #[test]
    fn addresses_of_one_resource_are_one_text() {
        for (one, other) in [
            ("http://h.example:80/a", "http://h.example/a"),
            ("HTTP://H.Example/a", "http://h.example/a"),
            ("http://h.example", "http://h.example/"),
            ("http://h.example/a/./b/../c", "http://h.example/a/c"),
            ("http://h.example/a/%2e%2E/c", "http://h.example/c"),
            ("http://h.example/%7Ejoe", "http://h.example/~joe"),
            ("http://h.example/%41", "http://h.example/A"),
            ("http://h.example/a%2fb", "http://h.example/a%2Fb"),
            ("http://h.example/é", "http://h.example/%C3%A9"),
            ("http://h.example/a b", "http://h.example/a%20b"),
            ("http://h.example./a", "http://h.example/a"),
            ("http://h.example/a?", "http://h.example/a"),
            ("http://h.example/a?b=%7E", "http://h.example/a?b=~"),
            ("http://h.example/a?b=%c3", "http://h.example/a?b=%C3"),
            ("http://h.example/a#b", "http://h.example/a"),
            ("http://bücher.example/", "http://xn--bcher-kva.example/"),
            ("http://BÜCHER.example/", "http://bücher.example/"),
            ("http://u:p@h.example/", "http://h.example/"),
            ("http://@h.example/", "http://h.example/"),
            ("http://[2001:DB8:0:0::1]/", "http://[2001:db8::1]/"),
            ("http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
            ("http://127.1/", "http://127.0.0.1/"),
            ("http://h.example\\a", "http://h.example/a"),
            ("http://h.example/\ta", "http://h.example/a"),
        ] {
            assert_eq!(text(one), text(other), "{one}");
        }
    }

    #[test]
    fn other_resources_stay_others() {
        for (one, other) in [
            ("https://h.example:80/a", "https://h.example/a"),
            ("http://h.example/A", "http://h.example/a"),
            ("http://h.example/a%2Fb", "http://h.example/a/b"),
            ("http://h.example/x!.html", "http://h.example/x%21.html"),
            ("http://h.example/a?b=1&c=2", "http://h.example/a?c=2&b=1"),
            ("http://h.example/a/", "http://h.example/a"),
            ("http://h.example//a", "http://h.example/a"),
            ("http://h.example/a/index.html", "http://h.example/a/"),
            ("http://www.h.example/", "http://h.example/"),
            ("http://h.example/%%34%31", "http://h.example/A"),
            ("http://h.example/%4%31", "http://h.example/A"),
        ] {
            assert_ne!(text(one), text(other), "{one}");
        }
    }

    #[test]
    fn a_percent_sign_that_is_no_escape_stays() {
        for (url, canonical) in [
            ("http://h/100%", "http://h/100%"),
            ("http://h/%zz%7e", "http://h/%zz~"),
            ("http://h/%%34%31", "http://h/%%341"),
            ("http://h/%4%31", "http://h/%4%31"),
            ("http://h/%2541", "http://h/%2541"),
        ] {
            assert_eq!(text(url), canonical);
        }
    }

    #[test]
    fn only_http_has_pages() {
        for url in
            ["javascript:x()", "mailto:a@b.example", "data:text/html,x", "ftp://h/", "file:///etc", "tel:1"]
        {
            assert_eq!(canonical(&Url::parse(url).unwrap()), None, "{url}");
        }
    }

    #[test]
    fn a_fragment_is_written_as_the_url_parser_writes_it() {
        for raw in ["impl-From%3CT%3E-for-T", "impl-From<T>-for-T", "new one", "é", "a`b", "x\ty", "", "%zz"]
        {
            let parsed = Url::parse(&format!("http://h/#{raw}")).unwrap();
            assert_eq!(fragment(raw), parsed.fragment().unwrap(), "{raw:?}");
        }
    }

    fn urls() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "%", "4", "1", "%41", "%7e", "%2f", "%2F", "%25", "%2e", ".", "..", "/", "a", "Z", "~", "é", " ",
            "!", "%21", "?", "=", "&", ";", "#", "[", "|", "\\", "%c3%A9", "%%", "%3",
        ]);
        let host = prop::sample::select(vec![
            "h.example",
            "H.Example.",
            "127.0.0.1",
            "[::1]",
            "bücher.example",
            "h..",
            "u:p@h.example:80",
            "h%41",
        ]);
        (host, prop::collection::vec(piece, 0..16))
            .prop_map(|(host, rest)| format!("http://{host}/{}", rest.concat()))
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_a_fixed_point(url in urls()) {
            if let Ok(url) = Url::parse(&url) {
                let once = canonical(&url).unwrap();
                prop_assert_eq!(canonical(&once), Some(once.clone()), "{}", url);
                prop_assert_eq!(Url::parse(once.as_str()), Ok(once.clone()), "{}", url);
                prop_assert!(once.fragment().is_none() && once.username().is_empty());
            }
        }
    }
}
