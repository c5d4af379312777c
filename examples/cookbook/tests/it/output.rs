//! Lines that a program prints in a test, compared with those that the book shows.

use std::{
    cell::RefCell,
    env,
    fmt::{Arguments, Debug, Write as _},
    fs,
    path::Path,
};

use evenkeel_testkit::timeline::{self, Timeline};

thread_local! {
    /// The lines of the program that this thread runs.
    static PRINTED: RefCell<String> = const { RefCell::new(String::new()) };
}

pub(crate) fn write(text: Arguments<'_>) {
    PRINTED.with_borrow_mut(|printed| printed.write_fmt(text)).unwrap();
}

pub(crate) fn line(text: Arguments<'_>) {
    // The program is a module here: the reader sees its own place.
    let text = text.to_string().replace("/tests/it/../../src/", "/src/");
    write(format_args!("{text}\n"));
    timeline::mark(text);
}

/// Compares the lines that this thread has printed with the file of this name in the book, or writes it.
pub(crate) fn assert_is_the_books(name: &str) {
    let printed = PRINTED.take();
    assert!(!printed.is_empty(), "{name} has printed nothing");
    assert_is(&format!("output/{name}.txt"), &printed);
}

/// Compares the lines that this thread has printed with these.
pub(crate) fn assert_printed(expected: &str) {
    assert_eq!(PRINTED.take(), expected);
}

/// Compares the picture of a run, wide and narrow, with that of the book, or writes it.
pub(crate) fn assert_is_drawn(name: &str, drawn: Timeline) {
    assert_is(&format!("timelines/{name}.svg"), &without_our_lines(&drawn.to_svg()));
    assert_is(&format!("timelines/{name}-narrow.svg"), &without_our_lines(&drawn.to_svg_of_width(390)));
}

/// Leaves out the lines of places in the crates, which move with each change there.
fn without_our_lines(picture: &str) -> String {
    let mut parts = picture.split("crates/evenkeel");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (file, rest) = part.split_once(".rs:").unwrap_or((part, ""));
        text.extend(["crates/evenkeel", file]);
        if part.len() > file.len() {
            text.extend([".rs", rest.trim_start_matches(|c: char| c.is_ascii_digit())]);
        }
    }
    text
}

/// Compares a text with a file of the book, or writes the file.
pub(crate) fn assert_is(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/book/src").join(file);
    if env::var_os("EVENKEEL_UPDATE").is_some_and(|update| update == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        return;
    }
    let known = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        known == text,
        "{file} of the book is another: EVENKEEL_UPDATE=1 writes it\nthe book:\n{known}\nthis run:\n{text}"
    );
}

/// The end of a program: a failure fails the test.
pub(crate) trait Ended {
    fn assert_succeeded(self);
}

impl Ended for () {
    fn assert_succeeded(self) {}
}

impl<E: Debug> Ended for Result<(), E> {
    fn assert_succeeded(self) {
        self.unwrap();
    }
}
