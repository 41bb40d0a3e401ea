//! Envoy's resource monitors: how much of a resource is in use, from 0 to 1.

use envoy_api::{
    Message, Name,
    pb::envoy::{
        config::overload::v3::{ResourceMonitor, resource_monitor::ConfigType},
        extensions::resource_monitors::{
            cpu_utilization::v3::{
                CpuUtilizationConfig, cpu_utilization_config::UtilizationComputeStrategy,
            },
            downstream_connections::v3::DownstreamConnectionsConfig,
            fixed_heap::v3::FixedHeapConfig,
            injected_resource::v3::InjectedResourceConfig,
        },
    },
    prost_types::Any,
    type_name, unpack,
};
use outrigger_core::{ConfigError, error::ConfigResult, runtime::RuntimeUint64};
use outrigger_listener::ConnectionLimit;
use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::Arc,
    time::SystemTime,
};

/// The one monitor that is also a limit, which is why Envoy knows it by name.
pub const CONNECTIONS: &str = "envoy.resource_monitors.global_downstream_max_connections";
/// No number is longer.
const LONGEST_NUMBER: u64 = 4096;
/// Envoy's weight of the newest measurement of the processor.
const DAMPENING: f64 = 0.05;

/// One monitor and what it knows from its last look.
#[derive(Debug)]
pub enum Monitor {
    Connections(Arc<ConnectionLimit>),
    /// What the process holds of the memory that it may, in bytes.
    FixedHeap {
        max: u64,
    },
    Cpu(Cpu),
    Injected(Injected),
}

/// How busy the processors of the machine are, smoothed.
#[derive(Debug, Default)]
pub struct Cpu {
    /// Busy and all ticks since boot.
    last: (u64, u64),
    utilization: f64,
}

/// A file that says it, replaced by renaming; for tests.
#[derive(Debug)]
pub struct Injected {
    path: String,
    /// The file that was read last.
    seen: Option<Identity>,
    pressure: Result<f64, String>,
}

type Identity = (u64, u64, Option<SystemTime>);

impl Monitor {
    pub fn compile(proto: &ResourceMonitor) -> Result<Self, ConfigError> {
        let Some(ConfigType::TypedConfig(any)) = &proto.config_type else {
            return Err(unknown(proto, ""));
        };
        match type_name(&any.type_url) {
            "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig" => {
                connections(&decode(any)?, &proto.name)
            }
            "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig" => {
                fixed_heap(&decode(any)?)
            }
            "envoy.extensions.resource_monitors.cpu_utilization.v3.CpuUtilizationConfig" => {
                cpu(&decode(any)?)
            }
            "envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig" => {
                injected(&decode(any)?)
            }
            other => Err(unknown(proto, other)),
        }
    }

    /// What is in use now, from 0 to 1; memory may be more.
    pub fn measure(&mut self) -> Result<f64, String> {
        match self {
            Self::Connections(limit) => Ok(limit.open() as f64 / limit.max().max(1) as f64),
            Self::FixedHeap { max } => Ok(anonymous_memory()? as f64 / *max as f64),
            Self::Cpu(cpu) => cpu.measure(&read("/proc/stat")?),
            Self::Injected(file) => file.measure(),
        }
    }
}

fn decode<T: Message + Name + Default>(any: &Any) -> Result<T, ConfigError> {
    unpack(any)
        .map_err(|error| ConfigError::new(error.to_string()))
        .at("typed_config")
}

fn unknown(proto: &ResourceMonitor, type_name: &str) -> ConfigError {
    ConfigError::new(format!(
        "Didn't find a registered implementation for '{}' with type URL: '{type_name}'",
        proto.name
    ))
}

fn connections(proto: &DownstreamConnectionsConfig, name: &str) -> Result<Monitor, ConfigError> {
    if name != CONNECTIONS {
        // Envoy would take it and limit nothing.
        return Err(
            ConfigError::new(format!("this monitor must be named {CONNECTIONS}")).at("name"),
        );
    }
    let max = u64::try_from(proto.max_active_downstream_connections)
        .ok()
        .filter(|max| *max > 0)
        .ok_or_else(|| ConfigError::new("value must be greater than 0"))
        .at("max_active_downstream_connections")
        .at("typed_config")?;
    Ok(Monitor::Connections(Arc::new(ConnectionLimit::new(
        RuntimeUint64::fixed(max),
    ))))
}

fn fixed_heap(proto: &FixedHeapConfig) -> Result<Monitor, ConfigError> {
    match proto.max_heap_size_bytes {
        0 => Err(
            ConfigError::new("fixed_heap: max heap size must be greater than 0")
                .at("max_heap_size_bytes")
                .at("typed_config"),
        ),
        max => Ok(Monitor::FixedHeap { max }),
    }
}

