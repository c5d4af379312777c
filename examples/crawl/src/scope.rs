//! Which pages are read for links, which are only asked for, and which never are.

use reqwest::Url;

/// The part that a URL has in the crawl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub(crate) enum Role {
    /// It is asked for, and its links are not followed.
    Check = 0,
    /// Its links are followed.
    Follow = 1,
    /// It is on another host, and never asked for.
    External = 2,
}

impl Role {
    pub(crate) const fn from_code(code: i64) -> Self {
        match code {
            0 => Self::Check,
            1 => Self::Follow,
            _ => Self::External,
        }
    }
}

/// The bounds of a crawl.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// The hosts that may be asked; the first one is that of the start.
    pub(crate) hosts: Vec<String>,
    /// The beginnings of the paths that are followed; all paths if there is none.
    pub(crate) prefixes: Vec<String>,
    /// The number of links from the start to the last pages that are asked for.
    pub(crate) depth: Option<i64>,
}

impl Scope {
    /// Returns the part of the first page, which is followed wherever it is.
    pub(crate) fn role_of_start(&self) -> Role {
        if self.depth == Some(0) { Role::Check } else { Role::Follow }
    }

    /// Returns the part of a URL that is this many links away from the start.
    pub(crate) fn role(&self, url: &Url, depth: i64) -> Role {
        if !self.hosts.contains(&host(url)) {
            return Role::External;
        }
        let is_below = self.prefixes.is_empty()
            || self.prefixes.iter().any(|prefix| url.path().starts_with(prefix.as_str()));
        let is_near = self.depth.is_none_or(|limit| depth < limit);
        if is_below && is_near { Role::Follow } else { Role::Check }
    }
}

/// Returns the host with its port, unless that is the default one. It is alike for http and https.
pub(crate) fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(prefixes: &[&str], depth: Option<i64>) -> Scope {
        let prefixes = prefixes.iter().map(|&prefix| prefix.to_owned()).collect();
        Scope { hosts: vec!["h.example".into(), "other.example:81".into()], prefixes, depth }
    }

    #[test]
    fn other_hosts_and_ports_are_external() {
        let scope = scope(&[], None);
        for (url, role) in [
            ("http://h.example/a", Role::Follow),
            ("https://h.example/a", Role::Follow),
            ("http://other.example:81/", Role::Follow),
            ("http://other.example/", Role::External),
            ("http://h.example:8080/a", Role::External),
            ("http://sub.h.example/a", Role::External),
            ("http://h.example.evil.example/a", Role::External),
        ] {
            assert_eq!(scope.role(&Url::parse(url).unwrap(), 3), role, "{url}");
        }
    }

    #[test]
    fn paths_outside_the_prefixes_are_checked_and_not_followed() {
        let scope = scope(&["/std/", "/core/"], None);
        let role = |path: &str| scope.role(&Url::parse(&format!("http://h.example{path}")).unwrap(), 0);
        assert_eq!(
            [role("/std/x.html"), role("/core/"), role("/book/")],
            [Role::Follow, Role::Follow, Role::Check]
        );
        assert_eq!(role("/std"), Role::Check);
    }

    #[test]
    fn the_last_level_is_asked_for_and_not_followed() {
        assert_eq!(scope(&["/std/"], Some(0)).role_of_start(), Role::Check);
        assert_eq!(scope(&["/std/"], Some(1)).role_of_start(), Role::Follow);
        let url = Url::parse("http://h.example/").unwrap();
        let roles = [0, 1, 2].map(|depth| scope(&[], Some(2)).role(&url, depth));
        assert_eq!(roles, [Role::Follow, Role::Follow, Role::Check]);
    }
}
