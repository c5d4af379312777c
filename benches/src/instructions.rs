//! Instructions and clock reads of an operation, counted by callgrind.
//!
//! `evenkeel-count` does one entrant's operations twice under callgrind, which counts the second time only: so start-up
//! and first-time work are not counted. A count hardly differs between runs and machines, so it decides where times
//! disagree.
//!
//! Two limits. Callgrind runs one thread at a time: rows on several threads have no contention, and their count varies by
//! [`INTERLEAVED`] with the order in which threads take turns. Its programs read the operating system's clock by a system
//! call that runs outside of them, so the cost of a read is missing in the instructions: the reads are counted beside
//! them. A program that reads the processor's counter itself has no such reads.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use crate::{
    results::{Build, Cost, Line},
    row::{Entrant, FLOOR, OURS, Row},
    rows,
    run::round,
};

/// The operations of a run: enough for ten thousand known keys, and for whole batches of a thousand.
const OPERATIONS: u64 = 10_000;

/// The relative error of a ratio where threads take turns.
const INTERLEAVED: f64 = 0.02;

/// Whether callgrind can count a row.
fn countable(row: &Row) -> bool {
    row.timed() && row.not_counted.is_none()
}

/// Whether callgrind is installed.
pub(crate) fn is_available() -> bool {
    let version =
        Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// Counts all rows that can be counted, one per processor at a time.
///
/// # Errors
///
/// If valgrind is not installed, a run of it fails, or no row can be counted.
pub(crate) fn count(rows: &[Row], build: &Build) -> io::Result<Vec<Line>> {
    if !is_available() {
        return Err(io::Error::other("instructions need valgrind, which is not installed"));
    }
    for row in rows.iter().filter(|row| !countable(row)) {
        eprintln!("{} is not counted: {}", row.id, row.not_counted.unwrap_or("it measures bytes"));
    }
    let rows: Vec<_> = rows.iter().filter(|row| countable(row)).collect();
    if rows.is_empty() {
        return Err(io::Error::other("no row is left to count"));
    }
    let run = |row: &'_ &Row, entrant: &'_ Entrant| (row.id.clone(), entrant.name.clone(), operations(row));
    let runs: Vec<_> =
        rows.iter().flat_map(|row| row.entrants.iter().map(|entrant| run(row, entrant))).collect();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = |part: usize| {
        let mine = runs.iter().skip(part).step_by(threads);
        mine.map(|(row, entrant, n)| Ok(((&**row, &**entrant), counted(row, entrant, *n)?)))
            .collect::<io::Result<Vec<_>>>()
    };
    let mut costs = BTreeMap::new();
    thread::scope(|scope| {
        let parts: Vec<_> = (0..threads).map(|part| scope.spawn(move || share(part))).collect();
        for part in parts {
            costs.extend(part.join().map_err(|_| io::Error::other("a thread that counts panicked"))??);
        }
        io::Result::Ok(())
    })?;
    Ok(rows.iter().map(|row| line(row, &costs, build)).collect())
}

/// Does the work of the program that is counted.
///
/// # Errors
///
/// If the arguments do not name a row and one of its entrants.
pub(crate) fn work(mut arguments: impl Iterator<Item = String>) -> io::Result<()> {
    let missing = || io::Error::other("usage: evenkeel-count ROW ENTRANT");
    let (Some(id), Some(name), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err(missing());
    };
    let row = rows::all().into_iter().find(|row| row.id == id).ok_or_else(missing)?;
    let operations = operations(&row);
    let mut entrant = row.entrants.into_iter().find(|entrant| entrant.name == name).ok_or_else(missing)?;
    (entrant.round)(operations);
    (entrant.round)(operations);
    Ok(())
}

fn operations(row: &Row) -> u64 {
    row.operations.unwrap_or(OPERATIONS)
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Count {
    instructions: f64,
    clock_reads: f64,
}

/// The cost of one operation.
fn counted(row: &str, entrant: &str, operations: u64) -> io::Result<Count> {
    let file = profile_of(row, entrant);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg("--zero-before=*measure::worked")
        .arg("--dump-after=*measure::worked")
        .arg(env::current_exe()?.with_file_name("evenkeel-count"))
        .args([row, entrant])
        .stdout(Stdio::null())
        .output()?;
    let failed = || {
        let printed = String::from_utf8_lossy(&output.stderr);
        io::Error::other(format!("{row}, {entrant}: callgrind made no counts: {}", printed.trim()))
    };
    if !output.status.success() {
        return Err(failed());
    }
    // A dump for each round; the file without a number is written at the end of the program.
    let [first, second] = ["1", "2"].map(|dump| file.with_added_extension(dump));
    let profile = fs::read_to_string(&second).map_err(|_| failed())?;
    let total = parse(&profile).filter(|total| total.instructions > 0.0).ok_or_else(failed)?;
    [first, second, file].iter().try_for_each(fs::remove_file)?;
    let each = |total: f64| total / operations as f64;
    Ok(Count { instructions: each(total.instructions), clock_reads: each(total.clock_reads) })
}

fn profile_of(row: &str, entrant: &str) -> PathBuf {
    let name: String =
        format!("{row} {entrant}").chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    Path::new("target/evenkeel/callgrind").join(name)
}

/// Reads the total and the calls of `clock_gettime` from callgrind's file.
///
/// A function is named where it is called, `cfn=(7) clock_gettime@@GLIBC_2.17` at first and `cfn=(7)` later; the line
/// `calls=` below has the number. The format is described in "Callgrind Format Specification" of valgrind's manual.
fn parse(profile: &str) -> Option<Count> {
    let (mut total, mut reads, mut clocks, mut callee) = (None, 0_f64, Vec::new(), "");
    for line in profile.lines() {
        if let Some(number) = line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")) {
            total = number.trim().parse().ok();
        } else if let Some(rest) = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn=")) {
            let (id, name) = rest.split_once(' ').unwrap_or((rest, ""));
            if name.starts_with("clock_gettime") {
                clocks.push(id);
            }
            callee = id;
        } else if let Some(calls) = line.strip_prefix("calls=").filter(|_| clocks.contains(&callee)) {
            reads += calls.split(' ').next()?.parse::<f64>().ok()?;
        }
    }
    Some(Count { instructions: total?, clock_reads: reads })
}

