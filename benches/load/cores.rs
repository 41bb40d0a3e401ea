//! Which core runs what. Threads and processes inherit the cores of the thread that starts them.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// One core for the subject, one for the generator and the backend; the same one if there is only one.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    pub subject: usize,
    pub load: usize,
}

impl Cores {
    /// The first two cores that this process may use.
    pub fn choose() -> Result<Self> {
        let allowed = sched_getaffinity(None).context("sched_getaffinity")?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let subject = cores.next().context("no core to run on")?;
        let load = cores.next().unwrap_or(subject);
        Ok(Self { subject, load })
    }

    /// Everything on the subject's core: what latency is measured with.
    pub fn shared(self) -> Self {
        Self {
            load: self.subject,
            ..self
        }
    }
}

/// Binds the calling thread, and what it starts from now on, to one core.
pub fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("sched_setaffinity to core {core}"))
}
