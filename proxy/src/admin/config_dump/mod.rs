//! `/config_dump`: the configuration that is in force, as `istioctl proxy-config` reads it.

mod mask;
mod sections;

use super::{
    params::Params,
    reply::{BARE_TEXT, Reply},
    state::AdminState,
};
use envoy_api::{DynamicMessage, MessageDescriptor, TYPE_URL_PREFIX, Value, json, type_name};
use http::StatusCode;
use mask::Mask;
use outrigger_core::matcher::Regex;
use serde_json::json as object;

/// A refused request: status and text, which come without a charset.
fn refused(status: StatusCode, text: String) -> Reply {
    Reply::text(text).with_status(status).with_type(BARE_TEXT)
}

pub fn config_dump(state: &AdminState, params: &Params) -> Reply {
    answer(state, params).unwrap_or_else(|refusal| refusal)
}

fn answer(state: &AdminState, params: &Params) -> Result<Reply, Reply> {
    let names = match params.get("name_regex") {
        None | Some("") => None,
        // The whole name has to match.
        Some(pattern) => match Regex::new(pattern) {
            Ok(names) => Some(names),
            Err(error) => {
                let reason = error.reason();
                let text = format!(
                    "INVALID_ARGUMENT: Error while parsing name_regex from {pattern}: {reason}"
                );
                return Err(refused(StatusCode::BAD_REQUEST, text));
            }
        },
    };
    let mask = params.non_empty("mask");
    let mut sections = sections::all(state, params.has("include_eds"));
    if let Some(names) = &names {
        for section in &mut sections {
            keep_named(section, names);
        }
    }
    let configs = match (params.non_empty("resource"), mask) {
        (Some(resource), mask) => resources(&sections, resource, mask)?,
        (None, Some(mask)) => masked(sections, mask)?,
        (None, None) => sections,
    };
    let configs: Vec<serde_json::Value> = configs.iter().map(with_type).collect();
    Ok(Reply::json(&match configs.as_slice() {
        [] => object!({}),
        configs => object!({ "configs": configs }),
    }))
}

/// A message as an Any shows it.
fn with_type(message: &DynamicMessage) -> serde_json::Value {
    let url = format!("{TYPE_URL_PREFIX}{}", message.descriptor().full_name());
    let mut fields = serde_json::Map::new();
    fields.insert("@type".into(), url.into());
    if let serde_json::Value::Object(rest) = json::write(message) {
        fields.extend(rest);
    }
    fields.into()
}

/// The elements of one repeated field of the sections, whichever has it.
fn resources(
    sections: &[DynamicMessage],
    resource: &str,
    mask: Option<&str>,
) -> Result<Vec<DynamicMessage>, Reply> {
    let mask = mask.map(|text| (text, Mask::parse(text)));
    for section in sections {
        let Some(field) = section.descriptor().get_field_by_name(resource) else {
            continue;
        };
        let value = section.get_field(&field);
        let Value::List(elements) = value.as_ref() else {
            let text = format!(
                "{resource} is not a repeated field. Use ?mask={resource} to get only this field"
            );
            return Err(refused(StatusCode::BAD_REQUEST, text));
        };
        let mut found = Vec::new();
        for element in elements.iter().filter_map(Value::as_message) {
            let mut element = element.clone();
            if let Some((text, mask)) = &mask
                && !mask.apply_to_resource(&mut element)
            {
                let text = format!("FieldMask paths: \"{text}\" could not be successfully used.");
                return Err(refused(StatusCode::BAD_REQUEST, text));
            }
            found.push(element);
        }
        return Ok(found);
    }
    let text = format!("{resource} not found in config dump");
    Err(refused(StatusCode::NOT_FOUND, text))
}

/// The sections that have all fields of the mask, with these fields only.
fn masked(sections: Vec<DynamicMessage>, text: &str) -> Result<Vec<DynamicMessage>, Reply> {
    let mask = Mask::parse(text);
    let found: Vec<DynamicMessage> = sections
        .into_iter()
        .filter_map(|mut section| mask.apply(&mut section).then_some(section))
        .collect();
    if found.is_empty() {
        let text = format!("FieldMask {text} could not be successfully applied to any configs.");
        return Err(refused(StatusCode::BAD_REQUEST, text));
    }
    Ok(found)
}

/// Drops the elements of the repeated fields whose name does not match. What has no name stays.
fn keep_named(section: &mut DynamicMessage, names: &Regex) {
    let fields: Vec<_> = section
        .descriptor()
        .fields()
        .filter(|field| field.is_list())
        .collect();
    for field in fields {
        if let Value::List(elements) = section.get_field_mut(&field) {
            elements.retain(|element| {
                let name = element.as_message().and_then(name_of);
                name.is_none_or(|name| names.is_match(name.as_bytes()))
            });
        }
    }
}

/// The name of an element: its own, or that of the resource in it.
fn name_of(element: &DynamicMessage) -> Option<String> {
    let own = |message: &DynamicMessage| {
        ["name", "cluster_name"].iter().find_map(|field| {
            let value = message.get_field_by_name(field)?;
            value.as_str().map(str::to_owned)
        })
    };
    own(element).or_else(|| {
        element.fields().find_map(|(_, value)| {
            let inner = unpacked(value.as_message()?)?;
            own(&inner)
        })
    })
}

/// The message in an Any.
fn unpacked(any: &DynamicMessage) -> Option<DynamicMessage> {
    if any.descriptor().full_name() != "google.protobuf.Any" {
        return None;
    }
    let url = any.get_field_by_name("type_url")?;
    let bytes = any.get_field_by_name("value")?;
    let descriptor = MessageDescriptor::named(type_name(url.as_str()?))?;
    DynamicMessage::decode(descriptor, bytes.as_bytes()?).ok()
}

#[cfg(test)]
mod tests;
