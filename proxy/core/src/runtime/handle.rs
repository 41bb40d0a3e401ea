//! Handles: a default from configuration, and the key that may override it.

use super::{Cell, Fraction, Runtime, Value};
use crate::{ConfigError, error::required};
use envoy_api::pb::envoy::config::core::v3 as core;
use std::sync::Arc;

/// A key that is followed; reading it is one atomic load while nothing overrides it.
#[derive(Clone, Debug, Default)]
struct Followed(Option<Arc<Cell>>);

impl Followed {
    #[inline]
    fn read<T>(&self, read: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        self.0.as_ref()?.read(read)
    }
}

macro_rules! handle {
    ($(#[$meta:meta])* $name:ident($type:ty) = $read:expr) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $name {
            default: $type,
            key: Followed,
        }

        impl $name {
            /// A default that a runtime key may override; an empty key follows nothing.
            pub fn new(default: $type, key: &str, runtime: &Runtime) -> Self {
                Self {
                    default,
                    key: Followed(runtime.cell(key)),
                }
            }

            /// A value that no key overrides.
            pub const fn fixed(value: $type) -> Self {
                Self {
                    default: value,
                    key: Followed(None),
                }
            }

            /// The value of now.
            #[inline]
            pub fn get(&self) -> $type {
                self.get_or(self.default)
            }

            /// The value of now where the default is one of the moment.
            #[inline]
            pub fn get_or(&self, default: $type) -> $type {
                self.overridden().unwrap_or(default)
            }

            /// The value that the key has now, if it has one.
            #[inline]
            pub fn overridden(&self) -> Option<$type> {
                self.key.read($read)
            }
        }
    };
}

handle! {
    /// `core.v3.RuntimeUInt32`, and whole numbers by other keys.
    RuntimeUint32(u32) = |v| v.integer().map(|n| u32::try_from(n).unwrap_or(u32::MAX))
}

handle! {
    /// Whole numbers that 32 bits may not hold: limits of connections.
    RuntimeUint64(u64) = Value::integer
}

handle! {
    /// `core.v3.RuntimeDouble`.
    RuntimeDouble(f64) = Value::double
}

handle! {
    /// `core.v3.RuntimeFeatureFlag`, and features by other keys.
    RuntimeFlag(bool) = Value::boolean
}

handle! {
    /// `core.v3.RuntimeFractionalPercent`: how much of the traffic something applies to.
    RuntimeFraction(Fraction) = Value::fraction
}

impl RuntimeUint32 {
    pub fn compile(proto: &core::RuntimeUInt32, runtime: &Runtime) -> Self {
        Self::new(proto.default_value, &proto.runtime_key, runtime)
    }
}

impl RuntimeDouble {
    pub fn compile(proto: &core::RuntimeDouble, runtime: &Runtime) -> Self {
        Self::new(proto.default_value, &proto.runtime_key, runtime)
    }
}

impl RuntimeFlag {
    pub fn compile(
        proto: &core::RuntimeFeatureFlag,
        runtime: &Runtime,
    ) -> Result<Self, ConfigError> {
        let default = required(proto.default_value, "default_value")?;
        Ok(Self::new(default, &proto.runtime_key, runtime))
    }
}

impl RuntimeFraction {
    pub fn compile(
        proto: &core::RuntimeFractionalPercent,
        runtime: &Runtime,
    ) -> Result<Self, ConfigError> {
        let default = required(proto.default_value.as_ref(), "default_value")?;
        Ok(Self::new(
            Fraction::compile(default),
            &proto.runtime_key,
            runtime,
        ))
    }

    /// Whether it applies to a stream with this random number; a stream asks with one number for all its decisions.
    #[inline]
    pub fn enabled(&self, random: u64) -> bool {
        self.get().contains(random)
    }
}
