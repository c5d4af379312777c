//! Adapters that do not keep the protocol: each has a clear verdict, in its time, and nothing is left running.

use std::{
    fs,
    process::{self, Command},
    time::Duration,
};

use evenkeel_tck::{Verdict, limit, pool, protocol::Process, retry, stream, task};

/// More than a shell needs on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);

const HELLO: &str = r#"{"turn":1,"at":0,"events":[{"event":"hello","protocol":1,"library":"none","version":"0","runtime":"sh","can":[],"retry":{}}]}"#;

/// Takes the settings of the first rule.
const CONFIGURED: &str = r#"{"turn":2,"at":0,"events":[{"event":"configured","id":1}]}"#;

fn shell(script: String, limit: Duration) -> Result<Process, Verdict> {
    Process::start_within(limit, move || {
        let mut command = Command::new("sh");
        command.arg("-c").arg(&script);
        command
    })
}

/// The verdict of RETRY-01 on an adapter that answers these lines, and then does something else.
fn verdict_within(limit: Duration, lines: &[&str], then: &str) -> Verdict {
    let answers: String = lines.iter().map(|line| format!("read line; echo '{line}'; ")).collect();
    let process = match shell(format!("{answers} read line; {then}"), limit) {
        Ok(process) => process,
        Err(verdict) => return verdict,
    };
    process.check(retry::SUITE.rule("RETRY-01").expect("there is one"))
}

fn verdict(lines: &[&str], then: &str) -> String {
    verdict_within(LIMIT, lines, then).to_string()
}

/// An adapter that answers the turn after these with this line.
fn answer(lines: &[&str], line: &str) -> String {
    verdict(lines, &format!("echo '{line}'; read line"))
}

