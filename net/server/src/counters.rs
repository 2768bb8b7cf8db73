//! What happened at the port, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only rises.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One of the figures, for those who show all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// What it is called.
    pub name: &'static str,
    /// What it says, for people.
    pub about: &'static str,
    /// Whether it only rises.
    pub kind: Kind,
    /// Its value.
    pub value: u64,
}

/// Declares the figures once: as atomics for the reactor, as numbers for who looks.
macro_rules! counters {
    ($($(#[doc = $doc:literal])* $kind:ident $name:ident,)*) => {
        /// What happened, and how things stand. The reactors write them, anybody may read.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])* pub(crate) $name: AtomicU64,)*
        }

        /// The counters at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Snapshot {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Their values now.
            #[must_use]
            pub fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }

        impl Snapshot {
            /// All of them, for a page of metrics.
            #[must_use]
            pub fn figures(&self) -> Vec<Figure> {
                vec![$(Figure {
                    name: stringify!($name),
                    about: concat!($($doc,)*).trim().trim_end_matches('.'),
                    kind: Kind::$kind,
                    value: self.$name,
                },)*]
            }
        }
    };
}

counters! {
    /// Connections open now.
    Gauge open,
    /// Connections accepted and kept.
    Counter accepted,
    /// Connections closed at once because there were too many.
    Counter refused,
    /// Connections closed because their bytes made no sense.
    Counter closed_fault,
    /// Connections closed because a message was not completed in time.
    Counter closed_receive_deadline,
    /// Connections closed because their client did not take what was sent.
    Counter closed_send_deadline,
    /// Connections closed because they never sent a valid message.
    Counter closed_greeting_deadline,
    /// Messages skipped because they broke a rule of the header.
    Counter ignored,
    /// Requests taken, reads and writes.
    Counter requests,
    /// Requests dropped by the rules of sessions.
    Counter dropped,
    /// Requests dropped because there was no room for them in time.
    Counter dropped_busy,
    /// Of the dropped ones, those whose client was told so.
    Counter told,
    /// Requests that another node has to take.
    Counter sent_away,
    /// Evictions sent.
    Counter evicted,
    /// Replies sent, resent ones among them.
    Counter replies,
    /// Replies whose client had no connection any more.
    Counter unroutable,
    /// The last op that was executed.
    Gauge ledger_op,
    /// 1 while requests are taken here; 0 while another node leads or the role changes hands.
    Gauge ledger_serving,
    /// 1 while the log waits for room on the disk.
    Gauge ledger_stalled,
    /// 1 while replies leave without the gate's replica, because it does not keep up: an alarm.
    Gauge gate_degraded,
    /// Replies that wait for the gate's replica.
    Gauge gate_held,
    /// How long the oldest of them has been waiting, in milliseconds.
    Gauge gate_waited_ms,
    /// Replies that left without the gate's replica.
    Counter gate_passed,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Says how things stand.
pub(crate) fn set(gauge: &AtomicU64, value: u64) {
    gauge.store(value, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_its_value_and_says_what_it_is() {
        let counters = Counters::default();
        set(&counters.open, 3);
        count(&counters.replies);
        let figures = counters.snapshot().figures();
        let find = |name| *figures.iter().find(|figure| figure.name == name).unwrap();
        let (open, replies) = (find("open"), find("replies"));
        assert_eq!((open.value, open.kind), (3, Kind::Gauge));
        assert_eq!((replies.value, replies.kind), (1, Kind::Counter));
        assert_eq!(replies.about, "Replies sent, resent ones among them");
        assert!(figures.iter().all(|figure| !figure.about.is_empty()));
    }
}
