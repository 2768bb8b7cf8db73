//! The state machine on one thread, divided into any number of shards.

use giro_core::{Batch, Options, StateMachine};

use crate::differential::{Maker, Subject};

struct Inline(StateMachine);

impl Subject for Inline {
    fn create(&mut self, batch: &Batch<'_>, out: &mut [u8]) -> usize {
        self.0.execute(batch, out)
    }

    fn expire(&mut self, timestamp: u64) {
        self.0.expire(timestamp);
    }

    fn machine(&self) -> &StateMachine {
        &self.0
    }
}

/// A maker of state machines with this many shards.
pub(crate) fn maker(shards: u32) -> Maker {
    let make = move || -> Box<dyn Subject> {
        let options = Options {
            shards,
            hash_key: [7, u64::from(shards)],
            accounts_max: 1 << 18,
            transfers_max: 1 << 21,
            ..Options::default()
        };
        Box::new(Inline(StateMachine::new(&options).expect("address space")))
    };
    Maker {
        name: format!("{shards} shards on one thread"),
        make: Box::new(make),
    }
}
