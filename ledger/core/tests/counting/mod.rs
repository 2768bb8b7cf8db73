//! An allocator that counts, for tests in a process of their own, and a ledger to count with.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use giro_base::{Account, Operation};
use giro_core::{Batch, Options, StateMachine};
use zerocopy::IntoBytes;

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is the system allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations so far.
pub(crate) fn allocations() -> usize {
    ALLOCATIONS.load(Relaxed)
}

/// A ledger with accounts 1 to 4.
pub(crate) fn machine(shards: u32) -> StateMachine {
    let options = Options {
        shards,
        accounts_max: 1 << 10,
        transfers_max: 1 << 20,
        ..Options::default()
    };
    let mut machine = StateMachine::new(&options).unwrap();
    let account = |id| Account {
        id,
        ledger: 1,
        code: 1,
        ..Account::default()
    };
    let accounts = [1, 2, 3, 4].map(account);
    let operation = Operation::CreateAccountsUnbatched;
    let batch = Batch::parse(operation, 4, accounts.as_bytes()).unwrap();
    assert_eq!(machine.execute(&batch, &mut [0; 64]), 0);
    machine
}
