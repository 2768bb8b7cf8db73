//! Frames on their way into a socket, in the form the kernel wants them in.

use giro_log::uring::{Ring, Target};
use giro_replication::Frame;

/// Frames that one operation sends, and the vector that points into them.
pub(super) struct Flight {
    /// Never read; the vector points into them.
    _frames: Vec<Frame>,
    _vector: Vec<libc::iovec>,
    message: Box<libc::msghdr>,
    /// Bytes of all frames.
    pub(super) bytes: usize,
    /// When it began (ns).
    pub(super) began: u64,
}

// SAFETY: the pointers lead to memory that the flight itself owns and never changes.
unsafe impl Send for Flight {}

impl Flight {
    pub(super) fn new(frames: Vec<Frame>, began: u64) -> Self {
        let parts = frames.iter().flat_map(|frame| {
            let payloads = frame.payloads.iter().map(AsRef::as_ref);
            std::iter::once(frame.head.as_slice()).chain(payloads)
        });
        let mut vector: Vec<libc::iovec> = parts
            .map(|part: &[u8]| libc::iovec {
                iov_base: part.as_ptr().cast_mut().cast(),
                iov_len: part.len(),
            })
            .collect();
        let bytes = vector.iter().map(|part| part.iov_len).sum();
        // SAFETY: all zeros are a message without name, control data or vector.
        let mut message: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        message.msg_iov = vector.as_mut_ptr();
        message.msg_iovlen = vector.len() as _;
        Self {
            _frames: frames,
            _vector: vector,
            message,
            bytes,
            began,
        }
    }

    /// Starts the operation. The flight stays where it is kept, until the completion.
    ///
    /// # Safety
    /// The flight is not dropped before the completion, or before the ring.
    pub(super) unsafe fn start(&self, ring: &mut Ring, socket: Target, token: u64) {
        // SAFETY: message, vector and frames are on the heap, owned by the flight and unchanged;
        // the caller keeps it.
        unsafe { ring.send_message(socket, &raw const *self.message, token) };
    }
}
