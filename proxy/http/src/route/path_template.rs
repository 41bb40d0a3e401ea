//! URI templates: the path match policy and the path rewrite policy of `envoy.path.*.uri_template`.
//!
//! `*` is one segment's worth of characters, `**` any number of segments (none included), `{name}`, `{name=*}` and
//! `{name=**}` capture what they match.

use envoy_api::{
    pb::envoy::{
        config::core::v3::TypedExtensionConfig,
        extensions::path::{
            r#match::uri_template::v3::UriTemplateMatchConfig,
            rewrite::uri_template::v3::UriTemplateRewriteConfig,
        },
    },
    unpack,
};
use outrigger_core::{ConfigError, error::required};
use regex::bytes::Regex;

use super::{config::no_extension, path::PathMatcher, rewrite::Scratch};

/// Characters that a literal or `*` may hold (`pchar` of RFC 3986, `%` taken as it is).
const PCHAR: &[u8] = b"-._~!$&'()*+,;:@=%";
const MAX_VARIABLES: usize = 5;
const MAX_NAME: usize = 16;
const MAX_TEMPLATE: usize = 256;

fn is_pchar(b: u8) -> bool {
    b.is_ascii_alphanumeric() || PCHAR.contains(&b)
}

/// A compiled match template.
#[derive(Clone, Debug)]
pub(crate) struct PathTemplate {
    text: Box<str>,
    regex: Regex,
    /// Names by capture group, the first being group 1.
    variables: Box<[Box<str>]>,
}

impl PathTemplate {
    /// The template of a `path_match_policy`.
    pub(crate) fn compile_policy(proto: &TypedExtensionConfig) -> Result<Self, ConfigError> {
        let any = required(proto.typed_config.as_ref(), "typed_config")?;
        let config = unpack::<UriTemplateMatchConfig>(any)
            .map_err(|_| no_extension(&proto.name, &any.type_url))?;
        Self::compile(&config.path_template)
    }

    fn compile(text: &str) -> Result<Self, ConfigError> {
        check_length(text)?;
        let invalid = |reason: String| {
            ConfigError::new(format!(
                "path_match_policy.path_template {text} is invalid: {reason}"
            ))
        };
        let mut parser = Parser::default();
        parser.parse(text).map_err(invalid)?;
        let regex = Regex::new(&format!(r"\A{}\z", parser.regex))
            .map_err(|_| invalid(format!("Invalid pattern: \"{text}\"")))?;
        Ok(Self {
            text: text.into(),
            regex,
            variables: parser.variables.into(),
        })
    }

    pub(crate) fn is_match(&self, path: &[u8]) -> bool {
        self.regex.is_match(path)
    }
}

fn check_length(text: &str) -> Result<(), ConfigError> {
    if text.is_empty() || text.len() > MAX_TEMPLATE {
        return Err(ConfigError::new(
            "value must have between 1 and 256 characters inclusive",
        ));
    }
    Ok(())
}

/// Turns a template into a regular expression; errors are Envoy's words.
#[derive(Default)]
struct Parser {
    regex: String,
    variables: Vec<Box<str>>,
    /// A `**` was seen.
    text_glob: bool,
    /// It was seen in an earlier segment: no other glob may follow it.
    after_text_glob: bool,
}

impl Parser {
    fn parse(&mut self, text: &str) -> Result<(), String> {
        let valid = text.starts_with('/')
            && text
                .bytes()
                .all(|b| is_pchar(b) || matches!(b, b'/' | b'{' | b'}' | b'?'));
        if !valid {
            return Err(format!("Invalid pattern: \"{text}\""));
        }
        let segments = split_segments(text.strip_prefix('/').unwrap_or(text));
        let last = segments.len() - 1;
        for (i, segment) in segments.iter().enumerate() {
            self.regex.push('/');
            // Only the end of a template may be an empty segment.
            if segment.is_empty() && i != last {
                return Err("Invalid literal: \"\"".into());
            }
            self.segment(segment)?;
            self.after_text_glob = self.text_glob;
        }
        Ok(())
    }

    fn segment(&mut self, segment: &str) -> Result<(), String> {
        let mut rest = segment;
        while let Some(first) = rest.bytes().next() {
            rest = match first {
                b'*' => {
                    let len = if rest.starts_with("**") { 2 } else { 1 };
                    self.glob(&rest[..len])?;
                    &rest[len..]
                }
                b'{' => {
                    let end = rest.find('}').ok_or_else(|| {
                        format!("Unmatched variable bracket in mixed pattern: \"{rest}\"")
                    })?;
                    self.variable(&rest[1..end])?;
                    &rest[end + 1..]
                }
                _ => {
                    let end = rest.find(['*', '{']).unwrap_or(rest.len());
                    self.literal(&rest[..end])?;
                    &rest[end..]
                }
            };
        }
        Ok(())
    }

    fn literal(&mut self, literal: &str) -> Result<(), String> {
        if literal.is_empty() || !literal.bytes().all(is_pchar) {
            return Err(format!("Invalid literal: \"{literal}\""));
        }
        self.regex.push_str(&regex::escape(literal));
        Ok(())
    }

