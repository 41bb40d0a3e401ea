//! Forms of operators that header formats had before they were those of logs; Envoy still reads them, in headers alone.

use regex::{Captures, Regex};
use std::{borrow::Cow, sync::LazyLock};

static METADATA: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"%(UPSTREAM|DYNAMIC)_METADATA\((\[.*?\])\)%").ok());

static PER_REQUEST_STATE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"%PER_REQUEST_STATE\((.+?)\)%").ok());

/// The format in the forms of today.
pub(super) fn translate(text: &str) -> Cow<'_, str> {
    let (Some(metadata), Some(state)) = (&*METADATA, &*PER_REQUEST_STATE) else {
        return text.into();
    };
    let text = metadata.replace_all(text, |found: &Captures<'_>| {
        let Ok(keys) = serde_json::from_str::<Vec<String>>(&found[2]) else {
            // What is no list of texts is for the operator to judge.
            return found[0].to_owned();
        };
        let today = format!("%{}_METADATA({})%", &found[1], keys.join(":"));
        obsolete(&format!(
            "Header formatter: JSON format of {}_METADATA parameters has been obsoleted. Use colon format: {today}",
            &found[1]
        ));
        today
    });
    let translated = state.replace_all(&text, |found: &Captures<'_>| {
        let today = format!("%FILTER_STATE({}:PLAIN)%", &found[1]);
        obsolete(&format!(
            "PER_REQUEST_STATE header formatter has been obsoleted. Use {today}"
        ));
        today
    });
    match translated {
        Cow::Owned(translated) => translated.into(),
        Cow::Borrowed(_) => text,
    }
}

fn obsolete(warning: &str) {
    tracing::warn!(target: "misc", "{warning}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_forms_become_those_of_today() {
        for (old, today) in [
            (
                r#"a%UPSTREAM_METADATA(["ns", "k"])%%DYNAMIC_METADATA(["n","a","b"])%"#,
                "a%UPSTREAM_METADATA(ns:k)%%DYNAMIC_METADATA(n:a:b)%",
            ),
            ("%PER_REQUEST_STATE(a.b)%", "%FILTER_STATE(a.b:PLAIN)%"),
            ("%DYNAMIC_METADATA([1])%", "%DYNAMIC_METADATA([1])%"),
            ("%REQ(x)%", "%REQ(x)%"),
        ] {
            assert_eq!(translate(old), today);
        }
    }
}