fn line(row: &Row, costs: &BTreeMap<(&str, &str), Count>, build: &Build) -> Line {
    let cost = |entrant: &str| costs.get(&(&*row.id, entrant)).copied();
    let names = row.entrants.iter().map(|entrant| entrant.name.as_str());
    let value = |entrant: &str| cost(entrant).map(|count| round(count.instructions));
    let peers: BTreeMap<String, f64> = names
        .clone()
        .filter(|name| ![OURS, FLOOR].contains(name))
        .filter_map(|name| Some((name.to_owned(), value(name)?)))
        .collect();
    let best = peers.iter().min_by(|a, b| a.1.total_cmp(b.1)).map(|(name, value)| (name.clone(), *value));
    let ours = value(OURS);
    let all = names.filter_map(|name| Some((name.to_owned(), spread(cost(name)?))));
    Line {
        id: format!("{}/instructions", row.id),
        build: build.clone(),
        unit: "/op".to_owned(),
        metric: "instructions".to_owned(),
        ours,
        ratio: ours.zip(best.as_ref()).map(|(ours, (_, best))| round(ours / best)),
        best_peer: best.map(|(name, _)| name),
        noise: ["/multi", "two-threads"].iter().any(|part| row.id.contains(part)).then_some(INTERLEAVED),
        floor: value(FLOOR),
        target: None,
        costs: all.collect(),
        peers,
    }
}

