//! The values of `--store` and `--queue`: a word, or a kind and an address.

use std::path::Path;

use crate::{address::shown, suggest::closest};

/// Returns whether a text begins as one of `choices`, which a program lists as `auto, sqlite:PATH or postgres:URL`.
#[must_use]
pub fn is_store(text: &str, choices: &str) -> bool {
    let mut choices = choices.split([' ', ',']).filter(|word| !matches!(*word, "" | "or"));
    choices.any(|choice| match kind(choice) {
        Some(kind) => {
            let rest = text.strip_prefix(kind).map(|rest| rest.strip_prefix("ql").unwrap_or(rest));
            rest.and_then(|rest| rest.strip_prefix(':')).is_some_and(|rest| !rest.is_empty())
        }
        None => choice == text,
    })
}

/// Returns the message about a text that is none of `choices`, with the one that was meant if it is near. The user and password
/// of an address are not repeated.
#[must_use]
pub fn no_such_store(text: &str, choices: &str) -> String {
    let kinds: Vec<&str> =
        choices.split([' ', ',']).filter(|word| !matches!(*word, "" | "or")).filter_map(kind).collect();
    let words = choices.split([' ', ',']).filter(|word| !word.contains(':') && !matches!(*word, "" | "or"));
    let (begin, rest) = text.split_once(':').unwrap_or((text, ""));
    let is_file = [".db", ".sqlite", ".sqlite3"].iter().any(|end| text.ends_with(end));
    let meant = if is_file && kinds.contains(&"sqlite") && !rest.starts_with("//") {
        let path = if rest.is_empty() { text } else { rest };
        Some(format!("sqlite:{path}"))
    } else if rest.is_empty() {
        closest(text, words).map(str::to_owned)
    } else {
        closest(begin, kinds.iter().copied()).map(|kind| format!("{kind}:{}", shown_rest(rest)))
    };
    let meant = meant.filter(|meant| meant != text).map(|meant| format!("; did you mean {meant}?"));
    format!("takes {choices}, not `{}`{}", shown(text), meant.unwrap_or_default())
}

/// Checks, before anything is built, that the file of `sqlite:PATH` can be one: its folder is there, and it is not a folder itself. Names
/// that SQLite does not take for a path, as `:memory:` and `file:…`, are left to it, and other stores as well.
///
/// # Errors
///
/// The end of a line that begins with the flag.
pub fn store_file_can_be(text: &str) -> Result<(), String> {
    let Some(path) =
        text.strip_prefix("sqlite:").filter(|path| !path.starts_with(':') && !path.starts_with("file:"))
    else {
        return Ok(());
    };
    let path = Path::new(path);
    if path.is_dir() {
        return Err(format!("takes a file, not the folder `{}`", path.display()));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => {
            Err(format!("takes a file in a folder that is there, not `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

/// The part before the colon of `sqlite:PATH`.
fn kind(choice: &str) -> Option<&str> {
    choice.split_once(':').map(|(kind, _)| kind)
}

/// The rest of an address behind its scheme, with its slashes.
fn shown_rest(rest: &str) -> String {
    let address = rest.trim_start_matches('/');
    format!("{}{}", &rest[..rest.len() - address.len()], shown(address))
}

#[cfg(test)]
mod tests {
    use super::{is_store, no_such_store, store_file_can_be};

    #[test]
    fn the_file_of_a_store_needs_its_folder() {
        for text in [
            "sqlite:a.db",
            "sqlite:./a.db",
            "sqlite:src/a.db",
            "sqlite:src/lib.rs",
            "auto",
            "postgres://no/such",
        ] {
            assert_eq!(store_file_can_be(text), Ok(()), "{text}");
        }
        for text in ["sqlite::memory:", "sqlite:file:no/such/a.db?mode=memory"] {
            assert_eq!(store_file_can_be(text), Ok(()), "{text}");
        }
        for (text, said) in [
            ("sqlite:no/such/a.db", "takes a file in a folder that is there, not `no/such/a.db`"),
            ("sqlite:src/lib.rs/a.db", "takes a file in a folder that is there, not `src/lib.rs/a.db`"),
            ("sqlite:src", "takes a file, not the folder `src`"),
        ] {
            assert_eq!(store_file_can_be(text).unwrap_err(), said);
        }
    }

    #[test]
    fn a_store_is_a_word_or_a_kind_with_an_address() {
        let choices = "auto, sqlite:PATH or postgres:URL";
        for text in ["auto", "sqlite:x", "postgres:postgres://h", "postgres://h", "postgresql://h/d"] {
            assert!(is_store(text, choices), "{text}");
        }
        for text in ["", "or", "sqlite", "sqlite:", "x.db", "mysql://h", "auto:x"] {
            assert!(!is_store(text, choices), "{text}");
        }
    }

    #[test]
    fn a_store_is_guessed_from_its_file_or_kind() {
        for (text, meant) in [
            ("a.db", Some("sqlite:a.db")),
            ("/tmp/x.sqlite", Some("sqlite:/tmp/x.sqlite")),
            ("sqlit:x", Some("sqlite:x")),
            ("SQLITE:x", Some("sqlite:x")),
            ("postgress://h/d", Some("postgres://h/d")),
            ("atuo", Some("auto")),
            ("mysql://h/d", None),
            ("", None),
            ("sqlite:", None),
            ("file", None),
        ] {
            let said = no_such_store(text, "auto, sqlite:PATH or postgres:URL");
            let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            assert_eq!(said, format!("takes auto, sqlite:PATH or postgres:URL, not `{text}`{meant}"));
        }
        let said = no_such_store("postgress://u:secret@h/d", "auto or postgres:URL");
        assert_eq!(said, "takes auto or postgres:URL, not `h/d`; did you mean postgres://h/d?");
        let said = no_such_store("nast://h", "memory, postgres:URL or nats://host:port");
        assert!(said.ends_with("did you mean nats://h?"), "{said}");
    }
}
