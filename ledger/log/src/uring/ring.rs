//! One submission and one completion queue, for one thread.

use std::collections::VecDeque;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use giro_base::BufferPool;
use giro_base::limits::BUFFER_BYTES;
use io_uring::squeue::Entry;
use io_uring::types::{CancelBuilder, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue};
use rustix::io::Errno;

use super::setup;
use super::token::{OWNER_MESSAGE, Token};

/// Most bytes of one registered buffer; the kernel's limit is 1 GiB.
const FIXED_BYTES_MAX: usize = (1 << 30) / BUFFER_BYTES * BUFFER_BYTES;

/// How long a dropped ring waits for operations still in flight.
const DROP_WAIT_MAX: Duration = Duration::from_secs(5);

/// An operation that ended (or, for a multishot, delivered something).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The token given with the operation.
    pub token: u64,
    /// The system call's result: negative is an error number.
    pub result: i32,
    /// The kernel's completion flags.
    pub flags: u32,
}

impl Completion {
    /// More completions of the same operation will follow.
    #[must_use]
    pub fn more(&self) -> bool {
        cqueue::more(self.flags)
    }

    /// The result as a count, or the system's error.
    ///
    /// # Errors
    /// The one the operation failed with.
    pub fn count(&self) -> io::Result<usize> {
        usize::try_from(self.result).map_err(|_| io::Error::from_raw_os_error(-self.result))
    }
}

/// A thread's ring. It stays on the thread that made it: the kernel refuses submissions of others.
pub struct Ring {
    uring: IoUring,
    /// Entries that did not fit while the kernel was short of memory; submitted first.
    backlog: VecDeque<Entry>,
    /// Operations whose last completion has not been taken.
    in_flight: usize,
    /// Registered buffers: they stay alive while the kernel may use them.
    pool: Option<BufferPool>,
    _one_thread: PhantomData<*const ()>,
}

/// A ring as other threads know it: where messages can be sent. It keeps the ring's descriptor
/// open, and only that.
pub struct RingHandle(OwnedFd);

impl RingHandle {
    pub(super) fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Ring {
    /// A handle for other threads.
    ///
    /// # Errors
    /// The system's when it has no descriptor left.
    pub fn handle(&self) -> io::Result<RingHandle> {
        // SAFETY: the ring's descriptor is open as long as the ring is borrowed.
        let fd = unsafe { BorrowedFd::borrow_raw(self.uring.as_raw_fd()) };
        Ok(RingHandle(fd.try_clone_to_owned()?))
    }

    /// A ring that takes `entries` submissions at a time.
    ///
    /// # Errors
    /// [`setup::SetupError`] inside, when io_uring is missing or blocked; its text says what to
    /// do.
    pub fn new(entries: u32) -> io::Result<Self> {
        Ok(Self {
            uring: setup::build(entries)?,
            backlog: VecDeque::new(),
            in_flight: 0,
            pool: None,
            _one_thread: PhantomData,
        })
    }

    /// Queues an operation; it starts with the next [`submit_and_wait`](Self::submit_and_wait),
    /// or earlier when the queue is full. Its token is the entry's user data.
    ///
    /// # Safety
    /// All memory the entry names stays in place, and is not used in conflict with the
    /// operation, until its last completion has been taken or the ring is dropped.
    pub unsafe fn push(&mut self, entry: Entry) {
        self.in_flight += 1;
        if !self.backlog.is_empty() || !self.try_push(&entry) {
            // A full queue empties by submitting it.
            let submitted = self.enter(0, None).is_ok() && self.push_backlog();
            if !submitted || !self.try_push(&entry) {
                self.backlog.push_back(entry);
            }
        }
    }

    /// Submits what is queued and waits until at least `want` completions are there, `timeout`
    /// has passed, or a signal arrives. `want` of 0 never waits.
    ///
    /// # Errors
    /// Those of the system that are not passing: a time-out, a signal, or a kernel that wants
    /// completions taken first are no errors.
    pub fn submit_and_wait(&mut self, want: usize, timeout: Option<Duration>) -> io::Result<()> {
        let more_to_push = !self.push_backlog();
        let idle = self.uring.submission().is_empty();
        if idle && (want == 0 || self.uring.completion().len() >= want) && !self.has_task_work() {
            return Ok(());
        }
        // With a backlog the kernel is short of something; waiting could be for what is in it.
        self.enter(if more_to_push { 0 } else { want }, timeout)
    }

    /// As [`submit_and_wait`](Self::submit_and_wait), but looks for completions for up to `spin`
    /// before it lets the processor sleep. For waits that are known to be short: waking a
    /// processor costs tens of microseconds, on a virtual machine more.
    ///
    /// # Errors
    /// As [`submit_and_wait`](Self::submit_and_wait).
    pub fn submit_and_spin(
        &mut self,
        want: usize,
        spin: Duration,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        if spin.is_zero() {
            return self.submit_and_wait(want, timeout);
        }
        self.submit_and_wait(0, None)?;
        let start = Instant::now();
        while self.uring.completion().len() < want && start.elapsed() < spin {
            if self.has_task_work() {
                self.submit_and_wait(0, None)?;
            } else {
                std::hint::spin_loop();
            }
        }
        self.submit_and_wait(want, timeout)
    }

    /// The next completion that is already there.
    #[inline]
    pub fn next_completion(&mut self) -> Option<Completion> {
        let entry = self.uring.completion().next()?;
        let completion = Completion {
            token: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        };
        let is_message = Token(completion.token).owner() == OWNER_MESSAGE;
        if !completion.more() && !is_message {
            self.in_flight -= 1;
        }
        Some(completion)
    }

    /// All completions that are there, one after the other. See
    /// [`next_completion`](Self::next_completion) to queue operations in between.
    pub fn completions(&mut self) -> impl Iterator<Item = Completion> + '_ {
        std::iter::from_fn(|| self.next_completion())
    }

