//! `Link` headers: the forms that servers send, and the links that are not followed.

use evenkeel_stream::http::{LinkError, links, next_link, same_host};
use proptest::prelude::*;
use url::Url;

fn url(text: &str) -> Url {
    Url::parse(text).expect("a URL")
}

/// Returns the next page of `https://h/api/users?page=1`.
fn next(header: &str) -> Result<Option<String>, LinkError> {
    next_link(&url("https://h/api/users?page=1"), [header]).map(|next| next.map(String::from))
}

#[test]
fn every_form_of_a_header_is_read() {
    for (header, expected) in [
        // GitHub, GitLab, and Okta, whose cursor has a comma.
        (
            r#"<https://h/api?page=2>; rel="next", <https://h/api?page=9>; rel="last""#,
            Some("https://h/api?page=2"),
        ),
        (r#"<https://h/a?page=1>; rel="prev", <https://h/a?page=3>; rel="next""#, Some("https://h/a?page=3")),
        (r#"<https://h/a?after=x,y;z>; rel="next""#, Some("https://h/a?after=x,y;z")),
        // Relative targets.
        (r#"<?page=2>; rel="next""#, Some("https://h/api/users?page=2")),
        (r#"</v2/users>; rel="next""#, Some("https://h/v2/users")),
        ("<more>; rel=next", Some("https://h/api/more")),
        ("<//h/more>; rel=next", Some("https://h/more")),
        ("<?page=2#top>; rel=next", Some("https://h/api/users?page=2")),
        ("<>; rel=next", Some("https://h/api/users?page=1")),
        // Relations.
        (r#"<a>; rel="last next""#, Some("https://h/api/a")),
        ("<a>; rel=NEXT", Some("https://h/api/a")),
        (r#"<a>; REL = "Next""#, Some("https://h/api/a")),
        ("<a>; rel=prev; rel=next", None),
        (r#"<a>; rel="nextish""#, None),
        ("<a>; rev=next", None),
        ("<a>; rel", None),
        ("<a>", None),
        // Parameters with commas, semicolons, quotes and angle brackets in them.
        (r#"<a>; title="x, <b>; rel=next"; rel=prev, <c>; rel=next"#, Some("https://h/api/c")),
        (r#"<a>; title="q\"uo,te\\"; rel=next"#, Some("https://h/api/a")),
        (r"<a>; title*=UTF-8''%e2%82%ac%2C; rel=next", Some("https://h/api/a")),
        (r#"<a>; title="never closed; rel=next"#, None),
        (r#"<a>; rel="next"junk; x=y"#, Some("https://h/api/a")),
        ("<a>;;; rel=next;", Some("https://h/api/a")),
        ("<a>;rel=next;title=", Some("https://h/api/a")),
        // White space, empty elements, and things that are no link.
        (" \t, ,<a>;rel=next , ,", Some("https://h/api/a")),
        ("garbage, <a>; rel=next", Some("https://h/api/a")),
        ("garbage; rel=next", None),
        ("<a; rel=next", None),
        ("", None),
        (",", None),
        ("<a> rel=next", None),
        // Another page than this one.
        (r#"<a>; rel=next; anchor="/other", <b>; rel=next"#, Some("https://h/api/b")),
        (r##"<a>; rel=next; anchor="#part""##, Some("https://h/api/a")),
        // The first of several.
        ("<a>; rel=next, <b>; rel=next", Some("https://h/api/a")),
        ("<ü>; rel=next", Some("https://h/api/%C3%BC")),
    ] {
        assert_eq!(next(header), Ok(expected.map(String::from)), "{header}");
    }
}

#[test]
fn several_headers_are_one_list() {
    let page = url("https://h/users");
    assert_eq!(next_link(&page, []), Ok(None));
    assert_eq!(next_link(&page, ["<a>; rel=prev", "<b>; rel=next"]), Ok(Some(url("https://h/b"))));
    assert_eq!(links(["<a>; x=1; x=2"])[0].params, [("x".into(), "1".into()), ("x".into(), "2".into())]);
}

#[test]
fn a_link_that_leaves_is_refused_by_name() {
    for (target, reason) in [
        ("https://evil/users", "on another host: https://evil/users"),
        ("//evil/users", "on another host: https://evil/users"),
        (r"\\evil\users", "on another host: https://evil/users"),
        ("https://h@evil/", "on another host: https://h@evil/"),
        ("https://h.evil/", "on another host: https://h.evil/"),
        ("https://h:81/users", "on another port: https://h:81/users"),
        ("http://h/users", "goes from https to http: http://h/users"),
        ("https://x:secret@h/users", "names a user of its own: https://x@h/users"),
        ("ftp://h/users", "not HTTP: ftp://h/users"),
        ("file:///etc/passwd", "not HTTP: file:///etc/passwd"),
        ("javascript:alert(1)", "not HTTP: javascript:alert(1)"),
        ("https://h:x/", r#"no URL: "https://h:x/""#),
    ] {
        let error = next(&format!("<{target}>; rel=next")).unwrap_err();
        assert!(error.to_string().ends_with(reason), "{target}: {error}");
        // A link that is not the next page may lead anywhere.
        assert_eq!(next(&format!("<{target}>; rel=alternate")), Ok(None));
    }
}

#[test]
fn the_same_host_may_become_safer_and_keep_its_user() {
    for (from, to) in [
        ("http://h/", "https://h/x"),
        ("http://h:80/", "http://H/x"),
        ("https://u:p@h/", "https://h/x"),
        ("https://u:p@h/", "https://u:p@h/x"),
    ] {
        assert_eq!(same_host(&url(from), &url(to)), Ok(()));
    }
    assert!(matches!(
        same_host(&url("http://h:8080/"), &url("https://h/")),
        Err(LinkError::OtherPort { .. })
    ));
    let page = url("https://u:p@h/users");
    assert_eq!(next_link(&page, ["<?page=2>; rel=next"]), Ok(Some(url("https://u:p@h/users?page=2"))));
}

proptest! {
    #[test]
    fn no_header_breaks_the_parser(header in "[<>;,=\" \\\\a-z\u{e9}]{0,40}") {
        let found = links([&*header]);
        prop_assert!(found.len() <= header.matches('<').count());
    }

    #[test]
    fn what_is_written_is_read(
        target in "[a-z/?&=,;]{0,12}",
        title in "[a-z ,;<>=\"\\\\]{0,12}",
    ) {
        let quoted = title.replace('\\', r"\\").replace('"', "\\\"");
        let header = format!(r#"<x>; rel=prev , <{target}> ; Title = "{quoted}"; rel="a NEXT""#);
        let found = links([&*header]);
        prop_assert_eq!(found.len(), 2);
        prop_assert_eq!(&found[1].target, &target);
        prop_assert_eq!(found[1].param("title"), Some(&*title));
        prop_assert!(found[1].has_rel("next"));
    }
}
