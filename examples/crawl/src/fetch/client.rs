//! One request and its answer.

use std::{error::Error as _, fmt, io, time::Duration};

use evenkeel::retry::Verdict;
use reqwest::{
    Response, StatusCode,
    header::{self, HeaderMap, HeaderName},
};

use super::{Answer, Fetcher, Reads, Request};
use crate::{
    NO_HTTPS,
    html::Parser,
    outcome::{Kind, Loaded, Outcome, Problem, Validators},
    page::{Document, redirect},
};

/// A body that is not needed is read up to this size, since the connection can be used again then.
const MAX_SKIPPED: u64 = 64 * 1024;

/// The part of a robots.txt that counts, by RFC 9309, section 2.5.
const MAX_ROBOTS: usize = 500 * 1024;

/// The error of one attempt.
#[derive(Debug)]
pub(super) enum FetchError {
    Status {
        status: StatusCode,
        pause: Option<Duration>,
    },
    Transport(reqwest::Error),
    /// The client does not know TLS.
    NoHttps,
    TooLarge {
        limit: usize,
    },
    /// A redirect without a target that can be asked for.
    Redirect {
        status: StatusCode,
        location: String,
    },
    /// HTML that needs more memory than a page should.
    Html(String),
}

impl Fetcher {
    /// Makes one attempt.
    pub(super) async fn attempt(&self, request: &Request<'_>) -> Result<Answer, FetchError> {
        if !self.limits.has_https && request.url.scheme() == "https" {
            return Err(FetchError::NoHttps);
        }
        let mut send = self.client.get(request.url.clone());
        for (name, value) in [
            (header::IF_NONE_MATCH, &request.validators.etag),
            (header::IF_MODIFIED_SINCE, &request.validators.modified),
        ] {
            if let Some(value) = value {
                send = send.header(name, value);
            }
        }
        let response = send.send().await.map_err(FetchError::Transport)?;
        let (status, headers) = (response.status(), response.headers());
        let is_conditional = *request.validators != Validators::default();
        if status == StatusCode::NOT_MODIFIED && is_conditional {
            return Ok(Answer::Outcome(Outcome::NotModified));
        }
        if matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            let location = text(headers, &header::LOCATION).unwrap_or_default();
            let link = redirect(request.url, &location).ok_or(FetchError::Redirect { status, location })?;
            skip(response).await;
            return Ok(Answer::Outcome(Outcome::Redirect(link)));
        }
        if !status.is_success() {
            let error = FetchError::Status { status, pause: pause(headers) };
            skip(response).await;
            return Err(error);
        }
        if request.reads == Reads::Text {
            return robots(response).await.map(Answer::Text);
        }
        self.load(request, response).await.map(|loaded| Answer::Outcome(Outcome::Loaded(loaded)))
    }

    async fn load(&self, request: &Request<'_>, mut response: Response) -> Result<Loaded, FetchError> {
        let headers = response.headers();
        let validators = Validators {
            etag: text(headers, &header::ETAG),
            modified: text(headers, &header::LAST_MODIFIED),
        };
        let content_type = text(headers, &header::CONTENT_TYPE).unwrap_or_default();
        if !is_html(&content_type) {
            skip(response).await;
            return Ok(Loaded { validators, bytes: 0, document: None });
        }
        let limit = self.limits.max_body;
        let too_large = |size: u64| size > limit as u64;
        if response.content_length().is_some_and(too_large) {
            return Err(FetchError::TooLarge { limit });
        }
        let mut parser = Parser::new(charset(&content_type));
        let mut bytes = 0;
        while let Some(part) = response.chunk().await.map_err(FetchError::Transport)? {
            bytes += part.len();
            if bytes > limit {
                return Err(FetchError::TooLarge { limit });
            }
            parser.write(&part).map_err(|error| FetchError::Html(error.to_string()))?;
        }
        let mut found = parser.end().map_err(|error| FetchError::Html(error.to_string()))?;
        if request.reads == Reads::Anchors {
            found.links.clear();
        }
        let document = Some(Document::new(request.url, found));
        Ok(Loaded { validators, bytes: bytes as i64, document })
    }
}

/// Reads a robots.txt, as far as it counts.
async fn robots(mut response: Response) -> Result<Vec<u8>, FetchError> {
    let mut text = Vec::new();
    while let Some(part) = response.chunk().await.map_err(FetchError::Transport)? {
        text.extend_from_slice(&part);
        if text.len() >= MAX_ROBOTS {
            break;
        }
    }
    Ok(text)
}

