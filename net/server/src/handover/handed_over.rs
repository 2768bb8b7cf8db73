//! What of one connection is with the first thread.

/// Most messages of a connection on their way at a time.
const MESSAGES_MAX: u16 = 64;
/// Most bytes of them, unless it is a single message.
const BYTES_MAX: usize = 2 << 20;
/// Most reads among them: each can have a reply of 1 MiB, whatever its own size.
const READS_MAX: u16 = 2;

/// Bounds what a connection has handed over and not got back, so that one client's requests and
/// their replies cannot take what all share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HandedOver {
    messages: u16,
    reads: u16,
    bytes: usize,
    /// The connection is listed as one that waits for something to come back.
    pub(crate) is_awaited: bool,
}

impl HandedOver {
    /// Whether one more may go.
    pub(crate) fn has_room(&self, bytes: usize, is_read: bool) -> bool {
        let alone = self.messages == 0;
        let fits = self.messages < MESSAGES_MAX && self.bytes + bytes <= BYTES_MAX;
        (alone || fits) && !(is_read && self.reads >= READS_MAX)
    }

    /// One goes.
    pub(crate) fn add(&mut self, bytes: usize, is_read: bool) {
        self.messages += 1;
        self.reads += u16::from(is_read);
        self.bytes += bytes;
    }

    /// One is done with.
    pub(crate) fn remove(&mut self, bytes: usize, is_read: bool) {
        self.messages -= 1;
        self.reads -= u16::from(is_read);
        self.bytes -= bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_bytes_and_reads_are_bounded() {
        let mut out = HandedOver::default();
        assert!(out.has_room(BYTES_MAX + 1, false), "whatever it is, alone");
        out.add(1 << 20, false);
        assert!(out.has_room(1 << 20, false));
        assert!(!out.has_room((1 << 20) + 1, false));
        out.add(300, true);
        assert!(out.has_room(300, true));
        out.add(300, true);
        assert!(!out.has_room(300, true));
        assert!(out.has_room(300, false));
        for _ in 0..61 {
            out.add(1, false);
        }
        assert!(!out.has_room(1, false));
        out.remove(300, true);
        assert!(out.has_room(300, true));
        out.remove(1 << 20, false);
        out.remove(300, true);
        for _ in 0..61 {
            out.remove(1, false);
        }
        assert_eq!(out, HandedOver::default());
    }
}
