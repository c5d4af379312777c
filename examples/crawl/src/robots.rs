//! The rules of a robots.txt, by RFC 9309: which paths a crawler may ask for, and how long it waits between requests.
//!
//! robotxt decides. It ends a group at a `Crawl-delay`, although by section 2.2.4 only `allow` and `disallow` lines
//! end the run of `user-agent` lines, and so lets in a crawler that is denied. [`delays_behind_agents`] mends that: it
//! moves such a line behind the run.

use std::time::Duration;

use reqwest::Url;
use robotxt::{AccessResult, Robots};

/// The name by which groups are chosen.
pub(crate) const AGENT: &str = "evenkeel-crawl";

/// The outcome of asking for a robots.txt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Found(Vec<u8>),
    /// A 4xx, or too many redirects: everything is allowed.
    Unavailable,
    /// A 5xx, or no answer: nothing is allowed.
    Unreachable(String),
}

/// The rules of one server for this crawler.
#[derive(Debug)]
pub(crate) struct Rules {
    robots: Robots,
    /// The reason why the rules could not be read, so that nothing is allowed.
    pub(crate) unreachable: Option<String>,
}

impl Rules {
    pub(crate) fn new(access: &Access, agent: &str) -> Self {
        let robots = match access {
            Access::Found(text) => {
                // The limit is that of the file, so the cut comes first.
                let text = &text[..text.len().min(robotxt::BYTE_LIMIT)];
                Robots::from_access(AccessResult::Successful(&delays_behind_agents(text)), agent)
            }
            Access::Unavailable => Robots::from_access(AccessResult::Unavailable, agent),
            Access::Unreachable(_) => Robots::from_access(AccessResult::Unreachable, agent),
        };
        let unreachable = match access {
            Access::Unreachable(reason) => Some(reason.clone()),
            _ => None,
        };
        Self { robots, unreachable }
    }

    /// Whether this URL of the server may be asked for.
    pub(crate) fn allow(&self, url: &Url) -> bool {
        self.robots.is_url_allowed(url)
    }

    /// Returns the time that the server wants between two requests.
    pub(crate) fn delay(&self) -> Option<Duration> {
        self.robots.crawl_delay()
    }
}

/// Moves each `Crawl-delay` that stands in a run of `user-agent` lines behind the run.
fn delays_behind_agents(text: &[u8]) -> Vec<u8> {
    let mut moved = Vec::with_capacity(text.len() + 1);
    let mut delays: Vec<&[u8]> = Vec::new();
    let mut in_agents = false;
    for line in text.split(|byte| matches!(byte, b'\r' | b'\n')) {
        match key(line).as_str() {
            "user-agent" => in_agents = true,
            "crawl-delay" if in_agents => {
                delays.push(line);
                continue;
            }
            "allow" | "disallow" => {
                in_agents = false;
                delays.drain(..).for_each(|delay| push_line(&mut moved, delay));
            }
            _ => {}
        }
        push_line(&mut moved, line);
    }
    delays.into_iter().for_each(|delay| push_line(&mut moved, delay));
    moved
}

fn push_line(text: &mut Vec<u8>, line: &[u8]) {
    text.extend_from_slice(line);
    text.push(b'\n');
}

