//! Path normalization: what is normal stays as it is, and no policy can be passed by by way of a second look.

use outrigger_http::normalize::{canonical, merge_slashes, unescape_slashes};

pub fn run(data: &[u8]) {
    let Ok(changed) = canonical(data) else {
        return;
    };
    let path = changed.unwrap_or_else(|| data.to_vec());
    assert_eq!(
        canonical(&path),
        Ok(None),
        "{:?}",
        path.escape_ascii().to_string()
    );
    if let Some(merged) = merge_slashes(&path) {
        assert_eq!(
            merge_slashes(&merged),
            None,
            "{:?}",
            merged.escape_ascii().to_string()
        );
        assert!(merged.len() < path.len());
    }
    if let Some(unescaped) = unescape_slashes(&path) {
        assert!(unescaped.len() < path.len());
    }
}
