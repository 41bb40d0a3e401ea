//! `/` as programs see it: a link to, or a button for, every endpoint, as Envoy's; and `/help`. People get [`super::page`].

use super::{
    endpoints::{ENDPOINTS, Endpoint},
    params::Params,
    reply::{HTML, Reply},
    state::AdminState,
};

pub fn help(_: &AdminState, _: &Params) -> Reply {
    Reply::text(help_text())
}

/// The list of commands, alphabetically.
pub fn help_text() -> String {
    let mut out = String::from("admin commands are:\n");
    for endpoint in ENDPOINTS {
        let post = if endpoint.mutates { " (POST)" } else { "" };
        out.push_str(&format!("  {}{post}: {}\n", endpoint.path, endpoint.help));
        for param in endpoint.params {
            out.push_str(&format!("      {}: {}", param.name, param.help));
            if !param.choices.is_empty() {
                out.push_str(&format!("; One of ({})", param.choices.join(", ")));
            }
            out.push('\n');
        }
    }
    out
}

pub fn home(_: &AdminState, _: &Params) -> Reply {
    let rows: String = ENDPOINTS.iter().map(row).collect();
    let page = page(&format!(
        "<table>\n<tr><th>Command</th><th>Description</th></tr>\n{rows}</table>\n"
    ));
    Reply::text(page).with_type(HTML)
}

fn row(endpoint: &Endpoint) -> String {
    let path = escaped(endpoint.path);
    let command = if endpoint.mutates {
        format!("<form action='{path}' method='post'><button>{path}</button></form>")
    } else {
        format!("<a href='{path}'>{path}</a>")
    };
    let help = escaped(endpoint.help);
    format!("<tr><td>{command}</td><td>{help}</td></tr>\n")
}

/// A page of the admin interface around `body`, which must be escaped already.
pub fn page(body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n<title>Outrigger Admin</title>\n</head>\n\
         <body>\n{body}</body>\n</html>\n"
    )
}

/// Text as HTML.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        assert_eq!(
            escaped("<a href='x'>\"&"),
            "&lt;a href=&#39;x&#39;&gt;&quot;&amp;"
        );
    }

    #[test]
    fn help_lists_commands_and_parameters() {
        let help = help_text();
        assert!(help.starts_with("admin commands are:\n  /: Admin home page\n"));
        assert!(help.contains("  /logging (POST): query/change logging levels\n      paths: "));
        assert!(help.contains("      format: File format to use; One of (text, json)\n"));
    }
}
