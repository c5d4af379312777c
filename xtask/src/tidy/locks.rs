//! No code of others runs under a lock, as far as that can be seen in the text of one function.

use super::rust;
use super::tree::{File, Tree};

/// Places where what looks like code of others is not, each with the reason.
const ALLOWED: [(&str, &str, &str); 0] = [];

/// Finds calls of `poll` and `wake`, and clones of wakers, while a guard of a lock is alive: one that has a name, until
/// its block ends, or it is dropped or given away; one without a name, until its statement ends, or the block of an
/// `if let`, `match`, `while let` or `for` that looks at what is locked.
pub(super) fn no_foreign_code_runs_under_a_lock(tree: &Tree) -> Vec<String> {
    let sources = tree
        .rust_files()
        .filter(|file| file.path.starts_with("crates/") && file.path.split('/').nth(2) == Some("src"));
    sources.flat_map(findings_in).collect()
}

fn findings_in(file: &File) -> Vec<String> {
    let tokens = rust::tokens(&file.bare);
    let words: Vec<&str> = tokens.iter().map(|&(_, word)| word).collect();
    let mut found = Vec::new();
    for at in 0..words.len() {
        let Some(alive) = guard_at(&words, at) else { continue };
        for call in alive {
            if let Some(name) = foreign_at(&words, call) {
                let line = file.bare[..tokens[call].0].matches('\n').count() + 1;
                let text = file.text.lines().nth(line - 1).unwrap_or_default();
                if ALLOWED.iter().any(|(path, part, _)| file.path == *path && text.contains(part)) {
                    continue;
                }
                let message = format!(
                    "`{name}` under a lock may be code of others, which may take that lock: call it when the guard is gone"
                );
                found.push(file.finding(line, &message));
            }
        }
    }
    found
}

/// The tokens during which the guard is alive that the call of `lock` at this place gives.
fn guard_at(words: &[&str], at: usize) -> Option<std::ops::Range<usize>> {
    let is_call = matches!(words[at], "lock" | "read" | "write") && words.get(at + 1) == Some(&"(");
    let is_method = at > 0 && words[at - 1] == ".";
    let is_definition = at > 0 && words[at - 1] == "fn";
    let takes_nothing = words.get(at + 2) == Some(&")");
    // `read` and `write` are locks as methods without arguments; `lock` is as a function, too.
    if !is_call || is_definition || words[at] != "lock" && !(is_method && takes_nothing) {
        return None;
    }
    let mut after = closing(words, at + 1)? + 1;
    while let Some(next) = unwrapping(words, after) {
        after = next;
    }
    let start = statement_start(words, at);
    if words[start] == "let" && words.get(after) == Some(&";") {
        let name = words[start + 1..].iter().find(|word| **word != "mut")?;
        return Some(after..end_of_guard(words, after, name));
    }
    let has_block = matches!(words[start], "match" | "for")
        || matches!(words[start], "if" | "while") && words.get(start + 1) == Some(&"let");
    let mut end = after;
    let mut depth = 0_i32;
    while let Some(word) = words.get(end) {
        match *word {
            "(" | "[" => depth += 1,
            "{" if depth == 0 && has_block => return Some(after..closing(words, end)?),
            "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            ";" if depth == 0 => break,
            _ => {}
        }
        if depth < 0 {
            break;
        }
        end += 1;
    }
    Some(after..end)
}

/// Skips `.unwrap()` and the like, and `?`.
fn unwrapping(words: &[&str], at: usize) -> Option<usize> {
    match *words.get(at)? {
        "?" => Some(at + 1),
        "." if matches!(*words.get(at + 1)?, "unwrap" | "expect" | "unwrap_or_else") => {
            Some(closing(words, at + 2)? + 1)
        }
        _ => None,
    }
}

