//! `cargo xtask crawl`: becomes the crawler.

use std::{
    ffi::OsString,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
};

use command_line::{Program, Refused, parse};

use crate::{
    Result, VERSION,
    application::{self, Parts, crawl::Crawl},
    outcome::Outcome,
    project::{Project, read},
};

/// Links into ranges of lines, which only a script of rustdoc understands.
const LINES: &str = "/src/.*#[0-9]+(-[0-9]+)?$";

/// Crawls the URL among the arguments, or else the documentation of the standard library on this machine.
pub(crate) fn run(project: &Project, arguments: &[OsString]) -> Result<Outcome> {
    let arguments = &application::with_addresses(arguments);
    let has_url = has_url(arguments)?;
    let defaults = if has_url {
        Vec::new()
    } else {
        let documentation = documentation(project)?;
        if !documentation.join("std/index.html").is_file() {
            let told = "the Rust documentation is not installed (rustup component add rust-docs)";
            return Ok(Outcome::Skipped(told.into()));
        }
        of_documentation(project, documentation)?
    };
    let mut command = application::build(project, &parts(arguments, has_url))?;
    command.args(defaults).args(arguments);
    application::become_application(command)
}

/// Returns the parts that these arguments need. A site may have links with HTTPS; the documentation has none that are asked for.
fn parts(arguments: &[OsString], has_url: bool) -> Parts {
    let package = if has_url { "crawl-https" } else { "crawl" };
    let features = if application::has_flag(arguments, "--inspect") { vec!["inspect"] } else { Vec::new() };
    Parts { package, features }
}

/// Checks the arguments before anything is built, and returns whether there is a URL among them.
fn has_url(arguments: &[OsString]) -> std::result::Result<bool, Refused> {
    let read = |arguments| {
        let flags = parse(Program::new("cargo xtask crawl", VERSION), arguments, Crawl::from_vec)?;
        flags.check().map_err(Refused::wrong)
    };
    match read(arguments.to_vec()) {
        Ok(_) => Ok(true),
        Err(refused) if refused == Refused::wrong("url is missing") => {
            read([arguments, &["http://localhost/".into()]].concat()).map(|_| false)
        }
        Err(refused) => Err(refused),
    }
}

fn documentation(project: &Project) -> Result<PathBuf> {
    let sysroot = read(project.program(Path::new("rustc")).args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(sysroot.trim()).join("share/doc/rust/html"))
}

/// The arguments for the documentation, served at a free port and stored for this run.
fn of_documentation(project: &Project, documentation: PathBuf) -> Result<Vec<OsString>> {
    let folder = project.target().join("evenkeel");
    fs::create_dir_all(&folder)?;
    let store = folder.join("crawl.sqlite");
    for suffix in ["", "-wal", "-shm"] {
        let mut file = store.clone().into_os_string();
        file.push(suffix);
        // It need not be there.
        let _ = fs::remove_file(file);
    }
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let mut arguments: Vec<OsString> = vec![format!("http://127.0.0.1:{port}/std/index.html").into()];
    arguments.extend(["--serve".into(), documentation.into_os_string()]);
    arguments.extend(["--prefix", "/std/", "--rate", "unlimited", "--ignore", LINES].map(Into::into));
    let mut place = OsString::from("sqlite:");
    place.push(store);
    arguments.extend(["--store".into(), place]);
    arguments.extend(["--report".into(), folder.join("crawl.html").into_os_string()]);
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{has_url, parts};

    #[test]
    fn without_a_page_it_is_the_documentation() {
        let asked = |words: &[&str]| has_url(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(asked(&[]), Ok(false));
        assert_eq!(asked(&["--depth", "2"]), Ok(false));
        assert_eq!(asked(&["--depth", "2", "https://h/"]), Ok(true));
        assert!(asked(&["--help"]).unwrap_err().is_help());
    }

    #[test]
    fn only_what_the_arguments_need_is_built() {
        let plain = parts(&["--depth".into(), "2".into()], false);
        assert_eq!((plain.package, plain.features.is_empty()), ("crawl", true));
        let other = parts(&["https://h/".into(), "--inspect=0".into()], true);
        assert_eq!((other.package, &other.features[..]), ("crawl-https", &["inspect"][..]));
    }

    #[test]
    fn wrong_arguments_are_answered_before_the_build() {
        for (words, said) in [
            ("--deth 2", "there is no flag --deth; did you mean --depth?"),
            ("--prefix std", "--prefix takes a path that begins with /, not `std`; did you mean /std?"),
            ("--report= http://h/", "--report has no value"),
            ("--report no/such/file.html", "--report: there is no folder `no/such`"),
            (
                "--store sqlite:no/such/a.db http://h/",
                "--store takes a file in a folder that is there, not `no/such/a.db`",
            ),
            ("--json - --log - http://h/", "--json and --log cannot both be written to stdout"),
            ("--inspect-public http://h/", "--inspect-public does nothing without --inspect"),
            ("http://h:99999", "url takes an address with a port from 0 to 65535, not `http://h:99999`"),
            ("--depth two", "--depth takes a number from 0 to 4294967295, not `two`"),
            (
                "localhost:8080",
                "url takes http://… or https://…, not `localhost:8080`; did you mean http://localhost:8080?",
            ),
            (
                "--store a.db http://h/",
                "--store takes auto, sqlite:PATH or postgres:URL, not `a.db`; did you mean sqlite:a.db?",
            ),
        ] {
            let words: Vec<_> = words.split(' ').map(OsString::from).collect();
            assert_eq!(has_url(&words).unwrap_err().to_string(), said);
        }
    }
}