/// A count has no spread: it is the same in every run.
fn spread(count: Count) -> Cost {
    let value = round(count.instructions);
    Cost {
        min: value,
        lower_quartile: value,
        median: value,
        upper_quartile: value,
        max: value,
        wall: 0.0,
        cpu: 0.0,
        allocations: 0.0,
        clock_reads: Some(round(count.clock_reads)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Metric;

    const PROFILE: &str = "\
events: Ir
fn=(1) main
1 5
cfn=(7) clock_gettime@@GLIBC_2.17
calls=3 0
1 30
cfn=(8) malloc
calls=100 0
1 30
fn=(9) other
cfn=(7)
calls=4 0
1 40
totals: 105
";

    #[test]
    fn totals_and_clock_reads_are_read_from_a_profile() {
        assert_eq!(parse(PROFILE), Some(Count { instructions: 105.0, clock_reads: 7.0 }));
        assert_eq!(parse("events: Ir"), None);
    }

    /// Whatever is measured in nanoseconds is counted, too, but for these.
    #[test]
    fn every_row_of_time_is_counted_or_says_why_not() {
        let rows = rows::all();
        let left_out = rows.iter().filter(|row| row.timed() && !countable(row));
        let left_out: Vec<_> = left_out.map(|row| row.id.as_str()).collect();
        let reasons = [
            "limit/ten-thousand-waiters",
            "stream/par-map-timers/1-threads",
            "stream/par-map-timers/2-threads",
            "stream/par-map-timers/limit-50000",
            "stream/par-map-busy/beside-one-core",
            "stream/par-map-busy/beside-join-set",
            "stream/million-beside-asyncio",
            "jetstream/consume-64/2.9",
            "jetstream/consume-confirmed-64/2.9",
            "jetstream/consume-256/2.9",
            "jetstream/consume-confirmed-256/2.9",
            "jetstream/consume-1000/2.9",
            "jetstream/consume-confirmed-1000/2.9",
            "jetstream/publish/2.9",
            "jetstream/publish-beside-one-by-one/2.9",
            "jetstream/consume-64/2.14",
            "jetstream/consume-confirmed-64/2.14",
            "jetstream/consume-256/2.14",
            "jetstream/consume-confirmed-256/2.14",
            "jetstream/consume-1000/2.14",
            "jetstream/consume-confirmed-1000/2.14",
            "jetstream/publish/2.14",
            "jetstream/publish-beside-one-by-one/2.14",
            "postgres/copy-in",
            "postgres/copy-in-beside-ready-bytes",
            "postgres/copy-in-beside-asyncpg",
            "postgres/fetch-one",
            "postgres/after-a-dropped-statement",
            "postgres/after-a-dropped-stream",
            "postgres/ten-thousand-rows/execute-many",
            "postgres/ten-thousand-rows/insert-many",
            "postgres/ten-thousand-rows/copy-in",
            "postgres/durable-rows/execute-many",
            "postgres/durable-rows/insert-many",
            "postgres/durable-rows/copy-in",
            "postgres/queue-drain/10",
            "postgres/queue-drain-beside-crates/10",
            "postgres/queue-drain/50",
            "postgres/queue-drain-beside-crates/50",
            "postgres/queue-drain/200",
            "postgres/queue-drain-beside-crates/200",
            "postgres/queue-enqueue/one-by-one",
            "postgres/queue-enqueue/in-a-transaction",
            "postgres/queue-enqueue/in-batches",
            "task/beside-asyncio",
            "e2e/1000x200ms/100",
            "e2e/1000x200ms/1000",
        ];
        assert_eq!(left_out, reasons);
        for row in rows.iter().filter(|row| countable(row)) {
            assert!(
                row.entrants.iter().all(|entrant| entrant.needs.is_none()),
                "{}: a peer that cannot be counted",
                row.id
            );
        }
    }

    #[test]
    fn the_ratio_is_to_the_peer_with_the_fewest_instructions() {
        let entrant = |row: Row, name: &str| row.with(name, |_| ());
        let row = [OURS, "a", "b", FLOOR].into_iter().fold(Row::new("x/y", Metric::Cpu), entrant);
        let count = |instructions| Count { instructions, clock_reads: 1.0 };
        let costs = BTreeMap::from([
            (("x/y", OURS), count(30.0)),
            (("x/y", "a"), count(60.0)),
            (("x/y", "b"), count(40.0)),
            (("x/y", FLOOR), count(10.0)),
        ]);
        let build = Build { time: "2026-01-01T00:00:00Z".into(), commit: "1a2b3c4".into() };
        let line = line(&row, &costs, &build);
        assert_eq!((line.id.as_str(), line.best_peer.as_deref()), ("x/y/instructions", Some("b")));
        assert_eq!((line.ours, line.ratio, line.floor), (Some(30.0), Some(0.75), Some(10.0)));
        assert_eq!(line.costs["a"].clock_reads, Some(1.0));
    }
}
