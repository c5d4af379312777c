//! A reader for our own manifests: tables and `key = value`, arrays over several lines, inline tables of dependencies and in
//! arrays of them.

use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) struct Manifest {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    table: String,
    key: String,
    value: String,
    line: usize,
}

/// One dependency; `name = "1"`, `name.workspace = true`, an inline table and a table of its own all read the same.
#[derive(Debug, Default)]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) line: usize,
    fields: BTreeMap<String, String>,
}

impl Manifest {
    pub(super) fn parse(text: &str) -> Manifest {
        let (mut entries, mut table) = (Vec::new(), String::new());
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let mut line = uncommented(line).to_owned();
            if line.starts_with('[') {
                table = line.trim_matches(['[', ']']).to_owned();
            } else if let Some((key, _)) = line.split_once('=') {
                let key = key.trim().to_owned();
                while line.matches(['[', '{']).count() > line.matches([']', '}']).count() {
                    let Some((_, more)) = lines.next() else { break };
                    line.push(' ');
                    line.push_str(uncommented(more));
                }
                let value = line.split_once('=').map_or("", |(_, value)| value).trim().to_owned();
                // An array of inline tables is the same as several tables of its name.
                if table.is_empty() && value.starts_with('[') {
                    let tables = value.split('{').skip(1).filter_map(|rest| rest.split('}').next());
                    entries.extend(tables.flat_map(inline_table).map(|(field, value)| Entry {
                        table: key.clone(),
                        key: field,
                        value,
                        line: index + 1,
                    }));
                }
                entries.push(Entry { table: table.clone(), key, value, line: index + 1 });
            }
        }
        Manifest { entries }
    }

    /// The value as it is written, without quotes around it.
    pub(super) fn get(&self, table: &str, key: &str) -> Option<&str> {
        self.all(table, key).next()
    }

    /// The values of a key in all the tables of one name: `[[test]]` may stand there several times.
    pub(super) fn all(&self, table: &str, key: &str) -> impl Iterator<Item = &str> {
        let fits = move |entry: &&Entry| entry.table == table && entry.key == key;
        self.entries.iter().filter(fits).map(|entry| unquoted(&entry.value))
    }

    /// The entries of a table like `dev-dependencies`, including entries for one target only.
    pub(super) fn dependencies(&self, table: &str) -> Vec<Dependency> {
        let mut found: BTreeMap<String, Dependency> = BTreeMap::new();
        for entry in &self.entries {
            let here = match entry.table.split_once(table) {
                Some(("", below)) => below.strip_prefix('.').or(below.is_empty().then_some("")),
                Some((target, "")) if target.starts_with("target.") && target.ends_with('.') => Some(""),
                _ => None,
            };
            let Some(below) = here else { continue };
            let path = if below.is_empty() { entry.key.clone() } else { format!("{below}.{}", entry.key) };
            let (name, field) = path.split_once('.').unwrap_or((&path, ""));
            let dependency = found.entry(name.to_owned()).or_default();
            (dependency.name, dependency.line) = (name.to_owned(), entry.line);
            match entry.value.strip_prefix('{') {
                Some(inline) => dependency.fields.extend(inline_table(inline.trim_end_matches('}'))),
                None => {
                    let field = if field.is_empty() { "version" } else { field };
                    dependency.fields.insert(field.to_owned(), unquoted(&entry.value).to_owned());
                }
            }
        }
        found.into_values().collect()
    }
}

impl Dependency {
    pub(super) fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    pub(super) fn is(&self, field: &str, value: &str) -> bool {
        self.fields.get(field).is_some_and(|found| found == value)
    }

    /// One of the crates of this workspace that are published.
    pub(super) fn is_ours(&self) -> bool {
        self.name == "evenkeel" || self.name.starts_with("evenkeel-")
    }
}

fn uncommented(line: &str) -> &str {
    let mut in_string = false;
    let comment = line.find(|c| {
        in_string ^= c == '"';
        c == '#' && !in_string
    });
    line[..comment.unwrap_or(line.len())].trim()
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}

/// The fields between the braces; a comma inside an array does not part them.
fn inline_table(text: &str) -> Vec<(String, String)> {
    let mut depth = 0;
    text.split(|c| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        c == ',' && depth == 0
    })
    .filter_map(|field| field.split_once('='))
    .map(|(key, value)| (key.trim().to_owned(), unquoted(value.trim()).to_owned()))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::Manifest;

    const TEXT: &str = r##"
bin = [
    { name = "one", path = "src/one.rs" },
    { name = "two", path = "src/two.rs", test = false },
]

[package]
name = "x" # not "y"
rust-version.workspace = true
keywords = [
    "a", # one
    "b#c",
]

[[test]]
path = "one.rs"
[[test]]
path = "two.rs"

[dependencies]
plain = "1"
dotted.workspace = true
inline = { path = "../i", features = ["p", "q"], optional = true }

[dependencies.table]
version = "2"
default-features = false

[target.'cfg(unix)'.dependencies]
unix = "3"

[target.'cfg(unix)'.dev-dependencies]
unix-dev = "3"

[dev-dependencies]
dev = "4"
"##;

    #[test]
    fn values_are_found_by_table_and_key() {
        let manifest = Manifest::parse(TEXT);
        assert_eq!(manifest.get("package", "name"), Some("x"));
        assert_eq!(manifest.get("package", "rust-version.workspace"), Some("true"));
        assert_eq!(manifest.get("package", "keywords"), Some(r#"[ "a", "b#c", ]"#));
        assert_eq!(manifest.all("test", "path").collect::<Vec<_>>(), ["one.rs", "two.rs"]);
        assert_eq!(manifest.all("bin", "path").collect::<Vec<_>>(), ["src/one.rs", "src/two.rs"]);
        assert_eq!(manifest.all("bin", "test").collect::<Vec<_>>(), ["false"]);
        assert_eq!(manifest.get("package", "path"), None);
    }

    #[test]
    fn every_way_to_write_a_dependency_reads_the_same() {
        let found = Manifest::parse(TEXT).dependencies("dependencies");
        let names: Vec<&str> = found.iter().map(|dependency| dependency.name.as_str()).collect();
        assert_eq!(names, ["dotted", "inline", "plain", "table", "unix"]);
        let [dotted, inline, plain, table, unix] = &found[..] else { unreachable!() };
        assert!(dotted.is("workspace", "true") && !dotted.has("version"));
        assert!(inline.is("path", "../i") && inline.is("optional", "true") && inline.has("features"));
        assert!(plain.is("version", "1") && unix.is("version", "3"));
        assert!(table.is("version", "2") && table.is("default-features", "false"));
        assert_eq!(inline.line, 23);
        assert_eq!(Manifest::parse(TEXT).dependencies("dev-dependencies").len(), 2);
    }
}
