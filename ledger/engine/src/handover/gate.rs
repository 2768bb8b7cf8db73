//! The protocol between the caller and the threads: a job is published under a rising number,
//! each thread does it once, and a count falls to zero.

#[cfg(loom)]
use loom::{
    cell::UnsafeCell,
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};
#[cfg(not(loom))]
use std::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

#[cfg(not(loom))]
use self::cell::UnsafeCell;

/// Looks before a waiting thread sleeps: some tens of microseconds.
const SPINS: usize = if cfg!(loom) { 1 } else { 20_000 };

/// A function to call with a shard's number, its lifetime erased.
#[derive(Clone, Copy)]
pub(super) struct Job(*const (dyn Fn(usize) + Sync));

// SAFETY: the function behind the pointer is `Sync`.
unsafe impl Send for Job {}

impl Job {
    /// # Safety
    /// The job must not be called after `call`'s borrow ends.
    pub(super) unsafe fn erase<'a>(call: &'a (dyn Fn(usize) + Sync + 'a)) -> Self {
        // SAFETY: only the lifetime changes; the caller keeps to it.
        Self(unsafe {
            std::mem::transmute::<
                *const (dyn Fn(usize) + Sync + 'a),
                *const (dyn Fn(usize) + Sync + 'static),
            >(std::ptr::from_ref(call))
        })
    }

    fn call(self, number: usize) {
        // SAFETY: `erase` demands that the borrow still holds.
        unsafe { (*self.0)(number) }
    }
}

/// Where the caller and the threads meet.
pub(super) struct Gate {
    /// Rises by one with each job; odd and even alike.
    epoch: AtomicUsize,
    /// Threads that have not finished the current job.
    remaining: AtomicUsize,
    /// The current job. Written by the caller only while `remaining` is 0.
    job: UnsafeCell<Option<Job>>,
    stopping: AtomicBool,
    /// A thread left its job by a panic.
    failed: AtomicBool,
}

// SAFETY: `job` is written only while no thread may read it; see `publish` and `serve`.
unsafe impl Sync for Gate {}
// SAFETY: as above.
unsafe impl Send for Gate {}

impl Default for Gate {
    fn default() -> Self {
        Self {
            epoch: AtomicUsize::new(0),
            remaining: AtomicUsize::new(0),
            job: UnsafeCell::new(None),
            stopping: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        }
    }
}

impl Gate {
    /// Offers a job to these threads. The one before must be finished.
    pub(super) fn publish<'a>(
        &self,
        job: Job,
        threads: impl ExactSizeIterator<Item = &'a thread::Thread>,
    ) {
        assert_eq!(
            self.remaining.load(Ordering::Acquire),
            0,
            "one job at a time"
        );
        // SAFETY: no thread has work left, so none reads the job before the epoch rises.
        self.job.with_mut(|slot| unsafe { *slot = Some(job) });
        self.remaining.store(threads.len(), Ordering::Relaxed);
        // Release: a thread that sees the new epoch sees the job and the count.
        self.epoch.fetch_add(1, Ordering::Release);
        for thread in threads {
            // A thread that is still spinning finds its token later and looks once more.
            thread.unpark();
        }
    }

    /// Waits until every thread has done the job, or has failed at it.
    pub(super) fn finish(&self) {
        // Acquire: what the threads wrote is visible behind this loop.
        let mut spins = 0;
        while self.remaining.load(Ordering::Acquire) != 0 {
            spins += 1;
            if spins % SPINS == 0 {
                // More shards than cores: let the others run.
                thread::yield_now();
            } else {
                spin_loop();
            }
        }
    }

    /// Stops the caller when a thread has failed at a job that is finished.
    ///
    /// # Panics
    /// When one of them panicked.
    pub(super) fn assert_whole(&self) {
        assert!(
            !self.failed.load(Ordering::Relaxed),
            "a shard's thread panicked"
        );
    }

    /// Sends these threads home.
    pub(super) fn stop<'a>(&self, threads: impl Iterator<Item = &'a thread::Thread>) {
        self.stopping.store(true, Ordering::Release);
        for thread in threads {
            thread.unpark();
        }
    }

