//! What is compared, where its binary is and how it is started.

use anyhow::{Context, Result, bail, ensure};
use std::{
    env,
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Outrigger,
    Envoy,
    Nginx,
    Haproxy,
    /// The bare TCP copy of this very binary.
    Copy,
    /// No proxy at all: what latency is added to.
    Direct,
}

/// What a scenario needs of its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    Http,
    /// HTTP with the filters of a mesh, for those who have them.
    Mesh,
    /// HTTP/2 from clients, HTTP/1.1 to the upstream.
    Http2,
    Http2ToHttp2,
    /// HTTP/2 on both sides.
    Grpc,
    Tcp,
}

impl Layer {
    fn is_http2_downstream(self) -> bool {
        matches!(self, Self::Http2 | Self::Http2ToHttp2 | Self::Grpc)
    }

    fn is_http2_upstream(self) -> bool {
        matches!(self, Self::Http2ToHttp2 | Self::Grpc)
    }
}

/// The ports and the directory of one run.
#[derive(Debug)]
pub struct Place<'a> {
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    pub upstream: SocketAddr,
    pub dir: &'a Path,
}

/// A subject that was found.
#[derive(Debug)]
pub struct Found {
    pub subject: Subject,
    pub binary: PathBuf,
    /// What it says of itself.
    pub version: String,
}

impl Subject {
    /// Those that a run compares; [`Subject::Direct`] is measured where latency is.
    pub const ALL: [Self; 5] = [
        Self::Outrigger,
        Self::Envoy,
        Self::Nginx,
        Self::Haproxy,
        Self::Copy,
    ];
    /// Those that ratios are taken to.
    pub const PEERS: [Self; 4] = [Self::Envoy, Self::Nginx, Self::Haproxy, Self::Copy];

    pub fn name(self) -> &'static str {
        match self {
            Self::Outrigger => "outrigger",
            Self::Envoy => "envoy",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Copy => "copy",
            Self::Direct => "direct",
        }
    }

    /// Finds the binary or says what is missing.
    pub fn find(self) -> Result<Found> {
        let binary = match self {
            Self::Outrigger => from_env_or("OUTRIGGER_BIN", "target/release/outrigger"),
            Self::Envoy => from_env_or("OUTRIGGER_ENVOY", "target/oracle/bin/envoy")
                .and_then(|path| behind_wrapper(&path)),
            Self::Nginx | Self::Haproxy => in_path(self.name()),
            Self::Copy | Self::Direct => env::current_exe().map_err(Into::into),
        }
        .with_context(|| format!("{} is missing (leave it out with --subjects)", self.name()))?;
        let version = self.version(&binary);
        Ok(Found {
            subject: self,
            binary,
            version,
        })
    }

    fn version(self, binary: &Path) -> String {
        let flag = match self {
            Self::Outrigger | Self::Envoy => "--version",
            Self::Nginx | Self::Haproxy => "-v",
            Self::Copy | Self::Direct => return String::new(),
        };
        let Ok(output) = Command::new(binary).arg(flag).output() else {
            return String::new();
        };
        // nginx says it on standard error; haproxy adds lines of advice.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().find(|line| !line.trim().is_empty());
        let line = line.unwrap_or_default().trim();
        line.strip_prefix(&format!("{} ", binary.display()))
            .unwrap_or(line)
            .trim_start_matches("version: ")
            .to_owned()
    }

    /// Whether it can do that: a copy of bytes translates nothing, and nginx speaks HTTP/2 to upstreams of gRPC only.
    pub fn serves(self, layer: Layer) -> bool {
        match self {
            Self::Nginx => layer != Layer::Http2ToHttp2,
            Self::Copy => layer != Layer::Http2,
            Self::Outrigger | Self::Envoy | Self::Haproxy | Self::Direct => true,
        }
    }

    /// Its configuration, if it reads one: the file's name and its text.
    fn template(self, layer: Layer) -> Option<(&'static str, &'static str)> {
        Some(match (self, layer) {
            (Self::Outrigger | Self::Envoy, Layer::Tcp) => {
                ("bootstrap.yaml", include_str!("config/envoy-tcp.yaml"))
            }
            (Self::Outrigger | Self::Envoy, Layer::Mesh) => {
                ("bootstrap.yaml", include_str!("config/envoy-mesh.yaml"))
            }
            (Self::Outrigger | Self::Envoy, _) => {
                ("bootstrap.yaml", include_str!("config/envoy-http.yaml"))
            }
            (Self::Nginx, Layer::Tcp) => ("nginx.conf", include_str!("config/nginx-tcp.conf")),
            (Self::Nginx, Layer::Grpc) => ("nginx.conf", include_str!("config/nginx-grpc.conf")),
            (Self::Nginx, _) => ("nginx.conf", include_str!("config/nginx-http.conf")),
            (Self::Haproxy, Layer::Tcp) => ("haproxy.cfg", include_str!("config/haproxy-tcp.cfg")),
            (Self::Haproxy, _) => ("haproxy.cfg", include_str!("config/haproxy-http.cfg")),
            (Self::Copy | Self::Direct, _) => return None,
        })
    }

    /// How its configuration says what it speaks with clients and with the upstream.
    fn protocols(self, layer: Layer) -> [&'static str; 2] {
        let (http1, http2) = match self {
            // What a client speaks they find out by themselves.
            Self::Outrigger | Self::Envoy => (
                ["", "http_protocol_options"],
                ["", "http2_protocol_options"],
            ),
            Self::Nginx => (["", ""], [" http2", ""]),
            Self::Haproxy => (["", ""], [" proto h2", " proto h2"]),
            Self::Copy | Self::Direct => return [""; 2],
        };
        let down = if layer.is_http2_downstream() {
            http2
        } else {
            http1
        };
        let up = if layer.is_http2_upstream() {
            http2
        } else {
            http1
        };
        [down[0], up[1]]
    }

    /// Writes the configuration and gives the arguments that make it serve: one worker, in the foreground, quiet.
    pub fn arguments(self, layer: Layer, place: &Place<'_>) -> Result<Vec<OsString>> {
        let Some((name, template)) = self.template(layer) else {
            return Ok(vec![
                "copy".into(),
                place.listen.to_string().into(),
                place.upstream.to_string().into(),
            ]);
        };
        let path = place.dir.join(name);
        fs::write(&path, fill(template, self.protocols(layer), place)?)?;
        let mut arguments: Vec<OsString> = match self {
            Self::Nginx => vec![
                "-e".into(),
                place.dir.join("error.log").into(),
                "-p".into(),
                place.dir.into(),
                "-c".into(),
            ],
            Self::Haproxy => vec!["-db".into(), "-f".into()],
            _ => [
                "--disable-hot-restart",
                "--concurrency",
                "1",
                "-l",
                "error",
                "-c",
            ]
            .map(Into::into)
            .to_vec(),
        };
        arguments.push(path.into());
        Ok(arguments)
    }
}

