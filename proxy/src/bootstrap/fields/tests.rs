//! `docs/fields.md` is what the tables say, and the tables are what the protos say.

#![allow(clippy::unwrap_used)]
use super::*;
use envoy_api::MessageDescriptor;
use outrigger_core::field::Fate;
use std::{collections::BTreeMap, fmt::Write, path::Path};

fn descriptor(message: &Message) -> MessageDescriptor {
    envoy_api::MessageDescriptor::named(message.name)
        .unwrap_or_else(|| panic!("a table names {}, which does not exist", message.name))
}

/// A misspelt name would reject the field that it means, and nobody has decided about one that is missing.
#[test]
fn the_tables_name_every_field_of_their_messages_once() {
    let mut wrong = Vec::new();
    for message in all() {
        let mut known: Vec<String> = descriptor(message)
            .fields()
            .map(|field| field.name().to_owned())
            .collect();
        let mut listed: Vec<&str> = message.fields.iter().map(|(name, _)| *name).collect();
        known.sort();
        listed.sort_unstable();
        if known != listed {
            wrong.push(format!("{}: {listed:?} for {known:?}", message.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What two tables say of one field must be the same: which of them counts is an accident.
#[test]
fn tables_of_one_message_agree() {
    let mut seen: BTreeMap<&str, &Message> = BTreeMap::new();
    for message in all() {
        let first = *seen.entry(message.name).or_insert(message);
        for field in descriptor(message).fields() {
            assert_eq!(
                first.fate(field.name()),
                message.fate(field.name()),
                "{}.{}",
                message.name,
                field.name()
            );
        }
    }
}

/// The page that a reader looks a field up in.
fn page() -> String {
    let messages: BTreeMap<&str, &Message> = all().map(|m| (m.name, m)).collect();
    let mut out = "# Fields\n\n\
         Every field of Envoy's configuration that Outrigger knows, by message. **Used**: it does what it does in Envoy. \
         **Ignored**: accepted without effect, for the reason given; each is logged once as a warning and counted in \
         `config.ignored_fields`. **Rejected**: the configuration is refused. A message that is not listed here is \
         rejected as well.\n\n\
         The tables are generated from the code: `make docs-fields`.\n"
        .to_owned();
    for (name, message) in messages {
        write!(out, "\n## {name}\n\n").unwrap();
        let mut fields: Vec<String> = descriptor(message)
            .fields()
            .map(|f| f.name().to_owned())
            .collect();
        if fields.is_empty() {
            out.push_str("No fields.\n");
            continue;
        }
        fields.sort();
        out.push_str("| field | |\n|---|---|\n");
        for field in fields {
            let fate = match message.fate(&field) {
                Fate::Used => "used".to_owned(),
                Fate::Ignored(reason) => format!("**ignored**: {reason}"),
                Fate::Rejected(outrigger_core::field::UNLISTED) => {
                    "**rejected**: not supported".to_owned()
                }
                Fate::Rejected(reason) => format!("**rejected**: {reason}"),
            };
            writeln!(out, "| `{field}` | {fate} |").unwrap();
        }
    }
    out
}

#[test]
fn fields_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/fields.md");
    let expected = page();
    if std::env::var_os("OUTRIGGER_WRITE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(expected.lines()).find(|(a, b)| a != b);
    assert!(
        written == expected,
        "docs/fields.md is stale, `make docs-fields` writes it: {differs:?}"
    );
}