/// Reads the rest of an answer, if it is short.
async fn skip(mut response: Response) {
    if response.content_length().is_some_and(|length| length <= MAX_SKIPPED) {
        while let Ok(Some(_)) = response.chunk().await {}
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    // A validator goes back as it came, so it has to be text.
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// `text/html; charset=utf-8`, ...
fn is_html(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("text/html") || essence.eq_ignore_ascii_case("application/xhtml+xml")
}

/// Returns the character set that the server names.
fn charset(content_type: &str) -> Option<&str> {
    let parameters = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut charsets = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    charsets.next().map(|(_, value)| value.trim().trim_matches('"'))
}

#[expect(clippy::disallowed_methods, reason = "a header may have a date of the wall clock")]
fn pause(headers: &HeaderMap) -> Option<Duration> {
    evenkeel_retry_after::retry_after(headers, std::time::SystemTime::now())
}

impl FetchError {
    /// Whether another attempt is worth it.
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Status { status, pause } => match status.as_u16() {
                408 | 425 | 429 | 500 | 502..=504 | 520..=524 | 529 => {
                    pause.map_or(Verdict::Retry, Verdict::RetryAfter)
                }
                _ => Verdict::Permanent,
            },
            // A certificate does not get better.
            Self::Transport(error) => (!is_tls(error) && !error.is_builder()).into(),
            Self::NoHttps | Self::TooLarge { .. } | Self::Redirect { .. } | Self::Html(_) => {
                Verdict::Permanent
            }
        }
    }

    pub(super) fn problem(&self) -> Problem {
        let kind = match self {
            Self::Status { .. } => Kind::Status,
            Self::Transport(error) if error.is_timeout() => Kind::Timeout,
            Self::Transport(error) if is_tls(error) => Kind::Tls,
            Self::NoHttps => Kind::Tls,
            Self::Transport(_) => Kind::Unreachable,
            Self::TooLarge { .. } | Self::Html(_) => Kind::TooLarge,
            Self::Redirect { .. } => Kind::Redirect,
        };
        Problem::new(kind, self.to_string())
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, pause: None } => write!(f, "{status}"),
            Self::Status { status, pause: Some(pause) } => write!(f, "{status}, come back in {pause:?}"),
            Self::Transport(error) => f.write_str(&innermost(error)),
            Self::NoHttps => f.write_str(NO_HTTPS),
            Self::TooLarge { limit } => write!(f, "more than {limit} bytes"),
            Self::Redirect { status, location } => write!(f, "{status} to {location:?}"),
            Self::Html(reason) => f.write_str(reason),
        }
    }
}

/// Whether the handshake of TLS failed: rustls reports invalid data.
fn is_tls(error: &reqwest::Error) -> bool {
    let is_https = error.url().is_some_and(|url| url.scheme() == "https");
    let mut io = causes(error).filter_map(|error| error.downcast_ref::<io::Error>());
    is_https && error.is_connect() && io.any(is_invalid_data)
}

/// Whether it is such an error, or has one inside, which is none of its causes.
fn is_invalid_data(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<io::Error>());
    error.kind() == io::ErrorKind::InvalidData || inner.is_some_and(is_invalid_data)
}

/// Returns the cause of all others, without the address, which the report has already.
fn innermost(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, pause: Option<Duration>) -> FetchError {
        FetchError::Status { status: StatusCode::from_u16(code).unwrap(), pause }
    }

    #[test]
    fn busy_and_broken_servers_are_asked_again() {
        let pause = Duration::from_secs(3);
        for code in [408, 425, 429, 500, 502, 503, 504, 520, 524, 529] {
            assert_eq!(status(code, None).verdict(), Verdict::Retry, "{code}");
            assert_eq!(status(code, Some(pause)).verdict(), Verdict::RetryAfter(pause), "{code}");
        }
        for code in [304, 400, 401, 403, 404, 410, 451, 501, 505] {
            assert_eq!(status(code, Some(pause)).verdict(), Verdict::Permanent, "{code}");
        }
        assert_eq!(FetchError::TooLarge { limit: 1 }.verdict(), Verdict::Permanent);
        assert_eq!(FetchError::NoHttps.verdict(), Verdict::Permanent);
    }

    #[test]
    fn the_character_set_is_a_parameter_of_the_type() {
        for (content_type, right) in [
            ("text/html; charset=utf-8", Some("utf-8")),
            ("text/html;x=y; Charset = \"Latin1\" ", Some("Latin1")),
            ("text/html", None),
        ] {
            assert_eq!(charset(content_type), right, "{content_type}");
        }
    }

    #[test]
    fn html_is_known_by_its_type() {
        for html in ["text/html", "Text/HTML; charset=utf-8", "application/xhtml+xml ;x"] {
            assert!(is_html(html), "{html}");
        }
        for other in ["text/plain", "application/json", "text/htmlx", ""] {
            assert!(!is_html(other), "{other}");
        }
    }
}
