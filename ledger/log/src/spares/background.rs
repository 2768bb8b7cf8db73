//! Spares made by a thread of their own.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::{RECYCLABLE_MAX, Spares, Workshop};
use crate::error::LogError;
use crate::segment::SegmentFile;

/// Pause after a failure, before it is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Pause between two pieces of a segment while there is no hurry: zeros then take a part of the
/// disk that the log's own writes hardly notice (a piece is 1 MiB).
const PACE: Duration = Duration::from_millis(4);

/// A thread that keeps a number of segments ready.
pub struct Background {
    /// Spares that were there at the start.
    found: VecDeque<SegmentFile>,
    made: Receiver<SegmentFile>,
    /// Taken away to end the thread.
    orders: Option<Sender<Order>>,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    Make,
    Recycle(u64),
    /// The log has no more to do with it.
    Close(SegmentFile),
}

#[derive(Default)]
struct State {
    stop: AtomicBool,
    /// Segments that are ready.
    ready: AtomicUsize,
    /// Only touched when a segment was made or is missing: never on the data path.
    failure: Mutex<Option<LogError>>,
}

impl Background {
    /// Starts the thread. `found` are segments that are ready already, `count` is how many to
    /// keep ready.
    pub(crate) fn start(
        workshop: Workshop,
        found: Vec<SegmentFile>,
        count: usize,
    ) -> io::Result<Self> {
        let (orders, orders_in) = unbounded();
        let (made_out, made) = unbounded();
        let state = Arc::new(State::default());
        state.ready.store(found.len(), Ordering::Relaxed);
        let maker = Maker {
            workshop,
            orders: orders_in,
            made: made_out,
            state: Arc::clone(&state),
            wanted: count.saturating_sub(found.len()),
            keep: count,
            filling: true,
        };
        let builder = std::thread::Builder::new().name("giro-spares".to_owned());
        let thread = builder.spawn(move || maker.run())?;
        Ok(Self {
            found: found.into(),
            made,
            orders: Some(orders),
            state,
            thread: Some(thread),
        })
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // The thread only ends before us by a bug of ours; the log then says busy.
            let _ = orders.send(order);
        }
    }
}

impl Spares for Background {
    fn ready(&self) -> bool {
        !self.found.is_empty() || !self.made.is_empty()
    }

    fn take(&mut self) -> Option<SegmentFile> {
        let segment = self
            .found
            .pop_front()
            .or_else(|| self.made.try_recv().ok())?;
        self.state.ready.fetch_sub(1, Ordering::Relaxed);
        self.order(Order::Make);
        Some(segment)
    }

    fn recycle(&mut self, sequence: u64) {
        self.order(Order::Recycle(sequence));
    }

    fn close(&mut self, segment: SegmentFile) {
        self.order(Order::Close(segment));
    }

    fn failure(&self) -> Option<LogError> {
        let failure = self
            .state
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().map(LogError::again)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's side.
struct Maker {
    workshop: Workshop,
    orders: Receiver<Order>,
    made: Sender<SegmentFile>,
    state: Arc<State>,
    /// Segments to make until there are as many as are kept.
    wanted: usize,
    /// How many are kept.
    keep: usize,
    /// Segments are being made until none is wanted. Making them competes with the log for the
    /// disk, so a peak first uses up half of what is kept.
    filling: bool,
}

impl Maker {
    fn run(mut self) {
        while self.take_orders() {
            let state = Arc::clone(&self.state);
            let plenty = self.keep.div_ceil(4);
            let stop = || {
                if state.ready.load(Ordering::Relaxed) >= plenty {
                    std::thread::sleep(PACE);
                }
                state.stop.load(Ordering::Relaxed)
            };
            match self.workshop.prepare(&stop) {
                Ok(segment) => {
                    self.note(None);
                    self.wanted -= 1;
                    self.state.ready.fetch_add(1, Ordering::Relaxed);
                    if self.made.send(segment).is_err() {
                        return;
                    }
                }
                Err(LogError::Stopped) => return,
                Err(error) => {
                    self.note(Some(error));
                    if !self.pause() {
                        return;
                    }
                }
            }
        }
    }

    /// Waits until a segment is wanted. False when the log is gone.
    fn take_orders(&mut self) -> bool {
        loop {
            while let Ok(order) = self.orders.try_recv() {
                self.accept(order);
            }
            let cheap = self.filling || self.workshop.has_recyclable();
            self.filling = self.wanted > if cheap { 0 } else { self.keep / 2 };
            if self.wanted == 0
                && let Err(error) = self.workshop.trim(RECYCLABLE_MAX)
            {
                self.note(Some(error));
            }
            if self.filling {
                return !self.state.stop.load(Ordering::Relaxed);
            }
            match self.orders.recv() {
                Ok(order) => self.accept(order),
                Err(_) => return false,
            }
        }
    }

    fn accept(&mut self, order: Order) {
        match order {
            Order::Make => self.wanted += 1,
            Order::Recycle(sequence) => self.workshop.recycle(sequence),
            Order::Close(segment) => drop(segment),
        }
    }

    /// Waits before the next try. False when the log is gone.
    fn pause(&mut self) -> bool {
        let until = Instant::now() + RETRY_PAUSE;
        loop {
            match self.orders.recv_deadline(until) {
                Ok(Order::Recycle(sequence)) => {
                    self.workshop.recycle(sequence);
                    return true;
                }
                Ok(order) => self.accept(order),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    fn note(&self, failure: Option<LogError>) {
        let mut noted = self
            .state
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = &failure
            && noted.is_none()
        {
            tracing::warn!("no spare log segment: {failure}");
        }
        *noted = failure;
    }
}
