//! Reads libpq's connection strings: those of tokio-postgres, and the settings for TLS that it does not know.
//!
//! The settings for TLS are taken out, and the client reads the rest, so that it has the last word on what is
//! unknown or malformed.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use tokio_postgres::{Config, Error};

use crate::tls::{Pem, Roots, SslMode, TlsOptions};

/// Reads a URL, or `key=value` pairs.
pub(crate) fn parse(text: &str) -> Result<(Config, TlsOptions), Error> {
    let mut settings = Settings::default();
    let is_url = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
    let rest = if is_url { settings.take_from_url(text) } else { settings.take_from_pairs(text) };
    let mut config: Config = rest.parse()?;
    let options = settings.options(&config);
    config.ssl_mode(options.mode.of_client());
    Ok((config, options))
}

/// The settings for TLS; the last one of a kind counts.
#[derive(Default)]
struct Settings {
    mode: Option<SslMode>,
    is_required: bool,
    roots: Option<Roots>,
    certificate: Option<Pem>,
    key: Option<Pem>,
}

impl Settings {
    /// Takes a setting, or returns false if it is the client's.
    fn take(&mut self, key: &str, value: &str) -> bool {
        let file = || Some(Pem::File(value.into())).filter(|_| !value.is_empty());
        match key {
            "sslmode" => match SslMode::parse(value) {
                Some(mode) => self.mode = Some(mode),
                None => return false,
            },
            "sslrootcert" if value == "system" => self.roots = Some(Roots::System),
            "sslrootcert" => self.roots = file().map(Roots::Pem),
            "sslcert" => self.certificate = file(),
            "sslkey" => self.key = file(),
            _ => return false,
        }
        true
    }

    /// Returns the URL without what was taken.
    fn take_from_url(&mut self, url: &str) -> String {
        let Some((base, query)) = split_query(url) else { return url.to_owned() };
        let mut rest = Vec::new();
        for setting in query.split('&') {
            let taken = setting.split_once('=').is_some_and(|(key, value)| {
                let (Some(key), Some(value)) = (decode(key), decode(value)) else { return false };
                // As JDBC has it.
                let is_required = key == "ssl" && value == "true";
                self.is_required |= is_required;
                is_required || self.take(&key, &value)
            });
            if !taken {
                // The client takes the first one of the whole URL for the end of a password.
                rest.push(setting.replace('@', "%40"));
            }
        }
        if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) }
    }

    /// Returns the pairs without what was taken; as they were if they are malformed.
    fn take_from_pairs(&mut self, text: &str) -> String {
        let Some(pairs) = pairs(text) else { return text.to_owned() };
        let mut rest = String::new();
        for (key, value) in pairs {
            if !self.take(key, &value) {
                let value = value.replace('\\', r"\\").replace('\'', r"\'");
                rest = format!("{rest}{key}='{value}' ");
            }
        }
        rest
    }

    fn options(self, config: &Config) -> TlsOptions {
        let Self { mode, is_required, roots, certificate, key } = self;
        let mode = mode.unwrap_or(match roots {
            Some(Roots::System) => SslMode::VerifyFull,
            _ if is_required => SslMode::Require,
            _ => config.get_ssl_mode().into(),
        });
        TlsOptions { mode, roots, certificate, key }
    }
}

/// Splits a URL at the question mark of its query. A password may have one of its own.
fn split_query(url: &str) -> Option<(&str, &str)> {
    let start = url.find("://")? + 3;
    let rest = &url[start..];
    // As libpq, which looks for the end of a password before the first slash; and as the client, which looks everywhere.
    let password_ends = rest.find('@').filter(|at| !rest[..*at].contains('/') || !rest[..*at].contains('?'));
    let question = start + password_ends.unwrap_or(0);
    let question = question + url[question..].find('?')?;
    Some((&url[..question], &url[question + 1..]))
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}

