//! Moments in which the machine's processors stood still.
//!
//! A thread on each processor sleeps for a millisecond, again and again, and goes before all
//! others. When those of all processors wake up late at the same time, nothing of ours can have run
//! in time either: a hypervisor gave the processors to somebody else. One processor alone may be
//! late for what the kernel does on behalf of the server, so that does not count.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A stretch of time.
pub(crate) type Stretch = (Instant, Instant);

const SLEEP: Duration = Duration::from_millis(1);
/// Waking up so late counts.
const LATE: Duration = Duration::from_millis(2);
/// Late moments with no more between them are one.
const GAP: Duration = Duration::from_millis(25);
/// Before all others that are not realtime; without the right to it, as any other.
const NICE: i32 = -20;

/// Threads that look.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Stretch>>>,
}

impl Watch {
    /// Begins to look.
    pub(crate) fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let processors = core_affinity::get_core_ids().unwrap_or_default();
        let look = |processor| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || late_moments(processor, &stop))
        };
        let threads = processors.into_iter().map(look).collect();
        Self { stop, threads }
    }

    /// When all processors stood still.
    pub(crate) fn stop(self) -> Vec<Stretch> {
        self.stop.store(true, Ordering::Relaxed);
        let threads = self.threads.into_iter();
        let late: Vec<Vec<Stretch>> = threads
            .map(|thread| thread.join().expect("it only sleeps"))
            .collect();
        standstills(&late)
    }
}

fn late_moments(processor: core_affinity::CoreId, stop: &AtomicBool) -> Vec<Stretch> {
    core_affinity::set_for_current(processor);
    let _ = rustix::process::setpriority_process(None, NICE);
    let mut late = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let due = Instant::now() + SLEEP;
        std::thread::sleep(SLEEP);
        let now = Instant::now();
        if now - due >= LATE {
            late.push((due, now));
        }
    }
    late
}

/// Late moments that are close to each other, where each processor has one among them.
fn standstills(late: &[Vec<Stretch>]) -> Vec<Stretch> {
    let each = late.iter().enumerate();
    let mut all: Vec<(Stretch, usize)> = each
        .flat_map(|(processor, late)| late.iter().map(move |stretch| (*stretch, processor)))
        .collect();
    all.sort();
    let mut found = Vec::new();
    let mut rest = &all[..];
    while let Some((first, _)) = rest.first() {
        let (mut end, mut count) = (first.1, 0);
        let mut is_late = vec![false; late.len()];
        for (stretch, processor) in rest {
            if stretch.0 > end + GAP {
                break;
            }
            end = end.max(stretch.1);
            is_late[*processor] = true;
            count += 1;
        }
        if is_late.iter().all(|late| *late) {
            found.push((first.0, end));
        }
        rest = &rest[count..];
    }
    found
}

/// Whether one of these moments was between two others, or so shortly before that what had piled up
/// meanwhile was still being worked on.
pub(crate) fn touches(standstills: &[Stretch], from: Instant, to: Instant) -> bool {
    let mut standstills = standstills.iter();
    standstills.any(|stretch| stretch.0 <= to && from <= stretch.1 + GAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_processors_are_late_within_one_stretch() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let late = |from, to| (at(from), at(to));
        let first = vec![late(0, 5), late(100, 103), late(110, 119), late(500, 503)];
        let second = vec![late(6, 9), late(121, 125), late(300, 390)];
        let found = standstills(&[first, second]);
        assert_eq!(found, [late(0, 9), late(100, 125)]);
        assert!(touches(&found, at(90), at(101)) && touches(&found, at(149), at(152)));
        assert!(!touches(&found, at(40), at(99)) && !touches(&found, at(300), at(600)));
    }
}
