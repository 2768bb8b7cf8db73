//! Who has to be woken, decided without a system call.
//!
//! A thread says that it is about to sleep, and then looks once more for what there is to do. One
//! that has put something into a queue looks whether the other sleeps. In whatever order the two
//! happen, at least one of them sees the other.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU8, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU8, Ordering, fence};

/// At work, or woken already.
const AWAKE: u8 = 0;
/// Sleeps until there is work.
const ASLEEP: u8 = 1;
/// Sleeps, and lacks something that others give back.
const STARVED: u8 = 2;

/// What a sleeper is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// There is work for it.
    Work,
    /// Something was given back, which only matters to one who lacks it.
    Returned,
}

/// Whether a thread sleeps.
pub(crate) struct Bell {
    state: AtomicU8,
}

impl Bell {
    /// Of a thread that is at work.
    pub(crate) fn new() -> Self {
        Self {
            state: AtomicU8::new(AWAKE),
        }
    }

    /// The thread is about to sleep. It has to look for work once more behind this.
    pub(crate) fn lie_down(&self, is_starved: bool) {
        let state = if is_starved { STARVED } else { ASLEEP };
        self.state.store(state, Ordering::Relaxed);
        // Pairs with the one in `must_wake`: either that sees the state, or what is looked at
        // behind this one has what was put in before that one.
        fence(Ordering::SeqCst);
    }

    /// The thread is at work.
    pub(crate) fn get_up(&self) {
        self.state.store(AWAKE, Ordering::Relaxed);
    }

    /// Whether the caller, who has put something in a queue, has to wake the thread. Only one of
    /// several callers has to.
    pub(crate) fn must_wake(&self, call: Call) -> bool {
        fence(Ordering::SeqCst);
        let state = self.state.load(Ordering::Relaxed);
        let concerns = match call {
            Call::Work => state != AWAKE,
            Call::Returned => state == STARVED,
        };
        concerns && self.state.swap(AWAKE, Ordering::Relaxed) != AWAKE
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_who_sleeps_is_woken_and_by_one() {
        let bell = Bell::new();
        assert!(!bell.must_wake(Call::Work));
        bell.lie_down(false);
        assert!(!bell.must_wake(Call::Returned), "it lacks nothing");
        assert!(bell.must_wake(Call::Work));
        assert!(!bell.must_wake(Call::Work), "on its way");
        bell.lie_down(true);
        assert!(bell.must_wake(Call::Returned));
        bell.lie_down(true);
        bell.get_up();
        assert!(!bell.must_wake(Call::Work));
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    use super::*;

    /// One thread takes what `givers` others put in, sleeping in between. A sleep without a
    /// call is the failure: loom reports it as a thread that never ends.
    fn check(givers: usize, call: Call) {
        loom::model(move || {
            let bell = Arc::new(Bell::new());
            let queue = Arc::new(AtomicUsize::new(0));
            let calls = Arc::new(AtomicUsize::new(0));
            let threads: Vec<_> = (0..givers)
                .map(|_| {
                    let (bell, queue, calls) = (bell.clone(), queue.clone(), calls.clone());
                    thread::spawn(move || {
                        queue.fetch_add(1, Ordering::Release);
                        if bell.must_wake(call) {
                            calls.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            bell.lie_down(call == Call::Returned);
            let seen = queue.load(Ordering::Acquire);
            for thread in threads {
                thread.join().unwrap();
            }
            let calls = calls.load(Ordering::Relaxed);
            bell.get_up();
            assert!(!bell.must_wake(call), "it is at work");
            assert!(calls <= 1, "one call is enough");
            assert!(seen == givers || calls == 1, "it sleeps and nobody calls");
        });
    }

    #[test]
    fn work_is_seen_or_announced() {
        check(1, Call::Work);
        check(2, Call::Work);
    }

    #[test]
    fn what_was_given_back_is_seen_or_announced() {
        check(1, Call::Returned);
        check(2, Call::Returned);
    }
}
