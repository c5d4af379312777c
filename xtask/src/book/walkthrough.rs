//! The first chapters of the book, each followed in an empty project: the files as the page shows them, the crates of this tree
//! in place of the repository, and the output of each `curl` in the page.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use super::{
    expand::expanded,
    markdown::{Kind, lines},
};
use crate::{
    Result,
    outcome::Outcome,
    project::{Project, cleaned, run as execute},
};

/// The pages, and the name of the project that each begins with `cargo new`.
const CHAPTERS: [(&str, &str); 2] =
    [("docs/book/src/first-service.md", "prices"), ("docs/book/src/background-worker.md", "orders")];
const GIT: &str = "git = \"https://github.com/evenkeel/evenkeel\"";
/// The time in which a program opens its port.
const START: Duration = Duration::from_secs(30);

/// A block of the page: its language, and its text.
type Block = (String, String);

pub(super) fn run(project: &Project) -> Result<Outcome> {
    let mut found = Vec::new();
    for (page, name) in CHAPTERS {
        found.extend(follow(project, page, name)?);
    }
    Ok(Outcome::of_findings(&found))
}

/// Follows a page; returns the answers that are others.
fn follow(project: &Project, page: &str, name: &str) -> Result<Vec<String>> {
    tell!("{page}");
    let folder = project.target().join("evenkeel/chapters").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(folder.join("src"))?;
    let text = fs::read_to_string(project.root.join(page))?;
    let mut found = Vec::new();
    let mut at = 0;
    for (language, block) in blocks(&project.root, page, &text)? {
        match language.as_str() {
            "toml" => fs::write(folder.join("Cargo.toml"), manifest(&project.root, name, &block))?,
            // The page names the file above the block.
            "rust" => {
                let file = named(&text, &mut at).ok_or("the page names no file for a program")?;
                tell!("{file}");
                fs::write(folder.join(&file), block)?;
                let tests = folder.join("src/tests.rs");
                if file == "src/main.rs" && !tests.exists() {
                    fs::write(tests, "")?;
                }
            }
            "console" => {
                let wrong = tried(project, &folder, name, &block)?;
                found.extend(wrong.into_iter().map(|wrong| format!("{page}: {wrong}")));
            }
            "sh" if block.trim() == "cargo test" => cargo(project, &folder, "test")?,
            _ => {}
        }
    }
    Ok(found)
}

/// The blocks of the page, with what they include.
fn blocks(root: &Path, page: &str, text: &str) -> Result<Vec<Block>> {
    let page = expanded(root, page, text)?;
    let mut blocks: Vec<Block> = Vec::new();
    for line in lines(&page) {
        match line.kind {
            Kind::Opens(language) => blocks.push((language.to_owned(), String::new())),
            Kind::Code(_) => blocks.last_mut().expect("it was opened").1.extend([line.text, "\n"]),
            Kind::Prose | Kind::Closes => {}
        }
    }
    Ok(blocks)
}

/// Returns the last file that the page names before the next program from `at` on, and moves behind that program.
fn named(text: &str, at: &mut usize) -> Option<String> {
    let program = *at + text[*at..].find("```rust")?;
    let names =
        text[..program].match_indices("`src/").filter_map(|(start, _)| text[start + 1..].split('`').next());
    *at = program + "```rust".len();
    names.last().map(str::to_owned)
}

/// The manifest of the project, over the crates of this tree.
fn manifest(root: &Path, name: &str, dependencies: &str) -> String {
    let head =
        format!("[package]\nname = {name:?}\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n");
    let lines = dependencies.lines().map(|line| {
        let name = line.split(' ').next().unwrap_or_default();
        let path = root.join("crates").join(name);
        line.replace(GIT, &format!("path = {:?}", path.display().to_string())) + "\n"
    });
    head + &lines.collect::<String>()
}

fn cargo(project: &Project, folder: &Path, command: &str) -> Result {
    let target = folder.parent().expect("it has one").join("target");
    let cargo = project.cargo(command).arg("--manifest-path").arg(folder.join("Cargo.toml"));
    execute(cargo.arg("--target-dir").arg(target))
}

/// Runs the program, and the commands of a block; returns the answers that are others.
fn tried(project: &Project, folder: &Path, name: &str, block: &str) -> Result<Vec<String>> {
    cargo(project, folder, "build")?;
    let program = folder.parent().expect("it has one").join("target/debug").join(name);
    let mut command = cleaned(std::process::Command::new(program));
    let running = Running(command.current_dir(folder).spawn()?);
    let mut found = Vec::new();
    for step in block.split("$ ").filter(|step| !step.is_empty()) {
        let (command, expected) = step.split_once('\n').unwrap_or((step, ""));
        if let Some(secs) = command.strip_prefix("sleep ") {
            thread::sleep(Duration::from_secs(secs.parse()?));
            continue;
        }
        let call = command.strip_prefix("curl -s ").ok_or_else(|| format!("unknown command: {command}"))?;
        let (method, url) = call.strip_prefix("-X POST ").map_or(("GET", call), |url| ("POST", url));
        let answer = answer(method, url)?;
        if answer != expected {
            found.push(format!("{url} answers {answer:?}, and the page says {expected:?}"));
        }
    }
    drop(running);
    Ok(found)
}

/// A program that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn answer(method: &str, url: &str) -> Result<String> {
    let (host, path) = url.split_once('/').ok_or("a URL of the page has no path")?;
    let start = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(host) {
            Ok(stream) => break stream,
            Err(error) if start.elapsed() > START => return Err(format!("{host}: {error}").into()),
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    };
    write!(stream, "{method} /{path} HTTP/1.0\r\nhost: {host}\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response.split_once("\r\n\r\n").map_or(response.clone(), |(_, body)| body.to_owned()))
}
