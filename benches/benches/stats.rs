//! What it costs to count, and to read a slot.

use criterion::Criterion;
use outrigger_core::{
    Slot,
    stats::{Store, Unit},
};
use std::{hint::black_box, sync::Arc};

pub fn benches(c: &mut Criterion) {
    let store = Store::default();
    let counter = store.counter("c");
    c.bench_function("stats/counter/inc", |b| b.iter(|| counter.inc()));

    let histogram = store.histogram("h", Unit::Milliseconds);
    let mut value = 0;
    c.bench_function("stats/histogram/record", |b| {
        b.iter(|| {
            // Walks through the bins of three decades.
            value = (value + 37) % 1000;
            histogram.record(black_box(value));
        });
    });

    let slot = Slot::empty("s");
    slot.publish(Arc::new(7_u64));
    c.bench_function("slot/load", |b| {
        b.iter(|| black_box(slot.load().as_deref().copied()));
    });
    c.bench_function("slot/load_full", |b| b.iter(|| black_box(slot.load_full())));
}
