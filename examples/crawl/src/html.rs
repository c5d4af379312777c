//! Reads the links and the fragment targets of a page while it comes in, in constant memory beside them.
//!
//! lol_html finds the elements, so that markup in comments, scripts and texts is none. Done here: character
//! references, the white space around an address, lists of images, refreshes, and `noscript`, whose content is text
//! for lol_html and is read a second time. Templates are read as well: a link in one is a link sooner or later.

mod refresh;
mod srcset;

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
};

use encoding_rs::Encoding;
use lol_html::{
    AsciiCompatibleEncoding, element,
    errors::RewritingError,
    html_content::TextChunk,
    send::{Element, HtmlRewriter, Settings},
    text,
};

use crate::anchors::Anchors;

/// The parts of a page that matter here.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The first `base`, which counts for all links, also for those before it.
    pub(crate) base: Option<String>,
    /// The addresses in the order of the page, as they are written.
    pub(crate) links: Vec<String>,
    /// The targets of fragments.
    pub(crate) anchors: Anchors,
}

/// Reads a page that comes in parts.
pub(crate) struct Parser {
    rewriter: HtmlRewriter<'static, fn(&[u8])>,
    found: Arc<Mutex<Found>>,
}

impl Parser {
    /// Reads a page in this character set; without one it is the one that the page names, or UTF-8.
    pub(crate) fn new(charset: Option<&str>) -> Self {
        let found: Arc<Mutex<Found>> = Arc::default();
        let with = |read: fn(&mut Found, &Element<'_, '_>)| {
            let found = found.clone();
            move |element: &mut Element<'_, '_>| {
                read(&mut found.lock().unwrap_or_else(PoisonError::into_inner), element);
                Ok(())
            }
        };
        let settings = Settings::new_send()
            .append_element_content_handler(element!("[id]", with(|found, e| found.anchor(e, "id"))))
            .append_element_content_handler(element!("a, area, link, base, image, use", with(Found::href)))
            .append_element_content_handler(element!(
                "script, img, iframe, source, audio, video, track, embed",
                with(Found::src)
            ))
            .append_element_content_handler(element!("meta", with(Found::meta)))
            .append_element_content_handler(text!("noscript", noscript(found.clone())))
            .with_strict(false);
        let encoding = charset.and_then(|label| Encoding::for_label(label.as_bytes()));
        let encoding = encoding.and_then(AsciiCompatibleEncoding::new);
        let settings = settings.with_encoding(encoding.unwrap_or_else(AsciiCompatibleEncoding::utf_8));
        let settings = settings.with_adjust_charset_on_meta_tag(encoding.is_none());
        Self { rewriter: HtmlRewriter::new(settings, |_| {}), found }
    }

    /// Reads the next part.
    pub(crate) fn write(&mut self, part: &[u8]) -> Result<(), RewritingError> {
        self.rewriter.write(part)
    }

    /// Returns all that was found, at the end of the page.
    pub(crate) fn end(self) -> Result<Found, RewritingError> {
        self.rewriter.end()?;
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *found))
    }
}

/// Reads a whole page.
fn parse(page: &[u8]) -> Result<Found, RewritingError> {
    let mut parser = Parser::new(None);
    parser.write(page)?;
    parser.end()
}

