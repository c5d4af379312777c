//! The answers to requests for the dump.
//!
//! # How it works
//!
//! A request that comes within [`FRESH`] of the last look gets that one, so that no number of requests loads the program with
//! looks. Requests that come at the same time wait for the one that looks, in a mutex of tokio: no thread is blocked by it.

use std::{sync::Arc, time::Duration};

use http::{
    HeaderMap, Method, Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use tokio::{runtime, sync::Mutex, time::Instant};

use crate::{
    Dump,
    accept::{Form, wanted},
    dump, dump_of,
};

/// The time for which a look serves all requests.
const FRESH: Duration = Duration::from_millis(100);

/// The page has its styles in itself, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Answers requests; clones share the looks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    of: Option<runtime::Id>,
    last: Arc<Mutex<Option<LastLook>>>,
}

#[derive(Debug)]
struct LastLook {
    dump: Dump,
    /// The forms in which it was asked for.
    texts: [Option<String>; 3],
}

impl Answers {
    /// Answers with the objects of a runtime alone.
    #[cfg(any(test, feature = "tower"))]
    pub(crate) fn of(runtime: runtime::Id) -> Self {
        Self { of: Some(runtime), last: Arc::default() }
    }

    pub(crate) async fn answer(
        &self,
        method: &Method,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Response<String> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut refused = line(StatusCode::METHOD_NOT_ALLOWED, "the dump is only read, by GET or HEAD");
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let Some(form) = wanted(query, headers) else {
            let forms = "there are text/html, application/json and text/plain; ?format=html, json or text";
            return with_vary(line(StatusCode::NOT_ACCEPTABLE, forms));
        };
        let text = self.text(form).await;
        let length = text.len();
        let body = if method == Method::HEAD { String::new() } else { text };
        let mut answer = with_vary(response(StatusCode::OK, form.content_type(), body));
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_LENGTH, length.into());
        if form == Form::Html {
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        }
        answer
    }

    /// Makes requests wait until it is dropped.
    #[cfg(all(test, feature = "tower"))]
    pub(crate) async fn hold(&self) -> impl Drop + use<> {
        Arc::clone(&self.last).lock_owned().await
    }

    /// Returns the last look in a form, after a new one if it is too old.
    async fn text(&self, form: Form) -> String {
        let mut last = self.last.lock().await;
        let is_fresh = |look: &LastLook| Instant::now().saturating_duration_since(look.dump.at) < FRESH;
        if !last.as_ref().is_some_and(is_fresh) {
            // The old one goes first: two of them would need twice the memory.
            *last = None;
        }
        let LastLook { dump, texts } = last.get_or_insert_with(|| LastLook {
            dump: self.of.map_or_else(dump, dump_of),
            texts: Default::default(),
        });
        texts[form as usize].get_or_insert_with(|| form.write(dump)).clone()
    }
}

/// Returns an answer of one line.
pub(crate) fn line(status: StatusCode, text: &str) -> Response<String> {
    response(status, Form::Text.content_type(), format!("{text}\n"))
}

fn with_vary(mut answer: Response<String>) -> Response<String> {
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    answer
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<String> {
    const FIXED: [(HeaderName, &str); 3] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}
