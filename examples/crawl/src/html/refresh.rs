//! The address of a `meta` refresh, by the HTML standard: "shared declarative refresh steps".

/// Returns the address in the content of a refresh; `None` if the page only loads itself again, or the content is
/// invalid.
pub(crate) fn url(content: &str) -> Option<&str> {
    let content = content.trim_ascii_start();
    let rest = content.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() == content.len() && !rest.starts_with('.') {
        return None;
    }
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    if !rest.starts_with(|c: char| matches!(c, ';' | ',') || c.is_ascii_whitespace()) {
        return None;
    }
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_prefix([';', ',']).unwrap_or(rest).trim_ascii_start();
    let rest = behind_key(rest).unwrap_or(rest);
    let url = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => rest[1..].split(quote).next().unwrap_or_default(),
        _ => rest,
    };
    Some(url.trim_ascii()).filter(|url| !url.is_empty())
}

/// Returns the text behind `url =`.
fn behind_key(text: &str) -> Option<&str> {
    let (key, rest) = text.split_at_checked(3)?;
    let rest = rest.trim_ascii_start().strip_prefix('=')?;
    key.eq_ignore_ascii_case("url").then(|| rest.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_behind_the_time() {
        for (content, right) in [
            ("0; URL=next.html", Some("next.html")),
            ("0;url=next.html", Some("next.html")),
            ("5,url='a b.html' x", Some("a b.html")),
            (" 1.5 ; url = \"a.html\"", Some("a.html")),
            ("0 next.html", Some("next.html")),
            ("0; next.html", Some("next.html")),
            ("0; urlx.html", Some("urlx.html")),
            ("0; url='open", Some("open")),
            (".5; url=a", Some("a")),
            ("30", None),
            ("30;", None),
            ("x; url=a", None),
            ("0url=a", None),
            ("", None),
            ("0; é", Some("é")),
        ] {
            assert_eq!(url(content), right, "{content:?}");
        }
    }
}
