//! No foreign code runs under a lock, as far as the text of one function shows it.

use super::{
    rust,
    tree::{File, Tree},
};

/// Calls that look foreign and are not, each with the reason.
const ALLOWED: [(&str, &str, &str); 1] = [(
    "crates/evenkeel-shutdown/src/signals.rs",
    "runtime.spawn(",
    "the task is of this crate, and so is all that is dropped with it",
)];

/// Finds calls of `poll` and `wake`, clones and drops of wakers, starts of tasks and events, while a guard of a lock is
/// alive: one that has a name, or is an argument, until its block ends, or it is dropped or given away; one without a
/// name, until its statement ends, or the block of an `if let`, `match`, `while let` or `for` that looks at what is
/// locked.
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
        let alive = guard_at(&words, at).or_else(|| argument_at(&words, at)).unwrap_or_default();
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

/// Returns the tokens during which a guard is alive: the one that the call of `lock` at this place returns.
fn guard_at(words: &[&str], at: usize) -> Option<Vec<usize>> {
    let name = words[at].strip_prefix("try_").unwrap_or(words[at]);
    let is_call = matches!(name, "lock" | "read" | "write") && words.get(at + 1) == Some(&"(");
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
    let first =
        words[start..at].iter().position(|word| *word == "=").map_or(start, |equals| start + equals + 1);
    let is_matched = words[first] == "match" && words.get(after) == Some(&"{");
    if words[start] == "let" && (is_matched || matches!(words.get(after), Some(&(";" | "else")))) {
        // The last word of the pattern: `g`, `mut g`, `Ok(mut g)`; or, with a type, the first.
        let pattern = &words[start + 1..first - 1];
        let pattern = &pattern[..pattern.iter().position(|word| *word == ":").unwrap_or(pattern.len())];
        let name = pattern.iter().rfind(|word| word.chars().all(rust::is_word))?;
        let mut from = after;
        while words.get(from).is_some_and(|word| *word != ";") {
            from = if words[from] == "{" { closing(words, from)? + 1 } else { from + 1 };
        }
        return Some(while_named(words, from, name));
    }
    let has_block = matches!(words[start], "match" | "for")
        || matches!(words[start], "if" | "while") && words.get(start + 1) == Some(&"let");
    let mut end = after;
    let mut depth = 0_i32;
    while let Some(word) = words.get(end) {
        match *word {
            "(" | "[" => depth += 1,
            "{" if depth == 0 && has_block => return Some((after..closing(words, end)?).collect()),
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
    Some((after..end).collect())
}

/// Returns the tokens during which a guard is alive: the argument whose type stands at this place.
fn argument_at(words: &[&str], at: usize) -> Option<Vec<usize>> {
    if !matches!(words[at], "MutexGuard" | "RwLockReadGuard" | "RwLockWriteGuard") {
        return None;
    }
    let start = words[..at].iter().rposition(|word| matches!(*word, "(" | ","))?;
    let name = words[start + 1..at].iter().find(|word| **word != "mut")?;
    let function = words[..start].iter().rposition(|word| matches!(*word, "fn" | ";" | "{" | "}"))?;
    if words[function] != "fn" || words[start + 1..at].iter().filter(|word| **word == ":").count() == 0 {
        return None;
    }
    let body = at + words[at..].iter().position(|word| matches!(*word, "{" | ";"))?;
    (words[body] == "{").then(|| while_named(words, body + 1, name))
}

/// Skips `.unwrap()` and the like, and `?`.
fn unwrapping(words: &[&str], at: usize) -> Option<usize> {
    match *words.get(at)? {
        "?" => Some(at + 1),
        "." if matches!(*words.get(at + 1)?, "unwrap" | "expect" | "unwrap_or_else" | "map_err" | "ok") => {
            Some(closing(words, at + 2)? + 1)
        }
        _ => None,
    }
}

/// Returns the place of the bracket that closes this one.
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

/// Returns the start of the statement around this token: behind the last `;`, `{` or `}` outside of brackets.
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

/// Returns the tokens until the block ends, or the guard with this name is dropped or moved. Behind an inner block that
/// drops it the guard is alive again, as the inner block may not have run.
fn while_named(words: &[&str], from: usize, name: &str) -> Vec<usize> {
    let (mut alive, mut since, mut blocks) = (vec![], from, vec![]);
    let mut at = from;
    while at < words.len() {
        match words[at] {
            "{" => blocks.push(at),
            "}" if blocks.pop().is_none() => break,
            word if word == name => {
                let alone =
                    matches!(words[at - 1], "(" | ",") && matches!(words.get(at + 1), Some(&(")" | ",")));
                if alone {
                    alive.extend(since..at);
                    let Some(end) = blocks.pop().and_then(|open| closing(words, open)) else { return alive };
                    (since, at) = (end, end);
                }
            }
            _ => {}
        }
        at += 1;
    }
    alive.extend(since..at);
    alive
}

/// Returns the name of the call at this place, if it may run foreign code.
fn foreign_at(words: &[&str], at: usize) -> Option<String> {
    match *words.get(at..at + 4)? {
        [".", name, "(", _]
            if matches!(name, "poll" | "wake" | "wake_by_ref" | "poll_unpin" | "poll_next") =>
        {
            Some(format!(".{name}(..)"))
        }
        [".", "clone", "(", _]
            if at > 0 && (words[at - 1] == "waker" || at > 2 && words[at - 3] == "waker") =>
        {
            Some("waker.clone()".to_owned())
        }
        ["drop", "(", "waker", ")"] => Some("drop(waker)".to_owned()),
        ["Waker", ":", ":", name] if matches!(name, "wake" | "wake_by_ref" | "clone") => {
            Some(format!("Waker::{name}"))
        }
        ["tracing", ":", ":", name] if words.get(at + 4) == Some(&"!") => Some(format!("tracing::{name}!")),
        [before, name, "(", _] if before != "fn" && matches!(name, "spawn" | "spawn_blocking") => {
            Some(format!("{name}(..)"))
        }
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
    fn guards_are_found_in_each_form() {
        let tried = "fn f() {
    if let Ok(mut state) = self.s.try_lock() {
        state.waker.wake_by_ref();
    }
    let Ok(mut state) = self.s.lock() else { return };
    state.waker.wake_by_ref();
}
fn g() -> Option<()> {
    let state = match self.s.lock() {
        Ok(state) => state,
        Err(poisoned) => poisoned.into_inner(),
    };
    state.waker.wake_by_ref();
}
fn h() -> Option<()> {
    let state: MutexGuard<'_, u8> = self.s.try_lock().ok()?;
    state.waker.wake_by_ref();
}
";
        assert_eq!(lines_of(tried), [3, 6, 13, 17]);
        let given = "fn f(&self, mut state: std::sync::MutexGuard<'_, State>, cx: &mut Context<'_>) {
    state.sleep.poll(cx);
    drop(state);
    w.wake();
}
struct S<'a> { state: MutexGuard<'a, u8> }
fn g() { w.wake(); }
fn h(&self) -> MutexGuard<'_, State> { w.wake() }
";
        assert_eq!(lines_of(given), [2]);
        let dropped_on_one_way = "fn f() {
    let state = lock(&self.s);
    if state.is_done {
        drop(state);
        w.wake();
        return;
    }
    w.wake();
}
";
        assert_eq!(lines_of(dropped_on_one_way), [8]);
    }

    #[test]
    fn each_kind_of_code_of_others_is_found() {
        let kinds = "fn f() {
    let state = lock(&self.s);
    state.wakers.drain(..).for_each(Waker::wake);
    let waker = state.waker.take();
    drop(waker);
    tracing::debug!(target: T, x);
    tokio::spawn(run);
    self.runtime.spawn_blocking(run);
    state.spawned(1);
}
fn spawn(x: u8) {}
";
        assert_eq!(lines_of(kinds), [3, 5, 6, 7, 8]);
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