    /// Operations whose last completion has not been taken.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Registers the pool's memory, so that the kernel need not map it at every operation. This
    /// makes all of it resident. Without it, operations work the same, a little slower.
    /// False when the system refuses (usually the locked memory limit) or a pool is registered.
    pub fn register_pool(&mut self, pool: &BufferPool) -> bool {
        if self.pool.is_some() {
            return false;
        }
        let (base, bytes) = pool.memory();
        let parts: Vec<_> = (0..bytes)
            .step_by(FIXED_BYTES_MAX)
            .map(|start| libc::iovec {
                iov_base: base.wrapping_add(start).cast(),
                iov_len: FIXED_BYTES_MAX.min(bytes - start),
            })
            .collect();
        // SAFETY: the parts are the pool's mapping, and the ring keeps the pool alive.
        let registered = unsafe { self.uring.submitter().register_buffers(&parts) }.is_ok();
        if registered {
            self.pool = Some(pool.clone());
        }
        registered
    }

    /// The registered buffer that holds `bytes` bytes from `start`, if one does.
    #[must_use]
    pub(super) fn fixed_index(&self, start: *const u8, bytes: usize) -> Option<u16> {
        let (base, pool_bytes) = self.pool.as_ref()?.memory();
        let from = start.addr().checked_sub(base.addr())?;
        let to = from.checked_add(bytes).filter(|&to| to <= pool_bytes)?;
        let part = from / FIXED_BYTES_MAX;
        let inside = to <= (part + 1) * FIXED_BYTES_MAX;
        inside.then(|| u16::try_from(part).ok()).flatten()
    }

    /// Makes a table of `count` empty file slots. Files in a slot cost less an operation.
    ///
    /// # Errors
    /// The system's.
    pub fn register_files_sparse(&mut self, count: u32) -> io::Result<()> {
        self.uring.submitter().register_files_sparse(count)
    }

    /// Puts a file into a slot, or empties it. The slot keeps the file open by itself, and
    /// operations already started keep the file they were started with.
    ///
    /// # Errors
    /// The system's, for example when there is no such slot.
    pub fn update_file(&mut self, slot: u32, file: Option<BorrowedFd<'_>>) -> io::Result<()> {
        // Entries queued but not submitted look their slot up when they are submitted.
        self.submit_all()?;
        let fd: RawFd = file.map_or(-1, |file| file.as_raw_fd());
        self.uring.submitter().register_files_update(slot, &[fd])?;
        Ok(())
    }

    fn submit_all(&mut self) -> io::Result<()> {
        while !self.push_backlog() || !self.uring.submission().is_empty() {
            self.enter(0, None)?;
        }
        Ok(())
    }

    fn try_push(&mut self, entry: &Entry) -> bool {
        // SAFETY: the caller of `push` vouches for the entry's memory.
        unsafe { self.uring.submission().push(entry) }.is_ok()
    }

    /// True when nothing is left behind.
    fn push_backlog(&mut self) -> bool {
        while let Some(entry) = self.backlog.pop_front() {
            if !self.try_push(&entry) {
                self.backlog.push_front(entry);
                return false;
            }
        }
        true
    }

    /// The kernel has completions to work on when this thread asks, or kept some aside.
    fn has_task_work(&mut self) -> bool {
        let queue = self.uring.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    fn enter(&mut self, want: usize, timeout: Option<Duration>) -> io::Result<()> {
        let submitter = self.uring.submitter();
        let entered = match timeout {
            Some(timeout) if want > 0 => {
                let timespec = Timespec::from(timeout);
                submitter.submit_with_args(want, &SubmitArgs::new().timespec(&timespec))
            }
            _ => submitter.submit_and_wait(want),
        };
        match entered {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                // Time is up; a signal; completions must be taken first; short of memory just now.
                Some(Errno::TIME | Errno::INTR | Errno::BUSY | Errno::AGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }
}

impl Drop for Ring {
    /// Cancels what can be cancelled and waits for the rest, so that no buffer is freed while the
    /// kernel may still write to it.
    fn drop(&mut self) {
        let deadline = Instant::now() + DROP_WAIT_MAX;
        // Entries of the backlog never reached the kernel.
        self.in_flight -= self.backlog.len();
        self.backlog.clear();
        while self.in_flight > 0 && Instant::now() < deadline {
            if self.enter(0, None).is_err() {
                break;
            }
            // Fails when there is nothing to cancel: a write to disk just ends by itself.
            let _ = self
                .uring
                .submitter()
                .register_sync_cancel(None, CancelBuilder::any());
            while self.next_completion().is_some() {}
            if self.in_flight > 0 && self.enter(1, Some(Duration::from_millis(10))).is_err() {
                break;
            }
            while self.next_completion().is_some() {}
        }
        if self.in_flight > 0 {
            tracing::error!(in_flight = self.in_flight, "operations outlive their ring");
        }
    }
}
