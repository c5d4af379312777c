//! The client on answers made for a test.

use std::{
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::UNIX_EPOCH,
};

use futures::future::{BoxFuture, join_all};
use http_body_util::Full;
use reqwest::{Client, StatusCode, header::HeaderValue};

use super::*;
use crate::transport::{TransportError, Web};

fn api(base: &str) -> Api {
    let base = Url::parse(base).unwrap();
    let web = Web { client: Client::new(), has_https: false };
    Api::new(Arc::new(web), base, POLICY, Quota::own(None), 1, Arc::default())
}

/// An API that answers all calls together at some moment, and each call at once after that.
#[derive(Debug)]
struct Stuck {
    until: Instant,
    calls: Mutex<Vec<Duration>>,
    start: Instant,
}

impl Transport for Stuck {
    fn get(&self, url: Url) -> BoxFuture<'_, Result<transport::Response, TransportError>> {
        Box::pin(async move {
            self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(self.start.elapsed());
            tokio::time::sleep_until(self.until).await;
            let answer = Full::from(r#"{"user": 1, "theme": "dark", "locale": "pl", "newsletter": true}"#);
            let body = answer.map_err(|never| match never {}).boxed_unsync();
            let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
            let headers = headers.into_iter().collect();
            Ok(transport::Response { url, status: StatusCode::OK, headers, body })
        })
    }

    fn now(&self) -> std::time::SystemTime {
        UNIX_EPOCH
    }
}

/// Slots that become free together do not let calls begin together: each takes its permit when it has its slot.
#[tokio::test(start_paused = true)]
async fn calls_keep_to_the_rate_behind_slow_answers() {
    let start = Instant::now();
    let stuck = Arc::new(Stuck { until: start + Duration::from_secs(4), calls: Mutex::default(), start });
    let quota = Quota::own(NonZeroU32::new(10));
    let base = Url::parse("http://h").unwrap();
    let api = Api::new(stuck.clone(), base, POLICY, quota, 4, Arc::default());
    let stop = Stop::new();
    let fetched = (0..12).map(|_| api.fetch(Call::both(1)[1], &stop));
    let fetched = join_all(fetched.map(|fetch| async { fetch.await.map(|one| one.failures) })).await;
    assert!(fetched.iter().all(|failures| failures.as_ref().is_some_and(Vec::is_empty)), "{fetched:?}");
    let calls = stuck.calls.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // Four before all slots are in use, and the others when these are free, at the rate.
    let millis: Vec<u128> = calls.iter().map(Duration::as_millis).collect();
    assert_eq!(millis, [0, 100, 200, 300, 4000, 4100, 4200, 4300, 4400, 4500, 4600, 4700]);
}

#[test]
fn documents_are_below_the_base_with_its_query() {
    for (base, first) in [
        ("http://h", "http://h/users.json"),
        ("http://h/", "http://h/users.json"),
        ("http://h:81/api/v1", "http://h:81/api/v1/users.json"),
        ("http://h/api/v1/?key=a%20b&x", "http://h/api/v1/users.json?key=a%20b&x"),
    ] {
        assert_eq!(api(base).first_page().as_str(), first);
    }
}

#[test]
fn what_is_remembered_of_a_page_leads_to_it_again() {
    let api = api("http://h:81/api/?key=1");
    for (page, remembered) in [
        ("http://h:81/api/users.json?key=1", "?key=1"),
        ("http://h:81/api/users-2.json", "users-2.json"),
        ("http://h:81/api/users.json?page=2", "?page=2"),
        ("http://h:81/v2/users", "../v2/users"),
        ("https://other/users", "https://other/users"),
    ] {
        let url = Url::parse(page).unwrap();
        assert_eq!(api.relative(&url), remembered, "{page}");
        assert_eq!(api.first_page().join(remembered).unwrap(), url);
    }
}

#[test]
fn what_a_response_says_about_a_limit() {
    let limit = |headers: &[(&'static str, &'static str)]| {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        super::limit(&headers.collect::<HeaderMap>(), UNIX_EPOCH)
    };
    let seconds = |n| Some(Duration::from_secs(n));
    assert_eq!(limit(&[]), Limit::default());
    assert_eq!(limit(&[("retry-after", "7")]), Limit { pause: seconds(7), exhausted: false });
    let counted = |remaining| limit(&[("x-ratelimit-remaining", remaining), ("x-ratelimit-reset", "9")]);
    assert_eq!(counted("0"), Limit { pause: seconds(9), exhausted: true });
    assert_eq!(counted("1"), Limit::default());
    for none_left in ["0.0", "-1", "0;w=60", " 0 "] {
        assert!(limit(&[("ratelimit-remaining", none_left)]).exhausted, "{none_left:?}");
    }
    for other in ["3", "", "zero", "0x"] {
        assert!(!limit(&[("x-ratelimit-remaining", other)]).exhausted, "{other:?}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_cost_one_record() {
    let body =
        b"\xef\xbb\xbf{\"items\": [{\"id\": 1, \"name\": \"Zo\xeb\", \"email\": \"\", \"active\": true}, \
        {\"id\": 2, \"name\": \"\xef\xbf\xbd\", \"email\": \"\", \"active\": true, \"more\": \"\xff\"}]}";
    let (users, flaws) = parse::<PageDoc>(body).unwrap().users();
    assert_eq!(users.iter().map(|user| user.id).collect::<Vec<_>>(), [2]);
    assert_eq!(users[0].name, "\u{fffd}");
    assert_eq!(flaws[0].reason, "user 1: its name is not UTF-8");
}

#[test]
fn json_has_many_content_types() {
    for good in ["application/json", "Application/JSON; charset=utf-8", "text/json", "application/hal+json"] {
        assert!(is_json(good), "{good}");
    }
    for bad in ["text/html", "application/jsonp", "", "text/plain; a=/json"] {
        assert!(!is_json(bad), "{bad}");
    }
}