fn cpu(proto: &CpuUtilizationConfig) -> Result<Monitor, ConfigError> {
    if proto.mode() != UtilizationComputeStrategy::Host {
        return Err(ConfigError::new("only HOST is supported")
            .at("mode")
            .at("typed_config"));
    }
    let mut cpu = Cpu::default();
    // The first look only tells where counting begins.
    read("/proc/stat")
        .and_then(|stat| cpu.measure(&stat))
        .map_err(ConfigError::new)
        .at("typed_config")?;
    cpu.utilization = 0.0;
    Ok(Monitor::Cpu(cpu))
}

fn injected(proto: &InjectedResourceConfig) -> Result<Monitor, ConfigError> {
    let path = &proto.filename;
    let directory = Path::new(path)
        .parent()
        .filter(|d| !d.as_os_str().is_empty());
    if !directory.is_some_and(Path::is_dir) {
        return Err(ConfigError::new(format!(
            "unable to add filesystem watch for file {path}: No such file or directory"
        ))
        .at("filename")
        .at("typed_config"));
    }
    Ok(Monitor::Injected(Injected::new(path)))
}

impl Cpu {
    /// `stat` is `/proc/stat`, whose first line counts the ticks of all processors by what they were spent on.
    fn measure(&mut self, stat: &str) -> Result<f64, String> {
        let line = stat
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("cpu "));
        let ticks: Vec<u64> = line
            .unwrap_or_default()
            .split_whitespace()
            .map_while(|field| field.parse().ok())
            .collect();
        let &[user, nice, system, idle, ..] = ticks.as_slice() else {
            return Err("cannot parse /proc/stat".to_owned());
        };
        // As Envoy: what is spent on interrupts is not looked at.
        let busy = user.saturating_add(nice).saturating_add(system);
        let total = busy.saturating_add(idle);
        let (last_busy, last_total) = std::mem::replace(&mut self.last, (busy, total));
        let passed = total.saturating_sub(last_total);
        if passed > 0 {
            let now = busy.saturating_sub(last_busy) as f64 / passed as f64;
            self.utilization = now * DAMPENING + self.utilization * (1.0 - DAMPENING);
        }
        Ok(self.utilization.min(1.0))
    }
}

impl Injected {
    fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            seen: None,
            pressure: Err(format!("unable to read file: {path}")),
        }
    }

    /// Reads the file if it is another one than last time. As in Envoy, one that is written in place is not seen.
    fn measure(&mut self) -> Result<f64, String> {
        if let Ok(metadata) = fs::metadata(&self.path)
            && metadata.is_file()
        {
            let identity = (metadata.dev(), metadata.ino(), metadata.created().ok());
            if self.seen.replace(identity) != Some(identity) {
                let file = File::open(&self.path).map_err(|error| error.to_string());
                self.pressure = file.and_then(parse);
            }
        }
        self.pressure.clone()
    }
}

fn parse(file: File) -> Result<f64, String> {
    let mut text = String::new();
    file.take(LONGEST_NUMBER)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    let pressure: f64 = text
        .trim()
        .parse()
        .map_err(|_| "failed to parse injected resource pressure")?;
    if (0.0..=1.0).contains(&pressure) {
        Ok(pressure)
    } else {
        Err("pressure out of range".to_owned())
    }
}

/// Memory that is the process's own, in bytes.
fn anonymous_memory() -> Result<u64, String> {
    let status = read("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib: Option<u64> = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    kib.map(|kib| kib.saturating_mul(1024))
        .ok_or_else(|| "cannot parse /proc/self/status".to_owned())
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("unable to read {path}: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_processor_is_smoothed() {
        let mut cpu = Cpu::default();
        cpu.measure("cpu  0 0 0 100 9 9\ncpu0 1").unwrap();
        assert_eq!(cpu.measure("cpu  50 0 50 100 9 9\n").unwrap(), 0.05);
        assert_eq!(cpu.measure("cpu  50 0 50 200 9 9\n").unwrap(), 0.05 * 0.95);
        assert!(cpu.measure("cpu  1 2").is_err());
    }

    #[test]
    fn a_file_is_read_when_it_is_replaced() {
        let directory = std::env::temp_dir().join(format!("pressure-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (path, next) = (directory.join("p"), directory.join("n"));
        let mut file = Injected::new(path.to_str().unwrap());
        assert!(file.measure().is_err());
        let mut replace = |text| {
            fs::write(&next, text).unwrap();
            fs::rename(&next, &path).unwrap();
            file.measure()
        };
        assert_eq!(replace("0.25\n"), Ok(0.25));
        assert_eq!(
            replace("much"),
            Err("failed to parse injected resource pressure".to_owned())
        );
        assert_eq!(replace("1.5"), Err("pressure out of range".to_owned()));
        assert_eq!(replace("1"), Ok(1.0));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn memory_is_measured() {
        let mut heap = Monitor::FixedHeap { max: u64::MAX };
        let pressure = heap.measure().unwrap();
        assert!(pressure > 0.0 && pressure < 0.01, "{pressure}");
    }
}
