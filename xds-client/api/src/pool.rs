//! The descriptors of every message of Envoy's API, with their custom options.

use std::sync::OnceLock;

use prost_reflect::DescriptorPool;

static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// All of Envoy's messages, decoded on first use (about 25 ms).
///
/// The set is part of the binary and was checked by the compiler that wrote it, so decoding cannot fail; were it
/// damaged, the pool would be empty and every lookup by name would report the missing type.
pub fn pool() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| DescriptorPool::decode(DESCRIPTORS).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_envoys_messages_and_ours() {
        assert!(pool().all_messages().len() > 1500);
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
