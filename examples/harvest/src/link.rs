//! Follows links and redirects of an API only to the same host, so that no other host gets credentials or a query with a
//! key.

use evenkeel::stream::http::same_host;
use reqwest::{Url, redirect::Policy};

use crate::transport::NO_HTTPS;

/// The maximum number of redirects of one call.
const MOST_REDIRECTS: usize = 10;

/// Returns the next page, or `None` if the link is to the page itself, as on the last page of some APIs. `page` is the
/// requested URL, and `at` the one after redirects.
///
/// # Errors
///
/// The link, and why it is not followed.
pub(crate) fn next(page: &Url, at: &Url, link: &str) -> Result<Option<Url>, String> {
    let mut next = at.join(link).map_err(|error| format!("its next page is {link:?}: {error}"))?;
    next.set_fragment(None);
    let mut from = at.clone();
    let _ = from.set_username(page.username());
    let _ = from.set_password(page.password());
    from.set_fragment(None);
    same_host(&from, &next).map_err(|reason| format!("its next page is not read: {reason}"))?;
    // All pages are requested with the user and password of the first. Setting them fails only without a host.
    let _ = next.set_username(page.username());
    let _ = next.set_password(page.password());
    let mut page = page.clone();
    page.set_fragment(None);
    Ok(Some(next).filter(|next| ![&page, &from].contains(&next)))
}

/// Follows redirects to the same host, and refuses the others, and those that this client cannot follow.
pub(crate) fn redirects(has_https: bool) -> Policy {
    Policy::custom(move |attempt| {
        let stays = match attempt.previous() {
            _ if !has_https && attempt.url().scheme() == "https" => Err(NO_HTTPS.to_owned()),
            previous if previous.len() > MOST_REDIRECTS => Err(format!("more than {MOST_REDIRECTS} times")),
            [.., from] => same_host(from, attempt.url()).map_err(|reason| reason.to_string()),
            [] => Ok(()),
        };
        match stays {
            Ok(()) => attempt.follow(),
            Err(reason) => attempt.error(reason),
        }
    })
}

/// Returns a URL that may be shown and stored.
pub(crate) fn without_password(url: &Url) -> String {
    let mut shown = url.clone();
    // This fails only without a host, where there is no password.
    let _ = shown.set_password(None);
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(page: &str, link: &str) -> Result<Option<String>, String> {
        let page = Url::parse(page).unwrap();
        next(&page, &page, link).map(|next| next.map(String::from))
    }

    #[test]
    fn the_next_page_is_relative_to_the_page() {
        let page = "http://h/api/users.json?key=1";
        for (link, url) in [
            ("users-2.json", "http://h/api/users-2.json"),
            ("?page=2", "http://h/api/users.json?page=2"),
            ("/v2/users#top", "http://h/v2/users"),
            ("//H:80/v2/users", "http://h/v2/users"),
            ("http://h/v2/users", "http://h/v2/users"),
            ("https://h/v2/users", "https://h/v2/users"),
        ] {
            assert_eq!(followed(page, link), Ok(Some(url.into())), "{link}");
        }
    }

    #[test]
    fn a_page_that_names_itself_is_the_last() {
        for link in ["", "#", "#2", "users.json", "/users.json", "//h/users.json", "./users.json"] {
            assert_eq!(followed("http://h/users.json", link), Ok(None), "{link}");
        }
        assert_eq!(followed("http://h/users?page=9", "?page=9"), Ok(None));
        assert_eq!(followed("http://u:p@h/users?page=9", "http://h/users?page=9"), Ok(None));
    }

    #[test]
    fn a_link_that_leaves_is_refused_by_name() {
        for (link, reason) in [
            ("http://evil/users", "on another host: http://evil/users"),
            ("//evil/users", "on another host: http://evil/users"),
            (r"\\evil\users", "on another host: http://evil/users"),
            (r"/\evil/users", "on another host: http://evil/users"),
            ("http://h@evil/users", "on another host: http://h@evil/users"),
            ("http://h.evil/users", "on another host: http://h.evil/users"),
            ("https://evil/users", "on another host: https://evil/users"),
            ("http://h:81/users", "on another port: http://h:81/users"),
            ("https://h:81/users", "on another port: https://h:81/users"),
            ("http://x:secret@h/users", "a user of its own: http://x@h/users"),
            ("ftp://h/users", "not HTTP: ftp://h/users"),
            ("file:///etc/passwd", "not HTTP: file:///etc/passwd"),
            ("javascript:alert(1)", "not HTTP: javascript:alert(1)"),
        ] {
            let error = followed("http://h/users?key=1", link).unwrap_err();
            assert!(error.ends_with(reason), "{link}: {error}");
        }
        let error = followed("https://h/users", "http://h/users-2").unwrap_err();
        assert!(error.ends_with("from https to http: http://h/users-2"), "{error}");
        assert!(followed("http://h/users", "http://h:x/").unwrap_err().contains(r#""http://h:x/""#));
    }

    #[test]
    fn behind_a_redirect_links_are_relative_to_its_end() {
        let [page, at] =
            ["http://u:p@h/users", "https://h/v2/users.json"].map(|url| Url::parse(url).unwrap());
        let next = |link| next(&page, &at, link).map(|next| next.map(String::from));
        assert_eq!(next("users-2.json"), Ok(Some("https://u:p@h/v2/users-2.json".into())));
        assert_eq!(next("users.json"), Ok(None));
        assert!(next("http://h/v2/users-2.json").unwrap_err().contains("from https to http"));
    }

    #[test]
    fn credentials_go_on_with_the_pages() {
        let next = followed("http://u:p@h/users", "http://h/users-2");
        assert_eq!(next, Ok(Some("http://u:p@h/users-2".into())));
        assert_eq!(followed("http://u:p@h/users", "//u:p@h/users-2"), next);
    }
}
