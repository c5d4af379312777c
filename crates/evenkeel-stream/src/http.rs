//! The next page in the `Link` header of a response, with the feature `http`.
//!
//! # How it works
//!
//! [`links`] is the algorithm of [RFC 8288], appendix B.2, which reads what servers send: white space around `=`, empty list
//! elements, unquoted values, commas and semicolons within URLs and quoted values. It goes on at the next comma behind
//! something that is no link.
//!
//! [RFC 8288]: https://www.rfc-editor.org/rfc/rfc8288

use std::{error::Error, fmt};

use url::Url;

/// A link of a `Link` header.
///
/// # Examples
///
/// ```
/// use evenkeel_stream::http::links;
///
/// let links = links([r#"<?page=2>; rel="next last"; title="a, b""#]);
/// assert_eq!((&*links[0].target, links[0].has_rel("NEXT")), ("?page=2", true));
/// assert_eq!(links[0].param("title"), Some("a, b"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebLink {
    /// The target as it was sent, which may be relative.
    pub target: String,
    /// The parameters in their order, with names in lower case.
    pub params: Vec<(String, String)>,
}

impl WebLink {
    /// Returns the first parameter of a name in lower case.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(param, _)| param == name).map(|(_, value)| &**value)
    }

    /// Returns whether the link has a relation; letter case does not matter.
    #[must_use]
    pub fn has_rel(&self, rel: &str) -> bool {
        // Further parameters of this name are ignored, as the RFC says.
        let rels = self.param("rel").unwrap_or_default();
        rels.split_ascii_whitespace().any(|one| one.eq_ignore_ascii_case(rel))
    }
}

/// Returns the links in the values of `Link` headers.
///
/// # Examples
///
/// ```
/// use evenkeel_stream::http::links;
///
/// let links = links(["<https://h/a,b;c>; rel=prev, <?page=3>; rel=next", "</>; rel=first"]);
/// let targets: Vec<_> = links.iter().map(|link| &*link.target).collect();
/// assert_eq!(targets, ["https://h/a,b;c", "?page=3", "/"]);
/// ```
pub fn links<'a>(values: impl IntoIterator<Item = &'a str>) -> Vec<WebLink> {
    values.into_iter().flat_map(links_in).collect()
}

fn links_in(mut rest: &str) -> Vec<WebLink> {
    let mut links = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return links;
        }
        if let Some((target, behind)) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
            let mut link = WebLink { target: target.trim().to_owned(), params: Vec::new() };
            rest = behind;
            while let Some(param) = rest.trim_start_matches([' ', '\t']).strip_prefix(';') {
                rest = parse_param(param, &mut link.params);
            }
            links.push(link);
        }
        // Skips text that is neither a link nor a parameter.
        rest = rest.find(',').map_or("", |comma| &rest[comma..]);
    }
}

/// Adds a parameter; returns the text behind it.
fn parse_param<'a>(text: &'a str, params: &mut Vec<(String, String)>) -> &'a str {
    let end = text.find(['=', ';', ',']).unwrap_or(text.len());
    let name = text[..end].trim().to_ascii_lowercase();
    let rest = &text[end..];
    let (value, rest) = match rest.strip_prefix('=').map(str::trim_start) {
        None => (String::new(), rest),
        Some(value) => match value.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = value.find([';', ',']).unwrap_or(value.len());
                (value[..end].trim_end().to_owned(), &value[end..])
            }
        },
    };
    if !name.is_empty() {
        params.push((name, value));
    }
    // Behind a quoted value nothing else is expected.
    rest.find([';', ',']).map_or("", |end| &rest[end..])
}

/// Returns the value of a quoted string, and the text behind it.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, char)| char)),
            _ => value.push(char),
        }
    }
    (value, "")
}

