//! The data model of a differential case file: `tests/differential/<area>/<group>.yaml`. Unknown keys are errors.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// One file: a bootstrap in short form and the cases that run against it, in order, on one start of each proxy.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What the group covers; for the reader.
    pub about: String,
    /// A place for YAML anchors; never read.
    #[serde(default)]
    pub definitions: Value,
    /// What this version refuses: Envoy accepts the bootstrap, Outrigger ends and names each of these. The cases wait.
    #[serde(default)]
    pub refused: Vec<String>,
    #[serde(flatten)]
    pub config: Config,
    #[serde(default)]
    pub cases: Vec<Case>,
}

/// The short form of a bootstrap, expanded by [`crate::bootstrap`].
#[derive(Deserialize, Clone, Default)]
pub struct Config {
    /// Fields of Envoy's `Bootstrap`, merged over what the rest of the short form yields.
    #[serde(default)]
    pub bootstrap: Map<String, Value>,
    /// Keys of the static runtime layer.
    #[serde(default)]
    pub runtime: Map<String, Value>,
    /// Listeners by name; each gets a port, known as `{{name}}`.
    #[serde(default)]
    pub listeners: Map<String, Value>,
    /// Clusters by name; each goes to the scripted upstream of its own name unless it says `to`.
    #[serde(default)]
    pub clusters: Map<String, Value>,
    /// More command line arguments for both proxies.
    #[serde(default)]
    pub arguments: Vec<String>,
}

/// One scenario. Of `get`, `request`, `requests`, `client`, `clients` and `admin` exactly one says what the client does.
#[derive(Deserialize, Clone, Default)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    /// The listener that clients connect to.
    #[serde(default = "main_listener")]
    pub listener: String,
    /// The clients speak HTTP/2: messages become frames on streams 1, 3, 5 and so on.
    #[serde(default)]
    pub http2: bool,
    /// How many bytes the proxy may send to an HTTP/2 client on one stream.
    pub window: Option<u32>,
    /// Path of a plain `GET` with `host: a.test`.
    pub get: Option<String>,
    /// Replaces `a.test` in `get`.
    pub host: Option<String>,
    /// Header lines added to `get`.
    #[serde(default)]
    pub headers: Vec<String>,
    /// One message, then its response.
    pub request: Option<String>,
    /// Messages in turn on one connection, each followed by its response.
    pub requests: Option<Vec<String>>,
    /// The steps of one connection.
    pub client: Option<Vec<ClientStep>>,
    /// Several connections: each runs its steps after the one before has finished its own; all stay open until the end.
    pub clients: Option<Vec<Vec<ClientStep>>>,
    /// A request to the admin interface instead of traffic.
    pub admin: Option<AdminCase>,
    /// Local address of the client (`127.0.0.2` or `127.0.0.2:{{port}}`).
    pub from: Option<String>,
    /// Destination address of the client, when not 127.0.0.1.
    pub to: Option<String>,
    /// What the upstreams do: for the upstream `up`, or by upstream name.
    pub upstream: Option<UpstreamPlans>,
    /// Short form of `upstream`: every request on every connection to any upstream gets this message.
    pub respond: Option<String>,
    /// Further stats whose change is compared, as regular expressions on the whole name.
    #[serde(default)]
    pub stats: Vec<String>,
    /// Facets left out of the comparison, each with its reason. A stat is named `stat <name>`.
    #[serde(default)]
    pub ignore: BTreeMap<Facet, String>,
    /// How long the connection is watched at the end, in ms.
    pub grace: Option<u64>,
}

/// What is compared of a case by this name: a key of [`crate::side::Observation`]. A word that names nothing would
/// leave nothing out, and nobody would know.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Facet(String);

impl Facet {
    pub fn is(&self, name: &str) -> bool {
        self.0 == name
    }
}

impl TryFrom<String> for Facet {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = match name.split_once(' ') {
            None => ["client", "fate", "log", "hanging", "admin"].contains(&name.as_str()),
            Some(("client" | "fate", number)) => number.parse::<u32>().is_ok_and(|n| n > 1),
            Some((kind, of)) => ["upstream", "stat"].contains(&kind) && !of.is_empty(),
        };
        match known {
            true => Ok(Self(name)),
            false => Err(format!("`{name}` names nothing that is compared")),
        }
    }
}

fn main_listener() -> String {
    "main".to_owned()
}

#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "snake_case")]
pub enum ClientStep {
    /// Exact bytes.
    Send(String),
    /// A message in block form, see [`crate::bytes::message`].
    Request(String),
    /// HTTP/2 frames, see [`crate::http2::Session::frames`]; `next` and `last` stand for streams of this client.
    Frames(String),
    /// Receives until a condition holds, the connection ends or five seconds pass.
    Read(Until),
    /// Milliseconds.
    Sleep(u64),
    /// A file gets another text by renaming, as those want it who watch files.
    Replace {
        file: String,
        text: String,
    },
    HalfClose,
    Close,
    Reset,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(untagged)]
pub enum Until {
    /// This many bytes since the connection began.
    Bytes(usize),
    Named(Mark),
    /// This text has come at any time.
    Text {
        contains: String,
    },
}

