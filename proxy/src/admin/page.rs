//! The page at `/` for people with a browser: its document, its assets, and what it needs that Envoy has no endpoint for.
//! It reads the JSON endpoints that anybody can read, and must never load anything from elsewhere.

use super::{
    endpoints::{ENDPOINTS, Endpoint, Param},
    home::escaped,
    reply::{HTML, Reply},
    state::AdminState,
};
use http::{HeaderMap, header};
use serde_json::{Value, json};

/// Sent with every document: only what comes from here may run or be asked, and no other page may frame it.
pub const DOCUMENT_HEADERS: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "same-origin"),
    ("x-frame-options", "DENY"),
];

/// What [`config_warnings`] answers.
const WARNINGS: &str = "/outrigger/config_warnings";

const CSS: &str = "text/css; charset=UTF-8";
const SCRIPT: &str = "text/javascript; charset=UTF-8";
const SVG: &str = "image/svg+xml";

/// Path, type and text.
const ASSETS: &[(&str, &str, &str)] = &[
    ("/outrigger/page.css", CSS, include_str!("page/page.css")),
    ("/outrigger/main.js", SCRIPT, include_str!("page/main.js")),
    ("/outrigger/dom.js", SCRIPT, include_str!("page/dom.js")),
    (
        "/outrigger/figures.js",
        SCRIPT,
        include_str!("page/figures.js"),
    ),
    (
        "/outrigger/overview.js",
        SCRIPT,
        include_str!("page/overview.js"),
    ),
    (
        "/outrigger/clusters.js",
        SCRIPT,
        include_str!("page/clusters.js"),
    ),
    ("/outrigger/stats.js", SCRIPT, include_str!("page/stats.js")),
    (
        "/outrigger/config.js",
        SCRIPT,
        include_str!("page/config.js"),
    ),
    (
        "/outrigger/commands.js",
        SCRIPT,
        include_str!("page/commands.js"),
    ),
    ("/outrigger/icon.svg", SVG, include_str!("page/icon.svg")),
];

/// What is asked for by a path that Envoy does not have, or by a browser at `/`.
pub fn answer(state: &AdminState, path: &str, headers: &HeaderMap) -> Option<Reply> {
    if path == "/" {
        return wants_html(headers).then(document);
    }
    if path == WARNINGS {
        return Some(Reply::json(&config_warnings(state)));
    }
    let asset = ASSETS.iter().find(|(name, ..)| *name == path);
    asset.map(|(_, kind, text)| Reply::text(*text).with_type(kind))
}

/// Browsers name what they would like; programs rarely do.
fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter();
    accept
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/html"))
}

/// The document. Its commands are here already, so that they work without scripts.
pub fn document() -> Reply {
    let (before, after) = include_str!("page/page.html")
        .split_once("<!-- commands -->")
        .unwrap_or_default();
    let commands: String = ENDPOINTS.iter().map(command).collect();
    Reply::text([before, &commands, after].concat())
        .with_type(HTML)
        .with_headers(DOCUMENT_HEADERS)
}

/// A form for one endpoint.
fn command(endpoint: &Endpoint) -> String {
    let path = escaped(endpoint.path);
    // Relative: the interface may be reached below some other path.
    let action = match endpoint.path.trim_start_matches('/') {
        "" => ".".to_owned(),
        action => escaped(action),
    };
    let (method, mark, verb) = match endpoint.mutates {
        true => ("post", "<span class=\"method\">POST</span>", "Send"),
        false => ("get", "", "Open"),
    };
    let params: String = endpoint
        .params
        .iter()
        .map(|param| field(endpoint, param))
        .collect();
    let help = escaped(endpoint.help);
    format!(
        "<li class=\"command\"><form action=\"{action}\" method=\"{method}\">\n<h3><code>{path}</code>{mark}</h3>\n<p>{help}</p>\n\
         {params}<button type=\"submit\">{verb}<span class=\"unseen\"> {path}</span></button>\n\
         <output></output>\n</form></li>\n"
    )
}

/// The field for one parameter.
fn field(endpoint: &Endpoint, param: &Param) -> String {
    let (name, help) = (escaped(param.name), escaped(param.help));
    let id = escaped(&format!("{}-{}", endpoint.path, param.name));
    let label = format!("<label for=\"{id}\">{name}</label>");
    let (class, input) = if param.is_flag {
        let input = format!(
            "<input type=\"checkbox\" id=\"{id}\" name=\"{name}\" aria-describedby=\"{id}-help\">{label}"
        );
        ("field flag", input)
    } else if param.choices.is_empty() {
        let input = format!(
            "{label}<input type=\"text\" id=\"{id}\" name=\"{name}\" aria-describedby=\"{id}-help\" spellcheck=\"false\" autocomplete=\"off\">"
        );
        ("field", input)
    } else {
        let options: String = param
            .choices
            .iter()
            .map(|choice| {
                let choice = escaped(choice);
                format!("<option>{choice}</option>")
            })
            .collect();
        let input = format!(
            "{label}<select id=\"{id}\" name=\"{name}\" aria-describedby=\"{id}-help\">{options}</select>"
        );
        ("field", input)
    };
    format!("<div class=\"{class}\">{input}<small id=\"{id}-help\">{help}</small></div>\n")
}

/// What the configuration says in vain: fields that change nothing here, each with its reason, and fields that do not exist.
fn config_warnings(state: &AdminState) -> Value {
    let ignored = state.config_warnings.ignored.iter().map(
        |warning| json!({"path": warning.path, "field": warning.field, "reason": warning.reason}),
    );
    json!({
        "ignored_fields": ignored.collect::<Vec<_>>(),
        "unknown_fields": state.config_warnings.unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_a_form_for_every_endpoint_and_loads_only_what_there_is() {
        let page = include_str!("page/page.html");
        assert_eq!(page.matches("<!-- commands -->").count(), 1);
        for attribute in ["href=\"outrigger/", "src=\"outrigger/"] {
            for rest in page.split(attribute).skip(1) {
                let name = rest.split('"').next().unwrap_or_default();
                let path = format!("/outrigger/{name}");
                let mut known = ASSETS.iter().map(|(asset, ..)| *asset).chain([WARNINGS]);
                assert!(known.any(|known| known == path), "{path}");
            }
        }
        let forms: String = ENDPOINTS.iter().map(command).collect();
        assert_eq!(forms.matches("<form ").count(), ENDPOINTS.len());
        assert_eq!(
            forms.matches(" name=\"").count(),
            ENDPOINTS.iter().map(|e| e.params.len()).sum::<usize>()
        );
        assert!(forms.contains("<form action=\"drain_listeners\" method=\"post\">"));
        assert!(forms.contains("&lt;logger_name1&gt;"), "it is escaped");
    }

    /// What a strict policy would stop would not work: better to have none of it.
    #[test]
    fn nothing_is_written_in_line_or_loaded_from_elsewhere() {
        let page = include_str!("page/page.html");
        for bad in ["<style", " style=", " onclick", "<script>", "javascript:"] {
            assert!(!page.contains(bad), "{bad}");
        }
        for (path, _, text) in ASSETS {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for bad in ["http://", "https://", "innerHTML", "eval("] {
                assert!(!text.contains(bad), "{path}: {bad}");
            }
        }
    }
}
