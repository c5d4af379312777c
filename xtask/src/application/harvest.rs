//! The flags of harvest, as its own file has them.

use std::{ffi::OsString, str::FromStr};

use command_line::{is_store, no_such_store, store_file_can_be};

#[path = "../../../examples/harvest/src/cli/flags.rs"]
#[expect(dead_code, reason = "the application uses the values")]
mod flags;

use super::{Parts, has_flag};

pub(crate) use self::flags::Harvest;

/// Returns the parts that these arguments need. An API may lead from HTTP to HTTPS.
pub(crate) fn parts(arguments: &[OsString]) -> Parts {
    let has = |flag: &str| has_flag(arguments, flag);
    let value = |flag: &str| {
        let words = arguments.windows(2).filter(|pair| pair[0] == flag);
        words.map(|pair| pair[1].to_string_lossy()).next_back().unwrap_or_default()
    };
    let (store, queue) = (value("--store"), value("--queue"));
    let wanted = [
        ("inspect", has("--inspect")),
        ("postgres", store == "env" || store.starts_with("postgres")),
        ("queue", has("--workers") || has("--quota") || !matches!(&*queue, "" | "memory")),
    ];
    Parts {
        package: if has("--url") { "harvest-https" } else { "harvest" },
        features: wanted
            .into_iter()
            .filter(|(_, is_wanted)| *is_wanted)
            .map(|(feature, _)| feature)
            .collect(),
    }
}

/// The value of `--store`: also a private server.
#[derive(Debug)]
struct Choice;

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        one_of_the_stores(text, "auto, env, postgres, sqlite:PATH or postgres:URL").map(|()| Self)
    }
}

/// The value of `--queue`: also one in a private server.
#[derive(Debug)]
struct QueueChoice;

impl FromStr for QueueChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_own = is_store(text, "memory, tls:URL, nats:URL or postgres:URL");
        if is_own { Ok(Self) } else { one_of_the_stores(text, "memory, postgres or nats").map(|()| Self) }
    }
}

fn one_of_the_stores(text: &str, choices: &str) -> Result<(), String> {
    if is_store(text, choices) { store_file_can_be(text) } else { Err(no_such_store(text, choices)) }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::parts;

    #[test]
    fn only_what_the_arguments_need_is_built() {
        for (line, package, features) in [
            ("", "harvest", &[][..]),
            ("--users 5 --page 127.0.0.1:0 --report a.html --strict", "harvest", &[]),
            ("--store sqlite:postgres --queue memory", "harvest", &[]),
            ("--store auto --inspect 127.0.0.1:0", "harvest", &["inspect"]),
            ("--store postgres", "harvest", &["postgres"]),
            ("--store env", "harvest", &["postgres"]),
            ("--store postgresql://u@h/d --url http://h/", "harvest-https", &["postgres"]),
            ("--url https://h/ --rate 5 --quota redis://h", "harvest-https", &["queue"]),
            ("--workers 4 --kill", "harvest", &["queue"]),
            ("--queue nats://h --store postgres://u@h/d", "harvest", &["postgres", "queue"]),
        ] {
            let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
            let parts = parts(&words);
            assert_eq!((parts.package, &parts.features[..]), (package, features), "{line}");
        }
    }
}