/// Returns the next page in the values of the `Link` headers of a response, if it is on the same host.
///
/// `page` is the URL of the response, to which links are relative; after redirects, the last one. A link with an `anchor` that
/// leads elsewhere belongs to another page and is left out. The fragment is dropped.
///
/// # Errors
///
/// [`LinkError`] if the next page is no URL, or is not where [`same_host`] allows: a link of a foreign server must not get
/// the credentials and the keys that are sent with each page. To decide otherwise, read the [`links`].
///
/// # Examples
///
/// ```
/// use evenkeel_stream::http::next_link;
/// use url::Url;
///
/// let page = Url::parse("https://api.example/users?page=1").unwrap();
/// let next = next_link(&page, [r#"</users?page=2>; rel="next""#]).unwrap().unwrap();
/// assert_eq!(next.as_str(), "https://api.example/users?page=2");
/// assert_eq!(next_link(&page, [r#"</users?page=1>; rel="prev""#]), Ok(None));
///
/// let error = next_link(&page, [r#"<https://evil.example/>; rel="next""#]).unwrap_err();
/// assert_eq!(error.to_string(), "the link is on another host: https://evil.example/");
/// ```
pub fn next_link<'a>(
    page: &Url,
    values: impl IntoIterator<Item = &'a str>,
) -> Result<Option<Url>, LinkError> {
    let links = links(values);
    let same_page = |link: &&WebLink| {
        link.param("anchor").is_none_or(|anchor| {
            page.join(anchor).is_ok_and(|context| without_fragment(&context) == without_fragment(page))
        })
    };
    let Some(link) = links.iter().filter(same_page).find(|link| link.has_rel("next")) else {
        return Ok(None);
    };
    let next = page.join(&link.target).map_err(|_| LinkError::Invalid { target: link.target.clone() })?;
    same_host(page, &next)?;
    Ok(Some(without_fragment(&next)))
}

/// Checks that a URL leads to the same host and port, by the same scheme or from http to https, and without a user of its
/// own.
///
/// # Errors
///
/// The reason why it does not.
///
/// # Examples
///
/// ```
/// use evenkeel_stream::http::{LinkError, same_host};
/// use url::Url;
///
/// let [from, to] = ["https://h/users", "http://h/users"].map(|url| Url::parse(url).unwrap());
/// assert!(matches!(same_host(&from, &to), Err(LinkError::Downgrade { .. })));
/// same_host(&to, &from).unwrap();
/// ```
pub fn same_host(from: &Url, to: &Url) -> Result<(), LinkError> {
    let url = shown(to);
    if !matches!(to.scheme(), "http" | "https") {
        return Err(LinkError::NotHttp { url });
    }
    if from.host() != to.host() {
        return Err(LinkError::OtherHost { url });
    }
    match [from, to].map(|url| (url.scheme(), url.port_or_known_default())) {
        [from, to] if from == to => {}
        [("http", Some(80)), ("https", Some(443))] => {}
        [("https", _), ("http", _)] => return Err(LinkError::Downgrade { url }),
        _ => return Err(LinkError::OtherPort { url }),
    }
    let users = [from, to].map(|url| (url.username(), url.password()));
    if users[1] != ("", None) && users[0] != users[1] {
        return Err(LinkError::OtherUser { url });
    }
    Ok(())
}

fn without_fragment(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_fragment(None);
    url
}

fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    // This fails only without a host, where there is no password.
    let _ = shown.set_password(None);
    shown.into()
}

/// The reason why a link is not followed; URLs are without their password.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkError {
    /// The target is no URL.
    #[non_exhaustive]
    Invalid {
        /// The target as it was sent.
        target: String,
    },
    /// The scheme is neither http nor https.
    #[non_exhaustive]
    NotHttp {
        /// The URL of the link.
        url: String,
    },
    /// It leads to another host.
    #[non_exhaustive]
    OtherHost {
        /// The URL of the link.
        url: String,
    },
    /// It leads to another port.
    #[non_exhaustive]
    OtherPort {
        /// The URL of the link.
        url: String,
    },
    /// It leads from https to http.
    #[non_exhaustive]
    Downgrade {
        /// The URL of the link.
        url: String,
    },
    /// It names a user of its own.
    #[non_exhaustive]
    OtherUser {
        /// The URL of the link.
        url: String,
    },
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { target } => write!(f, "the link is no URL: {target:?}"),
            Self::NotHttp { url } => write!(f, "the link is not HTTP: {url}"),
            Self::OtherHost { url } => write!(f, "the link is on another host: {url}"),
            Self::OtherPort { url } => write!(f, "the link is on another port: {url}"),
            Self::Downgrade { url } => write!(f, "the link goes from https to http: {url}"),
            Self::OtherUser { url } => write!(f, "the link names a user of its own: {url}"),
        }
    }
}

impl Error for LinkError {}
