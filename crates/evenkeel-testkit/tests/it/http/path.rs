//! The paths of routes.

use evenkeel_testkit::{
    World,
    http::{Call, Method, Server},
    net::MemNet,
};

use super::{get, server};
use crate::panic_of;

/// The parameters of a path under a pattern, if it matches.
fn parameters(pattern: &'static str, path: &str, names: &'static [&str]) -> Option<Vec<String>> {
    World::run(async |_| {
        let server = server();
        server.on(Method::GET, pattern).reply(200);
        server.when(|_| true).reply(404);
        let (status, _) = get(&server.client(), &server.url(path)).await.expect("a reply");
        let call = server.calls().remove(0);
        assert!(call.matched);
        let parameter = |name: &&str| call.parameter(name).expect("a parameter").to_owned();
        (status == 200).then(|| names.iter().map(parameter).collect())
    })
}

#[test]
fn text_fits_itself() {
    for (pattern, path, fits) in [
        ("/", "/", true),
        ("/", "", true),
        ("/", "/?page=2", true),
        ("/", "/a", false),
        ("/a/b", "/a/b", true),
        ("/a/b", "/a/b?c=d", true),
        ("/a/b", "/a/b/", false),
        ("/a/b/", "/a/b/", true),
        ("/a/b/", "/a/b", false),
        ("/a/b", "/a", false),
        ("/a/b", "/a/c", false),
        ("/a/b", "/a/b/c", false),
        ("/a/b", "/A/b", false),
        ("/a?page=1", "/a?page=1", true),
        ("/a?page=1", "/a?page=2", false),
        ("/a?page=1", "/a?page=10", false),
        ("/a?page=1", "/a?page=1&size=5", false),
        ("/a?page=1", "/a", false),
        ("/a?", "/a?", true),
        ("/a?", "/a", false),
        ("/a?b=?", "/a?b=?", true),
    ] {
        assert_eq!(parameters(pattern, path, &[]).is_some(), fits, "{pattern} and {path}");
    }
}

#[test]
fn a_wildcard_fits_one_segment() {
    assert_eq!(parameters("/users/{id}", "/users/7", &["id"]), Some(vec!["7".into()]));
    assert_eq!(parameters("/users/{id}", "/users/a%20b?x=1", &["id"]), Some(vec!["a%20b".into()]));
    assert_eq!(parameters("/users/{id}", "/users/", &["id"]), None);
    assert_eq!(parameters("/users/{id}", "/users", &["id"]), None);
    assert_eq!(parameters("/users/{id}", "/users/7/posts", &["id"]), None);
    let two = parameters("/{kind}/{id}/posts", "/users/7/posts", &["kind", "id"]);
    assert_eq!(two, Some(vec!["users".into(), "7".into()]));
}

#[test]
fn a_star_fits_all_the_rest() {
    assert_eq!(parameters("/files/{*path}", "/files/a/b/", &["path"]), Some(vec!["a/b/".into()]));
    assert_eq!(parameters("/files/{*path}", "/files/a", &["path"]), Some(vec!["a".into()]));
    assert_eq!(parameters("/files/{*path}", "/files/", &["path"]), None);
    assert_eq!(parameters("/files/{*path}", "/files", &["path"]), None);
    assert_eq!(parameters("/{id}/{*rest}", "/7/x/y", &["id", "rest"]), Some(vec!["7".into(), "x/y".into()]));
    assert_eq!(parameters("/{*all}", "/x", &["all"]), Some(vec!["x".into()]));
}

#[test]
fn what_is_no_pattern_is_refused() {
    for (pattern, message) in [
        ("users", "a path begins with a slash: \"users\""),
        ("", "a path begins with a slash: \"\""),
        ("/users/{id}.json", "a wildcard is a whole segment: \"/users/{id}.json\""),
        ("/users/{id", "a wildcard is a whole segment: \"/users/{id\""),
        ("?id=1", "a path begins with a slash: \"\""),
        ("/{*all}/x", "`{*name}` is the last segment: \"/{*all}/x\""),
    ] {
        assert_eq!(panic_of(|| World::run(async |_| drop(server().on(Method::GET, pattern)))), message);
    }
}

#[test]
fn a_route_that_is_used_up_leaves_no_parameters() {
    World::run(async |_| {
        let server = server();
        server.on(Method::GET, "/users/{id}").reply(200).times(1);
        server.on(Method::GET, "/users/{name}").reply(200).times(1);
        server.when(|_| true).reply(204);
        for _ in 0..3 {
            get(&server.client(), &server.url("/users/7")).await.expect("a reply");
        }
        let parameters = |call: &Call| (call.parameter("id").is_some(), call.parameter("name").is_some());
        let calls: Vec<_> = server.calls().iter().map(parameters).collect();
        assert_eq!(calls, [(true, false), (false, true), (false, false)]);
    });
}

#[test]
fn an_address_in_brackets_has_the_port_80_if_it_names_none() {
    World::run(async |_| {
        for address in ["[::1]", "[::1]:80", "[::1]:8080", "api.test", "api.test:8080"] {
            let server = Server::mem(&MemNet::new(), address).expect("a free address");
            server.when(|_| true).reply(204);
            let (status, _) = get(&server.client(), &server.url("/")).await.expect("a reply");
            let (other, _) = get(&server.client(), &format!("http://{address}/")).await.expect("a reply");
            assert_eq!((status, other), (204, 204), "{address}");
        }
    });
}
