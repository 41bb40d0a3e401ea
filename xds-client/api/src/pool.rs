//! The descriptors of the messages that the proxy knows, with their custom options.
//!
//! They are needed to read, check and print configuration, not to serve: decoded they are many times the size of
//! everything else that an idle proxy holds, so they can be forgotten and come back when somebody asks.

use std::sync::{PoisonError, RwLock};

use prost_reflect::DescriptorPool;

static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

static POOL: RwLock<Option<DescriptorPool>> = RwLock::new(None);

/// All messages, decoded on first use (about 20 ms). Descriptors and messages keep their pool alive.
///
/// The set is part of the binary and was checked by the compiler that wrote it, so decoding cannot fail; were it
/// damaged, the pool would be empty and every lookup by name would report the missing type.
pub fn pool() -> DescriptorPool {
    if let Some(pool) = &*POOL.read().unwrap_or_else(PoisonError::into_inner) {
        return pool.clone();
    }
    let mut slot = POOL.write().unwrap_or_else(PoisonError::into_inner);
    slot.get_or_insert_with(|| DescriptorPool::decode(DESCRIPTORS).unwrap_or_default())
        .clone()
}

/// Frees the descriptors and what was derived from them, once nobody holds a dynamic message any more.
pub fn forget_descriptors() {
    *POOL.write().unwrap_or_else(PoisonError::into_inner) = None;
    crate::validate::forget_rules();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_envoys_messages_and_ours() {
        assert!(pool().all_messages().len() > 500);
        for name in [
            "envoy.config.bootstrap.v3.Bootstrap",
            "udpa.type.v1.TypedStruct",
            "xds.type.v3.TypedStruct",
        ] {
            assert!(pool().get_message_by_name(name).is_some(), "{name}");
        }
    }

    #[test]
    fn keeps_custom_options() {
        assert!(pool().get_extension_by_name("validate.rules").is_some());
        let field = pool()
            .get_message_by_name("envoy.config.core.v3.DataSource")
            .and_then(|m| m.get_field_by_name("filename"))
            .and_then(|f| {
                pool()
                    .get_extension_by_name("validate.rules")
                    .map(|rules| f.options().has_extension(&rules))
            });
        assert_eq!(field, Some(true));
    }
}
