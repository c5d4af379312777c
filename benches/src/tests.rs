//! Tests of the folder of results: how it is kept, and how its pages read.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{
    machine, machines, markdown, report,
    results::{Build, Cost, Known, Line, Results},
};

const OLD: &str = "2026-01-01T00:00:00Z";
const NEW: &str = "2026-02-02T00:00:00Z";

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("evenkeel-bench-{}-{number}", process::id()));
        fs::create_dir(&folder).expect("a folder");
        Self(folder)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A row of ours beside one peer, which costs 100.
fn line(id: &str, time: &str, ratio: f64, noise: Option<f64>) -> Line {
    let costs = [("evenkeel", 100.0 * ratio), ("peer", 100.0)];
    Line {
        id: id.to_owned(),
        build: Build { time: time.to_owned(), commit: format!("c{}", &time[..7]) },
        unit: if id.ends_with("/instructions") { "/op" } else { "ns/op" }.to_owned(),
        metric: if id.ends_with("/instructions") { "instructions" } else { "cpu" }.to_owned(),
        ours: Some(100.0 * ratio),
        peers: BTreeMap::from([("peer".to_owned(), 100.0)]),
        best_peer: Some("peer".to_owned()),
        ratio: Some(ratio),
        noise,
        floor: None,
        target: Some(0.8),
        costs: costs.map(|(name, value)| (name.to_owned(), cost(value))).into(),
    }
}

fn cost(value: f64) -> Cost {
    Cost {
        min: value,
        lower_quartile: value,
        median: value,
        upper_quartile: value,
        max: value,
        wall: value,
        cpu: value,
        allocations: 0.0,
        clock_reads: None,
    }
}

fn save(folder: &Path, processor: &str, rows: &[Line]) {
    save_with(folder, processor, rows, &known(rows));
}

fn save_with(folder: &Path, processor: &str, rows: &[Line], known: &Known) {
    let about = [("processor", processor), ("cores", "2"), ("system", "linux"), ("rustc", "1.95")];
    let about: BTreeMap<_, _> = about.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let machine = folder.join(machine::folder(&about));
    Results::new(about, rows.to_vec()).save(&machine, known).expect("a folder that can be written");
}

fn known(rows: &[Line]) -> Known {
    Known { ids: rows.iter().map(|row| row.id.clone()).collect(), optional_peers: vec!["python".to_owned()] }
}

/// Two machines: one measured an older build, and wins elsewhere.
fn two_machines() -> Folder {
    let folder = Folder::new();
    let noise = Some(0.01);
    save(
        folder.path(),
        "AMD EPYC",
        &[
            line("limit/alike", NEW, 0.5, noise),
            line("limit/alike/instructions", NEW, 0.6, None),
            line("limit/flips", NEW, 3.53, noise),
            line("limit/one-machine", NEW, 0.005, noise),
            line("retry/counted", NEW, 1.26, noise),
            line("retry/counted/instructions", NEW, 0.97, None),
            line("retry/noisy", NEW, 1.02, Some(0.05)),
            line("retry/only/instructions", NEW, 2.0, None),
        ],
    );
    save(
        folder.path(),
        "Intel(R) Xeon(R) Processor",
        &[
            line("limit/alike", OLD, 0.7, noise),
            line("limit/alike/instructions", OLD, 0.9, None),
            line("limit/flips", OLD, 0.9, noise),
            line("retry/counted", NEW, 1.2, noise),
            line("retry/noisy", NEW, 0.9, noise),
        ],
    );
    folder
}

