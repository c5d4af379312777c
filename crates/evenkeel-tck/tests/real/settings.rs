//! The tables of the settings in the protocol, against the settings that the rules send.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    path::Path,
    process::{self, Command},
};

use evenkeel_tck::{
    Adapter, Pattern, Suite, Verdict, limit, pool,
    protocol::{Process, capabilities},
    retry, shutdown, stream, task, testkit,
};
use serde_json::{Value, json};

const NANO: f64 = 1e9;

/// Claims everything, keeps the lines of the suite in a file of its own, and has no words for any settings: each rule sends those with
/// which it begins.
const RECORDER: &str = r#"
read -r line
printf '%s\n' "$HELLO"
while read -r line; do
    printf '%s\n' "$line" >> "$FOLDER/$$"
    turn=${line##*\"turn\":}; turn=${turn%%[,\}]*}
    until=${line##*\"until\":}; until=${until%%[,\}]*}
    events=
    case $line in *'"settings":{'*)
        id=${line%%,\"settings\":\{*}; id=${id##*\"id\":}
        events="{\"event\":\"not expressible\",\"id\":$id,\"says\":\"anything\"}" ;;
    esac
    printf '{"turn":%s,"at":%s,"events":[%s]}\n' "$turn" "$until" "$events"
done
"#;

/// A setting, as its row has it and as the rules send it.
#[derive(Debug, Default, PartialEq)]
struct Setting {
    may_be_null: bool,
    may_be_zero: bool,
    /// In nanoseconds, if it is a time.
    largest: Option<f64>,
}

/// Rows that say more than the recorder sees: their largest number comes behind the first settings of a rule. The last moment of a
/// machine's clock, for `deadline`, depends on the machine.
const LATER: [(&str, &str); 7] = [
    ("policy", "attempt_timeout"),
    ("policy", "budget.percent"),
    ("policy", "deadline"),
    ("policy", "factor"),
    ("policy", "reset_after"),
    ("policy", "seed"),
    ("operator", "limit"),
];

/// The rows below the head of this table.
fn said(message: &str) -> BTreeMap<String, Setting> {
    let spec = include_str!("../../spec/PROTOCOL.md");
    let head = |article| {
        format!("| setting of {article} `{message}` | | `null` | 0 | largest |\n|---|---|---|---|---|\n")
    };
    let table =
        ["a", "an"].iter().find_map(|article| spec.split(&head(article)).nth(1)).expect("there is a table");
    let rows = table.lines().take_while(|line| !line.is_empty());
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, name, _, null, zero, largest, _] = cells[..] else { panic!("{row}") };
        let setting =
            Setting { may_be_null: null != "–", may_be_zero: zero != "–", largest: number(largest) };
        (name.trim_matches('`').to_owned(), setting)
    })
    .collect()
}

/// A number or a time as a row has it.
fn number(cell: &str) -> Option<f64> {
    let plain = cell.trim_matches(['`', '"']).replace(',', "");
    let (plain, unit) = plain.strip_suffix(" s").map_or((plain.as_str(), 1.0), |seconds| (seconds, NANO));
    match plain.split_once('^') {
        Some((base, power)) => Some(base.parse::<f64>().ok()?.powf(power.parse::<f64>().ok()?) * unit),
        None => plain.parse::<f64>().ok().map(|number| (number * unit).round()),
    }
}

/// A number as it is sent: large ones are text.
fn sent_number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse::<f64>().ok()).filter(|number| !number.is_nan())
}

/// The settings in the lines of the suite, members of members with a dot.
fn sent(folder: &Path, message: &str) -> Result<BTreeMap<String, Setting>, Box<dyn Error>> {
    fn add(settings: &mut BTreeMap<String, Setting>, name: &str, value: &Value) {
        // Both limits have the same members.
        let name = name.replace("also.", "limit.");
        let setting = settings.entry(name.clone()).or_default();
        let number = sent_number(value);
        setting.may_be_null |= value.is_null();
        setting.may_be_zero |= number == Some(0.0);
        setting.largest = setting.largest.into_iter().chain(number).reduce(f64::max);
        for (member, value) in value.as_object().into_iter().flatten() {
            add(settings, &format!("{name}.{member}"), value);
        }
    }
    let mut settings = BTreeMap::new();
    for file in fs::read_dir(folder)? {
        for line in fs::read_to_string(file?.path())?.lines() {
            let line: Value = serde_json::from_str(line)?;
            let messages = line["messages"].as_array().into_iter().flatten();
            let sent = messages.filter(|one| one["do"] == message);
            for (name, value) in sent.filter_map(|one| one["settings"].as_object()).flatten() {
                add(&mut settings, name, value);
            }
        }
    }
    Ok(settings)
}

/// The rows of a pattern that are wrong.
fn wrong<S: Pattern>(suite: &'static Suite<S>, message: &str) -> Result<Vec<String>, Box<dyn Error>>
where
    Process: Adapter<S>,
{
    let pattern = suite.pattern.to_lowercase();
    let claims: BTreeMap<_, _> = capabilities(&pattern).into_iter().map(|(name, _)| (name, true)).collect();
    let hello = json!({"turn": 1, "at": 0, "events": [{
        "event": "hello", "protocol": 1, "library": "none", "version": "0", "runtime": "sh",
        "can": ["lazy", "cancel", "drops", "abort", "cut"], &pattern: claims,
    }]});
    let folder = std::env::temp_dir().join(format!("evenkeel-tck-settings-{}-{pattern}", process::id()));
    fs::create_dir_all(&folder)?;
    let place = folder.clone();
    let process = Process::start(move || {
        let mut command = Command::new("sh");
        command.args(["-c", RECORDER]).env("HELLO", hello.to_string()).env("FOLDER", &place);
        command
    });
    let report = process.map_err(|verdict| verdict.to_string())?.run(suite);
    let broken = |verdict: &Verdict| {
        matches!(verdict, Verdict::BadAdapter(_) | Verdict::Crashed(_) | Verdict::Hung(_))
    };
    assert!(!report.findings.iter().any(|finding| broken(&finding.verdict)), "{report}");
    let (said, sent) = (said(message), sent(&folder, message)?);
    fs::remove_dir_all(&folder)?;
    let names = |settings: &BTreeMap<String, Setting>| settings.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&said), names(&sent), "{pattern}");
    let mut wrong = Vec::new();
    for (name, sent) in &sent {
        let said = &said[name];
        let is_whole = said == sent || name == "backend";
        let covers = said.may_be_null == sent.may_be_null
            && said.may_be_zero == sent.may_be_zero
            && said.largest >= sent.largest;
        let is_right = if LATER.contains(&(message, name)) { covers && !is_whole } else { is_whole };
        if !is_right {
            wrong.push(format!("{message}: {name} is said as {said:?}, and sent as {sent:?}"));
        }
    }
    Ok(wrong)
}

/// Of the settings with which the rules begin.
#[test]
#[ignore = "real tier"]
fn the_protocol_says_what_null_and_0_mean_and_the_largest_number_for_every_setting()
-> Result<(), Box<dyn Error>> {
    let wrong = [
        wrong(&retry::SUITE, "policy")?,
        wrong(&limit::SUITE, "limiter")?,
        wrong(&task::SUITE, "group")?,
        wrong(&shutdown::SUITE, "program")?,
        wrong(&stream::SUITE, "operator")?,
        wrong(&pool::SUITE, "pool")?,
        wrong(&testkit::SUITE, "test")?,
    ]
    .concat();
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}
