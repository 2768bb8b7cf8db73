//! The threads behind the gate.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::gate::{Gate, Job};

/// The threads of all shards but the first.
pub(crate) struct Workers {
    gate: Arc<Gate>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts a thread for each of `shards - 1` shards, pinned to a core of its own when `pin`
    /// says so and the machine has enough.
    ///
    /// # Errors
    /// The system's when it has no threads left.
    pub(crate) fn start(shards: usize, pin: bool) -> std::io::Result<Self> {
        let gate = Arc::new(Gate::default());
        let cores = if pin {
            core_affinity::get_core_ids().unwrap_or_default()
        } else {
            Vec::new()
        };
        let mut threads = Vec::new();
        for number in 1..shards {
            let gate = Arc::clone(&gate);
            let core = if cores.len() >= shards {
                cores.get(number).copied()
            } else {
                None
            };
            let thread = std::thread::Builder::new().name(format!("giro-shard-{number}"));
            threads.push(thread.spawn(move || {
                if let Some(core) = core {
                    core_affinity::set_for_current(core);
                }
                gate.serve(number);
            })?);
        }
        Ok(Self { gate, threads })
    }

    /// Calls `work` once for each element of `parts`, the first on this thread and each other on
    /// its own, and returns when all are done.
    ///
    /// # Panics
    /// When there are not as many parts as shards, or `work` panicked on one of them.
    pub(crate) fn run<P: Send, F: Fn(&mut P) + Sync>(&mut self, parts: &mut [P], work: F) {
        assert_eq!(
            parts.len(),
            self.threads.len() + 1,
            "one part for each shard"
        );
        if self.threads.is_empty() {
            return work(&mut parts[0]);
        }
        let start = Shared(parts.as_mut_ptr());
        let call = |number: usize| {
            // The closure captures the whole wrapper, which is what makes it shareable.
            let start = &start;
            // SAFETY: `number` is below the slice's length, and each number is called once, so
            // no two threads have the same element; `parts` stays borrowed until all are done.
            work(unsafe { &mut *start.0.add(number) });
        };
        // Declared before the job is out, so that a panic below waits for the threads too.
        let waiting = Waiting(&self.gate);
        // SAFETY: `waiting` is dropped before `call`, and only after every thread has called the
        // job for the last time.
        let job = unsafe { Job::erase(&call) };
        self.gate
            .publish(job, self.threads.iter().map(JoinHandle::thread));
        call(0);
        drop(waiting);
        self.gate.assert_whole();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.gate.stop(self.threads.iter().map(JoinHandle::thread));
        for thread in self.threads.drain(..) {
            // A thread that panicked was reported by `finish`.
            let _ = thread.join();
        }
    }
}

/// Waits for the threads when dropped: they hold borrows that end behind it.
struct Waiting<'a>(&'a Gate);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// A pointer whose elements are handed out one to a thread.
struct Shared<P>(*mut P);

// SAFETY: each thread reaches one element only, and `P: Send` lets it.
unsafe impl<P: Send> Sync for Shared<P> {}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_part_is_worked_on_once_a_run() {
        for shards in 1..=8 {
            let mut workers = Workers::start(shards, false).unwrap();
            let mut parts = vec![0_u64; shards];
            for round in 1..=200 {
                workers.run(&mut parts, |part| *part += 1);
                assert_eq!(parts, vec![round; shards]);
            }
        }
    }

    #[test]
    fn a_panic_on_the_callers_part_waits_for_the_other_parts() {
        let mut workers = Workers::start(3, false).unwrap();
        let mut parts = [0, 1, 2];
        let run = AssertUnwindSafe(|| {
            workers.run(&mut parts, |part| {
                assert_ne!(*part, 0, "the first part fails");
                std::thread::sleep(Duration::from_millis(20));
                *part = 10;
            });
        });
        assert!(catch_unwind(run).is_err());
        assert_eq!(parts, [0, 10, 10]);
    }

    #[test]
    #[should_panic(expected = "a shard's thread panicked")]
    fn a_panic_on_a_thread_reaches_the_caller() {
        let mut workers = Workers::start(2, false).unwrap();
        workers.run(&mut [0, 1], |part| assert_eq!(*part, 0));
    }

    #[test]
    fn sleeping_threads_are_woken() {
        let mut workers = Workers::start(3, false).unwrap();
        let mut parts = [0; 3];
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(20));
            workers.run(&mut parts, |part| *part += 1);
        }
        assert_eq!(parts, [3; 3]);
    }
}
