//! A browser without a window, driven by the DevTools protocol over a pipe.

use std::{collections::VecDeque, env, fs, path::PathBuf, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::{sleep, timeout},
};

use crate::workdir::Workdir;

const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The time for an answer of the browser, also on a busy machine.
const ANSWER: Duration = Duration::from_secs(30);

/// A browser with one page, which ends with the test.
pub(crate) struct Browser {
    _process: Child,
    /// Its files, removed at the end.
    _profile: Workdir,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    session: Option<Value>,
    calls: u64,
    events: VecDeque<Value>,
}

impl Browser {
    /// Starts the browser of this machine, if there is one.
    pub(crate) async fn start() -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let found = PROGRAMS.iter().find_map(|name| {
            env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
        });
        let Some(program) = found else {
            println!("SKIPPED: no Chromium ({})", PROGRAMS.join(", "));
            return None;
        };
        let profile = Workdir::new();
        // The pipe of the protocol are the descriptors 3 and 4. A container has no sandbox for the root user.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh"]).arg(program).args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--remote-debugging-pipe",
            &format!("--user-data-dir={}", profile.path("profile")),
        ]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut browser = Self {
            _process: process,
            _profile: profile,
            input,
            output: BufReader::new(output),
            session: None,
            calls: 0,
            events: VecDeque::new(),
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        browser.session = Some(browser.call("Target.attachToTarget", attach).await["sessionId"].clone());
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, json!({})).await;
        }
        Some(browser)
    }

    /// Calls a method of the protocol, and keeps the events that come before its result.
    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone();
        }
        self.input.write_all(format!("{message}\0").as_bytes()).await.unwrap();
        loop {
            let mut answer = Vec::new();
            timeout(ANSWER, self.output.read_until(0, &mut answer)).await.expect(method).unwrap();
            assert_eq!(answer.pop(), Some(0), "the browser has ended at {method}");
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            if answer["id"] == self.calls {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.events.push_back(answer);
        }
    }

    pub(crate) async fn without_scripts(&mut self) {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    }

    /// Opens a page in a window of this width.
    pub(crate) async fn open(&mut self, url: &str, width: u32) {
        self.resize(width, "light").await;
        let opened = self.call("Page.navigate", json!({ "url": url })).await;
        assert!(opened["errorText"].is_null(), "{opened}");
    }

    /// Changes the width of the window, and whether it is light or dark.
    pub(crate) async fn resize(&mut self, width: u32, scheme: &str) {
        let phone = width < 600;
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": phone });
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [scheme] })).await;
    }

    /// Returns the value of an expression in the page.
    pub(crate) async fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true });
        self.call("Runtime.evaluate", params).await["result"]["value"].clone()
    }

    /// Waits until an expression has this value.
    pub(crate) async fn until(&mut self, expression: &str, value: impl Into<Value>) {
        let value = value.into();
        let mut last = Value::Null;
        for _ in 0..200 {
            last = self.evaluate(expression).await;
            if last == value {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("{expression} is {last}, not {value}");
    }

    /// Nothing on the page is wider than the window, or than its place.
    pub(crate) async fn assert_fits(&mut self) {
        let overflow = self.evaluate("document.documentElement.scrollWidth - innerWidth").await;
        assert!(overflow.as_i64().unwrap() <= 0, "{overflow} pixels too wide");
        let cut = "[...document.querySelectorAll('td, dd, h1, p')].filter(e => e.scrollWidth > e.clientWidth + 1) \
                   .map(e => e.textContent).join('; ')";
        assert_eq!(self.evaluate(cut).await, "");
    }

    /// Writes a picture of the whole page to a folder of the target directory, for people to look at.
    pub(crate) async fn screenshot(&mut self, name: &str) {
        let params = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.call("Page.captureScreenshot", params).await;
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.png"));
        let mut decoder = Command::new("base64");
        decoder.arg("-d").stdin(Stdio::piped()).stdout(fs::File::create(&path).unwrap());
        let mut decoder = decoder.spawn().unwrap();
        let mut input = decoder.stdin.take().unwrap();
        input.write_all(picture["data"].as_str().unwrap().as_bytes()).await.unwrap();
        drop(input);
        assert!(decoder.wait().await.unwrap().success());
        println!("{}", path.display());
    }

    /// Returns the errors and warnings of the console, and exceptions.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let complaints = self.events.iter().filter(|event| match event["method"].as_str() {
            Some("Runtime.exceptionThrown" | "Runtime.consoleAPICalled") => true,
            Some("Log.entryAdded") => event["params"]["entry"]["level"] != "info",
            _ => false,
        });
        complaints.map(Value::to_string).collect()
    }
}
