//! The operations of the log and the reactors, as methods with plain arguments.
//!
//! Those that hand memory to the kernel are `unsafe`: the memory must stay until the completion,
//! and only the caller can see to that.

use std::os::fd::{AsRawFd, RawFd};

use io_uring::squeue::{Entry, Flags};
use io_uring::{opcode, types};

use super::ring::{Ring, RingHandle};

/// The file an operation works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An open file of the process.
    Fd(RawFd),
    /// A slot of the ring's file table.
    Slot(u32),
}

impl Target {
    /// The open file `file`, which the caller keeps open until the operation is submitted.
    pub fn of(file: &impl AsRawFd) -> Self {
        Self::Fd(file.as_raw_fd())
    }

    /// Builds an entry on this file, with its token.
    fn entry(self, token: u64, build: impl FnOnce(types::Fd) -> Entry) -> Entry {
        let entry = match self {
            Self::Fd(fd) => build(types::Fd(fd)),
            Self::Slot(slot) => build(types::Fd(slot.cast_signed())).flags(Flags::FIXED_FILE),
        };
        entry.user_data(token)
    }
}

impl Ring {
    /// Writes `bytes` bytes from `start` at `offset` of the file; from registered memory when it
    /// lies there.
    ///
    /// # Safety
    /// `start` is valid for `bytes` bytes, which stay and don't change until the completion.
    pub unsafe fn write_at(
        &mut self,
        file: Target,
        (start, bytes): (*const u8, u32),
        offset: u64,
        token: u64,
    ) {
        let fixed = self.fixed_index(start, bytes as usize);
        let entry = file.entry(token, |fd| match fixed {
            Some(index) => opcode::WriteFixed::new(fd, start, bytes, index)
                .offset(offset)
                .build(),
            None => opcode::Write::new(fd, start, bytes).offset(offset).build(),
        });
        // SAFETY: the caller's promise is the one `push` asks for.
        unsafe { self.push(entry) }
    }

    /// Reads up to `bytes` bytes at `offset` of the file to `start`.
    ///
    /// # Safety
    /// `start` is valid for `bytes` bytes, which stay and are used by nobody else until the
    /// completion.
    pub unsafe fn read_at(
        &mut self,
        file: Target,
        (start, bytes): (*mut u8, u32),
        offset: u64,
        token: u64,
    ) {
        let fixed = self.fixed_index(start, bytes as usize);
        let entry = file.entry(token, |fd| match fixed {
            Some(index) => opcode::ReadFixed::new(fd, start, bytes, index)
                .offset(offset)
                .build(),
            None => opcode::Read::new(fd, start, bytes).offset(offset).build(),
        });
        // SAFETY: the caller's promise is the one `push` asks for.
        unsafe { self.push(entry) }
    }

    /// Accepts connections until it fails or is cancelled: one completion each, whose result is
    /// the connection's file descriptor (close-on-exec).
    pub fn accept_multishot(&mut self, listener: Target, token: u64) {
        let entry = listener.entry(token, |fd| {
            opcode::AcceptMulti::new(fd)
                .flags(libc::SOCK_CLOEXEC)
                .build()
        });
        // SAFETY: it names no memory.
        unsafe { self.push(entry) }
    }

    /// Receives up to `bytes` bytes to `start`; a result of 0 is the peer's end of stream. With
    /// `all`, waits until all of them are there (or the stream ends).
    ///
    /// # Safety
    /// `start` is valid for `bytes` bytes, which stay and are used by nobody else until the
    /// completion.
    pub unsafe fn receive(
        &mut self,
        socket: Target,
        (start, bytes): (*mut u8, u32),
        all: bool,
        token: u64,
    ) {
        let flags = if all { libc::MSG_WAITALL } else { 0 };
        let entry = socket.entry(token, |fd| {
            opcode::Recv::new(fd, start, bytes).flags(flags).build()
        });
        // SAFETY: the caller's promise is the one `push` asks for.
        unsafe { self.push(entry) }
    }

    /// Sends `bytes` bytes from `start`; the result may be fewer only after an error or a signal.
    ///
    /// # Safety
    /// `start` is valid for `bytes` bytes, which stay and don't change until the completion.
    pub unsafe fn send(&mut self, socket: Target, (start, bytes): (*const u8, u32), token: u64) {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let entry = socket.entry(token, |fd| {
            opcode::Send::new(fd, start, bytes).flags(flags).build()
        });
        // SAFETY: the caller's promise is the one `push` asks for.
        unsafe { self.push(entry) }
    }

