//! Messages that wait to be written.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice, Result};
use std::sync::Arc;

/// Messages handed to the kernel at once.
const SLICES_MAX: usize = 64;

/// Messages in the order they leave.
#[derive(Default)]
pub(crate) struct Outbox {
    messages: VecDeque<Arc<Vec<u8>>>,
    /// Bytes of the first one that have left.
    sent: usize,
}

impl Outbox {
    pub(crate) fn push(&mut self, message: Arc<Vec<u8>>) {
        self.messages.push_back(message);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Forgets what was meant for the last connection.
    pub(crate) fn clear(&mut self) {
        self.messages.clear();
        self.sent = 0;
    }

    /// Writes until nothing is left or the kernel takes no more.
    ///
    /// # Errors
    /// The connection's.
    pub(crate) fn write(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> Result<usize>,
    ) -> Result<()> {
        while !self.messages.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let mut count = 0;
            for (slice, message) in slices.iter_mut().zip(&self.messages) {
                let from = if count == 0 { self.sent } else { 0 };
                *slice = IoSlice::new(&message[from..]);
                count += 1;
            }
            match write(&slices[..count]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(bytes) => self.on_sent(bytes),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn on_sent(&mut self, bytes: usize) {
        self.sent += bytes;
        while let Some(first) = self.messages.front()
            && self.sent >= first.len()
        {
            self.sent -= first.len();
            self.messages.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_leaves_once_and_in_order_however_the_kernel_takes_them() {
        let all: Vec<u8> = (0..=255).cycle().take(5000).collect();
        for step in [1, 7, 100, 5000] {
            let mut outbox = Outbox::default();
            for message in all.chunks(37) {
                outbox.push(Arc::new(message.to_vec()));
            }
            let mut taken = Vec::new();
            let mut is_blocked = false;
            while !outbox.is_empty() {
                let wrote = outbox.write(|slices| {
                    is_blocked = !is_blocked;
                    if is_blocked {
                        return Err(ErrorKind::WouldBlock.into());
                    }
                    let there: Vec<u8> = slices.iter().flat_map(|s| s.to_vec()).collect();
                    let bytes = step.min(there.len());
                    taken.extend_from_slice(&there[..bytes]);
                    Ok(bytes)
                });
                assert!(wrote.is_ok());
            }
            assert_eq!(taken, all, "{step}");
        }
    }
}