fn fill(template: &str, protocols: [&str; 2], place: &Place<'_>) -> Result<String> {
    let dir = place.dir.to_str().context("temporary directory's name")?;
    let text = template
        .replace("{{listen_port}}", &place.listen.port().to_string())
        .replace("{{admin_port}}", &place.admin.port().to_string())
        .replace("{{upstream_port}}", &place.upstream.port().to_string())
        .replace("{{dir}}", dir)
        .replace("{{downstream_protocol}}", protocols[0])
        .replace("{{upstream_protocol}}", protocols[1]);
    if !text.contains("{{nginx_modules}}") {
        return Ok(text);
    }
    let modules = ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules"]
        .into_iter()
        .find(|dir| Path::new(dir).join("ngx_stream_module.so").exists())
        .context("nginx lacks its stream module (libnginx-mod-stream)")?;
    Ok(text.replace("{{nginx_modules}}", modules))
}

/// The path in a variable, or one below the workspace.
fn from_env_or(variable: &str, default: &str) -> Result<PathBuf> {
    let path = match env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(default),
    };
    fs::canonicalize(&path).with_context(|| format!("{} (or set {variable})", path.display()))
}

fn in_path(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .with_context(|| format!("{name} is neither in PATH nor in /usr/sbin"))
}

/// The real Envoy if the path is the Python script of its package: an interpreter's start is not Envoy's.
fn behind_wrapper(path: &Path) -> Result<PathBuf> {
    let content = fs::read(path)?;
    let Some(first) = content.strip_prefix(b"#!") else {
        return Ok(path.to_owned());
    };
    let line = first
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let interpreter = std::str::from_utf8(line)?.trim();
    let output = Command::new(interpreter)
        .args([
            "-c",
            "import envoy, os; print(os.path.dirname(envoy.__file__))",
        ])
        .output()
        .with_context(|| format!("{interpreter}, which {} names", path.display()))?;
    let package = String::from_utf8(output.stdout)?;
    let binary = Path::new(package.trim()).join("_bin").join("envoy");
    ensure!(
        output.status.success(),
        "{} is a script of an unknown kind",
        path.display()
    );
    if !binary.is_file() {
        bail!("{} does not exist", binary.display());
    }
    Ok(binary)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LAYERS: [Layer; 6] = [
        Layer::Http,
        Layer::Mesh,
        Layer::Http2,
        Layer::Http2ToHttp2,
        Layer::Grpc,
        Layer::Tcp,
    ];

    #[test]
    fn configurations_say_what_is_spoken() {
        for (subject, layer, wanted) in [
            (Subject::Envoy, Layer::Http, ["", "http_protocol_options"]),
            (Subject::Envoy, Layer::Http2, ["", "http_protocol_options"]),
            (Subject::Envoy, Layer::Grpc, ["", "http2_protocol_options"]),
            (Subject::Nginx, Layer::Http2, [" http2", ""]),
            (Subject::Haproxy, Layer::Http2, [" proto h2", ""]),
            (Subject::Haproxy, Layer::Http2ToHttp2, [" proto h2"; 2]),
        ] {
            assert_eq!(subject.protocols(layer), wanted, "{subject:?} {layer:?}");
        }
    }

    #[test]
    fn configurations_are_filled_completely() {
        let place = Place {
            listen: ([127, 0, 0, 1], 1001).into(),
            admin: ([127, 0, 0, 1], 1002).into(),
            upstream: ([127, 0, 0, 1], 1003).into(),
            dir: Path::new("/tmp/d"),
        };
        for subject in Subject::PEERS {
            for layer in LAYERS {
                let Some((_, template)) = subject.template(layer) else {
                    continue;
                };
                let template = template.replace("{{nginx_modules}}", "/m");
                let text = fill(&template, subject.protocols(layer), &place).unwrap();
                assert!(!text.contains("{{"), "{text}");
                assert!(text.contains("1001") && text.contains("1003"), "{text}");
            }
        }
    }
}
