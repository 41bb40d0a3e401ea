//! The texts of `--help` and `--version`, laid out as Envoy lays out its own.

use super::flags::{FLAGS, Flag, HELP, VERSION};

const WIDTH: usize = 75;

/// `--version`: revision, version and how it was built, as Envoy's `server_info.version` names them.
pub fn build_version() -> String {
    let revision =
        option_env!("OUTRIGGER_REVISION").unwrap_or("0000000000000000000000000000000000000000");
    let kind = if cfg!(debug_assertions) {
        "DEBUG"
    } else {
        "RELEASE"
    };
    format!(
        "{revision}/{}/Clean/{kind}/rustls",
        env!("CARGO_PKG_VERSION")
    )
}

pub(super) fn version(program: &str) -> String {
    format!("\n{program}  version: {}\n\n", build_version())
}

/// The usage on top of `--help` and below an error.
pub(super) fn brief(program: &str) -> String {
    let mut usage = format!("{program} ");
    for flag in FLAGS {
        let name = match flag.short {
            Some(short) => format!("-{short}"),
            None => format!("--{}", flag.name),
        };
        let more = if flag.repeats { " ..." } else { "" };
        usage.push_str(&format!(" [{name}{}]{more}", flag.value()));
    }
    usage.push_str(" [--] [--version] [-h]");
    let mut out = String::new();
    wrap(&mut out, &usage, 3, program.len() + 2);
    out
}

pub(super) fn text(program: &str) -> String {
    let mut out = format!("\nUSAGE: \n\n{}\n\nWhere: \n\n", brief(program));
    for flag in FLAGS {
        entry(&mut out, &names(flag), flag);
    }
    wrap(&mut out, "--,  --ignore_rest", 3, 3);
    let rest = "Ignores the rest of the labeled arguments following this flag.";
    wrap(&mut out, rest, 5, 0);
    out.push('\n');
    entry(&mut out, &names(&VERSION), &VERSION);
    entry(&mut out, &names(&HELP), &HELP);
    out.push('\n');
    wrap(&mut out, "outrigger", 3, 0);
    out.push('\n');
    out
}

fn names(flag: &Flag) -> String {
    let value = flag.value();
    let more = if flag.repeats {
        "  (accepted multiple times)"
    } else {
        ""
    };
    match flag.short {
        Some(short) => format!("-{short}{value},  --{}{value}{more}", flag.name),
        None => format!("--{}{value}{more}", flag.name),
    }
}

fn entry(out: &mut String, names: &str, flag: &Flag) {
    wrap(out, names, 3, 3);
    wrap(out, flag.help, 5, 0);
    out.push('\n');
}

/// Breaks `text` at spaces, commas and bars into lines of 75 columns; all but the first stand `hanging` further right.
/// A line feed in the text leaves a blank line.
fn wrap(out: &mut String, text: &str, indent: usize, hanging: usize) {
    let hanging = hanging.min(WIDTH / 2);
    let mut indent = indent;
    let mut rest = text;
    let mut first = true;
    while !rest.is_empty() {
        let room = WIDTH - indent;
        let mut length = rest.floor_char_boundary(room);
        if length < rest.len() {
            let stop = |b: &u8| matches!(b, b' ' | b',' | b'|');
            let bytes = rest.as_bytes();
            length = (0..=length)
                .rev()
                .find(|at| *at > 0 && bytes.get(*at).is_some_and(stop))
                .unwrap_or(length);
        }
        let paragraph = rest.find('\n').filter(|at| *at < length);
        let (line, skip) = match paragraph {
            Some(at) => (&rest[..at], at + 1),
            None => (&rest[..length], length),
        };
        out.push_str(&" ".repeat(indent));
        out.push_str(line);
        out.push_str(if paragraph.is_some() { "\n\n" } else { "\n" });
        rest = rest[skip..].trim_start_matches(' ');
        if first {
            indent += hanging;
            first = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_where_words_end() {
        let mut out = String::new();
        wrap(
            &mut out,
            &format!("{} {}", "a".repeat(60), "b".repeat(20)),
            3,
            2,
        );
        assert_eq!(
            out,
            format!("   {}\n     {}\n", "a".repeat(60), "b".repeat(20))
        );
        out.clear();
        wrap(&mut out, "one\ntwo", 5, 0);
        assert_eq!(out, "     one\n\n     two\n");
    }

    #[test]
    fn help_names_every_flag_and_keeps_to_its_width() {
        let help = text("/usr/local/bin/envoy");
        for flag in FLAGS {
            assert!(
                help.contains(&format!("--{}{}", flag.name, flag.value())),
                "{}",
                flag.name
            );
        }
        assert!(help.lines().all(|line| line.len() <= WIDTH));
        assert!(help.contains("   -l <string>,  --log-level <string>\n     Log levels: [trace]"));
    }

    #[test]
    fn version_has_envoys_shape() {
        let text = version("outrigger");
        assert!(text.starts_with("\noutrigger  version: 0000"), "{text}");
        assert_eq!(text.matches('/').count(), 4);
    }
}
