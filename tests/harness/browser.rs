//! Debian's Chromium without a window, driven over a pair of pipes in the DevTools protocol: messages are JSON, each ended by
//! a zero byte.

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A machine that builds at the same time may take this long for a step.
const LIMIT: Duration = Duration::from_secs(30);

pub struct Browser {
    process: Child,
    commands: File,
    answers: Receiver<Value>,
    /// What the browser tells by itself: messages of the console, requests that it sends.
    events: Vec<Value>,
    session: Option<String>,
    last_id: u64,
    // Last: the process writes into it.
    _dir: TempDir,
}

impl Browser {
    /// Starts it with one empty page.
    pub fn start() -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("outrigger-browser-")
            .tempdir()?;
        let (to, from) = (dir.path().join("to"), dir.path().join("from"));
        let made = Command::new("mkfifo").arg(&to).arg(&from).status()?;
        if !made.success() {
            bail!("mkfifo: {made}");
        }
        // For both directions, so that opening waits for nobody.
        let open = |path| OpenOptions::new().read(true).write(true).open(path);
        let (commands, messages) = (open(&to)?, open(&from)?);
        // The browser reads from descriptor 3 and writes to 4. It is shown nothing but the proxy under test, so it can do
        // without its sandbox, which containers do not allow.
        let script = "exec chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
                      --disable-background-networking --disable-component-update --remote-debugging-pipe \
                      --user-data-dir=\"$1/profile\" about:blank 3<\"$1/to\" 4>\"$1/from\"";
        let process = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let (tell, answers) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(messages).split(0) {
                let message = message.ok().and_then(|m| serde_json::from_slice(&m).ok());
                if message.is_none_or(|message: Value| tell.send(message).is_err()) {
                    return;
                }
            }
        });
        let mut browser = Self {
            process,
            commands,
            answers,
            events: Vec::new(),
            session: None,
            last_id: 0,
            _dir: dir,
        };
        let target = browser
            .call("Target.createTarget", json!({"url": "about:blank"}))
            .context("Chromium does not start (`make debian` installs it)")?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", attach)?;
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(browser)
    }

    /// Calls a method and waits for its answer.
    pub fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes)?;
        loop {
            let answer = self
                .answers
                .recv_timeout(LIMIT)
                .with_context(|| format!("{method}: no answer"))?;
            if answer["id"] != id {
                self.events.push(answer);
            } else if answer["error"].is_null() {
                return Ok(answer["result"].clone());
            } else {
                bail!("{method}: {}", answer["error"]);
            }
        }
    }

    /// The value of an expression, of a promise its outcome.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", params)?;
        if !answer["exceptionDetails"].is_null() {
            bail!("{expression}: {}", answer["exceptionDetails"]);
        }
        Ok(answer["result"]["value"].clone())
    }

    /// Waits until an expression has this value.
    pub fn wait(&mut self, expression: &str, wanted: impl Into<Value>) -> Result<()> {
        let (wanted, deadline) = (wanted.into(), Instant::now() + LIMIT);
        loop {
            let value = self.evaluate(expression);
            if value.as_ref().is_ok_and(|value| *value == wanted) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(anyhow!("{expression} is {value:?}, not {wanted}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Goes to an address and waits until the page and its scripts are loaded.
    pub fn open(&mut self, url: &str) -> Result<()> {
        let answer = self.call("Page.navigate", json!({"url": url}))?;
        if let Some(error) = answer["errorText"].as_str() {
            bail!("{url}: {error}");
        }
        self.wait("document.readyState", "complete")
    }

    /// Presses a key where the focus is; a key of one character also types it.
    pub fn press(&mut self, key: &str) -> Result<()> {
        let code = if key == "Tab" { 9 } else { 0 };
        let mut down = json!({"type": "keyDown", "key": key, "windowsVirtualKeyCode": code});
        if key.chars().count() == 1 {
            down["text"] = key.into();
        }
        self.call("Input.dispatchKeyEvent", down)?;
        self.call(
            "Input.dispatchKeyEvent",
            json!({"type": "keyUp", "key": key}),
        )?;
        Ok(())
    }

    /// Types where the focus is.
    pub fn type_text(&mut self, text: &str) -> Result<()> {
        self.call("Input.insertText", json!({ "text": text }))?;
        Ok(())
    }

    /// The size of the window, and whether people prefer it dark.
    pub fn look(&mut self, width: u32, height: u32, dark: bool) -> Result<()> {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size)?;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        )?;
        Ok(())
    }

    /// What pages have complained of since the last call: exceptions, and what the console shows as an error.
    pub fn complaints(&mut self) -> Vec<String> {
        let is_complaint = |event: &Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Log.entryAdded") => event["params"]["entry"]["level"] == "error",
            _ => false,
        };
        let found = self.events.iter().filter(|event| is_complaint(event));
        let found = found.map(|event| event["params"].to_string()).collect();
        self.events.retain(|event| !is_complaint(event));
        found
    }

    /// The addresses that have been asked for since the start.
    pub fn asked(&self) -> Vec<String> {
        let sent = self
            .events
            .iter()
            .filter(|event| event["method"] == "Network.requestWillBeSent");
        let url = |event: &Value| {
            event["params"]["request"]["url"]
                .as_str()
                .map(str::to_owned)
        };
        sent.filter_map(url).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.session = None;
        // It ends its own children, which a kill would not.
        let closed = self.call("Browser.close", json!({}));
        let deadline = Instant::now() + Duration::from_secs(10);
        while closed.is_ok() && Instant::now() < deadline {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
