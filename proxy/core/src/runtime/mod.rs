//! Envoy's layered runtime: values by key that override configuration, layer over layer, the last layer winning.
//!
//! A user of a key holds a handle that was made when its configuration was compiled; reading it costs one atomic load and
//! never a lookup by name.

mod disk;
mod handle;
mod value;

pub use handle::{RuntimeDouble, RuntimeFlag, RuntimeFraction, RuntimeUint32, RuntimeUint64};
pub use value::{Fraction, Value};

use crate::{
    ConfigError,
    error::ConfigResult,
    field::{Fate, Message, USED},
    stats::Store,
};
use arc_swap::ArcSwapOption;
use disk::Watch;
use envoy_api::pb::envoy::config::bootstrap::v3::{LayeredRuntime, runtime_layer::LayerSpecifier};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
};

const RTDS: Fate = Fate::Rejected("use static_layer: runtime discovery is not supported");

/// The fields of the messages that [`Runtime::compile`] reads.
pub const FIELDS: &[Message] = &[
    Message {
        name: "envoy.config.bootstrap.v3.LayeredRuntime",
        fields: &[("layers", USED)],
    },
    Message {
        name: "envoy.config.bootstrap.v3.RuntimeLayer",
        fields: &[
            ("name", USED),
            ("static_layer", USED),
            ("disk_layer", USED),
            ("admin_layer", USED),
            ("rtds_layer", RTDS),
        ],
    },
    Message {
        name: "envoy.config.bootstrap.v3.RuntimeLayer.DiskLayer",
        fields: &[
            ("symlink_root", USED),
            ("subdirectory", USED),
            ("append_service_cluster", USED),
        ],
    },
    Message {
        name: "envoy.config.bootstrap.v3.RuntimeLayer.AdminLayer",
        fields: &[],
    },
];

crate::stat_group! {
    /// `runtime.`
    pub struct RuntimeStats {
        gauge admin_overrides_active,
        gauge deprecated_feature_seen_since_process_start,
        counter deprecated_feature_use,
        counter load_error,
        counter load_success,
        gauge num_keys,
        gauge num_layers,
        counter override_dir_exists,
        counter override_dir_not_exists,
    }
}

/// The values of one layer.
#[derive(Debug)]
struct Layer {
    name: String,
    /// Changed by `/runtime_modify`.
    admin: bool,
    /// Where its values are, if they are on the disk.
    disk: Option<PathBuf>,
    /// A layer whose directory does not exist, or cannot be read, is none.
    present: bool,
    values: BTreeMap<String, Value>,
}

/// The final value of one key, shared by all handles of it.
#[derive(Debug)]
struct Cell {
    /// There is a value: most keys have none, and whoever reads them is to look no further.
    set: AtomicBool,
    value: ArcSwapOption<Value>,
}

impl Cell {
    fn new(value: Option<Value>) -> Self {
        Self {
            set: AtomicBool::new(value.is_some()),
            value: ArcSwapOption::from(value.map(Arc::new)),
        }
    }

    fn store(&self, value: Option<Value>) {
        let set = value.is_some();
        self.value.store(value.map(Arc::new));
        self.set.store(set, Release);
    }