#[test]
#[ignore = "real tier"]
fn what_is_no_reply_is_a_bad_adapter() {
    let no_json = r#"bad adapter: no JSON (expected value at line 1 column 1), in the line "sunny""#;
    assert_eq!(answer(&[], "sunny"), no_json);
    assert_eq!(answer(&[HELLO], "sunny"), no_json);
    assert_eq!(answer(&[HELLO, CONFIGURED], "sunny"), no_json);
    assert_eq!(
        answer(&[HELLO], r#"{"turn":2,"at":0}"#),
        r#"bad adapter: no list `events`, in the line "{\"turn\":2,\"at\":0}""#
    );
    let unknown = answer(&[HELLO], r#"{"turn":2,"at":0,"events":[{"event":"sunny","id":77}]}"#);
    assert_eq!(unknown, r#"bad adapter: there is no 77, in the event {"event":"sunny","id":77}"#);
    let silent = answer(&[HELLO], r#"{"turn":2,"at":0,"events":[]}"#);
    assert!(silent.starts_with("bad adapter: it does not answer {\"do\":\"policy\""), "{silent}");
    let attempt = r#"{"turn":3,"at":0,"events":[{"event":"attempt","id":2,"attempt":7}]}"#;
    let second = answer(&[HELLO, CONFIGURED], attempt);
    assert!(second.starts_with("bad adapter: attempt 7 is called as the 1th, in the event"), "{second}");
    let end = r#"{"turn":3,"at":0,"events":[{"event":"end","id":2,"ok":1}]}"#;
    let value = answer(&[HELLO, CONFIGURED], end);
    assert!(value.starts_with("bad adapter: attempt 1 has no value, in the event"), "{value}");
}

#[test]
#[ignore = "real tier"]
fn steps_of_a_task_that_cannot_be_are_a_bad_adapter() {
    let hello = HELLO.replace("\"retry\":{}", "\"task\":{\"body\":true}");
    let verdict = |events: &str| {
        let answer = format!(r#"{{"turn":3,"at":0,"events":[{events}]}}"#);
        let answers: String =
            [&hello, CONFIGURED].iter().map(|line| format!("read line; echo '{line}'; ")).collect();
        let process = shell(format!("{answers} read line; echo '{answer}'; read line"), LIMIT);
        let rule = task::SUITE.rule("TASK-01").expect("there is one");
        process.map_or_else(|verdict| verdict, |process| process.check(rule)).to_string()
    };
    let (began, dropped) = (r#"{"event":"began","id":2}"#, r#"{"event":"dropped","id":2}"#);
    for (events, why) in [
        (r#"{"event":"ended","id":2}"#.to_owned(), "it ends without a result"),
        (format!("{began},{began}"), "it begins twice, or after its end"),
        (format!("{began},{dropped},{began}"), "it begins twice, or after its end"),
        (format!("{began},{dropped},{dropped}"), "it is dropped after its end"),
        (r#"{"event":"sunny","id":2}"#.to_owned(), "a task has no event \"sunny\""),
        (r#"{"event":"end","id":2}"#.to_owned(), "no list `failures`"),
        (
            r#"{"event":"end","id":2,"failures":[{"kind":"sunny"}]}"#.to_owned(),
            "there is no failure \"sunny\"",
        ),
    ] {
        let told = verdict(&events);
        assert!(told.starts_with(&format!("bad adapter: {why}, in the event ")), "{events}: {told}");
    }
}

#[test]
#[ignore = "real tier"]
fn an_adapter_that_lies_about_time_is_found_out() {
    // The call begins in a turn without time.
    let begun = r#"{"turn":3,"at":0,"events":[]}"#;
    let ahead = answer(&[HELLO, CONFIGURED], r#"{"turn":3,"at":5,"events":[]}"#);
    assert!(
        ahead.starts_with("bad adapter: its time is 5ns, and may be 0ns at most, in the line"),
        "{ahead}"
    );
    let early = answer(&[HELLO, CONFIGURED, begun], r#"{"turn":4,"at":5,"events":[]}"#);
    assert!(early.starts_with("bad adapter: it stops at 5ns, before 604800s, without an event"), "{early}");
    let late = answer(&[HELLO, CONFIGURED, begun], r#"{"turn":4,"at":604800000000001,"events":[]}"#);
    assert!(
        late.starts_with("bad adapter: its time is 604800.000000001s, and may be 604800s at most"),
        "{late}"
    );
    let attempt = r#"{"turn":4,"at":5,"events":[{"event":"attempt","id":2,"attempt":1}]}"#;
    let back = answer(&[HELLO, CONFIGURED, begun, attempt], r#"{"turn":5,"at":4,"events":[]}"#);
    assert!(back.starts_with("bad adapter: its time goes back from 5ns to 4ns"), "{back}");
}

#[test]
#[ignore = "real tier"]
fn a_line_that_comes_late_answers_the_wrong_turn() {
    let twice = verdict(&[HELLO], &format!("echo '{CONFIGURED}'; echo '{CONFIGURED}'; read line"));
    assert!(twice.starts_with("bad adapter: turn 2 is answered in place of turn 3, in the line"), "{twice}");
}

#[test]
#[ignore = "real tier"]
fn another_version_and_no_hello_are_bad_adapters() {
    let other = HELLO.replace("\"protocol\":1", "\"protocol\":2");
    assert_eq!(answer(&[], &other), "bad adapter: it speaks version 2 of the protocol, and not 1");
    assert_eq!(answer(&[], r#"{"turn":1,"at":0,"events":[]}"#), "bad adapter: no event `hello`");
    let nothing = HELLO.replace(",\"retry\":{}", "");
    assert_eq!(answer(&[], &nothing), "unsupported: the adapter claims nothing of retry");
}

#[test]
#[ignore = "real tier"]
fn a_name_that_is_unknown_is_a_bad_adapter_and_what_is_left_out_is_told() {
    let hello = |claims: &str| HELLO.replace("\"retry\":{}", &format!("\"retry\":{claims}"));
    assert_eq!(
        answer(&[], &hello(r#"{"total timout":true}"#)),
        "bad adapter: there is no capability of retry \"total timout\"; the nearest is \"total timeout\""
    );
    assert_eq!(
        answer(&[], &HELLO.replace("[]", r#"["cancle"]"#)),
        "bad adapter: there is no feature of a runtime \"cancle\"; the nearest is \"cancel\""
    );
    let script = format!("read line; echo '{}'; read line", hello(r#"{"jitter":true,"seed":"it has none"}"#));
    let process = shell(script, LIMIT).unwrap();
    let unclaimed = process.unclaimed("retry");
    let all = retry::Capability::ALL.iter().map(ToString::to_string);
    let wanted: Vec<String> = all.filter(|name| !["jitter", "seed"].contains(&name.as_str())).collect();
    assert_eq!(unclaimed, wanted);
    assert_eq!(process.unclaimed("limit"), Vec::<String>::new());
}

#[test]
#[ignore = "real tier"]
fn output_without_an_end_is_a_bad_adapter() {
    let line = verdict(&[HELLO], "tr '\\0' x < /dev/zero");
    assert_eq!(line, "bad adapter: a line is longer than 1048576 bytes");
    let lines = verdict(&[HELLO], "yes sunny");
    assert!(lines.starts_with("bad adapter: no JSON"), "{lines}");
}

#[test]
#[ignore = "real tier"]
fn an_adapter_that_ends_has_crashed_and_its_errors_are_shown() {
    assert_eq!(verdict(&[HELLO], "kill -9 $$"), "crashed: ended by signal 9");
    assert_eq!(
        verdict(&[HELLO, CONFIGURED], "echo no module named sunny >&2; exit 3"),
        "crashed: ended without a verdict: exit status: 3; its errors:\nno module named sunny"
    );
    assert_eq!(verdict(&[], "exit 0"), "crashed: ended without a verdict: exit status: 0");
    assert_eq!(verdict(&[HELLO], "exec >&-; sleep 1000"), "crashed: it has closed its output");
}

#[test]
#[ignore = "real tier"]
fn a_try_that_waits_breaks_its_rule() {
    let claims = r#""limit":{"try":true,"rate":true,"burst":true,"weights":true}"#;
    let hello = HELLO.replace("\"retry\":{}", claims);
    let lines = [&hello, CONFIGURED, r#"{"turn":3,"at":0,"events":[]}"#];
    let script = lines.map(|line| format!("read line; echo '{line}'; ")).concat();
    let process = shell(format!("{script} read line"), LIMIT).unwrap();
    let told = process.check(limit::SUITE.rule("LIMIT-01").expect("there is one")).to_string();
    let waits = "a request that does not wait is answered at once; got it does not answer in the turn";
    assert_eq!(told, format!("fail: expected that {waits}"));
}

/// An adapter that refuses all settings, and says something on its standard error with each.
const TALKS: &str = r#"
read line; echo '{"turn":1,"at":0,"events":[{"event":"hello","protocol":1,"library":"none","version":"0","runtime":"sh","can":[],"retry":{}}]}'
while read -r line; do
    turn=${line##*\"turn\":} turn=${turn%%,*} until=${line##*\"until\":} until=${until%\}}
    case $line in
        *policy*)
            echo "refuses in turn $turn" >&2
            echo "{\"turn\":$turn,\"at\":$until,\"events\":[{\"event\":\"refused\",\"id\":1,\"says\":\"no\"}]}" ;;
        *)
            echo "answers turn $turn" >&2
            echo "{\"turn\":$turn,\"at\":$until,\"events\":[]}" ;;
    esac
done
"#;

#[test]
#[ignore = "real tier"]
fn the_errors_of_an_adapter_are_shown_with_the_rule_in_which_they_were_written() {
    let process = shell(TALKS.to_owned(), LIMIT).unwrap();
    assert!(!process.refuses_all());
    let rule = |id| retry::SUITE.rule(id).expect("there is one");
    // Each of them begins a world and ends it.
    for turn in [2, 4, 6] {
        let (verdict, lines) = process.trace(rule("RETRY-01"));
        let Verdict::Fail { timeline, .. } = verdict else { panic!("{verdict}") };
        let own = vec![
            format!("    stderr refuses in turn {turn}"),
            format!("    stderr answers turn {}", turn + 1),
        ];
        assert_eq!((timeline, lines), (own.clone(), own));
    }
    // The lines of a rule that passes are not those of the next one.
    for _ in 0..20 {
        assert_eq!(process.check(rule("RETRY-05")), Verdict::Pass);
        let (_, lines) = process.trace(rule("RETRY-01"));
        assert_eq!(lines.len(), 2, "{lines:?}");
    }
    assert!(process.refuses_all());
}

#[test]
#[ignore = "real tier"]
fn the_errors_of_an_adapter_are_shown_where_it_fails_before_the_rule_ends() {
    let claims = r#""limit":{"try":true,"rate":true,"burst":true,"weights":true}"#;
    let hello = HELLO.replace("\"retry\":{}", claims);
    let answers = [&hello, CONFIGURED].map(|line| format!("read line; echo '{line}'; ")).concat();
    let silent = r#"echo sunny >&2; echo '{"turn":3,"at":0,"events":[]}'; read line"#;
    let process = shell(format!("{answers} read line; {silent}"), LIMIT).unwrap();
    let (verdict, lines) = process.trace(limit::SUITE.rule("LIMIT-01").expect("there is one"));
    assert!(lines.contains(&"    stderr sunny".to_owned()), "{lines:?}");
    let Verdict::Fail { timeline, .. } = verdict else { panic!("{verdict}") };
    assert_eq!(timeline, ["    stderr sunny"]);
}

#[test]
#[ignore = "real tier"]
fn an_adapter_that_is_silent_hangs_and_the_rest_of_the_rules_are_checked() {
    let limit = Duration::from_millis(300);
    assert_eq!(verdict_within(limit, &[], "sleep 1000"), Verdict::Hung(limit));
    assert_eq!(verdict_within(limit, &[HELLO, CONFIGURED], "sleep 1000"), Verdict::Hung(limit));
    let says = format!("read line; echo '{HELLO}'; read line; echo sunny >&2; printf half >&2; sleep 1000");
    let (verdict, lines) =
        shell(says, limit).unwrap().trace(retry::SUITE.rule("RETRY-01").expect("there is one"));
    let wanted = ["    stderr sunny", "    stderr half"].map(str::to_owned).to_vec();
    assert_eq!((verdict, lines), (Verdict::Hung(limit), wanted));
    let not_there = Process::start(|| Command::new("/nowhere/adapter")).unwrap_err().to_string();
    assert!(not_there.starts_with("untested: \"/nowhere/adapter\" does not start: "), "{not_there}");
}

#[test]
#[ignore = "real tier"]
fn nothing_is_left_running() {
    let file = std::env::temp_dir().join(format!("evenkeel-tck-{}", process::id()));
    let script = format!("sleep 1000 & echo $! > {}; read line; echo '{HELLO}'; sleep 1000", file.display());
    let process = shell(script, LIMIT).unwrap();
    let child = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let is_running = || {
        let probe = Command::new("sh").arg("-c").arg(format!("kill -0 {}", child.trim())).output();
        probe.unwrap().status.success()
    };
    assert!(is_running());
    drop(process);
    // Its new parent has yet to notice.
    let has_ended = (0..10_000).any(|_| !is_running());
    assert!(has_ended);
}

/// The verdict of POOL-01 on an adapter that answers its first get by these events.
fn answer_to_a_get(events: &str) -> String {
    let hello = HELLO.replace("\"retry\"", "\"pool\"");
    let configured = r#"{"turn":2,"at":0,"events":[{"event":"configured","id":2}]}"#;
    let answer = format!(r#"{{"turn":3,"at":0,"events":[{events}]}}"#);
    let lines = [&hello, configured, &answer].map(|line| format!("read line; echo '{line}'; ")).concat();
    let process = shell(format!("{lines} read line"), LIMIT).expect("it starts");
    process.check(pool::SUITE.rule("POOL-01").expect("there is one")).to_string()
}

#[test]
#[ignore = "real tier"]
fn a_pool_that_lends_what_it_has_dropped_fails_and_one_that_makes_things_up_is_a_bad_adapter() {
    let there = r#"{"event":"there","id":1,"object":1}"#;
    let lent = r#"{"event":"got","id":3,"object":1}"#;
    let dropped = format!(r#"{there},{{"event":"free","id":1,"object":1}},{lent}"#);
    let expected = "fail: expected that what it has dropped is left alone; got object 1 is lent";
    assert_eq!(answer_to_a_get(&dropped), expected);
    for (events, what) in [
        (lent, "there is no object 1"),
        (r#"{"event":"there","id":1,"object":2}"#, "object 2 is created in place of 1"),
        (r#"{"event":"check","id":1,"step":1,"object":1}"#, "there is no object 1"),
        (r#"{"event":"free","id":1,"object":1}"#, "object 1 is not there, and is dropped"),
        (r#"{"event":"dropped","id":1,"step":1}"#, "there is no step 1, or it is let go twice"),
        (r#"{"event":"sunny","id":1}"#, "a backend has no event \"sunny\""),
        (r#"{"event":"denied","id":3,"reason":"sunny"}"#, "there is no reason \"sunny\""),
    ] {
        let verdict = answer_to_a_get(events);
        assert!(verdict.starts_with(&format!("bad adapter: {what}, in the event")), "{verdict}");
    }
}

#[test]
#[ignore = "real tier"]
fn a_take_that_waits_breaks_its_rule() {
    let hello = HELLO.replace("\"retry\":{}", r#""pool":{"create":true,"try get":true}"#);
    let configured = r#"{"turn":2,"at":0,"events":[{"event":"configured","id":2}]}"#;
    let lines = [&hello, configured, r#"{"turn":3,"at":0,"events":[]}"#];
    let script = lines.map(|line| format!("read line; echo '{line}'; ")).concat();
    let process = shell(format!("{script} read line"), LIMIT).unwrap();
    let (verdict, _) = process.trace(pool::SUITE.rule("POOL-86").expect("there is one"));
    let waits = "a request that does not wait is answered at once; got it does not answer in the turn";
    assert_eq!(verdict.to_string(), format!("fail: expected that {waits}"));
}

#[test]
#[ignore = "real tier"]
fn a_call_of_an_api_that_begins_twice_is_a_bad_adapter() {
    let hello = HELLO.replace("\"retry\":{}", r#""stream":{"pages":true}"#);
    let fetch = r#"{"event":"fetch","id":2,"call":1,"cursor":1}"#;
    let twice = format!(r#"{{"turn":3,"at":0,"events":[{fetch},{fetch}]}}"#);
    let lines = [&hello, CONFIGURED, &twice].map(|line| format!("read line; echo '{line}'; ")).concat();
    let process = shell(format!("{lines} read line"), LIMIT).unwrap();
    let (verdict, _) = process.trace(stream::SUITE.rule("STREAM-65").expect("there is one"));
    let told = verdict.to_string();
    assert!(told.starts_with("bad adapter: call 1 begins twice, in the event"), "{told}");
}

#[test]
#[ignore = "real tier"]
fn an_implementation_that_does_the_same_again_and_again_is_ended() {
    let hello = HELLO.replace("\"retry\"", "\"pool\"").replace("\"pool\":{}", "\"pool\":{\"create\":true}");
    // Each creation that fails is followed by the next.
    let script = format!(
        r#"read line; echo '{hello}'; read line; echo '{{"turn":2,"at":0,"events":[{{"event":"configured","id":2}}]}}'
        turn=2; while read -r line; do
            turn=$((turn+1)); step=$((turn-2))
            echo "{{\"turn\":$turn,\"at\":0,\"events\":[{{\"event\":\"create\",\"id\":1,\"step\":$step,\"object\":$step}}]}}"
        done"#
    );
    let process = shell(script, LIMIT).unwrap();
    let (verdict, _) = process.trace(pool::SUITE.rule("POOL-32").expect("there is one"));
    assert_eq!(verdict.to_string(), "fail: expected that time goes on; got 2000 turns at 0ns");
}
