//! Progress of long work: a bar on a terminal, a line at every tenth otherwise.

use std::{
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use indicatif::{ProgressBar, ProgressStyle};

/// Progress of one piece of work, on standard error. Clones count together.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    what: &'static str,
    total: u64,
    done: Arc<AtomicU64>,
    bar: Option<ProgressBar>,
    start: Instant,
}

impl Progress {
    /// Begins.
    pub(super) fn new(what: &'static str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total).with_message(what);
            if let Ok(style) =
                ProgressStyle::with_template("{msg:28} {bar:30} {pos:>6}/{len} {elapsed} eta {eta}")
            {
                bar.set_style(style);
            }
            bar
        });
        if bar.is_none() {
            eprintln!("{what}: {total} to do");
        }
        Self {
            what,
            total,
            done: Arc::default(),
            bar,
            start: Instant::now(),
        }
    }

    /// One more is done.
    pub(super) fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            return;
        }
        let tenth = |done: u64| done * 10 / self.total.max(1);
        if tenth(done) != tenth(done - 1) && done < self.total {
            let seconds = self.start.elapsed().as_secs_f64();
            eprintln!("{}: {done} of {}, {seconds:.0} s", self.what, self.total);
        }
    }

    /// Ends; returns the seconds it took.
    pub(super) fn end(self) -> f64 {
        let seconds = self.start.elapsed().as_secs_f64();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{}: done in {seconds:.1} s", self.what);
        seconds
    }
}