    /// Sends the memory that `message` points to, as one stream of bytes.
    ///
    /// # Safety
    /// The message, its vector and all they point to are valid, stay and don't change until the
    /// completion.
    pub unsafe fn send_message(
        &mut self,
        socket: Target,
        message: *const libc::msghdr,
        token: u64,
    ) {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let entry = socket.entry(token, |fd| {
            opcode::SendMsg::new(fd, message)
                .flags(flags.cast_unsigned())
                .build()
        });
        // SAFETY: the caller's promise is the one `push` asks for.
        unsafe { self.push(entry) }
    }

    /// Shuts a connection down for both directions, which ends its receives and sends.
    pub fn shutdown(&mut self, socket: Target, token: u64) {
        let entry = socket.entry(token, |fd| {
            opcode::Shutdown::new(fd, libc::SHUT_RDWR).build()
        });
        // SAFETY: it names no memory.
        unsafe { self.push(entry) }
    }

    /// Completes when `file` can be read, once: how other threads wake this one by an eventfd.
    pub fn poll_readable(&mut self, file: Target, token: u64) {
        let mask = u32::from(libc::POLLIN.cast_unsigned());
        let entry = file.entry(token, |fd| opcode::PollAdd::new(fd, mask).build());
        // SAFETY: it names no memory.
        unsafe { self.push(entry) }
    }

    /// Puts a completion with token `message`, whose owner is
    /// [`OWNER_MESSAGE`](super::OWNER_MESSAGE), into another thread's ring, which ends that
    /// thread's wait. The operation's own completion says whether that worked.
    pub fn message(&mut self, to: &RingHandle, message: u64, token: u64) {
        let entry = opcode::MsgRingData::new(types::Fd(to.raw()), 0, message, None)
            .build()
            .user_data(token);
        // SAFETY: it names no memory. The other ring's descriptor is open until it is submitted,
        // or the message goes nowhere.
        unsafe { self.push(entry) }
    }

    /// Asks the kernel to give up the operation that was started with token `of`. Its own
    /// completion says whether that was found; the operation still completes by itself.
    pub fn cancel(&mut self, of: u64, token: u64) {
        let entry = opcode::AsyncCancel::new(of).build().user_data(token);
        // SAFETY: it names no memory.
        unsafe { self.push(entry) }
    }