    #[inline]
    fn read<T>(&self, read: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        match self.set.load(Acquire) {
            true => read(self.value.load().as_deref()?),
            false => None,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    layers: Vec<Layer>,
    /// Every key that some handle reads.
    cells: HashMap<Arc<str>, Weak<Cell>>,
}

impl State {
    fn value(&self, key: &str) -> Option<&Value> {
        self.layers
            .iter()
            .rev()
            .find_map(|layer| layer.values.get(key))
    }

    fn present(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().filter(|layer| layer.present)
    }

    /// Reads the layers on the disk again. Tells how many there are, and how many could not be read.
    fn read_disks(&mut self) -> (usize, usize) {
        let (mut found, mut failed) = (0, 0);
        for layer in &mut self.layers {
            let Some(path) = &layer.disk else { continue };
            let read = disk::read(path);
            if let Err(error) = &read {
                failed += 1;
                tracing::debug!(target: "runtime",
                    "error loading runtime values for layer {} from disk: {error}", layer.name);
            }
            let values = read.ok().flatten();
            layer.present = values.is_some();
            found += usize::from(layer.present);
            layer.values = values.unwrap_or_default();
        }
        (found, failed)
    }

    fn keys(&self) -> impl Iterator<Item = &String> {
        self.layers.iter().flat_map(|layer| layer.values.keys())
    }
}

/// All layers of the process.
#[derive(Default)]
pub struct Runtime {
    state: Mutex<State>,
    /// Of the layers on the disk, if there are any.
    watch: Option<Watch>,
    stats: Arc<RuntimeStats>,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}

/// What `/runtime` shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// Names of the layers in their order.
    pub layers: Vec<String>,
    pub entries: BTreeMap<String, DumpEntry>,
}

/// One key of [`Dump`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DumpEntry {
    pub final_value: String,
    /// One for each layer, empty where the layer does not have the key.
    pub layer_values: Vec<String>,
}

impl Runtime {
    /// Compiles `bootstrap.layered_runtime`; without one there is no layer, and nothing can be overridden.
    /// `service_cluster` is that of the node.
    pub fn compile(
        proto: Option<&LayeredRuntime>,
        service_cluster: &str,
        stats: &Store,
    ) -> Result<Self, ConfigError> {
        let mut layers: Vec<Layer> = Vec::new();
        let mut watch = None;
        for (index, layer) in proto.iter().flat_map(|p| &p.layers).enumerate() {
            if layers.iter().any(|known| known.name == layer.name) {
                return Err(ConfigError::new(format!(
                    "Duplicate layer name: {}",
                    layer.name
                )));
            }
            let mut values = BTreeMap::new();
            let mut disk = None;
            let admin = match &layer.layer_specifier {
                Some(LayerSpecifier::StaticLayer(fields)) => {
                    value::flatten(fields, "", &mut values).at_index("layers", index)?;
                    false
                }
                Some(LayerSpecifier::AdminLayer(_)) => true,
                Some(LayerSpecifier::DiskLayer(proto)) => {
                    follow(&mut watch, &proto.symlink_root)
                        .at("symlink_root")
                        .at("disk_layer")
                        .at_index("layers", index)?;
                    disk = Some(disk::directory(proto, service_cluster));
                    false
                }
                Some(LayerSpecifier::RtdsLayer(_)) => return Err(rejected(RTDS, index)),
                None => {
                    return Err(ConfigError::new("is required")
                        .at("layer_specifier")
                        .index(index)
                        .at("layers"));
                }
            };
            if admin && layers.iter().any(|known| known.admin) {
                return Err(ConfigError::new(
                    "Too many admin layers specified in LayeredRuntime, at most one may be specified",
                ));
            }
            layers.push(Layer {
                name: layer.name.clone(),
                admin,
                present: disk.is_none(),
                disk,
                values,
            });
        }
        let runtime = Self {
            state: Mutex::new(State {
                layers,
                cells: HashMap::new(),
            }),
            watch,
            stats: stats.register("runtime.", RuntimeStats::default()),
        };
        // Measured: an Envoy that serves has counted two loads, whatever its layers are.
        for _ in 0..2 {
            runtime.publish(&mut runtime.state.lock());
        }
        Ok(runtime)
    }

    /// Follows the layers on the disk; ends at once if there are none.
    pub async fn watch(&self) {
        let Some(watch) = &self.watch else { return };
        let reload = || self.publish(&mut self.state.lock());
        if let Err(error) = watch.run(reload).await {
            tracing::error!(target: "runtime", "layers on the disk are no longer watched: {error}");
        }
    }