    fn glob(&mut self, glob: &str) -> Result<(), String> {
        if self.after_text_glob {
            return Err("Glob after text glob.".into());
        }
        if glob == "**" {
            self.text_glob = true;
            self.regex.push_str(r"[a-zA-Z0-9\-._~!$&'()*+,;:@=%/]*");
        } else {
            self.regex.push_str(r"[a-zA-Z0-9\-._~!$&'()*+,;:@=%]+");
        }
        Ok(())
    }

    /// The inside of `{name}` or `{name=pattern}`, whose pattern may be several segments of literals and globs.
    fn variable(&mut self, text: &str) -> Result<(), String> {
        let (name, pattern) = match text.split_once('=') {
            Some((_, "")) => return Err("Empty variable match".into()),
            Some((name, pattern)) => (name, pattern),
            None => (text, "*"),
        };
        if name.len() > MAX_NAME {
            return Err(format!(
                "Invalid variable name length (length of \"{name}\" should be at least 1 and no more than {MAX_NAME})"
            ));
        }
        if !is_variable_name(name) {
            return Err(format!("Invalid variable name: \"{name}\""));
        }
        if self.variables.iter().any(|known| **known == *name) {
            return Err(format!("Repeated variable name: \"{name}\""));
        }
        if self.variables.len() == MAX_VARIABLES {
            return Err(format!("Exceeded variable count limit ({MAX_VARIABLES})"));
        }
        self.variables.push(name.into());
        self.regex.push('(');
        for (i, part) in pattern.split('/').enumerate() {
            if i > 0 {
                self.regex.push('/');
                self.after_text_glob = self.text_glob;
            }
            match part {
                "*" | "**" => self.glob(part)?,
                part if part.contains('*') => {
                    let after = part.trim_start_matches('*');
                    return Err(format!("Invalid variable match: \"{after}\""));
                }
                part => self.literal(part)?,
            }
        }
        self.regex.push(')');
        Ok(())
    }
}

/// Splits at slashes outside of brackets.
fn split_segments(text: &str) -> Vec<&str> {
    let mut inside = false;
    text.split(|c| {
        match c {
            '{' => inside = true,
            '}' => inside = false,
            _ => {}
        }
        c == '/' && !inside
    })
    .collect()
}

fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A compiled rewrite template: text with the variables of the match template.
#[derive(Clone, Debug)]
pub(super) struct TemplateRewrite(Box<[Part]>);

#[derive(Clone, Debug)]
enum Part {
    Literal(Box<str>),
    /// A capture group of the match template.
    Capture(usize),
}

impl TemplateRewrite {
    /// The template of a `path_rewrite_policy`, for a route with this path specifier.
    pub(super) fn compile_policy(
        proto: &TypedExtensionConfig,
        matcher: &PathMatcher,
    ) -> Result<Self, ConfigError> {
        let any = required(proto.typed_config.as_ref(), "typed_config")?;
        let config = unpack::<UriTemplateRewriteConfig>(any)
            .map_err(|_| no_extension(&proto.name, &any.type_url))?;
        let PathMatcher::Template(template) = matcher else {
            return Err(ConfigError::new(
                "unable to use envoy.path.rewrite.uri_template.uri_template_rewriter extension \
                 without envoy.path.match.uri_template.uri_template_matcher extension",
            ));
        };
        Self::compile(&config.path_template_rewrite, template)
    }

