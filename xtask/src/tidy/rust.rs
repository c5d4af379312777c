//! Just enough of Rust's lexical grammar to tell code from comments and literals.

/// The text without its comments (first), and without the insides of its literals as well (second).
/// The removed text becomes blanks: line breaks and byte offsets stay where they were.
pub(super) fn strip(text: &str) -> (String, String) {
    let (mut code, mut bare) = (text.as_bytes().to_vec(), text.as_bytes().to_vec());
    let mut at = 0;
    while at < text.len() {
        let (kind, length) = token(&text.as_bytes()[at..]);
        let end = at + length;
        match kind {
            Kind::Code => {}
            Kind::Comment => {
                blank(&mut code[at..end]);
                blank(&mut bare[at..end]);
            }
            Kind::Literal => blank(&mut bare[at + 1..end.max(at + 2) - 1]),
        }
        at = end;
    }
    (String::from_utf8_lossy(&code).into_owned(), String::from_utf8_lossy(&bare).into_owned())
}

fn blank(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
}

/// The words and single punctuation marks of a stripped text, with their byte offsets.
pub(super) fn tokens(bare: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut rest = bare.char_indices().peekable();
    while let Some((start, first)) = rest.next() {
        let mut end = start + first.len_utf8();
        while is_word(first) && rest.peek().is_some_and(|&(_, next)| is_word(next)) {
            end += rest.next().map_or(0, |(_, next)| next.len_utf8());
        }
        if !first.is_whitespace() {
            found.push((start, &bare[start..end]));
        }
    }
    found
}

/// Whether `word` stands in `line` by itself, not as a part of a longer word.
pub(super) fn has_word(line: &str, word: &str, part_of_word: impl Fn(char) -> bool) -> bool {
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(&part_of_word) && !line[at + word.len()..].starts_with(&part_of_word)
    })
}

pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

enum Kind {
    Code,
    Comment,
    Literal,
}

fn token(bytes: &[u8]) -> (Kind, usize) {
    match bytes {
        [b'/', b'/', ..] => (Kind::Comment, find(bytes, |rest| rest[0] == b'\n')),
        [b'/', b'*', ..] => (Kind::Comment, block_comment(bytes)),
        [b'"', ..] => (Kind::Literal, quoted(bytes, b'"')),
        [b'\'', b'\\', ..] => (Kind::Literal, quoted(bytes, b'\'')),
        [b'\'', first, ..] => {
            let length = match first {
                ..0x80 => 1,
                ..0xe0 => 2,
                ..0xf0 => 3,
                _ => 4,
            };
            // Without a closing quote it is a lifetime or a label.
            if bytes.get(1 + length) == Some(&b'\'') { (Kind::Literal, length + 2) } else { (Kind::Code, 1) }
        }
        [first, ..] if is_word(char::from(*first)) && first.is_ascii() => {
            let word = find(bytes, |rest| !is_word(char::from(rest[0])) || !rest[0].is_ascii());
            match (&bytes[..word], raw_string(&bytes[word..])) {
                (b"r" | b"br" | b"cr", Some(length)) => (Kind::Literal, word + length),
                _ => (Kind::Code, word),
            }
        }
        _ => (Kind::Code, 1),
    }
}

/// How far it is to the first rest that fits, or to the end.
fn find(bytes: &[u8], fits: impl Fn(&[u8]) -> bool) -> usize {
    (0..bytes.len()).find(|&at| fits(&bytes[at..])).unwrap_or(bytes.len())
}

fn block_comment(bytes: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(bytes: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// Returns the length of `#"..."#`, with any number of hashes, if one begins here.
fn raw_string(bytes: &[u8]) -> Option<usize> {
    let hashes = find(bytes, |rest| rest[0] != b'#');
    (bytes.get(hashes) == Some(&b'"')).then_some(())?;
    let body = &bytes[hashes + 1..];
    let closes =
        |rest: &[u8]| rest[0] == b'"' && rest[1..].iter().take_while(|b| **b == b'#').count() >= hashes;
    Some((hashes + 1 + find(body, closes) + 1 + hashes).min(bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::{has_word, is_word, strip, tokens};

    #[test]
    fn comments_and_literals_become_blanks_of_the_same_length() {
        let text =
            "let a = \"x // y\"; // z\n/* a /* b */ c */ let b = 'x'; let c: &'static str = r#\"\"q\"#;\n";
        let (code, bare) = strip(text);
        assert_eq!(
            code,
            "let a = \"x // y\";     \n                  let b = 'x'; let c: &'static str = r#\"\"q\"#;\n"
        );
        assert_eq!(
            bare,
            "let a = \"      \";     \n                  let b = ' '; let c: &'static str = r     #;\n"
        );
    }

    #[test]
    fn escapes_quotes_and_umlauts_do_not_derail_it() {
        for text in
            ["'\\''; // c", "'\"'; // c", "\"\\\"//\"; // c", "'ü'; // c", "br\"\\\"; // c", "r#fn; // c"]
        {
            let (code, _) = strip(text);
            assert!(code.ends_with(";     "), "{text} became {code}");
            assert_eq!(code.len(), text.len());
        }
        assert_eq!(strip("// never closed").0.trim(), "");
        assert_eq!(strip("/* never closed").0.trim(), "");
        assert_eq!(strip("\"never closed").0, "\"never closed");
        assert_eq!(strip("\"").1, "\"");
    }

    #[test]
    fn words_are_whole() {
        let found: Vec<&str> = tokens("mod a_1; é::b").into_iter().map(|(_, token)| token).collect();
        assert_eq!(found, ["mod", "a_1", ";", "é", ":", ":", "b"]);
        assert!(has_word("a mod b", "mod", is_word));
        assert!(!has_word("a model, mods, _mod", "mod", is_word));
    }
}