#[test]
fn each_machine_has_a_folder_and_a_row_has_a_range_over_them() {
    let folder = two_machines();
    let machines = machines::read(folder.path()).expect("two machines");
    let names: Vec<_> = machines.iter().map(|machine| machine.folder.as_str()).collect();
    assert_eq!(names, ["amd-epyc-2", "intel-xeon-processor-2"]);
    let rows = machines::compare(&machines);
    let said = |row: &machines::Compared<'_>| (row.id.to_owned(), row.range(), row.verdict());
    assert_eq!(
        rows.iter().map(said).collect::<Vec<_>>(),
        [
            ("limit/alike", Some((0.5, 0.7)), "better"),
            ("limit/flips", Some((0.9, 3.53)), "**flips** between machines"),
            ("limit/one-machine", Some((0.005, 0.005)), "better"),
            ("retry/counted", Some((1.2, 1.26)), "worse, **flips** between time and instructions"),
            ("retry/noisy", Some((0.9, 1.02)), "better or no difference"),
            ("retry/only", None, ""),
        ]
        .map(|(id, range, verdict)| (id.to_owned(), range, verdict.to_owned()))
    );
    let stale: Vec<_> = rows
        .iter()
        .flat_map(|row| row.measured().filter(|line| row.is_stale(line)).map(|line| (row.id, line.ratio)))
        .collect();
    assert_eq!(stale, [("limit/alike", Some(0.7)), ("limit/flips", Some(0.9))]);
    assert_eq!(rows[0].counted.and_then(|line| line.ratio), Some(0.6), "the newest count is shown");
}

#[test]
fn tables_name_the_machines_and_show_instructions_once() {
    let folder = two_machines();
    let pages = markdown::pages(&machines::read(folder.path()).expect("two machines"));
    let page = |name: &str| &pages.iter().find(|page| page.0 == name).expect("it is made").1;
    let limit = page("limit.md");
    for expected in [
        "measured on AMD EPYC, 2 cores and on Intel Xeon Processor, 2 cores",
        "| row | AMD EPYC, 2 cores | Intel Xeon Processor, 2 cores | ratio | in instructions | |",
        "| `limit/alike` (cpu) | 50 ns; peer 100 ns | 70 ns (an older build); peer 100 ns | 0.50 to 0.70 | 0.60 | better |",
        "| 0.90 to 3.53 | not counted | **flips** between machines |",
        "| `limit/one-machine` (cpu) | 0.50 ns; peer 100 ns | – | 1/200 | not counted | better |",
    ] {
        assert!(limit.contains(expected), "{expected}\n{limit}");
    }
    let all = page("README.md");
    for expected in [
        "| `amd-epyc-2` | AMD EPYC, 2 cores | linux | 1.95 | `c2026-02` of 2026-02-02: 8 |",
        "`c2026-02` of 2026-02-02: 2, `c2026-01` of 2026-01-01: 3; **older than another's: 2** |",
        "| `retry/only` | 200 | 100, peer | 2 | 0.0, 0.0 |",
        "- `e2e/1000x200ms/100`: calls over sockets",
    ] {
        assert!(all.contains(expected), "{expected}\n{all}");
    }
    assert_eq!(all.matches("| `limit/alike` |").count(), 1, "its instructions do not depend on the machine");
}

/// A machine that has counted instructions alone has no column of its own.
#[test]
fn a_machine_without_times_has_no_column() {
    let folder = two_machines();
    let counted = Line { ours: Some(30.0), ..line("limit/alike/instructions", NEW, 0.6, None) };
    save(folder.path(), "Other", &[counted]);
    let pages = markdown::pages(&machines::read(folder.path()).expect("three machines"));
    let page = |name: &str| &pages.iter().find(|page| page.0 == name).expect("it is made").1;
    let limit = page("limit.md");
    assert!(limit.contains("| row | AMD EPYC, 2 cores | Intel Xeon Processor, 2 cores | ratio |"), "{limit}");
    assert!(limit.contains("| 50 ns; peer 100 ns | 70 ns (an older build); peer 100 ns |"), "{limit}");
    assert!(page("README.md").contains("| `other-2` | Other, 2 cores |"), "its instructions are in the list");
}