    /// Closes a file descriptor without waiting. The caller gives up its ownership.
    pub fn close(&mut self, fd: std::os::fd::OwnedFd, token: u64) {
        use std::os::fd::IntoRawFd;
        let entry = opcode::Close::new(types::Fd(fd.into_raw_fd()))
            .build()
            .user_data(token);
        // SAFETY: it names no memory.
        unsafe { self.push(entry) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::{AsFd, FromRawFd, OwnedFd};
    use std::time::{Duration, Instant};

    use giro_base::BufferPool;

    use super::super::ring::Completion;
    use super::super::token::{OWNER_MESSAGE, Token};
    use super::*;

    fn wait(ring: &mut Ring) -> Completion {
        for _ in 0..100 {
            if let Some(completion) = ring.next_completion() {
                return completion;
            }
            ring.submit_and_wait(1, Some(Duration::from_millis(100)))
                .unwrap();
        }
        panic!("no completion");
    }

    #[test]
    fn a_write_from_the_pool_can_be_read_back_by_slot_and_by_descriptor() {
        let file = tempfile::tempfile().unwrap();
        let pool = BufferPool::new(2).unwrap();
        let mut ring = Ring::new(8).unwrap();
        let registered = ring.register_pool(&pool);
        assert!(!ring.register_pool(&pool), "one pool a ring");
        ring.register_files_sparse(4).unwrap();
        ring.update_file(3, Some(file.as_fd())).unwrap();
        assert!(ring.update_file(4, Some(file.as_fd())).is_err());

        let mut from = pool.take().unwrap();
        from.fill(9);
        assert_eq!(
            ring.fixed_index(from.as_ptr(), from.len()).is_some(),
            registered
        );
        // SAFETY: `from` lives until the completion below.
        unsafe { ring.write_at(Target::Slot(3), (from.as_ptr(), 8192), 4096, 1) };
        assert_eq!(
            wait(&mut ring),
            Completion {
                token: 1,
                result: 8192,
                flags: 0
            }
        );

        let mut to = pool.take().unwrap();
        to.fill(0);
        // SAFETY: `to` lives until the completion below, and is not touched before.
        unsafe { ring.read_at(Target::of(&file), (to.as_mut_ptr(), 4096), 8192, 2) };
        assert_eq!(wait(&mut ring).result, 4096);
        assert!(to[..4096].iter().all(|&byte| byte == 9));
        assert_eq!(ring.in_flight(), 0);
    }

    #[test]
    fn more_operations_than_entries_all_complete_in_one_wait() {
        let file = tempfile::tempfile().unwrap();
        let mut ring = Ring::new(4).unwrap();
        let byte = [7_u8; 1];
        for token in 0..100 {
            // SAFETY: `byte` outlives the ring's completions, taken below.
            unsafe { ring.write_at(Target::of(&file), (byte.as_ptr(), 1), token, token) };
        }
        let mut seen = Vec::new();
        while seen.len() < 100 {
            ring.submit_and_wait(1, Some(Duration::from_secs(1)))
                .unwrap();
            seen.extend(ring.completions().map(|completion| completion.token));
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert_eq!(file.metadata().unwrap().len(), 100);
    }

    #[test]
    fn connections_are_accepted_received_from_and_sent_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ring = Ring::new(8).unwrap();
        ring.accept_multishot(Target::of(&listener), 1);
        ring.submit_and_wait(0, None).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let accepted = wait(&mut ring);
        assert!(accepted.more());
        // SAFETY: the completion's result is a descriptor nobody else owns.
        let server = unsafe { OwnedFd::from_raw_fd(accepted.result) };

        let mut bytes = [0_u8; 16];
        // SAFETY: `bytes` lives until the completion below.
        unsafe { ring.receive(Target::of(&server), (bytes.as_mut_ptr(), 16), true, 2) };
        client.write_all(b"01234567").unwrap();
        ring.submit_and_wait(1, Some(Duration::from_millis(20)))
            .unwrap();
        assert_eq!(ring.next_completion(), None, "half of it is not all of it");
        client.write_all(b"89abcdef").unwrap();
        let received = wait(&mut ring);
        assert_eq!((received.token, received.result), (2, 16));
        assert_eq!(&bytes, b"0123456789abcdef");

        // SAFETY: `bytes` lives until the completion below.
        unsafe { ring.send(Target::of(&server), (bytes.as_ptr(), 16), 3) };
        assert_eq!(wait(&mut ring).count().unwrap(), 16);
        let mut back = [0_u8; 16];
        client.read_exact(&mut back).unwrap();
        assert_eq!(back, bytes);

        ring.close(server, 4);
        assert_eq!(wait(&mut ring).result, 0);
        ring.cancel(1, 5);
        let ends = [wait(&mut ring), wait(&mut ring)];
        assert!(
            ends.iter()
                .any(|end| end.token == 1 && end.count().is_err())
        );
        assert_eq!(ring.in_flight(), 0);
    }

    #[test]
    fn a_message_ends_another_threads_wait_and_is_no_operation_of_its_ring() {
        let mut ring = Ring::new(8).unwrap();
        let (to_main, from_thread) = std::sync::mpsc::channel();
        let message = Token::new(OWNER_MESSAGE, 9).0;
        let thread = std::thread::spawn(move || {
            let mut ring = Ring::new(8).unwrap();
            to_main.send(ring.handle().unwrap()).unwrap();
            let start = Instant::now();
            ring.submit_and_wait(1, Some(Duration::from_secs(20)))
                .unwrap();
            let completion = ring.next_completion().unwrap();
            assert_eq!((completion.token, completion.result), (message, 0));
            assert_eq!(ring.in_flight(), 0);
            assert!(start.elapsed() < Duration::from_secs(10));
        });
        let handle = from_thread.recv().unwrap();
        ring.message(&handle, message, 5);
        assert_eq!(wait(&mut ring).token, 5);
        thread.join().unwrap();
        assert_eq!(ring.in_flight(), 0);
    }

    #[test]
    fn waiting_ends_in_time_and_a_dropped_ring_lets_go_of_its_memory() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let mut ring = Ring::new(8).unwrap();
        let mut byte = [0_u8; 1];
        // SAFETY: the ring is dropped before `byte`, and gives it back then.
        unsafe { ring.read_at(Target::of(&reader), (byte.as_mut_ptr(), 1), u64::MAX, 1) };
        ring.poll_readable(Target::of(&reader), 2);
        let start = Instant::now();
        ring.submit_and_wait(1, Some(Duration::from_millis(30)))
            .unwrap();
        assert!(start.elapsed() >= Duration::from_millis(29));
        assert_eq!(ring.next_completion(), None);
        assert_eq!(ring.in_flight(), 2);
        drop(ring);
        assert!(
            start.elapsed() < Duration::from_secs(4),
            "the ring waited for nothing"
        );
    }
}