/// The bracket that closes the one at this place.
fn closing(words: &[&str], open: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, word) in words.iter().enumerate().skip(open) {
        match *word {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Where the statement begins in which this token stands: behind the last `;`, `{` or `}` outside of brackets.
fn statement_start(words: &[&str], at: usize) -> usize {
    let mut depth = 0_i32;
    for before in (0..at).rev() {
        match words[before] {
            ")" | "]" => depth += 1,
            "(" | "[" => depth -= 1,
            ";" | "{" | "}" if depth <= 0 => return before + 1,
            _ => {}
        }
    }
    0
}

/// Where the block ends, or the guard with this name is dropped or given away.
fn end_of_guard(words: &[&str], from: usize, name: &str) -> usize {
    let mut depth = 0_i32;
    for at in from..words.len() {
        match words[at] {
            "{" => depth += 1,
            "}" => depth -= 1,
            word if word == name => {
                let alone =
                    matches!(words[at - 1], "(" | ",") && matches!(words.get(at + 1), Some(&(")" | ",")));
                if alone {
                    return at;
                }
            }
            _ => {}
        }
        if depth < 0 {
            return at;
        }
    }
    words.len()
}

/// The name of a call that may be code of others, if there is one here.
fn foreign_at(words: &[&str], at: usize) -> Option<String> {
    let [dot, name, open] = words.get(at..at + 3)? else { return None };
    if *dot != "." || *open != "(" {
        return None;
    }
    let of_a_waker = at > 0 && (words[at - 1] == "waker" || at > 2 && words[at - 3] == "waker");
    match *name {
        "poll" | "wake" | "wake_by_ref" | "poll_unpin" | "poll_next" => Some(format!(".{name}(..)")),
        "clone" if of_a_waker => Some("waker.clone()".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::no_foreign_code_runs_under_a_lock;
    use crate::tidy::tree::findings;

    fn lines_of(function: &str) -> Vec<usize> {
        let found = findings(no_foreign_code_runs_under_a_lock, &[("crates/a/src/lib.rs", function)]);
        found.iter().map(|finding| finding.split(':').nth(1).unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn calls_under_a_guard_are_found() {
        let named = "fn f(&self) {
    let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(waker) = state.waker.take() {
        waker.wake();
    }
    self.sleep.as_mut().poll(cx);
}
fn g(&self) { waker.wake(); }
";
        assert_eq!(lines_of(named), [4, 6]);
        let clones = "fn f() {
    let state = lock(&self.state);
    state.waker = Some(cx.waker().clone());
    other.waker.clone();
    state.limiter.clone();
}
";
        assert_eq!(lines_of(clones), [3, 4]);
        assert_eq!(
            lines_of("fn f() {\n    let s = self.state.write()?;\n    s.waker.wake_by_ref();\n}\n"),
            [3]
        );
    }

    #[test]
    fn calls_beside_a_guard_without_a_name_are_found() {
        assert_eq!(lines_of("fn f() {\n    lock(&self.s).waker.wake_by_ref();\n    w.wake();\n}\n"), [2]);
        let blocks = "fn f() {
    if let Some(waker) = self.s.lock().unwrap().take() {
        waker.wake();
    }
    for waker in self.s.lock().unwrap().drain(..) {
        waker.wake();
    }
    match lock(&self.s).take() {
        Some(waker) => waker.wake(),
        None => {}
    }
}
";
        assert_eq!(lines_of(blocks), [3, 6, 9]);
    }

    #[test]
    fn calls_without_a_guard_are_not() {
        let good = "fn f(&self) {
    let waker = lock(&self.state).waker.take();
    waker.wake();
    let state = self.state.lock().unwrap();
    drop(state);
    waker.wake();
    {
        let state = lock(&self.state);
        state.len();
    }
    waker.wake();
    let state = lock(&self.state);
    self.pass(state, 1);
    waker.wake();
    file.write(bytes)?;
    waker.wake();
}
fn lock(mutex: &Mutex<u8>) -> Guard { waker.wake() }
";
        assert_eq!(lines_of(good), [0_usize; 0]);
        let test = findings(
            no_foreign_code_runs_under_a_lock,
            &[("crates/a/tests/it/x.rs", "fn f() {\n    let s = lock(m);\n    w.wake();\n}\n")],
        );
        assert!(test.is_empty());
    }
}