    fn compile(text: &str, template: &PathTemplate) -> Result<Self, ConfigError> {
        check_length(text)?;
        let invalid = || {
            ConfigError::new(format!(
                "path_rewrite_policy.path_template_rewrite {text} is invalid"
            ))
        };
        if !text.starts_with('/') || text.contains("//") {
            return Err(invalid());
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find('{').unwrap_or(rest.len());
            let literal = &rest[..end];
            if !literal.bytes().all(|b| is_pchar(b) || b == b'/') {
                return Err(invalid());
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.into()));
            }
            let Some(inner) = rest[end..].strip_prefix('{') else {
                break;
            };
            let (name, after) = inner.split_once('}').ok_or_else(invalid)?;
            if !is_variable_name(name) {
                return Err(invalid());
            }
            let known = template.variables.iter().position(|known| **known == *name);
            let Some(index) = known else {
                return Err(ConfigError::new(format!(
                    "mismatch between variables in path_match_policy {} and path_rewrite_policy {text}",
                    template.text
                )));
            };
            parts.push(Part::Capture(index + 1));
            rest = after;
        }
        Ok(Self(parts.into()))
    }

    /// Appends the new path, or nothing if the path does not match the template any more.
    pub(super) fn apply(&self, matcher: &PathMatcher, path: &[u8], out: &mut Scratch) {
        let PathMatcher::Template(template) = matcher else {
            return;
        };
        let Some(captures) = template.regex.captures(path) else {
            return;
        };
        for part in &self.0 {
            out.extend_from_slice(match part {
                Part::Literal(text) => text.as_bytes(),
                Part::Capture(group) => captures
                    .get(*group)
                    .map(|found| found.as_bytes())
                    .unwrap_or_default(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Answers of Envoy 1.40.
    #[test]
    fn templates_match_as_in_envoy() {
        for (template, yes, no) in [
            (
                "/a/{x}",
                &["/a/1", "/a/%41", "/a/x;y", "/a/~!$&'()*+,;:@=-._"][..],
                &["/a/", "/a/1/", "/a/1/2", "/a", "/a/<x>", "/a/x|y", "/a/[x]"][..],
            ),
            ("/b/{x=**}", &["/b/", "/b/1/2", "/b/1/2/"], &["/b"]),
            ("/c/{x}/d", &["/c/1/d"], &["/c//d", "/c/1/d/"]),
            ("/d/**", &["/d/", "/d/x/y"], &["/d"]),
            ("/f/{x=g/*}/h", &["/f/g/1/h"], &["/f/g//h", "/f/1/h"]),
            ("/g/{x}.txt", &["/g/a.txt"], &["/g/.txt", "/g/atxt"]),
            (
                "/h/**.m3u8",
                &["/h/a.m3u8", "/h/a/b.m3u8", "/h/.m3u8"],
                &["/h/a"],
            ),
            ("/i/{x=**}/z", &["/i//z", "/i/a/b/z"], &["/i/z"]),
            ("/k/a+b(c)", &["/k/a+b(c)"], &["/k/aab(c)"]),
            ("/l/*/m", &["/l/x/m"], &["/l/x/y/m"]),
        ] {
            let template = PathTemplate::compile(template).unwrap();
            for path in yes {
                assert!(template.is_match(path.as_bytes()), "{template:?} {path}");
            }
            for path in no {
                assert!(!template.is_match(path.as_bytes()), "{template:?} {path}");
            }
        }
    }

    #[test]
    fn errors_are_envoys() {
        for (template, reason) in [
            ("/{a=*b}", "Invalid variable match: \"b\""),
            ("/{a}/{a}", "Repeated variable name: \"a\""),
            ("a", "Invalid pattern: \"a\""),
            ("/a//b", "Invalid literal: \"\""),
            ("/{a=}", "Empty variable match"),
            ("/{}", "Invalid variable name: \"\""),
            ("/{1a}", "Invalid variable name: \"1a\""),
            ("/**/**", "Glob after text glob."),
            ("/{a=**}/**", "Glob after text glob."),
            ("/a b", "Invalid pattern: \"/a b\""),
            ("/a?b", "Invalid literal: \"a?b\""),
            ("/{a", "Unmatched variable bracket in mixed pattern: \"{a\""),
            ("/a}", "Invalid literal: \"a}\""),
            (
                "/{a}/{b}/{c}/{d}/{e}/{f}",
                "Exceeded variable count limit (5)",
            ),
            ("/{a=**.x}", "Invalid variable match: \".x\""),
        ] {
            let error = PathTemplate::compile(template).unwrap_err().to_string();
            let expected =
                format!("path_match_policy.path_template {template} is invalid: {reason}");
            assert_eq!(error, expected);
        }
        for template in [
            "/",
            "/a/",
            "/***",
            "/*a",
            "/{a=b/**}/c",
            "/a%zz",
            "/{a=*/*}",
            "/**.x",
        ] {
            assert!(PathTemplate::compile(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn rewrites_use_what_was_captured() {
        let rewrite = |template: &str, to: &str, path: &str| {
            let template = PathTemplate::compile(template).unwrap();
            let rewrite = TemplateRewrite::compile(to, &template).unwrap();
            let mut out = Scratch::new();
            rewrite.apply(
                &PathMatcher::Template(Box::new(template)),
                path.as_bytes(),
                &mut out,
            );
            String::from_utf8(out.to_vec()).unwrap()
        };
        assert_eq!(
            rewrite("/a/{x}/{y=**}", "/r/{y}/{x}", "/a/1/2/3"),
            "/r/2/3/1"
        );
        assert_eq!(rewrite("/a/{x}/{y=**}", "/r/{y}/{x}", "/a/1/"), "/r//1");
        assert_eq!(rewrite("/b/{x}", "/{x}z{x}", "/b/1"), "/1z1");
        assert_eq!(rewrite("/b/{x}", "/{x}", "/changed"), "");
        let template = PathTemplate::compile("/{a}").unwrap();
        for bad in [
            "x{a}", "/{a", "/a}", "/{}", "/x?y={a}", "//{a}", "/x y", "/{a=*}",
        ] {
            assert_eq!(
                TemplateRewrite::compile(bad, &template)
                    .unwrap_err()
                    .to_string(),
                format!("path_rewrite_policy.path_template_rewrite {bad} is invalid")
            );
        }
        assert_eq!(
            TemplateRewrite::compile("/{b}", &template)
                .unwrap_err()
                .to_string(),
            "mismatch between variables in path_match_policy /{a} and path_rewrite_policy /{b}"
        );
    }
}
