//! `/logging`: shows and changes the levels of the loggers.

use super::{params::Params, reply::Reply, state::AdminState};

const LEVELS: [&str; 7] = [
    "trace", "debug", "info", "warning", "error", "critical", "off",
];

const USAGE: &str = "\nusage: /logging?<name>=<level> (change single level)\n\
                     usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\n\
                     usage: /logging?level=<level> (change all levels)\n\
                     usage: /logging?group=<group_name>:<level> (change group of loggers)\n\
                     levels: trace debug info warning error critical off \n";

pub fn logging(state: &AdminState, params: &Params) -> Reply {
    let result = change(state, params);
    let mut text = String::new();
    if let Err(reason) = &result {
        text.push_str(&format!("error: {reason}\n{USAGE}"));
    }
    text.push_str("active loggers:\n");
    for (name, level) in state.logging.levels() {
        text.push_str(&format!("  {name}: {level}\n"));
    }
    text.push('\n');
    match result {
        Ok(()) => Reply::text(text),
        Err(_) => Reply::bad_request(text),
    }
}

fn change(state: &AdminState, params: &Params) -> Result<(), &'static str> {
    let (key, value) = match params.pairs() {
        [] => return Ok(()),
        [(key, value)] => (key.as_str(), value.as_str()),
        _ => return Err("invalid number of parameters"),
    };
    if value.is_empty() {
        return Ok(());
    }
    let set = |name: &str, level| {
        state
            .logging
            .set(name, level)
            .map_err(|_| "unknown logger name")
    };
    match key {
        "level" => {
            state.logging.set_all(level(value)?);
            Ok(())
        }
        "paths" => {
            let changes: Vec<(&str, &'static str)> = value
                .split(',')
                .map(|change| match change.split_once(':') {
                    Some((name, text)) if !name.is_empty() && !text.is_empty() => {
                        Ok((name, level(text)?))
                    }
                    _ => Err("empty logger name or empty logger level"),
                })
                .collect::<Result<_, _>>()?;
            // All or none.
            let known = state.logging.levels();
            if changes
                .iter()
                .any(|(name, _)| !known.iter().any(|(known, _)| known == name))
            {
                return Err("unknown logger name");
            }
            changes
                .into_iter()
                .try_for_each(|(name, level)| set(name, level))
        }
        "group" => Err("group parameter requires fine-grain logging to be enabled"),
        name => set(name, level(value)?),
    }
}

fn level(text: &str) -> Result<&'static str, &'static str> {
    LEVELS
        .into_iter()
        .find(|level| *level == text)
        .ok_or("unknown logger level")
}
