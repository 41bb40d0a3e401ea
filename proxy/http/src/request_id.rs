//! The UUID request-id extension: generates `x-request-id` and writes the trace reason into its 15th character.

use outrigger_core::{HeaderId, HeaderMap};

/// Position of the nibble that says why a request is traced: `4` not traced, `9` sampled, `a` service forced,
/// `b` client forced.
const TRACE_NIBBLE: usize = 14;

/// A version-4 UUID in its printed form, from the thread's fast generator: ids need to be unique, not secret.
pub fn generate() -> [u8; 36] {
    let mut bytes = [0; 16];
    fastrand::fill(&mut bytes);
    let mut text = [0; 36];
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .hyphenated()
        .encode_lower(&mut text);
    text
}

/// Whether a value has the shape of a UUID, so that its nibble may be rewritten.
pub fn is_uuid(value: &[u8]) -> bool {
    value.len() == 36
}

/// Marks an id as not traced; ids of another shape are left alone.
pub fn clear_trace_reason(headers: &mut HeaderMap) {
    let Some(id) = headers.get(HeaderId::RequestId).filter(|id| is_uuid(id)) else {
        return;
    };
    let mut id = id.to_vec();
    if let Some(nibble) = id.get_mut(TRACE_NIBBLE).filter(|n| **n != b'4') {
        *nibble = b'4';
        headers.set(HeaderId::RequestId, &id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_ids_are_version_four_uuids() {
        let id = generate();
        assert!(is_uuid(&id));
        assert_eq!(id[TRACE_NIBBLE], b'4');
        assert_ne!(id, generate());
    }
}
