//! What a connection is at, so that an idle one and one that does not take its answers are found.
//!
//! An answer can get stuck in two places: in the socket, whose buffer the client does not empty,
//! and over HTTP/2 in its own body, for which the client gives no window. Both are watched.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::Instant;

/// Most bytes of an answer that are handed over at a time.
const PART_BYTES_MAX: usize = 64 << 10;

/// How a connection does.
pub(crate) enum Verdict {
    Well,
    /// No request for too long.
    Idle,
    /// An answer is not taken.
    Stuck,
}

/// What a connection is at.
pub(crate) struct Activity(Mutex<State>);

struct State {
    /// Requests whose answers have not left.
    requests: usize,
    /// When the last one had left; before the first one, when the connection began.
    quiet_since: Instant,
    /// Answers that wait for their client, and since when.
    waiting: Vec<(u64, Instant)>,
    /// Since when the socket does not take all there is.
    full_since: Option<Instant>,
    next_answer: u64,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State {
            requests: 0,
            quiet_since: Instant::now(),
            waiting: Vec::new(),
            full_since: None,
            next_answer: 0,
        }))
    }

    /// A request has come.
    pub(crate) fn begin(activity: &Arc<Self>) -> Ticket {
        activity.state().requests += 1;
        Ticket(Arc::clone(activity))
    }

    pub(crate) fn verdict(&self, now: Instant, idle: Duration, answer: Duration) -> Verdict {
        let state = self.state();
        let waits = state.waiting.iter().map(|(_, since)| *since);
        let oldest = waits.chain(state.full_since).min();
        if oldest.is_some_and(|since| now.duration_since(since) > answer) {
            return Verdict::Stuck;
        }
        if state.requests == 0 && now.duration_since(state.quiet_since) > idle {
            return Verdict::Idle;
        }
        Verdict::Well
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request whose answer has not left.
pub(crate) struct Ticket(Arc<Activity>);

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests -= 1;
        state.quiet_since = Instant::now();
    }
}

/// An answer's body; it is dropped when all of it has been handed to the connection.
pub(crate) struct Answer {
    body: Body,
    /// What is left of a frame that is handed over in parts.
    rest: Bytes,
    /// Its name among those that wait, while it does.
    waiting: Option<u64>,
    ticket: Ticket,
}

impl Answer {
    pub(crate) fn new(body: Body, ticket: Ticket) -> Self {
        let mut answer = Self {
            body,
            rest: Bytes::new(),
            waiting: None,
            ticket,
        };
        answer.wait();
        answer
    }

    /// The next part of the body. HTTP/2 takes a frame whole as soon as there is window for a byte
    /// of it, and it must be seen that a client takes no more.
    fn next_part(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let polled = Pin::new(&mut self.body).poll_frame(context);
            let Poll::Ready(Some(Ok(frame))) = polled else {
                return polled;
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        let part = self.rest.len().min(PART_BYTES_MAX);
        let part = self.rest.split_to(part);
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    /// From now on it waits for its client.
    fn wait(&mut self) {
        self.go_on();
        let mut state = self.ticket.0.state();
        let name = state.next_answer;
        state.next_answer += 1;
        state.waiting.push((name, Instant::now()));
        self.waiting = Some(name);
    }

    /// It does not wait for its client.
    fn go_on(&mut self) {
        let Some(name) = self.waiting.take() else {
            return;
        };
        let mut state = self.ticket.0.state();
        state.waiting.retain(|(waiting, _)| *waiting != name);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.go_on();
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = self.next_part(context);
        match &polled {
            // Who is waited for is us.
            Poll::Pending => self.go_on(),
            Poll::Ready(Some(Ok(_))) => self.wait(),
            Poll::Ready(_) => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut whole = SizeHint::new();
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper + rest);
        }
        whole.set_lower(hint.lower() + rest);
        whole
    }
}

/// A connection's socket, which tells when it is full.
pub(crate) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    is_full: bool,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            activity,
            is_full: false,
        }
    }

    fn written<T>(&mut self, polled: Poll<T>) -> Poll<T> {
        if polled.is_pending() && !self.is_full {
            self.is_full = true;
            self.activity.state().full_since = Some(Instant::now());
        }
        polled
    }
}

impl<S: Read + Unpin> Read for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: Write + Unpin> Write for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        // hyper flushes when it has handed over all it had. Until then a client that takes a few
        // bytes now and then is as slow as one that takes none.
        if self.is_full {
            self.is_full = false;
            self.activity.state().full_since = None;
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