    /// Sets keys of the admin layer; an empty value takes an override back. `Err` if there is no such layer.
    pub fn modify<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), NoAdminLayer> {
        let mut state = self.state.lock();
        let admin = state
            .layers
            .iter_mut()
            .find(|layer| layer.admin)
            .ok_or(NoAdminLayer)?;
        for (key, text) in changes {
            if text.is_empty() {
                admin.values.remove(key);
            } else {
                admin.values.insert(key.to_owned(), Value::parse(text));
            }
        }
        self.publish(&mut state);
        Ok(())
    }

    /// The final value of a key. By name, so not for the request path: see the handles.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.state.lock().value(key).cloned()
    }

    /// A feature flag by name, such as `envoy.reloadable_features.x`, for code that runs once.
    pub fn flag(&self, key: &str, default: bool) -> bool {
        self.get(key).and_then(|v| v.boolean()).unwrap_or(default)
    }

    /// What `/runtime` shows.
    pub fn dump(&self) -> Dump {
        let state = self.state.lock();
        let entries = state.keys().map(|key| {
            let layer_values = state
                .present()
                .map(|layer| layer.values.get(key).map_or_else(String::new, Value::raw))
                .collect();
            let final_value = state.value(key).map_or_else(String::new, Value::raw);
            let entry = DumpEntry {
                final_value,
                layer_values,
            };
            (key.clone(), entry)
        });
        Dump {
            layers: state.present().map(|l| l.name.clone()).collect(),
            entries: entries.collect(),
        }
    }

    /// The cell that follows a key from now on; `None` for the empty key, which nothing overrides.
    fn cell(&self, key: &str) -> Option<Arc<Cell>> {
        if key.is_empty() {
            return None;
        }
        let mut state = self.state.lock();
        if let Some(cell) = state.cells.get(key).and_then(Weak::upgrade) {
            return Some(cell);
        }
        let cell = Arc::new(Cell::new(state.value(key).cloned()));
        state.cells.retain(|_, cell| cell.strong_count() > 0);
        state.cells.insert(key.into(), Arc::downgrade(&cell));
        Some(cell)
    }

    /// Brings every cell and stat up to the layers.
    fn publish(&self, state: &mut State) {
        let (disks, failed) = state.read_disks();
        for (key, cell) in &state.cells {
            if let Some(cell) = cell.upgrade() {
                cell.store(state.value(key).cloned());
            }
        }
        let keys: std::collections::BTreeSet<_> = state.keys().collect();
        self.stats.num_keys.set(keys.len() as u64);
        self.stats.num_layers.set(state.present().count() as u64);
        let overridden = state.layers.iter().any(|l| l.admin && !l.values.is_empty());
        // As Envoy's, it counts as used from the first override on.
        if overridden || self.stats.admin_overrides_active.used() {
            self.stats.admin_overrides_active.set(overridden.into());
        }
        // The first layer on the disk is taken for what the others override.
        match disks {
            0 | 1 => self.stats.override_dir_not_exists.inc(),
            _ => self.stats.override_dir_exists.inc(),
        }
        match failed {
            0 => self.stats.load_success.inc(),
            _ => self.stats.load_error.inc(),
        }
    }
}

/// Watches one more link.
fn follow(watch: &mut Option<Watch>, link: &str) -> Result<(), ConfigError> {
    let mut with = match watch.take() {
        Some(watch) => watch,
        None => Watch::new().map_err(|error| ConfigError::new(error.to_string()))?,
    };
    with.add(link)?;
    *watch = Some(with);
    Ok(())
}

fn rejected(fate: Fate, index: usize) -> ConfigError {
    let reason = match fate {
        Fate::Rejected(reason) => reason,
        Fate::Used | Fate::Ignored(_) => "is not supported",
    };
    ConfigError::new(reason).index(index).at("layers")
}

/// `/runtime_modify` without an admin layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("No admin layer specified")]
pub struct NoAdminLayer;

#[cfg(test)]
mod tests;