/// Reads the content of `noscript` as a browser without scripts does.
fn noscript(
    found: Arc<Mutex<Found>>,
) -> impl FnMut(&mut TextChunk<'_>) -> lol_html::HandlerResult + Send + 'static {
    let mut content = String::new();
    move |chunk| {
        content.push_str(chunk.as_str());
        if chunk.last_in_text_node() && !content.is_empty() {
            let inner = parse(content.as_bytes())?;
            content.clear();
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.base = found.base.take().or(inner.base);
            found.links.extend(inner.links);
            found.anchors.extend(inner.anchors);
        }
        Ok(())
    }
}

impl Found {
    fn href(&mut self, element: &Element<'_, '_>) {
        let tag = element.tag_name();
        if tag == "a" {
            self.anchor(element, "name");
        }
        // The host of a connection that is opened early is no address of a page.
        let only_connects = |rel: String| {
            rel.split_ascii_whitespace()
                .any(|rel| rel.eq_ignore_ascii_case("preconnect") || rel.eq_ignore_ascii_case("dns-prefetch"))
        };
        if tag == "link" && element.get_attribute("rel").is_some_and(only_connects) {
            return;
        }
        let Some(href) = element.get_attribute("href").or_else(|| element.get_attribute("xlink:href")) else {
            return;
        };
        if tag == "base" {
            self.base.get_or_insert_with(|| decoded(&href).trim_ascii().to_owned());
        } else {
            self.link(&href);
        }
    }

    fn src(&mut self, element: &Element<'_, '_>) {
        // The script of an SVG has an `href`.
        let src = ["src", "href", "xlink:href"].iter().find_map(|name| element.get_attribute(name));
        if let Some(src) = src {
            self.link(&src);
        }
        if let Some(list) = element.get_attribute("srcset") {
            self.links.extend(srcset::urls(&decoded(&list)).map(str::to_owned));
        }
    }

    fn meta(&mut self, element: &Element<'_, '_>) {
        let is_refresh =
            element.get_attribute("http-equiv").is_some_and(|name| name.eq_ignore_ascii_case("refresh"));
        if is_refresh && let Some(content) = element.get_attribute("content") {
            self.links.extend(refresh::url(&decoded(&content)).map(str::to_owned));
        }
    }

    fn link(&mut self, raw: &str) {
        self.links.push(decoded(raw).trim_ascii().to_owned());
    }

    fn anchor(&mut self, element: &Element<'_, '_>, attribute: &str) {
        if let Some(name) = element.get_attribute(attribute).filter(|name| !name.is_empty()) {
            self.anchors.insert(&decoded(&name));
        }
    }
}

/// Returns the value of an attribute with its character references decoded.
fn decoded(raw: &str) -> Cow<'_, str> {
    if raw.contains('&') { htmlize::unescape_attribute(raw) } else { raw.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(page: &str) -> Vec<String> {
        parse(page.as_bytes()).unwrap().links
    }

    fn has(page: &str, names: &[&str]) -> bool {
        let mut anchors = parse(page.as_bytes()).unwrap().anchors;
        anchors.sort();
        names.iter().all(|name| anchors.contains(name))
    }

    #[test]
    fn the_first_base_counts() {
        let found = parse(b"<a href=x></a><base target=_top><base href=' /one/ '><base href=/two/>").unwrap();
        assert_eq!((found.base.as_deref(), found.links), (Some("/one/"), vec!["x".to_owned()]));
    }

    #[test]
    fn lists_of_images_are_split() {
        let page = "<img srcset='a-1x.png, a,b.png 2x'><picture><source srcset=c.png></picture>";
        assert_eq!(links(page), ["a-1x.png", "a,b.png", "c.png"]);
    }

    #[test]
    fn a_refresh_is_a_link() {
        assert_eq!(links("<META HTTP-EQUIV=\"Refresh\" CONTENT=\"0; URL=next.html\">"), ["next.html"]);
        assert_eq!(links("<meta http-equiv=content-type content='0; url=no.html'>"), [""; 0]);
    }

    #[test]
    fn every_element_with_an_address_counts() {
        let page = "<area href=1><link rel=canonical href=https://h/c><script src=2></script><iframe src=3></iframe>\
                    <img src=4><video src=5><source src=6><track src=7></video><audio src=8></audio><embed src=9>";
        assert_eq!(links(page), ["1", "https://h/c", "2", "3", "4", "5", "6", "7", "8", "9"]);
        assert_eq!(links("<link rel='x PRECONNECT' href=/a><link rel=dns-prefetch href=//b>"), [""; 0]);
    }

    #[test]
    fn text_is_no_markup() {
        let page = "<!-- <a href=1> --><script>'<a href=2>'</script><script type=text/json>{\"a\":\"<a href=\\\"3\\\">\"}\
                    </script><style><a href=4></style><title><a href=5></title><textarea><a href=6></textarea>";
        assert_eq!(links(page), [""; 0]);
    }

    #[test]
    fn templates_are_read() {
        assert_eq!(
            links("<template><a href=1></a><template><a href=2></a></template></template>"),
            ["1", "2"]
        );
    }

    #[test]
    fn character_references_are_decoded_as_in_attributes() {
        let page = "<a href='a?b=1&amp;c=2&#x26;d=3'></a><a href='?b=1&copy=2'></a><p id='caf&eacute;'>";
        assert_eq!(links(page), ["a?b=1&c=2&d=3", "?b=1&copy=2"]);
        assert!(has(page, &["café"]));
    }

    #[test]
    fn every_way_to_write_an_attribute_is_read() {
        let page = "<A HREF=\"1\"></A><a href = 2></a><a href=?x=1&y=2></a><a href=last/></a><a href=3 href=4></a>\
                    <a href='\n 5\t'></a>";
        assert_eq!(links(page), ["1", "2", "?x=1&y=2", "last/", "3", "5"]);
    }

    #[test]
    fn ids_and_names_are_targets() {
        let page = "<a name=old></a><p id='new one'></p><a id=both name=other></a><svg><g id=icon></svg><form name=no>";
        assert!(has(page, &["old", "new one", "both", "other", "icon"]));
        assert!(!has(page, &["no"]) && !has("<p id=''>", &[""]));
    }

    #[test]
    fn noscript_is_read_as_without_scripts() {
        let page = "<head><noscript><link rel=stylesheet href=1></noscript></head>\
                    <body><noscript>x <a href=2 id=n></a><!-- <a href=3> --></noscript>";
        assert_eq!(links(page), ["1", "2"]);
        assert!(has(page, &["n"]));
    }

    #[test]
    fn svg_has_links_and_its_style_and_title_are_markup() {
        let page = "<svg><a xlink:href=1></a><a href=2></a><style><a href=3></a></style><title><a href=4></a></title></svg>";
        assert_eq!(links(page), ["1", "2", "3", "4"]);
        assert_eq!(
            links("<svg><use xlink:href='#i'/><image href=5 /><script href=6></script></svg>"),
            ["#i", "5", "6"]
        );
    }

    #[test]
    fn a_page_may_come_in_any_parts() {
        let page = "<a href='a?b=1&amp;c'></a><noscript><a href=2></a></noscript><p id=é><img src=3 srcset='4 1x, 5'>";
        for size in 1..=page.len() {
            let mut parser = Parser::new(None);
            page.as_bytes().chunks(size).for_each(|part| parser.write(part).unwrap());
            let mut found = parser.end().unwrap();
            found.anchors.sort();
            assert_eq!(found.links, ["a?b=1&c", "2", "3", "4", "5"], "{size}");
            assert!(found.anchors.contains("é"), "{size}");
        }
    }

    #[test]
    fn names_are_read_in_the_character_set_of_the_page() {
        let has = |charset, page: &[u8]| {
            let mut parser = Parser::new(charset);
            parser.write(page).unwrap();
            let mut anchors = parser.end().unwrap().anchors;
            anchors.sort();
            anchors.contains("é")
        };
        assert!(has(Some("ISO-8859-1"), b"<p id=\xe9>") && has(None, b"<meta charset=latin1><p id=\xe9>"));
        assert!(
            has(Some("utf-8"), b"<meta charset=latin1><p id=\xc3\xa9>")
                && has(Some("none"), b"<p id=\xc3\xa9>")
        );
        assert!(!has(None, b"<p id=\xe9>"));
    }

    #[test]
    fn any_bytes_are_read() {
        for page in
            [&b"\xff\xfe<a href=1>"[..], b"<a href=\xff></a><a href=1", b"<", b"<a href='", b"\0<a \0href=1>"]
        {
            parse(page).unwrap();
        }
    }
}
