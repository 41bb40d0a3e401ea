//! `/stats` and `/stats/prometheus`.

use super::{
    home, page,
    params::Params,
    reply::{Body, HTML, JSON, Reply, TEXT},
    state::AdminState,
};
use outrigger_core::{
    matcher,
    stats::{
        Kind, Query, Snapshot,
        render::{Chunks, HistogramMode, Json, Prometheus, Text},
    },
};
use regex::Regex;
use std::iter;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Json,
    Prometheus,
    Html,
}

/// `/stats`.
pub fn stats(state: &AdminState, params: &Params) -> Reply {
    let format = match params.non_empty("format") {
        None | Some("text") => Format::Text,
        Some("json") => Format::Json,
        Some("prometheus") => Format::Prometheus,
        Some("html") => Format::Html,
        // The page looks at where it is, and goes on asking.
        Some("active-html") => return page::document(),
        Some(_) => {
            return Reply::bad_request(
                "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n",
            );
        }
    };
    answer(state, params, format).unwrap_or_else(|error| error)
}

/// `/stats/prometheus`.
pub fn prometheus(state: &AdminState, params: &Params) -> Reply {
    answer(state, params, Format::Prometheus).unwrap_or_else(|error| error)
}

fn answer(state: &AdminState, params: &Params, format: Format) -> Result<Reply, Reply> {
    let mode = histogram_mode(params, format)?;
    let query = query(params, format)?;
    if state.flush_on_read {
        state.stats.flush();
    }
    // Only stats that exist to be hidden could be hidden, and there are none.
    let snapshot = if params.get("hidden") == Some("only") {
        Snapshot::default()
    } else {
        Snapshot::take(&state.stats, &query)
    };
    let (content_type, body) = match format {
        Format::Text => (TEXT, Body::streamed(Chunks(Text::new(snapshot, mode)))),
        Format::Json => (JSON, Body::streamed(Chunks(Json::new(snapshot, mode)))),
        Format::Prometheus => {
            let texts = params.has("text_readouts");
            let prometheus = Prometheus::new(snapshot, mode, texts);
            (TEXT, Body::streamed(Chunks(prometheus)))
        }
        Format::Html => {
            let frame = home::page("<pre>\u{0}</pre>\n");
            let (before, after) = frame.split_once('\u{0}').unwrap_or_default();
            let (before, after) = (before.to_owned(), after.to_owned());
            let text = Chunks(Text::new(snapshot, mode)).map(|piece| home::escaped(&piece));
            let page = iter::once(before).chain(text).chain(iter::once(after));
            (HTML, Body::streamed(page))
        }
    };
    let reply = Reply::streamed(body).with_type(content_type);
    Ok(match format {
        Format::Html => reply.with_headers(page::DOCUMENT_HEADERS),
        _ => reply,
    })
}

fn histogram_mode(params: &Params, format: Format) -> Result<HistogramMode, Reply> {
    let prometheus = format == Format::Prometheus;
    match params.non_empty("histogram_buckets") {
        None if prometheus => Ok(HistogramMode::Cumulative),
        None | Some("none" | "summary") => Ok(HistogramMode::Summary),
        Some("cumulative") => Ok(HistogramMode::Cumulative),
        Some("disjoint" | "detailed") if prometheus => Err(Reply::bad_request(
            "unsupported prometheus histogram bucket mode",
        )),
        Some("disjoint") => Ok(HistogramMode::Disjoint),
        Some("detailed") => Ok(HistogramMode::Detailed),
        Some("prometheusnative") if prometheus => Err(Reply::bad_request(
            "native histograms need the protobuf exposition format, which is not offered",
        )),
        Some("prometheusnative") => Err(Reply::bad_request(
            "Invalid histogram_buckets type for non prometheus stats type",
        )),
        Some(_) => Err(Reply::bad_request(
            "usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary|prometheusnative)\n",
        )),
    }
}

fn query(params: &Params, format: Format) -> Result<Query, Reply> {
    let filter = match params.non_empty("filter").map(search_regex) {
        None => None,
        Some(Ok(filter)) => Some(filter),
        Some(Err(reason)) => {
            return Err(Reply::bad_request(format!("Invalid re2 regex: {reason}")));
        }
    };
    if !matches!(
        params.non_empty("hidden"),
        None | Some("include" | "only" | "exclude")
    ) {
        return Err(Reply::bad_request(
            "usage: /stats?hidden=(include|only|exclude)\n\n",
        ));
    }
    let kind = match params.non_empty("type") {
        // Prometheus does not look at it.
        _ if format == Format::Prometheus => None,
        None | Some("All") => None,
        Some("Counters") => Some(Kind::Counters),
        Some("Gauges") => Some(Kind::Gauges),
        Some("Histograms") => Some(Kind::Histograms),
        Some("TextReadouts") => Some(Kind::TextReadouts),
        Some(_) => return Err(Reply::bad_request("invalid &type= param")),
    };
    Ok(Query {
        used_only: params.has("usedonly"),
        kind,
        invert: filter.is_some() && params.has("invert_filter"),
        filter,
        tags: format == Format::Prometheus,
    })
}

/// A pattern that is searched for; the error is the reason, in RE2's words.
pub fn search_regex(pattern: &str) -> Result<Regex, String> {
    let translated =
        matcher::regex::translate(pattern).map_err(|error| error.reason().to_owned())?;
    Regex::new(&translated).map_err(|_| format!("pattern not understood or too large: {pattern}"))
}
