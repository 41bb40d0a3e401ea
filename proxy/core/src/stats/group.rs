//! A struct of stats with their names: what [`stat_group!`] makes and the store reads.

use super::{Counter, Gauge, Histogram, TextReadout};

/// One stat, lent to a reader.
#[derive(Debug, Clone, Copy)]
pub enum Metric<'a> {
    Counter(&'a Counter),
    Gauge(&'a Gauge),
    Histogram(&'a Histogram),
    Text(&'a TextReadout),
}

/// Anything that can list its stats by name. Names are relative to the prefix it was registered with.
pub trait StatGroup: Send + Sync {
    /// Tells groups of one type under one prefix apart; "" where there can be only one.
    fn key(&self) -> &'static str {
        ""
    }

    fn visit(&self, visit: &mut dyn FnMut(&str, Metric<'_>));
}

/// Declares a struct of stats. A field is named as Envoy names the stat; where Envoy's name is no identifier it follows `=`.
/// `with` names the counters that tell whether a gauge has been used which nobody has to set for that: it is one of something
/// that is back at 0 before anybody looks.
///
/// ```text
/// stat_group! {
///     /// `listener.<address>.`
///     pub struct ListenerStats {
///         counter downstream_cx_total,
///         gauge downstream_cx_active,
///         gauge downstream_cx_rx_bytes_buffered with downstream_cx_rx_bytes_total,
///         histogram(Milliseconds) downstream_cx_length_ms,
///         counter worker_0_cx_total = "worker_0.downstream_cx_total",
///     }
/// }
/// ```
#[macro_export]
macro_rules! stat_group {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($kind:ident $(($unit:ident))? $field:ident $(= $label:literal)? $(with $($cause:ident)or+)?),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug)]
        $vis struct $name {
            $(pub $field: $crate::stat_group!(@type $kind),)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $crate::stat_group!(@new $kind $(($unit))?),)* }
            }
        }

        impl $crate::stats::StatGroup for $name {
            fn visit(&self, visit: &mut dyn FnMut(&str, $crate::stats::Metric<'_>)) {
                $(
                    $(if $(self.$cause.used())||+ {
                        self.$field.touch();
                    })?
                    visit(
                        $crate::stat_group!(@label $field $($label)?),
                        $crate::stat_group!(@metric $kind self.$field),
                    );
                )*
            }
        }
    };
    (@type counter) => { $crate::stats::Counter };
    (@type gauge) => { $crate::stats::Gauge };
    (@type histogram) => { $crate::stats::Histogram };
    (@type text) => { $crate::stats::TextReadout };
    (@new histogram ($unit:ident)) => { $crate::stats::Histogram::new($crate::stats::Unit::$unit) };
    (@new $kind:ident) => { Default::default() };
    (@label $field:ident $label:literal) => { $label };
    (@label $field:ident) => { stringify!($field) };
    (@metric counter $e:expr) => { $crate::stats::Metric::Counter(&$e) };
    (@metric gauge $e:expr) => { $crate::stats::Metric::Gauge(&$e) };
    (@metric histogram $e:expr) => { $crate::stats::Metric::Histogram(&$e) };
    (@metric text $e:expr) => { $crate::stats::Metric::Text(&$e) };
}