    /// The life of thread `number`: does every job once, until stopped.
    pub(super) fn serve(&self, number: usize) {
        let mut done = 0;
        while self.wait_beyond(done) {
            done += 1;
            // Counts down even when the job panics, so that the caller does not wait for ever.
            let _counted = Counted(self);
            // SAFETY: the epoch rose, so the job is written, and stays until `remaining` is 0.
            let job = self.job.with(|slot| unsafe { *slot });
            job.expect("published before the epoch rose").call(number);
        }
    }

    /// Waits for the epoch to pass `done`; false when there will be no more.
    fn wait_beyond(&self, done: usize) -> bool {
        let mut spins = 0;
        loop {
            if self.epoch.load(Ordering::Acquire) != done {
                return true;
            }
            if self.stopping.load(Ordering::Acquire) {
                return false;
            }
            spins += 1;
            if spins < SPINS {
                spin_loop();
            } else {
                // A wake-up that came before this leaves a token, so none is missed.
                thread::park();
            }
        }
    }
}

/// Counts a thread's job as done when dropped.
struct Counted<'a>(&'a Gate);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed.store(true, Ordering::Relaxed);
        }
        // Release: the caller sees everything this thread wrote.
        self.0.remaining.fetch_sub(1, Ordering::Release);
    }
}

/// The standard cell with loom's way of reaching into it.
#[cfg(not(loom))]
mod cell {
    pub(super) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(super) fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        pub(super) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        pub(super) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::{model::Builder, sync::Arc};

    use super::*;

    /// Runs `rounds` jobs on `threads` threads in every order that loom finds with at most this
    /// many preemptions. What the caller writes before a job and what the threads write in it
    /// lie in cells that loom watches for races.
    fn check(threads: usize, rounds: usize, preemption_bound: Option<usize>) {
        let mut model = Builder::new();
        model.preemption_bound = preemption_bound;
        model.check(move || {
            let gate = Arc::new(Gate::default());
            let point = AtomicUsize::new(0);
            let input = UnsafeCell::new(0_usize);
            let outputs: Vec<_> = (0..threads).map(|_| UnsafeCell::new(0_usize)).collect();
            let handles: Vec<_> = (1..=threads)
                .map(|number| {
                    let gate = Arc::clone(&gate);
                    thread::spawn(move || gate.serve(number))
                })
                .collect();
            for round in 1..=rounds {
                // SAFETY: no thread has a job; loom checks it.
                input.with_mut(|value| unsafe { *value = round });
                let shared = Shared(&input, &outputs, &point);
                let call = |number: usize| {
                    let Shared(input, outputs, point) = &shared;
                    // SAFETY: the caller does not write while the job runs; loom checks it.
                    let seen = input.with(|value| unsafe { *value });
                    // SAFETY: each thread has a cell of its own; loom checks it.
                    outputs[number - 1].with_mut(|sum| unsafe { *sum += seen });
                    point.fetch_add(1, Ordering::Relaxed);
                };
                // SAFETY: `finish` below ends before `call` is dropped.
                let job = unsafe { Job::erase(&call) };
                // Loom takes waking for a synchronization, which would hide what the epoch alone
                // orders. Jobs and the caller meet at `point`, unordered, so that loom also runs
                // the job between the epoch's rise and the waking.
                gate.publish(
                    job,
                    handles.iter().map(|handle| {
                        point.fetch_add(1, Ordering::Relaxed);
                        handle.thread()
                    }),
                );
                gate.finish();
                gate.assert_whole();
                for output in &outputs {
                    // SAFETY: all threads are done; loom checks it.
                    let sum = output.with(|sum| unsafe { *sum });
                    assert_eq!(sum, (1..=round).sum(), "each job once, by each thread");
                }
            }
            gate.stop(handles.iter().map(thread::JoinHandle::thread));
            for handle in handles {
                handle.join().unwrap();
            }
        });
    }

    struct Shared<'a>(
        &'a UnsafeCell<usize>,
        &'a [UnsafeCell<usize>],
        &'a AtomicUsize,
    );

    // SAFETY: what it points to is reached as the gate orders it, which is what loom checks.
    unsafe impl Sync for Shared<'_> {}

    #[test]
    fn one_thread_does_each_of_two_jobs_once() {
        check(1, 2, None);
    }

    #[test]
    fn two_threads_do_a_job_once_each() {
        check(2, 1, Some(3));
    }

    #[test]
    fn two_threads_do_each_of_two_jobs_once() {
        check(2, 2, Some(2));
    }
}