/// Returns the key of a line in lower case.
fn key(line: &[u8]) -> String {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
    let key = line.split(|&byte| byte == b':').next().unwrap_or_default();
    String::from_utf8_lossy(key.trim_ascii()).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> Url {
        Url::parse("http://h.example").unwrap().join(path).unwrap()
    }

    fn allows(text: &str, agent: &str, path: &str) -> bool {
        Rules::new(&Access::Found(text.into()), agent).allow(&at(path))
    }

    /// Name, file, agent, path, and whether it is allowed.
    const CASES: [(&str, &str, &str, &str, bool); 34] = [
        ("longest match wins", "User-agent: *\nDisallow: /a\nAllow: /a/b\n", "foo", "/a/b/c", true),
        ("order of lines is no matter", "User-agent: *\nAllow: /\nDisallow: /x\n", "foo", "/x/1", false),
        ("equal length: allow", "User-agent: *\nDisallow: /p\nAllow: /p\n", "foo", "/p", true),
        ("* inside", "User-agent: *\nDisallow: /*/private\n", "foo", "/u/private/x", false),
        ("$ at the end matches", "User-agent: *\nDisallow: /*.gif$\n", "foo", "/a.gif", false),
        ("$ anchors", "User-agent: *\nDisallow: /*.gif$\n", "foo", "/a.gif?x", true),
        ("Allow: /$ keeps the root only", "User-agent: *\nDisallow: /\nAllow: /$\n", "foo", "/", true),
        (
            "own group, not *",
            "User-agent: *\nDisallow: /\n\nUser-agent: foo\nDisallow: /x\n",
            "foo",
            "/y",
            true,
        ),
        (
            "two groups of one agent, first",
            "User-agent: foo\nDisallow: /a\n\nUser-agent: bar\nDisallow: /c\n\nUser-agent: foo\nDisallow: /b\n",
            "foo",
            "/a",
            false,
        ),
        (
            "two groups of one agent, second",
            "User-agent: foo\nDisallow: /a\n\nUser-agent: bar\nDisallow: /c\n\nUser-agent: foo\nDisallow: /b\n",
            "foo",
            "/b",
            false,
        ),
        (
            "two * groups",
            "User-agent: *\nDisallow: /a\n\nUser-agent: bar\nDisallow: /c\n\nUser-agent: *\nDisallow: /b\n",
            "foo",
            "/b",
            false,
        ),
        ("two agents, one group", "User-agent: bar\nUser-agent: foo\nDisallow: /x\n", "foo", "/x", false),
        ("case of the agent", "User-agent: FooBot\nDisallow: /x\n", "foobot", "/x", false),
        ("agent is the whole token", "User-agent: foo\nDisallow: /x\n", "foobot", "/x", true),
        ("BOM", "\u{feff}User-agent: *\nDisallow: /x\n", "foo", "/x", false),
        ("CRLF", "User-agent: *\r\nDisallow: /x\r\nAllow: /x/y\r\n", "foo", "/x", false),
        ("CR alone", "User-agent: *\rDisallow: /x\r", "foo", "/x", false),
        ("%7E is ~", "User-agent: *\nDisallow: /a/%7Ejoe\n", "foo", "/a/~joe", false),
        ("~ is %7E", "User-agent: *\nDisallow: /a/~joe\n", "foo", "/a/%7Ejoe", false),
        ("%2F is not /", "User-agent: *\nDisallow: /a%2Fb\n", "foo", "/a/b", true),
        ("UTF-8 pattern, encoded path", "User-agent: *\nDisallow: /foo/ツ\n", "foo", "/foo/%E3%83%84", false),
        ("hex digits", "User-agent: *\nDisallow: /foo/%e3%83%84\n", "foo", "/foo/%E3%83%84", false),
        (
            "Crawl-delay does not end a group",
            "User-agent: foo\nCrawl-delay: 5\nUser-agent: bar\nDisallow: /x\n",
            "foo",
            "/x",
            false,
        ),
        (
            "Sitemap does not end a group",
            "User-agent: foo\nSitemap: http://h.example/s.xml\nDisallow: /x\n",
            "foo",
            "/x",
            false,
        ),
        (
            "unknown line between",
            "User-agent: *\nDisallow: /y\nNoindex: /z\nDisallow: /x\n",
            "foo",
            "/x",
            false,
        ),
        ("blank line does not end a group", "User-agent: foo\n\nDisallow: /x\n", "foo", "/x", false),
        ("empty Disallow", "User-agent: *\nDisallow:\n", "foo", "/x", true),
        ("comment after a value", "User-agent: *\nDisallow: /x # not y\n", "foo", "/x/1", false),
        ("spaces, case of the key", "  user-AGENT : *\n\tDISALLOW : /x\n", "foo", "/x", false),
        ("/robots.txt itself", "User-agent: *\nDisallow: /\n", "foo", "/robots.txt", true),
        ("rules before a group", "Disallow: /y\nUser-agent: *\nDisallow: /x\n", "foo", "/y", true),
        ("case of the path", "User-agent: *\nDisallow: /X\n", "foo", "/x", true),
        ("query is part of it", "User-agent: *\nDisallow: /a?b=\n", "foo", "/a?b=1", false),
        (
            "Sitemap between agents",
            "User-agent: foo\nSitemap: http://h.example/s.xml\nUser-agent: bar\nDisallow: /x\n",
            "foo",
            "/x",
            false,
        ),
    ];

    #[test]
    fn every_case_of_the_table_is_right() {
        for (name, text, agent, path, right) in CASES {
            assert_eq!(allows(text, agent, path), right, "{name}");
        }
    }

    #[test]
    fn a_rule_at_499_kb_counts_and_one_beyond_the_limit_does_not() {
        let comments = |kb: usize| format!("#{}\n", "x".repeat(1022)).repeat(kb);
        let file = |kb: usize| format!("User-agent: *\n{}Disallow: /late\n", comments(kb));
        assert!(!allows(&file(498), "foo", "/late"));
        assert!(allows(&file(501), "foo", "/late"));
    }

    #[test]
    fn a_delay_belongs_to_the_whole_run_of_agents() {
        let delay = |text: &str, agent: &str| Rules::new(&Access::Found(text.into()), agent).delay();
        let five = Some(Duration::from_secs(5));
        for end in ["\n", "\r\n", "\r"] {
            let text =
                ["User-agent: foo", "\u{9}crawl-DELAY : 5 # s", "User-agent: bar", "Disallow: /x"].join(end);
            assert_eq!((delay(&text, "foo"), delay(&text, "bar"), delay(&text, "else")), (five, five, None));
            assert!(!allows(&text, "foo", "/x") && !allows(&text, "bar", "/x"));
        }
        let behind = "User-agent: foo\nDisallow: /x\nCrawl-delay: 5\nUser-agent: bar\nDisallow: /y\n";
        assert_eq!((delay(behind, "foo"), delay(behind, "bar")), (five, None));
        assert!(allows(behind, "foo", "/y"));
        assert_eq!(delay("\u{feff}User-agent: foo\nCrawl-delay: 5", "foo"), five);
    }

    #[test]
    fn a_missing_file_allows_and_one_that_cannot_be_read_denies() {
        assert!(Rules::new(&Access::Unavailable, "foo").allow(&at("/x")));
        let unreachable = Rules::new(&Access::Unreachable("503".into()), "foo");
        assert!(!unreachable.allow(&at("/x")) && unreachable.unreachable.is_some());
    }
}
