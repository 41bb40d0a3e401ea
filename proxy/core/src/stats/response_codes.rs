//! Counters of responses by status code, made when a code is first seen: Envoy's `CodeStats`.

use super::{Counter, Histogram, Metric, StatGroup, Unit};
use std::{fmt::Write, sync::OnceLock};

/// The counters of ten neighbouring codes.
type Decade = OnceLock<Box<[Counter; 10]>>;

/// The tree `<prefix>upstream_rq_{<code>,<N>xx,completed,unknown,time}` of one cluster or virtual cluster, where the
/// prefix is "", `internal.`, `external.`, `canary.` or `retry.`.
///
/// A stat exists once it has counted. Counting by code is two indexed loads and three additions; memory follows the
/// codes that were seen, because most clusters see three of five hundred.
#[derive(Debug)]
pub struct ResponseCodes {
    prefix: &'static str,
    completed_from_start: bool,
    completed: Counter,
    unknown: Counter,
    classes: [Counter; 5],
    codes: [OnceLock<Box<[Decade; 10]>>; 5],
    /// `upstream_rq_time`, ms.
    pub time: Histogram,
}

impl ResponseCodes {
    /// A tree of which nothing shows until it has counted.
    pub fn new(prefix: &'static str) -> Self {
        Self {
            prefix,
            completed_from_start: false,
            completed: Counter::default(),
            unknown: Counter::default(),
            classes: Default::default(),
            codes: Default::default(),
            time: Histogram::new(Unit::Milliseconds),
        }
    }

    /// A cluster's main tree: it shows `upstream_rq_completed` from the start, as Envoy lists it among the traffic
    /// stats of the cluster.
    pub fn main() -> Self {
        Self {
            completed_from_start: true,
            ..Self::new("")
        }
    }

    /// Counts one response: `completed`, its class and its code. Codes outside 100..=599 count as `unknown`.
    #[inline]
    pub fn record(&self, code: u16) {
        self.completed.inc();
        let Some((class, slot)) = self.slot(code) else {
            self.unknown.inc();
            return;
        };
        class.inc();
        slot.inc();
    }

    /// Counts one response as `completed` alone.
    #[inline]
    pub fn record_completed(&self) {
        self.completed.inc();
    }

    /// Responses with this code so far.
    pub fn get(&self, code: u16) -> u64 {
        self.slot(code)
            .map_or_else(|| self.unknown.get(), |(_, counter)| counter.get())
    }

    /// All responses so far.
    pub fn completed(&self) -> u64 {
        self.completed.get()
    }

    fn slot(&self, code: u16) -> Option<(&Counter, &Counter)> {
        let code = usize::from(code);
        let class = (code / 100).checked_sub(1)?;
        let decade = self
            .codes
            .get(class)?
            .get_or_init(Box::default)
            .get(code / 10 % 10)?;
        let counter = decade.get_or_init(Box::default).get(code % 10)?;
        Some((self.classes.get(class)?, counter))
    }
}

impl StatGroup for ResponseCodes {
    fn key(&self) -> &'static str {
        self.prefix
    }

    fn visit(&self, visit: &mut dyn FnMut(&str, Metric<'_>)) {
        let mut name = format!("{}upstream_rq_", self.prefix);
        let stem = name.len();
        let mut show = |suffix: std::fmt::Arguments<'_>, metric| {
            name.truncate(stem);
            // Writing to a string cannot fail.
            let _ = name.write_fmt(suffix);
            visit(&name, metric);
        };
        if self.completed_from_start || self.completed.used() {
            show(format_args!("completed"), Metric::Counter(&self.completed));
        }
        if self.unknown.used() {
            show(format_args!("unknown"), Metric::Counter(&self.unknown));
        }
        if self.time.recorded() {
            show(format_args!("time"), Metric::Histogram(&self.time));
        }
        for (class, (total, decades)) in self.classes.iter().zip(&self.codes).enumerate() {
            if total.used() {
                show(format_args!("{}xx", class + 1), Metric::Counter(total));
            }
            let decades = decades.get().into_iter().flat_map(|d| d.iter()).enumerate();
            for (ten, counters) in decades {
                let counters = counters
                    .get()
                    .into_iter()
                    .flat_map(|c| c.iter())
                    .enumerate();
                for (one, counter) in counters.filter(|(_, counter)| counter.used()) {
                    let code = (class + 1) * 100 + ten * 10 + one;
                    show(format_args!("{code}"), Metric::Counter(counter));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(codes: &ResponseCodes) -> Vec<String> {
        let mut names = Vec::new();
        codes.visit(&mut |name, metric| {
            if let Metric::Counter(counter) = metric {
                names.push(format!("{name}: {}", counter.get()));
            } else {
                names.push(name.to_owned());
            }
        });
        names
    }

    #[test]
    fn stats_exist_once_they_have_counted() {
        let codes = ResponseCodes::new("external.");
        assert!(names(&codes).is_empty());
        codes.record(200);
        codes.record(200);
        codes.record(503);
        codes.time.record(7);
        assert_eq!(
            names(&codes),
            [
                "external.upstream_rq_completed: 3",
                "external.upstream_rq_time",
                "external.upstream_rq_2xx: 2",
                "external.upstream_rq_200: 2",
                "external.upstream_rq_5xx: 1",
                "external.upstream_rq_503: 1",
            ]
        );
        assert_eq!(
            (codes.get(200), codes.get(404), codes.completed()),
            (2, 0, 3)
        );
    }

    #[test]
    fn the_main_tree_shows_completed_from_the_start() {
        assert_eq!(names(&ResponseCodes::main()), ["upstream_rq_completed: 0"]);
    }

    #[test]
    fn odd_codes_are_unknown() {
        let codes = ResponseCodes::new("");
        for code in [0, 99, 600, u16::MAX] {
            codes.record(code);
        }
        codes.record(100);
        codes.record(599);
        assert_eq!(
            names(&codes),
            [
                "upstream_rq_completed: 6",
                "upstream_rq_unknown: 4",
                "upstream_rq_1xx: 1",
                "upstream_rq_100: 1",
                "upstream_rq_5xx: 1",
                "upstream_rq_599: 1",
            ]
        );
    }
}
