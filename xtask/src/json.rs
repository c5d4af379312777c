//! A small JSON reader for what cargo prints: metadata and build messages.

/// A JSON value; numbers are read over, no command needs one.
#[derive(Debug, PartialEq)]
pub(crate) enum Json {
    /// `null`, or a number.
    Other,
    Bool(bool),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Json {
    /// Reads one value; the error tells the byte where reading stopped.
    pub(crate) fn parse(text: &str) -> Result<Json, String> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value()?;
        reader.skip_spaces();
        if reader.at == text.len() { Ok(value) } else { Err(reader.unexpected()) }
    }

    /// The member `key` of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Map(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text of the member `key`.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    /// The elements of the member `key`; none if it is not a list.
    pub(crate) fn list(&self, key: &str) -> &[Json] {
        match self.get(key) {
            Some(Json::List(elements)) => elements,
            _ => &[],
        }
    }

    /// Whether the member `key` is `true`.
    pub(crate) fn is_true(&self, key: &str) -> bool {
        self.get(key) == Some(&Json::Bool(true))
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self) -> Result<Json, String> {
        self.skip_spaces();
        match self.peek() {
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'[') => self.list(),
            Some(b'{') => self.map(),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Other),
            Some(b'-' | b'0'..=b'9') => {
                while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
                    self.at += 1;
                }
                Ok(Json::Other)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn list(&mut self) -> Result<Json, String> {
        let mut elements = Vec::new();
        self.at += 1;
        while !self.closed(b']', elements.is_empty())? {
            elements.push(self.value()?);
        }
        Ok(Json::List(elements))
    }

    fn map(&mut self) -> Result<Json, String> {
        let mut members = Vec::new();
        self.at += 1;
        while !self.closed(b'}', members.is_empty())? {
            self.expect(b'"')?;
            let key = self.string()?;
            self.expect(b':')?;
            self.at += 1;
            members.push((key, self.value()?));
        }
        Ok(Json::Map(members))
    }

    /// Reads over the end of a list or map, or over the comma before its next element.
    fn closed(&mut self, end: u8, first: bool) -> Result<bool, String> {
        self.skip_spaces();
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(true);
        }
        if !first {
            self.expect(b',')?;
            self.at += 1;
        }
        Ok(false)
    }

    fn string(&mut self) -> Result<String, String> {
        let mut units: Vec<u16> = Vec::new();
        let mut text = String::new();
        let mut rest = self.text[self.at + 1..].chars();
        loop {
            let next = rest.next().ok_or("a string has no end")?;
            let escaped = if next == '\\' { rest.next() } else { None };
            if escaped == Some('u') {
                let digits: String = rest.by_ref().take(4).collect();
                units.push(u16::from_str_radix(&digits, 16).map_err(|error| error.to_string())?);
                continue;
            }
            // Two escapes can make one character.
            text.push_str(&String::from_utf16_lossy(&units));
            units.clear();
            match escaped {
                None if next == '"' => break,
                None => text.push(next),
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('t') => text.push('\t'),
                Some('b') => text.push('\u{8}'),
                Some('f') => text.push('\u{c}'),
                Some(other) => text.push(other),
            }
        }
        self.at = self.text.len() - rest.as_str().len();
        Ok(text)
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, String> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.unexpected());
        }
        self.at += word.len();
        Ok(value)
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        self.skip_spaces();
        if self.peek() == Some(byte) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn unexpected(&self) -> String {
        format!("unexpected JSON at byte {}", self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn reads_what_cargo_prints() {
        let line = r#" {"reason":"compiler-artifact","target":{"kind":["test"],"name":"it","n":-1.5e3},
            "profile":{"test":true,"debug":null},"executable":"/t\\a\"\u00e9\ud83d\ude00\n", "none":[], "empty":{}} "#;
        let json = Json::parse(line).unwrap();
        assert_eq!(json.text("reason"), Some("compiler-artifact"));
        let target = json.get("target").unwrap();
        assert_eq!(target.list("kind"), [Json::Text("test".to_owned())]);
        assert_eq!(target.get("n"), Some(&Json::Other));
        assert!(json.get("profile").unwrap().is_true("test"));
        assert_eq!(json.text("executable"), Some("/t\\a\"é😀\n"));
        assert_eq!(json.list("none"), []);
        assert_eq!(json.get("empty"), Some(&Json::Map(Vec::new())));
        assert_eq!(json.text("absent"), None);
    }

    #[test]
    fn refuses_what_is_not_json() {
        for text in ["", "{", "[1 2]", "{\"a\" 1}", "\"open", "tru", "[] []", "{\"a\":1,,}"] {
            assert!(Json::parse(text).is_err(), "{text}");
        }
    }
}
