//! `COALESCE({"operators": […]})`: the first of several operators that has a value.

use super::{
    Commands, FormatContext, json_text,
    operator::{Operator, truncate},
    parse::Command,
};
use crate::ConfigError;
use serde_json::Value;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Coalesce {
    operators: Box<[Operator]>,
    max_len: Option<usize>,
}

impl Coalesce {
    pub fn compile(command: &Command<'_>, commands: &Commands) -> Result<Self, ConfigError> {
        let json: Value = serde_json::from_str(command.argument).map_err(|error| {
            ConfigError::new(format!(
                "COALESCE: failed to parse JSON configuration: JSON supplied is not valid. {error}"
            ))
        })?;
        let list = json
            .get("operators")
            .and_then(Value::as_array)
            .ok_or_else(|| {
                ConfigError::new("COALESCE: JSON configuration must contain 'operators' array")
            })?;
        if list.is_empty() {
            return Err(ConfigError::new(
                "COALESCE: 'operators' array must not be empty",
            ));
        }
        let operators = list
            .iter()
            .enumerate()
            .map(|(index, entry)| {
                operator(entry, commands).map_err(|error| {
                    ConfigError::new(format!(
                        "COALESCE: failed to parse operator at index {index}: {}",
                        error.reason()
                    ))
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            operators,
            max_len: command.max_len,
        })
    }

    pub fn text(&self, cx: &FormatContext<'_>, out: &mut Vec<u8>) -> Option<()> {
        let start = out.len();
        self.operators.iter().find_map(|op| op.text(cx, out))?;
        truncate(out, start, self.max_len);
        Some(())
    }

    pub fn json(&self, cx: &FormatContext<'_>, out: &mut Vec<u8>) -> Option<()> {
        self.operators.iter().find_map(|op| {
            if op.is_typed() {
                return op.json(cx, out);
            }
            json_text::string_of(out, |out| {
                let start = out.len();
                op.text(cx, out)?;
                truncate(out, start, self.max_len);
                Some(())
            })
        })
    }
}

/// One entry: the name of a command, or an object with its argument and length.
fn operator(entry: &Value, commands: &Commands) -> Result<Operator, ConfigError> {
    let command = match entry {
        Value::String(name) => Command {
            name,
            ..Command::default()
        },
        Value::Object(fields) => Command {
            name: fields.get("command").and_then(Value::as_str).ok_or_else(|| {
                ConfigError::new("operator object must have 'command' field: key 'command' missing or not a string")
            })?,
            argument: match fields.get("param") {
                None => "",
                Some(param) => param.as_str().ok_or_else(|| {
                    ConfigError::new("'param' field must be a string: key 'param' missing or not a string")
                })?,
            },
            max_len: fields.get("max_length").map(max_length).transpose()?,
        },
        _ => {
            return Err(ConfigError::new(
                "operator entry must be either a string (command name) or an object with 'command' field",
            ));
        }
    };
    if !commands.knows(command.name) {
        return Err(ConfigError::new(format!(
            "unknown command: '{}'",
            command.name
        )));
    }
    commands.compile(&command)
}

fn max_length(value: &Value) -> Result<usize, ConfigError> {
    let number = value.as_i64().ok_or_else(|| {
        ConfigError::new(
            "'max_length' field must be an integer: key 'max_length' missing or not an integer",
        )
    })?;
    usize::try_from(number)
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| ConfigError::new("'max_length' must be a positive integer"))
}
