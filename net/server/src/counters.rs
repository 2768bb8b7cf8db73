//! What happened at the port, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Declares the counters once: as atomics for the reactor, as numbers for who looks.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters that only rise, except `open`. The reactors write them, anybody may read.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub(crate) $name: AtomicU64,)*
        }

        /// The counters at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Snapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Their values now.
            #[must_use]
            pub fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Connections open now.
    open,
    /// Connections accepted and kept.
    accepted,
    /// Connections closed at once because there were too many.
    refused,
    /// Connections closed because their bytes made no sense.
    closed_fault,
    /// Connections closed because a message was not completed in time.
    closed_receive_deadline,
    /// Connections closed because their client did not take what was sent.
    closed_send_deadline,
    /// Connections closed because they never sent a valid message.
    closed_greeting_deadline,
    /// Messages skipped because they broke a rule of the header.
    ignored,
    /// Requests taken, reads and writes.
    requests,
    /// Requests dropped by the rules of sessions.
    dropped,
    /// Requests dropped because there was no room for them in time.
    dropped_busy,
    /// Of the dropped ones, those whose client was told so.
    told,
    /// Requests that another node has to take.
    sent_away,
    /// Evictions sent.
    evicted,
    /// Replies sent, resent ones among them.
    replies,
    /// Replies whose client had no connection any more.
    unroutable,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
