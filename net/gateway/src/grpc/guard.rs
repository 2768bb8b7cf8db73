//! Bounds on what is received: bytes of a body, of all bodies, and the time one takes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::Frame;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

use crate::app::App;
use crate::error::ApiError;
use crate::extract::{Room, slow, too_large, too_many};

/// What gRPC puts before a message.
const PREFIX_BYTES: usize = 5;

/// Bounds a request's body.
pub(super) async fn bound(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let request = request.map(|body| {
        let bytes_left = app.options.body_bytes_max + PREFIX_BYTES;
        let deadline = Instant::now() + app.options.body_timeout;
        Body::new(Bounded {
            body,
            bytes_left,
            is_empty: true,
            room: Room::default(),
            sleep: None,
            deadline,
            app,
        })
    });
    next.run(request).await
}

/// A body that ends with an error where a bound is passed.
struct Bounded {
    body: Body,
    bytes_left: usize,
    /// Nothing has come yet.
    is_empty: bool,
    room: Room,
    /// Set once the body lets wait.
    sleep: Option<Pin<Box<Sleep>>>,
    deadline: Instant,
    app: Arc<App>,
}

impl Bounded {
    fn take(&mut self, frame: &Frame<Bytes>) -> Result<(), ApiError> {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let left = self.bytes_left.checked_sub(bytes);
        self.is_empty &= bytes == 0;
        self.bytes_left = left.ok_or_else(|| too_large(self.app.options.body_bytes_max))?;
        let is_room = self.room.grow(&self.app.body_budget, bytes);
        if is_room { Ok(()) } else { Err(too_many()) }
    }
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(match frame {
                None if self.is_empty => {
                    self.is_empty = false;
                    Some(Err(ApiError::field("message", "is missing").into()))
                }
                frame => frame.map(|frame| {
                    let frame = frame.map_err(|error| Status::cancelled(error.to_string()))?;
                    self.take(&frame)?;
                    Ok(frame)
                }),
            });
        }
        let deadline = self.deadline;
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.as_mut().poll(context).is_ready() {
            let error = slow(self.app.options.body_timeout);
            return Poll::Ready(Some(Err(error.into())));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && !self.is_empty
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}