#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// The head of the next message (1xx included).
    Head,
    /// The next whole message: a request at an upstream, a final response at a client.
    Request,
    Response,
    /// The end of the connection.
    Close,
}

#[derive(Deserialize, Clone)]
#[serde(untagged)]
pub enum UpstreamPlans {
    One(Plan),
    ByName(BTreeMap<String, Plan>),
}

#[derive(Deserialize, Clone, Debug)]
#[serde(untagged)]
pub enum Plan {
    Behaviour(Behaviour),
    /// One list of steps per connection in the order of arrival; the last one serves all later connections.
    Scripts(Vec<Vec<UpstreamStep>>),
}

#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Every request gets `200 OK` with the body `ok`.
    Ok,
    /// Bytes come back; a half-close is answered by one.
    Echo,
    /// Reads and says nothing.
    Silent,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamStep {
    Read(Until),
    Send(String),
    /// A message in block form.
    Respond(String),
    /// HTTP/2 frames; `current` stands for the stream that was read last.
    Frames(String),
    Sleep(u64),
    HalfClose,
    Close,
    Reset,
}

/// A request to the admin interface and how its answer is compared.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct AdminCase {
    /// `GET /path` or `POST /path`.
    pub request: String,
    #[serde(default)]
    pub compare: AdminCompare,
    /// JSON paths (`a.b[].c`) left out, with everything below them.
    #[serde(default)]
    pub without: Vec<String>,
}

#[derive(Deserialize, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum AdminCompare {
    /// Status, content type and body.
    #[default]
    Exact,
    /// Only the status line and the headers.
    Head,
    /// The body's lines in any order.
    Lines,
    /// JSON: which paths exist and of which type they are.
    Shape,
    /// JSON: shape and values.
    Values,
    /// Text stats: the names.
    Names,
    /// Prometheus text: types, names and labels.
    Series,
}

/// Reads one file.
pub fn load(path: &Path) -> Result<Group> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let value = crate::yaml::load(&text).with_context(|| path.display().to_string())?;
    serde_json::from_value(value).with_context(|| path.display().to_string())
}

impl Case {
    /// The scripts of all client connections.
    pub fn clients(&self) -> Vec<Vec<ClientStep>> {
        if let Some(clients) = &self.clients {
            return clients.clone();
        }
        if let Some(steps) = &self.client {
            return vec![steps.clone()];
        }
        let messages = match (&self.get, &self.request, &self.requests) {
            (Some(path), _, _) => {
                let mut text = format!(
                    "GET {path} HTTP/1.1\nhost: {}\n",
                    self.host.as_deref().unwrap_or("a.test")
                );
                for line in &self.headers {
                    text.push_str(line);
                    text.push('\n');
                }
                vec![text]
            }
            (_, Some(one), _) => vec![one.clone()],
            (_, _, Some(many)) => many.clone(),
            _ => Vec::new(),
        };
        let turn = |text: String| {
            [
                ClientStep::Request(text),
                ClientStep::Read(Until::Named(Mark::Response)),
            ]
        };
        vec![messages.into_iter().flat_map(turn).collect()]
    }

    /// The plan of the upstream `name`.
    pub fn plan(&self, name: &str) -> Plan {
        if let Some(text) = &self.respond {
            let turn = [
                UpstreamStep::Read(Until::Named(Mark::Request)),
                UpstreamStep::Respond(text.clone()),
            ];
            // Long enough for any case; a script ends when the connection does.
            return Plan::Scripts(vec![turn.into_iter().cycle().take(20).collect()]);
        }
        match &self.upstream {
            Some(UpstreamPlans::One(plan)) => plan.clone(),
            Some(UpstreamPlans::ByName(plans)) => plans
                .get(name)
                .cloned()
                .unwrap_or(Plan::Behaviour(Behaviour::Ok)),
            None => Plan::Behaviour(Behaviour::Ok),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn group(text: &str) -> Result<Group, serde_json::Error> {
        serde_json::from_value(crate::yaml::load(text).unwrap())
    }

    #[test]
    fn a_get_becomes_a_request_and_a_wait_for_its_response() {
        let group = group("about: x\ncases: [{name: a, get: /x, headers: ['b: c']}]").unwrap();
        let steps = &group.cases[0].clients()[0];
        assert!(
            matches!(&steps[0], ClientStep::Request(text) if text == "GET /x HTTP/1.1\nhost: a.test\nb: c\n")
        );
        assert!(matches!(
            &steps[1],
            ClientStep::Read(Until::Named(Mark::Response))
        ));
    }

    #[test]
    fn misspelt_keys_are_errors() {
        assert!(group("about: x\ncases: [{name: a, got: /x}]").is_err());
        assert!(group("about: x\nlisteneers: {}").is_err());
        assert!(group("about: x\ncases: [{name: a, upstream: [[{sand: x}]]}]").is_err());
        assert!(group("about: x\ncases: [{name: a, get: /, ignore: {stat a.b: why}}]").is_ok());
        for facet in ["logs", "client 1", "client x", "'stat '", "upstreams up"] {
            assert!(
                group(&format!(
                    "about: x\ncases: [{{name: a, get: /, ignore: {{{facet}: why}}}}]"
                ))
                .is_err(),
                "{facet}"
            );
        }
    }
}