/// Rows that can be inspected have no peers; they stand beside the same rows without the feature.
#[test]
fn the_page_of_inspect_compares_with_the_rows_without_it() {
    let folder = Folder::new();
    let counted =
        |id: &str, ours| Line { ours: Some(ours), ..line(&format!("{id}/instructions"), OLD, 1.0, None) };
    let rows = [
        counted("inspect/pool/get/multi/task", 383.4),
        counted("inspect/dump", 60_860_000.0),
        counted("pool/get/multi/task", 367.0),
    ];
    save(folder.path(), "one", &rows);
    let pages = markdown::pages(&machines::read(folder.path()).expect("a machine"));
    let (_, page) = pages.iter().find(|page| page.0 == "inspect.md").expect("it is made");
    assert!(page.contains("| `pool/get/multi/task` | 367 | 383 | 1.04 |\n"), "{page}");
    assert!(page.contains("| `dump` | – | 60860000 |  |\n"), "{page}");
}

/// A row that one of the observers cannot run has a gap in the column of that one.
#[test]
fn each_observer_has_its_column() {
    let folder = Folder::new();
    let counted = |id: &str, peers: &[(&str, f64)]| {
        let peers = peers.iter().map(|(name, cost)| ((*name).to_owned(), *cost)).collect();
        let id = format!("inspect/beside-peers/{id}/multi/task/instructions");
        Line { ours: Some(20.0), floor: Some(10.0), peers, best_peer: None, ..line(&id, OLD, 1.0, None) }
    };
    let rows = [
        counted("a", &[("trees", 30.0)]),
        counted("b", &[("spans", 40.0), ("trees", 50.0)]),
        counted("c", &[("spans", 60.0)]),
    ];
    save(folder.path(), "one", &rows);
    let pages = markdown::pages(&machines::read(folder.path()).expect("a machine"));
    let (_, page) = pages.iter().find(|page| page.0 == "inspect.md").expect("it is made");
    let table = "| row | without one | evenkeel | spans | trees |\n|---|---:|---:|---:|---:|\n\
        | `beside-peers/a/multi/task` | 10 | 20 | – | 30 |\n\
        | `beside-peers/b/multi/task` | 10 | 20 | 40 | 50 |\n\
        | `beside-peers/c/multi/task` | 10 | 20 | 60 | – |\n";
    assert!(page.ends_with(table), "{page}");
}

