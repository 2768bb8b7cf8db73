//! Whose turn it is: several requests of a kind are worked on at a time, a bounded step each turn
//! in all.

/// Requests being worked on at a time. Others wait.
const ASKED_MAX: usize = 16;
/// Turns without being asked for after which a request is given up: its client is gone.
const UNASKED_MAX: u32 = 1000;

/// The requests being worked on, that which had its turn longest ago first.
pub(crate) struct Queue<T> {
    asked: Vec<Asked<T>>,
    /// One of them had this turn.
    is_used: bool,
}

struct Asked<T> {
    key: u128,
    work: T,
    unasked: u32,
    is_done: bool,
}

/// What is to be done for a request that is asked for.
pub(crate) enum Next<T> {
    /// It is new, and there is room: begin it, and [`put`](Queue::put) it in. Most are done at
    /// once, and need not wait for those that are not.
    Begin,
    /// It is this one's turn: go on, and [`put`](Queue::put) it back.
    GoOn(T),
    /// It has to wait.
    Wait,
    /// It is complete, to be [taken](Queue::take).
    Done,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            asked: Vec::new(),
            is_used: false,
        }
    }
}

impl<T> Queue<T> {
    /// A new turn begins.
    pub(crate) fn begin_turn(&mut self) {
        self.is_used = false;
        for asked in &mut self.asked {
            asked.unasked += 1;
        }
        self.asked.retain(|asked| asked.unasked <= UNASKED_MAX);
    }

    /// What is next for the request with this key.
    pub(crate) fn ask(&mut self, key: u128) -> Next<T> {
        let Some(place) = self.place(key) else {
            return if self.asked.len() == ASKED_MAX {
                Next::Wait
            } else {
                Next::Begin
            };
        };
        self.asked[place].unasked = 0;
        if self.asked[place].is_done {
            return Next::Done;
        }
        let next = self.asked.iter().position(|asked| !asked.is_done);
        if self.is_used || next != Some(place) {
            return Next::Wait;
        }
        self.is_used = true;
        Next::GoOn(self.asked.remove(place).work)
    }

    /// Puts a request behind the others.
    pub(crate) fn put(&mut self, key: u128, work: T, is_done: bool) {
        self.asked.push(Asked {
            key,
            work,
            unasked: 0,
            is_done,
        });
    }

    /// A request that is complete.
    pub(crate) fn take(&mut self, key: u128) -> Option<T> {
        let place = self.place(key)?;
        let is_done = self.asked[place].is_done;
        is_done.then(|| self.asked.remove(place).work)
    }

    fn place(&self, key: u128) -> Option<usize> {
        self.asked.iter().position(|asked| asked.key == key)
    }
}
