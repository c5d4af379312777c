//! The file that `EVENKEEL_FINDINGS` names: it is read once in a process, so each test is a process of its own.

use std::{
    env, fs,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use evenkeel_limit::ConcurrencyLimiter;
use evenkeel_testkit::World;
use tokio::time::{sleep, timeout};

const FILE: &str = "EVENKEEL_FINDINGS";

/// Runs another test of this program with a file, and returns its lines.
fn lines_of(test: &str, is_asked: bool) -> Vec<String> {
    let name =
        format!("evenkeel-findings-{}-{}", std::process::id(), test.rsplit(':').next().unwrap_or(test));
    let file = env::temp_dir().join(name);
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args(["--exact", test, "--include-ignored"]).stdout(Stdio::null()).env_remove(FILE);
    if is_asked {
        command.env(FILE, &file);
    }
    assert!(command.status().expect("it runs").success(), "{test}");
    let text = fs::read_to_string(&file).unwrap_or_default();
    let _ = fs::remove_file(file);
    text.lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "real tier"]
fn planted_in_a_world() {
    World::run(async |_| {
        let calls = Arc::new(ConcurrencyLimiter::new(1).named("calls"));
        for _ in 0..2 {
            let outer = calls.acquire().await.expect("it is open");
            // Of a wait for itself that lasts an hour the clock shows its begin and its end.
            let _ = timeout(Duration::from_secs(3600), calls.acquire()).await;
            drop(outer);
            sleep(Duration::from_secs(1)).await;
        }
    });
}

#[test]
#[ignore = "real tier"]
fn a_world_tells_each_finding_once_and_the_number_of_its_looks() {
    let lines = lines_of("findings::planted_in_a_world", true);
    let of_world: Vec<_> = lines.iter().filter(|line| line.contains("planted_in_a_world")).collect();
    let [line] = &*of_world else { panic!("{lines:?}") };
    let (_, told) = line.rsplit_once(": ").expect("numbers");
    let (looks, findings) = told.split_once(" looks, ").expect("looks");
    assert!(looks.parse::<u32>().expect("a number") >= 4, "{line}");
    assert_eq!(findings, "2 findings", "{lines:?}");
    let told = |line: &&String| {
        line.starts_with("    deadlock: thread ")
            && line.contains("waits for concurrency limit 'calls', which it holds")
    };
    assert_eq!(lines.iter().filter(told).count(), 2, "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("findings.rs:")), "the places are in it: {lines:?}");
    assert!(
        lines_of("findings::planted_in_a_world", false).is_empty(),
        "nothing is written unless it is asked for"
    );
}

#[test]
#[ignore = "real tier"]
fn planted_in_real_time() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let calls = Arc::new(ConcurrencyLimiter::new(1).named("calls"));
        let _outer = calls.acquire().await.expect("it is open");
        assert!(timeout(Duration::from_secs(3), calls.acquire()).await.is_err());
    });
}

#[test]
#[ignore = "real tier"]
fn a_process_tells_what_it_finds_in_runtimes_that_are_no_worlds() {
    let lines = lines_of("findings::planted_in_real_time", true);
    let told = lines.iter().filter(|line| line.starts_with("    deadlock: thread ")).count();
    assert_eq!(told, 1, "{lines:?}");
    let looks = lines.iter().filter(|line| line.contains(" process ") && line.contains(" looks, ")).count();
    assert!(looks >= 2, "{lines:?}");
}
