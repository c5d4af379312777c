//! Texts of a program in a picture: cleaned, cut, and measured; times and places in words.

use std::{fmt::Write, panic::Location};

use super::picture::{Nanos, Picture, Title, Track};

/// Returns a text without breaks of lines and without characters that are not to be seen, cut to a number of columns.
pub(super) fn clean(text: &str, columns: usize) -> String {
    let mut cleaned = String::new();
    let mut used = 0;
    for char in text.chars().map(visible) {
        used += char_columns(char);
        if used > columns {
            // The sign for the rest needs a column.
            while columns_of(&cleaned) + 1 > columns || cleaned.ends_with(' ') {
                if cleaned.pop().is_none() {
                    break;
                }
            }
            cleaned.push('…');
            break;
        }
        cleaned.push(char);
    }
    cleaned
}

/// As [`clean`], of which the begin is cut off.
pub(super) fn clean_end(text: &str, columns: usize) -> String {
    let text: String = text.chars().map(visible).collect();
    let mut rest = &*text;
    while columns_of(rest) + usize::from(rest.len() < text.len()) > columns {
        let Some((next, _)) = rest.char_indices().nth(1) else { return "…".to_owned() };
        rest = &rest[next..];
    }
    if rest.len() < text.len() { format!("…{rest}") } else { text }
}

/// Replaces a character that XML forbids, that is not to be seen, that moves the cursor, or that changes the direction of the text.
fn visible(char: char) -> char {
    match char {
        '\t' | '\n' | '\r' => ' ',
        _ if char.is_control() => '\u{fffd}',
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{e0000}'..='\u{e0fff}' => '\u{fffd}',
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => '\u{fffd}',
        '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        _ => char,
    }
}

/// Returns the columns of a character on a terminal, or more: from the Hangul letters on it may have two.
fn char_columns(char: char) -> usize {
    match char {
        '\u{2010}'..='\u{27bf}' | '\u{fffd}' => 1,
        _ if char < '\u{1100}' => 1,
        _ => 2,
    }
}

pub(super) fn columns_of(text: &str) -> usize {
    text.chars().map(char_columns).sum()
}

/// Returns a text filled up with spaces to that many columns.
pub(super) fn padded(text: &str, columns: usize) -> String {
    let mut padded = clean(text, columns);
    let missing = columns.saturating_sub(columns_of(&padded));
    padded.extend(std::iter::repeat_n(' ', missing));
    padded
}

/// Returns an exact time in words: `1.5 s`, `200 ms`, `1 h 2 min`.
pub(super) fn time(at: Nanos) -> String {
    const SECOND: Nanos = 1_000_000_000;
    const MINUTE: Nanos = 60 * SECOND;
    let decimal = |unit: Nanos, digits: usize, name: &str| {
        let (whole, part) = (at / unit, at % unit);
        let part = format!("{part:0digits$}");
        match part.trim_end_matches('0') {
            "" => format!("{whole} {name}"),
            part => format!("{whole}.{part} {name}"),
        }
    };
    match at {
        0 => "0 s".to_owned(),
        1..1_000 => format!("{at} ns"),
        1_000..1_000_000 => decimal(1_000, 3, "µs"),
        1_000_000..SECOND => decimal(1_000_000, 6, "ms"),
        SECOND..MINUTE => decimal(SECOND, 9, "s"),
        _ => {
            let mut text = String::new();
            let mut rest = at;
            for (unit, name) in [(24 * 60 * MINUTE, "d"), (60 * MINUTE, "h"), (MINUTE, "min")] {
                if rest >= unit {
                    let _ = write!(text, "{} {name} ", rest / unit);
                    rest %= unit;
                }
            }
            if rest > 0 {
                text.push_str(&time(rest));
            }
            text.trim_end().to_owned()
        }
    }
}

/// Returns a place as `src/main.rs:7`, the same on each machine.
pub(super) fn place(place: &Location<'_>) -> String {
    format!("{}:{}", file(place.file()), place.line())
}

/// Returns a place as `main.rs:7`.
pub(super) fn short_place(place: &Location<'_>) -> String {
    let file = file(place.file());
    format!("{}:{}", file.rsplit('/').next().unwrap_or(&file), place.line())
}

/// Returns a path that begins in the workspace, or in the package of a dependency, without its detours.
fn file(path: &str) -> String {
    let path = path.replace('\\', "/");
    let mut straight: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match straight.last() {
            // A module by `#[path]` in another folder.
            Some(last) if part == ".." && *last != ".." => drop(straight.pop()),
            _ => straight.push(part),
        }
    }
    let path = straight.join("/");
    let is_absolute = path.starts_with('/') || path.get(1..3) == Some(":/");
    if !is_absolute {
        return path;
    }
    // Of a path that begins elsewhere, the package and the file in it.
    let parts: Vec<_> = path.split('/').collect();
    let source = parts.iter().rposition(|part| matches!(*part, "src" | "tests" | "examples" | "benches"));
    let from = source.map_or(parts.len().saturating_sub(2), |at| at.saturating_sub(1));
    parts[from..].join("/")
}

/// Returns the title of a track, without its place if that is not wanted.
pub(super) fn title(track: &Track, with_line: bool) -> String {
    match (&track.title, track.place) {
        (Title::Name(name), _) if name.trim().is_empty() => "''".to_owned(),
        (Title::Name(name), _) => name.to_string(),
        (Title::Unnamed, Some(at)) if with_line => place(at),
        (Title::Unnamed, Some(at)) => file(at.file()),
        (Title::Unnamed, None) => "task".to_owned(),
        (Title::Task(number), _) => format!("task {number}"),
        (Title::Thread(number), _) => format!("thread {number}"),
    }
}

/// Returns the titles of tracks in words: `a, b and 3 more`.
pub(super) fn titles(picture: &Picture, tracks: &[u32], with_line: bool) -> String {
    const SHOWN: usize = 3;
    let names = tracks.iter().take(SHOWN).filter_map(|track| picture.tracks.get(*track as usize));
    let mut text = names.map(|track| clean(&title(track, with_line), 40)).collect::<Vec<_>>().join(", ");
    if tracks.len() > SHOWN {
        let _ = write!(text, " and {} more", tracks.len() - SHOWN);
    }
    text
}

/// Returns a number with its noun.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Returns the name of a type without the modules around it.
pub(super) fn without_modules(text: &str) -> String {
    let mut short = String::new();
    let mut word = String::new();
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if char.is_alphanumeric() || char == '_' {
            word.push(char);
        } else if char == ':' && chars.peek() == Some(&':') {
            chars.next();
            word.clear();
        } else {
            short.push_str(&word);
            word.clear();
            short.push(char);
        }
    }
    short + &word
}
