//! Addresses, and the scheme that one was meant to have.

use std::str::FromStr;

use crate::suggest::closest;

/// An address of the web, with a host, and a port that is one. The rest is for the program's own parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebUrl(pub String);

impl FromStr for WebUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        with_scheme(text, &["http", "https"])?;
        let (host, port) = host_and_port(shown(parts(text).1));
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(format!("takes an address with a host, not `{}`", shown(text)));
        }
        if !port.is_empty() && (port.parse::<u16>().is_err() || port.starts_with('+')) {
            return Err(format!("takes an address with a port from 0 to 65535, not `{}`", shown(text)));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Splits what is behind the scheme and the user. An address of IPv6 is in brackets.
fn host_and_port(rest: &str) -> (&str, &str) {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let name = authority.rfind(']').map_or(0, |at| at + 1);
    authority[name..].rfind(':').map_or((authority, ""), |at| {
        let (host, port) = authority.split_at(name + at);
        (host, &port[1..])
    })
}

/// Checks that an address begins with one of the schemes and `://`.
///
/// # Errors
///
/// The address as it was meant to be, if it has no scheme, or a misspelt one. The user and password of an address are never
/// repeated.
pub fn with_scheme(text: &str, schemes: &[&str]) -> Result<(), String> {
    let (scheme, rest) = parts(text);
    if let Some(scheme) = scheme
        && schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme))
        && text[scheme.len()..].starts_with("://")
        && !rest.is_empty()
    {
        return Ok(());
    }
    let all: Vec<_> = schemes.iter().map(|scheme| format!("{scheme}://…")).collect();
    let (shown, rest) = (shown(text), shown(rest));
    let misspelt = scheme.and_then(|scheme| closest(scheme, schemes.iter().copied()));
    let meant = match (scheme, misspelt) {
        (Some(_), None) => None,
        (Some(_), Some(scheme)) => Some(scheme),
        (None, _) => usual(rest, schemes),
    };
    let meant = meant.filter(|_| !rest.is_empty()).map(|scheme| format!("; did you mean {scheme}://{rest}?"));
    Err(format!("takes {}, not `{shown}`{}", all.join(" or "), meant.unwrap_or_default()))
}

/// Splits an address into its scheme and the rest. `localhost:8080` has a port and no scheme.
fn parts(text: &str) -> (Option<&str>, &str) {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    match text.split_once(':') {
        Some((scheme, rest)) if is_word(scheme) && rest.starts_with('/') => {
            (Some(scheme), rest.trim_start_matches('/'))
        }
        // `http:localhost`, but not `localhost:80`.
        Some((scheme, rest))
            if is_word(scheme) && !rest.starts_with(|c: char| c.is_ascii_digit()) && !rest.is_empty() =>
        {
            (Some(scheme), rest)
        }
        _ => match text.split_once("//") {
            // `http//localhost`
            Some((scheme, rest)) if is_word(scheme) && !scheme.contains('.') => (Some(scheme), rest),
            _ => (None, text.trim_start_matches('/')),
        },
    }
}

/// The scheme that an address without one has as a rule: a public name is served over TLS, a machine nearby is not.
fn usual<'a>(rest: &str, schemes: &[&'a str]) -> Option<&'a str> {
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_public = !host.contains(':')
        && host.rsplit_once('.').is_some_and(|(_, last)| last.chars().all(|c| c.is_ascii_alphabetic()))
        && !host.ends_with(".local");
    let secure = schemes.iter().find(|scheme| is_public && **scheme == "https");
    secure.or(schemes.first()).copied()
}

/// An address without its user and password.
pub(crate) fn shown(text: &str) -> &str {
    let end = text.find(['/', '?', '#']).map_or(text.len(), |at| {
        // The slashes behind a scheme are not the end of the host.
        if text[at..].starts_with("//") {
            text[at + 2..].find(['/', '?', '#']).map_or(text.len(), |end| at + 2 + end)
        } else {
            at
        }
    });
    text[..end].rfind('@').map_or(text, |at| &text[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        text.parse::<WebUrl>().unwrap_err()
    }

    #[test]
    fn an_address_with_its_scheme_is_one() {
        for text in [
            "http://h",
            "https://h.example/a?b#c",
            "HTTP://h",
            "http://[::1]:80/",
            "http://[::1]",
            "http://u:p@h/",
            "http://u:p@h:0/x:99999",
            "http://h:/",
            "http://h?a=b:c",
        ] {
            assert_eq!(text.parse(), Ok(WebUrl(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn an_address_has_a_host_and_a_port_that_is_one() {
        for text in ["http://h:65536", "http://h:x/", "http://[::1]:99999/", "http://h:-1?a", "http://h:+80"]
        {
            assert_eq!(error(text), format!("takes an address with a port from 0 to 65535, not `{text}`"));
        }
        for text in ["http://:80/", "http://a b/"] {
            assert_eq!(error(text), format!("takes an address with a host, not `{text}`"));
        }
        assert_eq!(error("http://u:secret@h:x"), "takes an address with a port from 0 to 65535, not `h:x`");
    }

    #[test]
    fn an_address_without_a_scheme_is_answered_with_the_one_that_was_meant() {
        for (text, meant) in [
            ("localhost:8080", "http://localhost:8080"),
            ("localhost", "http://localhost"),
            ("localhost:8080/api?x=http://y", "http://localhost:8080/api?x=http://y"),
            ("127.0.0.1:80/x", "http://127.0.0.1:80/x"),
            ("[::1]:80", "http://[::1]:80"),
            ("//h:1/x", "http://h:1/x"),
            ("example.com/docs", "https://example.com/docs"),
            ("example.com:8080", "http://example.com:8080"),
            ("htp://h/x", "http://h/x"),
            ("htps://h/x", "https://h/x"),
            ("http:/h", "http://h"),
            ("http:h", "http://h"),
            ("http//h", "http://h"),
        ] {
            let error = error(text);
            assert_eq!(error, format!("takes http://… or https://…, not `{text}`; did you mean {meant}?"));
        }
    }

    #[test]
    fn other_addresses_are_not_guessed() {
        for text in ["", "ftp://h/", "mailto:x@example.com", "http://", "file:///etc"] {
            let error = error(text);
            assert!(error.starts_with("takes http://… or https://…, not `"), "{error}");
            assert!(!error.contains("did you mean"), "{error}");
        }
        let error = with_scheme("localhost:6379", &["redis", "rediss"]).unwrap_err();
        assert_eq!(
            error,
            "takes redis://… or rediss://…, not `localhost:6379`; did you mean redis://localhost:6379?"
        );
    }

    #[test]
    fn passwords_are_not_repeated() {
        for text in ["u:secret@h:80/x", "ftp://u:secret@h/x@y", "htp://secret@h"] {
            assert!(!error(text).contains("secret"), "{}", error(text));
        }
    }
}
