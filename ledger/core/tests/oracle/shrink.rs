//! Making a failing case small enough to read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::differential::{Maker, replay};
use crate::request::{Action, Request};

/// Longest that a case is worked on.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Shrinks the requests and panics with what is left of them.
pub(crate) fn report(seed: u64, maker: &Maker, requests: &[Request], difference: &str) -> ! {
    // The engine's own panics are part of the search.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (small, last) = smallest(requests, maker);
    std::panic::set_hook(hook);
    panic!(
        "seed {seed}, {}: after {} requests, {difference}\n\
         smallest case found, {} requests: {last}\n{small:#?}",
        maker.name,
        requests.len(),
        small.len(),
    );
}

/// The result, or the message of the panic.
pub(crate) fn without_panic(run: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

/// The fewest requests and events found that still differ, and how they do.
pub(crate) fn smallest(requests: &[Request], maker: &Maker) -> (Vec<Request>, String) {
    let deadline = Instant::now() + TIME_MAX;
    let fails = |requests: &[Request]| without_panic(|| replay(requests, maker)).err();
    let mut best = requests.to_vec();
    let Some(mut difference) = fails(&best) else {
        return (best, "not seen again when replayed alone".to_owned());
    };
    loop {
        let before = size(&best);
        let mut chunk = best.len().max(1);
        while chunk > 0 && Instant::now() < deadline {
            let mut at = 0;
            while at < best.len() && Instant::now() < deadline {
                let mut fewer = best.clone();
                fewer.drain(at..(at + chunk).min(best.len()));
                if let Some(found) = fails(&fewer) {
                    (best, difference) = (fewer, found);
                } else {
                    at += chunk;
                }
            }
            chunk /= 2;
        }
        for i in 0..best.len() {
            let mut chunk = best[i].event_count();
            while chunk > 0 && Instant::now() < deadline {
                let mut at = 0;
                while at < best[i].event_count() && Instant::now() < deadline {
                    let mut fewer = best.clone();
                    drop_events(&mut fewer[i], at..at + chunk);
                    if let Some(found) = fails(&fewer) {
                        (best, difference) = (fewer, found);
                    } else {
                        at += chunk;
                    }
                }
                chunk /= 2;
            }
        }
        if size(&best) == before || Instant::now() >= deadline {
            return (best, difference);
        }
    }
}

fn size(requests: &[Request]) -> usize {
    requests.len() + requests.iter().map(Request::event_count).sum::<usize>()
}

fn drop_events(request: &mut Request, range: std::ops::Range<usize>) {
    match &mut request.action {
        Action::CreateAccounts(_, batches) => drop_from(batches, range),
        Action::CreateTransfers(_, batches) => drop_from(batches, range),
        Action::Branches(asked) => asked.drop(range),
        _ => {}
    }
}

/// Drops the events whose place in the whole request lies in the range.
fn drop_from<E>(batches: &mut [Vec<E>], range: std::ops::Range<usize>) {
    let mut at = 0;
    for batch in batches {
        batch.retain(|_| {
            at += 1;
            !range.contains(&(at - 1))
        });
    }
}
