//! The part of deny.toml that is checked without cargo-deny.

/// The lists of deny.toml.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) licences: Vec<String>,
    pub(super) banned: Vec<String>,
}

impl Policy {
    /// Reads the two lists: plain strings, one or several to a line, with comments.
    pub(super) fn parse(text: &str) -> Result<Policy, String> {
        Ok(Policy { licences: list(text, "licenses", "allow")?, banned: list(text, "bans", "deny")? })
    }
}

fn list(text: &str, table: &str, key: &str) -> Result<Vec<String>, String> {
    let missing = || format!("deny.toml: no list `{key}` in [{table}]");
    let header = format!("[{table}]");
    let mut lines = text.lines().map(without_comment).skip_while(|line| line.trim() != header).skip(1);
    let opens = |line: &str| line.split_once('=').is_some_and(|(name, _)| name.trim() == key);
    let first = lines.by_ref().take_while(|line| !line.starts_with('[')).find(|line| opens(line));
    let mut list = Vec::new();
    for line in [first.ok_or_else(missing)?].into_iter().chain(lines) {
        // Every second piece between quotes is a string.
        list.extend(line.split('"').skip(1).step_by(2).map(str::to_owned));
        if line.trim_end().ends_with(']') {
            return if list.is_empty() { Err(missing()) } else { Ok(list) };
        }
    }
    Err(missing())
}

fn without_comment(line: &str) -> &str {
    line.split_once('#').map_or(line, |(before, _)| before)
}

#[cfg(test)]
mod tests {
    use super::Policy;

    #[test]
    fn the_lists_are_read_from_their_tables() {
        let text = "
[bans]
allow = [\"not this\"]
deny = [
    # \"nor this\"
    \"openssl\", \"native-tls\", # two
    \"async-std\",
]
[licenses]
allow = [\"MIT\", \"Apache-2.0 WITH LLVM-exception\"]
private = { ignore = true }
";
        let policy = Policy::parse(text).unwrap();
        assert_eq!(policy.licences, ["MIT", "Apache-2.0 WITH LLVM-exception"]);
        assert_eq!(policy.banned, ["openssl", "native-tls", "async-std"]);
    }

    #[test]
    fn a_missing_list_is_an_error_and_not_an_empty_one() {
        let error = Policy::parse("[licenses]\nallow = [\"MIT\"]\n[bans]\nmultiple-versions = \"warn\"\n")
            .unwrap_err();
        assert_eq!(error, "deny.toml: no list `deny` in [bans]");
        assert!(Policy::parse("[bans]\ndeny = [\"x\"]\n[licenses]\n[other]\nallow = [\"MIT\"]\n").is_err());
    }
}
