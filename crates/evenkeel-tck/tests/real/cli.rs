//! The program: its exit codes, its formats, and the timeline of a rule.

use std::process::{Command, Output};

/// An adapter in a few lines of shell, which refuses all settings.
const REFUSES: &str = r#"
read line
echo '{"turn":1,"at":0,"events":[{"event":"hello","protocol":1,"library":"none","version":"0","runtime":"sh","retry":{"seed":"no seed"}}]}'
while read -r line; do
    turn=${line##*\"turn\":} turn=${turn%%,*} until=${line##*\"until\":} until=${until%\}}
    case $line in
        *policy*) echo "{\"turn\":$turn,\"at\":$until,\"events\":[{\"event\":\"refused\",\"id\":1,\"says\":\"<no>\"}]}" ;;
        *) echo "{\"turn\":$turn,\"at\":$until,\"events\":[]}" ;;
    esac
done
"#;

fn tck(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_evenkeel-tck"))
        .args(arguments)
        .output()
        .expect("cargo has built it");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code(), text(stdout), text(stderr))
}

/// Runs rules against the adapter.
fn run(more: &[&str]) -> (Option<i32>, String, String) {
    let file = script();
    let adapter = format!("sh \"{}\"", file.display());
    let outcome = tck(&[&["run", "retry", "--adapter", &adapter], more].concat());
    std::fs::remove_file(file).expect("it was there");
    outcome
}

/// The adapter as a file of its own.
fn script() -> std::path::PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("evenkeel-tck-{}-{}.sh", std::process::id(), NUMBER.fetch_add(1, Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, REFUSES).expect("a temporary file");
    path
}

#[test]
#[ignore = "real tier"]
fn the_exit_code_says_whether_all_tested_rules_hold() {
    let (code, told, errors) = run(&["--rule", "RETRY-05"]);
    let warning = "warning: the implementation refuses all settings";
    // The one rule is about settings that are to be refused.
    assert!(!errors.contains(warning), "{errors}");
    for all in [&[][..], &["--verbose"]] {
        let (_, _, errors) = run(all);
        assert!(errors.contains(warning), "{errors}");
    }
    assert_eq!((code, told.as_str()), (Some(0), "none 0 (sh)\n\n\n1 of 1 rules hold\n"));
    let (code, told, _) = run(&["--rule", "retry-01", "--rule", "RETRY-05", "--rule", "RETRY-29"]);
    assert_eq!(code, Some(1));
    let wanted = "none 0 (sh)\n\nRETRY-01 (must): The first attempt begins at once.\n    \
                  fail: expected that it takes ordinary settings; got refused: <no>\n\
                  RETRY-29: unsupported: jitter: the adapter does not claim it\n\n1 of 2 rules hold\n";
    assert_eq!(told, wanted);
    let (code, _, errors) = run(&["--rule", "RETRY-29"]);
    assert_eq!((code, errors.ends_with("no rule was tested\n")), (Some(4), true));
    let (code, told, _) = tck(&["run", "--help"]);
    assert_eq!((code, told.contains("--verbose")), (Some(0), true));
    let (code, told, errors) = run(&["--rule", "RETRY-77777"]);
    assert_eq!((code, told.as_str()), (Some(2), ""));
    assert_eq!(errors, "`RETRY-77777` is unknown\n`evenkeel-tck help` shows the options\n");
    let (code, _, errors) = tck(&["run", "retry", "--adapter", "sh -c 'read line; echo sunny'"]);
    assert_eq!(code, Some(3));
    assert!(errors.starts_with("bad adapter: no JSON"), "{errors}");
    for wrong in
        [&[][..], &["run", "sunny", "--adapter", "x"], &["run", "retry"], &["rules", "sunny"], &["sing"]]
    {
        assert_eq!(tck(wrong).0, Some(2), "{wrong:?}");
    }
}

#[test]
#[ignore = "real tier"]
fn the_formats_have_every_rule_with_its_outcome() {
    let rules = ["--rule", "RETRY-01", "--rule", "RETRY-05", "--rule", "RETRY-29"];
    let formatted = |format| run(&[&rules[..], &["--format", format]].concat()).1;
    let tap = "TAP version 14\n# none 0 (sh)\n1..3\n\
               not ok 1 - RETRY-01 The first attempt begins at once.\n  ---\n  \
               message: \"fail: expected that it takes ordinary settings; got refused: <no>\"\n  timeline: []\n  ...\n\
               ok 2 - RETRY-05 Zero attempts are refused or mean at most one, never no limit.\n\
               ok 3 - RETRY-29 The same seed gives the same delays, and another seed gives others. \
               # SKIP unsupported: jitter: the adapter does not claim it\n";
    assert_eq!(formatted("tap"), tap);
    let junit = formatted("junit");
    let suite = "<testsuite name=\"none 0 (sh)\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\">";
    assert!(junit.contains(suite), "{junit}");
    assert!(junit.contains("got refused: &lt;no&gt;\"></failure></testcase>"), "{junit}");
    let json: serde_json::Value = serde_json::from_str(&formatted("json")).expect("it is JSON");
    assert_eq!((&json["library"], &json["passed"], &json["failed"]), (&"none".into(), &1.into(), &1.into()));
    assert_eq!(
        (&json["rules"][2]["id"], &json["rules"][2]["verdict"]),
        (&"RETRY-29".into(), &"unsupported".into())
    );
}

#[test]
#[ignore = "real tier"]
fn lists_specifications_and_drivers_are_printed() {
    let (code, told, _) = tck(&["rules", "limit"]);
    assert_eq!((code, told.lines().count()), (Some(0), 76));
    let (code, told, _) = tck(&["capabilities", "retry"]);
    assert_eq!((code, told.lines().next()), (Some(0), Some("jitter               Chance in the delays.")));
    assert_eq!(tck(&["capabilities", "sunny"]).0, Some(2));
    assert!(tck(&["spec", "protocol"]).1.starts_with("# The protocol\n"));
    assert!(tck(&["driver", "python"]).1.contains("class VirtualLoop"));
    assert!(tck(&["driver", "node"]).1.contains("class Rule"));
    assert!(tck(&["driver", "go"]).1.contains("package tck"));
    assert!(tck(&["help"]).1.contains("--verbose"));
}