/// Splits `key=value` pairs by the rules of libpq; `None` if they are malformed.
fn pairs(text: &str) -> Option<Vec<(&str, String)>> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, value) = rest.split_once('=')?;
        let key = key.trim_end();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return None;
        }
        let (value, after) = value_of_pair(value.trim_start())?;
        pairs.push((key, value));
        rest = after.trim_start();
    }
    Some(pairs)
}

/// Reads a value, and returns it with what follows.
fn value_of_pair(text: &str) -> Option<(String, &str)> {
    let (text, is_quoted) = text.strip_prefix('\'').map_or((text, false), |text| (text, true));
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '\'' if is_quoted => return Some((value, &text[at + 1..])),
            '\\' => value.extend(chars.next().map(|(_, char)| char)),
            _ if char.is_whitespace() && !is_quoted => {
                return Some((value, &text[at..])).filter(|(value, _)| !value.is_empty());
            }
            _ => value.push(char),
        }
    }
    Some((value, "")).filter(|(value, _)| !is_quoted && !value.is_empty())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio_postgres::config::{self, Host};

    use super::*;

    fn read(text: &str) -> (Config, TlsOptions) {
        parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }

    fn file(pem: Option<&Pem>) -> Option<&Path> {
        match pem? {
            Pem::File(path) => Some(path),
            Pem::Bytes(_) => panic!("a connection string names files"),
        }
    }

    fn root(options: &TlsOptions) -> Option<&Path> {
        match options.roots.as_ref()? {
            Roots::System => Some(Path::new("the system's")),
            Roots::Pem(pem) => file(Some(pem)),
        }
    }

    #[test]
    fn every_mode_is_read_and_passed_on_as_far_as_the_client_knows_it() {
        for (text, mode, of_client) in [
            ("disable", SslMode::Disable, config::SslMode::Disable),
            ("allow", SslMode::Allow, config::SslMode::Prefer),
            ("prefer", SslMode::Prefer, config::SslMode::Prefer),
            ("require", SslMode::Require, config::SslMode::Require),
            ("verify-ca", SslMode::VerifyCa, config::SslMode::Require),
            ("verify-full", SslMode::VerifyFull, config::SslMode::Require),
        ] {
            for text in [format!("postgres://u@h/d?sslmode={text}"), format!("host=h sslmode={text}")] {
                let (config, options) = read(&text);
                assert_eq!((options.mode, config.get_ssl_mode()), (mode, of_client), "{text}");
            }
        }
        assert_eq!(read("postgres://h").1.mode, SslMode::Prefer);
        assert_eq!(read("host=h").1.mode, SslMode::Prefer);
    }

    /// As they are shown by those who rent out servers.
    #[test]
    fn urls_are_read_as_they_are_pasted() {
        let (config, options) = read(
            "postgresql://app:p%40ss@db.example.com:5433/app?sslmode=verify-full&sslrootcert=system&channel_binding=require",
        );
        assert_eq!(config.get_hosts(), [Host::Tcp("db.example.com".into())]);
        assert_eq!((config.get_user(), config.get_password()), (Some("app"), Some(&b"p@ss"[..])));
        assert_eq!((config.get_ports(), config.get_dbname()), (&[5433][..], Some("app")));
        assert_eq!(config.get_channel_binding(), config::ChannelBinding::Require);
        assert_eq!((options.mode, root(&options)), (SslMode::VerifyFull, Some(Path::new("the system's"))));

        let (config, options) = read(
            "postgres://u@a:1,b:2/d?target_session_attrs=read-write&sslmode=verify-ca&sslrootcert=%2Fetc%2Fca%20x.pem\
             &sslcert=c@d.pem&sslkey=k.pem",
        );
        assert_eq!((config.get_hosts().len(), config.get_ports()), (2, &[1, 2][..]));
        assert_eq!((config.get_user(), config.get_dbname()), (Some("u"), Some("d")));
        assert_eq!(config.get_target_session_attrs(), config::TargetSessionAttrs::ReadWrite);
        assert_eq!(root(&options), Some(Path::new("/etc/ca x.pem")));
        assert_eq!(file(options.certificate.as_ref()), Some(Path::new("c@d.pem")));
        assert_eq!(file(options.key.as_ref()), Some(Path::new("k.pem")));

        assert_eq!(read("postgres://h/d?sslrootcert=system").1.mode, SslMode::VerifyFull);
        assert_eq!(read("postgres://h/d?sslrootcert=x").1.mode, SslMode::Prefer);
        assert_eq!(read("postgres://h/d?ssl=true").1.mode, SslMode::Require);
        assert_eq!(read("postgres://h/d?sslmode=verify-full&ssl=true").1.mode, SslMode::VerifyFull);
        let (config, options) = read("postgres://h/d?sslnegotiation=direct&sslmode=require&sslrootcert=");
        assert_eq!(config.get_ssl_negotiation(), config::SslNegotiation::Direct);
        assert!(root(&options).is_none());
        // The last one counts.
        assert_eq!(read("postgres://h/d?sslmode=verify-full&sslmode=disable").1.mode, SslMode::Disable);
        assert_eq!(read("postgres://?host=h&sslmode=disable").1.mode, SslMode::Disable);
    }

    #[test]
    fn special_characters_of_a_password_are_no_query() {
        for (url, password) in [
            ("postgres://u:a?sslmode=b@h/d?sslmode=disable", "a?sslmode=b"),
            ("postgres://u:a/b@h/d?sslmode=disable", "a/b"),
            ("postgres://u:a@h/d?options=x@y&sslmode=disable", "a"),
        ] {
            let (config, options) = read(url);
            assert_eq!(config.get_password(), Some(password.as_bytes()), "{url}");
            assert_eq!((config.get_dbname(), options.mode), (Some("d"), SslMode::Disable), "{url}");
        }
        let (config, _) = read("postgres://h/d?application_name=a@b");
        assert_eq!((config.get_user(), config.get_application_name()), (None, Some("a@b")));
    }

    #[test]
    fn pairs_are_read_with_their_quotes() {
        let (config, options) = read(r"  host = h password='it''s'  ".replace("''", r"\'").as_str());
        assert_eq!((config.get_password(), options.mode), (Some(&b"it's"[..]), SslMode::Prefer));
        let (config, options) = read(
            r"host=h sslrootcert='/a b/\'c.pem' password=x\ y sslmode = 'verify-full' options='' sslcert=c sslkey=k dbname=d\\",
        );
        assert_eq!(root(&options), Some(Path::new("/a b/'c.pem")));
        assert_eq!((config.get_password(), config.get_dbname()), (Some(&b"x y"[..]), Some(r"d\")));
        assert_eq!((options.mode, config.get_options()), (SslMode::VerifyFull, Some("")));
        assert!(options.certificate.is_some() && options.key.is_some());
    }

    #[test]
    fn the_client_says_what_is_wrong() {
        for (text, expected) in [
            ("postgres://h/d?sslmode=perhaps", "invalid value for option `sslmode`"),
            ("host=h sslmode=perhaps", "invalid value for option `sslmode`"),
            ("postgres://h/d?sslcrl=x&sslmode=require", "unknown option `sslcrl`"),
            ("host=h sslpassword=x", "unknown option `sslpassword`"),
            ("postgres://h/d?sslmode", "unterminated parameter"),
            ("host=h sslmode", "unexpected EOF"),
            ("host=h sslmode=", "unexpected EOF"),
            ("host=h sslrootcert='x", "unterminated quoted connection parameter value"),
            ("host=h ssl=true", "unknown option `ssl`"),
            ("postgres://h/d?ssl=false", "unknown option `ssl`"),
        ] {
            let error = parse(text).map(|_| ()).unwrap_err();
            let source = std::error::Error::source(&error).expect("a cause");
            assert_eq!(source.to_string(), expected, "{text}");
        }
    }
}
