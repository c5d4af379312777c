//! The rules of each server, for a day.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::Url;
use tokio::time::Instant;

use crate::robots::Rules;

/// How long rules count, by RFC 9309, section 2.4.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The rules of all servers. These are few: the hosts of the scope.
#[derive(Debug, Default)]
pub(super) struct RobotsCache {
    servers: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Known>>>>,
}

/// The rules of one server, as far as they are known. The lock is held while the server is asked, so that one request
/// does.
#[derive(Debug, Default)]
pub(super) struct Known {
    rules: Option<(Arc<Rules>, Instant)>,
}

impl RobotsCache {
    /// Returns the rules of the server of this URL: each scheme, host and port has its own.
    pub(super) fn server(&self, url: &Url) -> Arc<tokio::sync::Mutex<Known>> {
        let server = url.origin().ascii_serialization();
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.entry(server).or_default().clone()
    }
}

impl Known {
    pub(super) fn fresh(&self) -> Option<Arc<Rules>> {
        let (rules, since) = self.rules.as_ref()?;
        (since.elapsed() < DAY).then(|| rules.clone())
    }

    pub(super) fn set(&mut self, rules: Rules) -> Arc<Rules> {
        let rules = Arc::new(rules);
        self.rules = Some((rules.clone(), Instant::now()));
        rules
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::robots::Access;

    #[tokio::test(start_paused = true)]
    async fn rules_count_for_a_day() {
        let mut known = Known::default();
        assert!(known.fresh().is_none());
        known.set(Rules::new(&Access::Unavailable, "foo"));
        advance(DAY - Duration::from_secs(1)).await;
        assert!(known.fresh().is_some());
        advance(Duration::from_secs(1)).await;
        assert!(known.fresh().is_none());
    }

    #[test]
    fn each_scheme_host_and_port_has_its_own_rules() {
        let cache = RobotsCache::default();
        let server = |url| Arc::as_ptr(&cache.server(&Url::parse(url).unwrap()));
        assert_eq!(server("http://h/a"), server("http://h:80/b?c"));
        for other in ["https://h/a", "http://h:81/a", "http://i/a"] {
            assert_ne!(server("http://h/a"), server(other), "{other}");
        }
    }
}