#[test]
fn the_page_is_whole_and_takes_nothing_from_elsewhere() {
    let folder = two_machines();
    save(folder.path(), "<b>", &[line("x/<b>", OLD, 0.5, None)]);
    let page = report::page(&machines::read(folder.path()).expect("three machines"));
    assert!(page.contains("x/&lt;b&gt;") && !page.contains("<b>\"") && page.contains("<svg"));
    assert!(page.contains("flips: 0.90 to 3.53 of peer"), "the chart shows the range");
    assert!(page.contains("flips: 1.20 to 1.26 of peer, 0.97 counted"), "the chart shows both");
    assert!(page.contains("intel-xeon-processor-2, an older build"));
    assert_eq!(page.matches("<td>any machine").count(), 3, "a count for each row that has one");
    for foreign in ["<script", "src=", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn saving_keeps_what_the_run_could_not_measure_and_drops_what_is_gone() {
    let folder = Folder::new();
    let mut with_python = line("e2e/calls", OLD, 0.5, Some(0.01));
    for (name, value) in [("python", 700.0), ("removed", 10.0)] {
        with_python.peers.insert(name.to_owned(), value);
        with_python.costs.insert(name.to_owned(), cost(value));
    }
    let others = ["e2e/python-alone", "e2e/renamed"].map(|id| line(id, OLD, 0.5, None));
    let first = [&[with_python][..], &others].concat();
    save(folder.path(), "AMD EPYC", &first);
    save(folder.path(), "Other", &first);
    let ids = ["e2e/calls", "e2e/python-alone"].map(str::to_owned).to_vec();
    let known = Known { ids, optional_peers: vec!["python".to_owned()] };
    save_with(folder.path(), "AMD EPYC", &[line("e2e/calls", NEW, 0.9, Some(0.01))], &known);

    let machines = machines::read(folder.path()).expect("two machines");
    let rows = &machines[0].rows;
    let ids: Vec<_> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["e2e/calls", "e2e/python-alone"]);
    assert_eq!((rows[0].ours, rows[0].ratio, rows[0].noise), (Some(90.0), Some(0.9), Some(0.01)));
    let peers: Vec<_> = rows[0].peers.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(peers, [("peer", 100.0), ("python", 700.0)]);
    assert_eq!(rows[0].costs["python"].median, 700.0);
    assert_eq!(machines[1].rows.len(), 3, "another machine's results are its own");
}

#[test]
fn a_peer_that_is_kept_can_be_the_best_and_has_no_known_noise() {
    let folder = Folder::new();
    let mut old = line("e2e/calls", OLD, 0.5, Some(0.01));
    old.peers.insert("python".to_owned(), 40.0);
    old.costs.insert("python".to_owned(), cost(40.0));
    save(folder.path(), "AMD EPYC", &[old]);
    save(folder.path(), "AMD EPYC", &[line("e2e/calls", NEW, 0.8, Some(0.01))]);
    let row = &machines::read(folder.path()).expect("a machine")[0].rows[0];
    assert_eq!((row.best_peer.as_deref(), row.ratio, row.noise), (Some("python"), Some(2.0), None));
}

#[test]
fn a_file_of_another_format_is_refused_by_name_and_nothing_is_written() {
    let folder = two_machines();
    let machine = folder.path().join("amd-epyc-2");
    let file = machine.join("limit.json");
    let good = fs::read_to_string(&file).expect("a file");
    for (text, expected) in [
        (good.replace("\"schema\": 2", "\"schema\": 1"), "it has schema 1, and this program reads schema 2"),
        (good.replace("\"schema\": 2,", ""), "it has no schema"),
        (good.replace("\"rows\"", "\"lines\""), "missing field `rows`"),
        (good[..good.len() / 2].to_owned(), "not a file of results: EOF while parsing"),
        (String::new(), "not a file of results"),
    ] {
        fs::write(&file, &text).expect("a file");
        let rows = [line("limit/alike", NEW, 0.4, None), line("a/b", NEW, 0.4, None)];
        let saved = Results::new(BTreeMap::new(), rows.to_vec()).save(&machine, &known(&rows));
        let errors = [
            saved.expect_err("a broken file").to_string(),
            crate::results::check(&machine).expect_err("a broken file").to_string(),
            machines::read(folder.path()).expect_err("a broken file").to_string(),
        ];
        for error in errors {
            assert!(error.contains("amd-epyc-2/limit.json") && error.contains(expected), "{error}");
        }
        assert_eq!(fs::read_to_string(&file).expect("a file"), text);
        assert!(!machine.join("a.json").exists(), "nothing is written beside it");
    }
}

#[test]
fn a_folder_without_results_says_where_they_belong() {
    let folder = Folder::new();
    let error = |folder: &Path| machines::read(folder).expect_err("no results").to_string();
    assert!(error(folder.path()).contains("no results in it; `cargo xtask bench --save` writes them"));
    assert!(error(&folder.path().join("missing")).contains("missing: No such file"));
    fs::write(folder.path().join("limit.json"), "{}").expect("a file");
    assert!(error(folder.path()).contains("limit.json: results lie in a folder for each machine"));
    let file = folder.path().join("limit.json");
    let error = crate::results::check(&file.join("amd-epyc-2")).expect_err("a file is no folder").to_string();
    assert!(error.contains("amd-epyc-2: nothing can be saved there"), "{error}");
}

/// The committed pages are what `cargo xtask report` writes, so that no figure is older than its data.
#[test]
fn the_committed_pages_and_pictures_are_those_of_the_committed_results() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    let machines = match machines::read(&folder) {
        Ok(machines) => machines,
        // A checkout without results makes no claims.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => panic!("{error}"),
    };
    for (name, text) in crate::pictures(&machines) {
        let committed = fs::read_to_string(folder.join(&name)).expect("it is committed");
        assert!(committed == text, "{name} is out of date: run `cargo xtask report`");
    }
}

#[test]
fn one_place_of_each_row_is_shown_first() {
    assert!(report::is_shown_first("retry/success/multi/task"));
    assert!(report::is_shown_first("limit/try-acquire-granted"));
    assert!(!report::is_shown_first("retry/success/current/task"));
}
