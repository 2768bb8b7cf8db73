//! Pending transfers whose generation leaves memory some rows at a time: what happens to them
//! meanwhile happens once.

use std::collections::BTreeMap;

use giro_base::limits::CREATE_REPLY_BYTES_MAX;
use giro_base::{Account, CreateTransferStatus as Status, Operation, Transfer, TransferFlags};
use giro_core::{Batch, Fill, Options, StateMachine};
use zerocopy::IntoBytes;

const ROWS: u128 = 8;

struct Case {
    machine: StateMachine,
    timestamp: u64,
    next_id: u128,
}

impl Case {
    /// A complete generation of pending transfers 1 to 8, of 10 each, the even ones with a timeout
    /// of a second.
    fn new() -> Self {
        let options = Options {
            accounts_max: 16,
            transfers_max: 1 << 14,
            is_archived: true,
            ..Options::default()
        };
        let mut case = Self {
            machine: StateMachine::new(&options).expect("address space"),
            timestamp: 1_000_000,
            next_id: 1000,
        };
        let account = |id| Account {
            id,
            ledger: 1,
            code: 1,
            ..Account::default()
        };
        case.execute(
            Operation::CreateAccountsUnbatched,
            [account(1), account(2)].as_bytes(),
        );
        let pending = |id: u128| Transfer {
            id,
            debit_account_id: 1,
            credit_account_id: 2,
            amount: 10,
            ledger: 1,
            code: 1,
            timeout: u32::from(id.is_multiple_of(2)),
            flags: TransferFlags::PENDING,
            ..Transfer::default()
        };
        let pendings: Vec<Transfer> = (1..=ROWS).map(pending).collect();
        assert!(case.transfers(&pendings).is_empty());
        let spare = case
            .machine
            .spare_plan()
            .make(&Fill::default())
            .expect("address space");
        drop(case.machine.rotate(spare));
        case
    }

    /// The places and statuses of what failed.
    fn transfers(&mut self, transfers: &[Transfer]) -> BTreeMap<u32, u32> {
        self.execute(Operation::CreateTransfersUnbatched, transfers.as_bytes())
    }

    fn execute(&mut self, operation: Operation, body: &[u8]) -> BTreeMap<u32, u32> {
        self.timestamp += 1_000_000;
        let batch = Batch::parse(operation, self.timestamp, body).expect("a body");
        let mut out = vec![0; CREATE_REPLY_BYTES_MAX];
        let len = self.machine.execute(&batch, &mut out);
        let (failures, _) = out[..len].as_chunks::<8>();
        let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
        let both = failures.iter().map(|f| (word(&f[..4]), word(&f[4..])));
        both.collect()
    }

    fn post(&mut self, pending_id: u128, flags: u16) -> Transfer {
        self.next_id += 1;
        Transfer {
            id: self.next_id,
            pending_id,
            amount: u128::MAX,
            flags: TransferFlags::POST_PENDING_TRANSFER | flags,
            ..Transfer::default()
        }
    }

    /// What accounts have reserved is what is pending.
    fn pending(&self) -> u128 {
        self.machine.account(1).expect("it is there").debits_pending
    }
}

#[test]
fn a_generation_without_pending_transfers_leaves_at_once() {
    let mut case = Case::new();
    assert!(!case.machine.leave_oldest(3));
    assert!(case.machine.leave_oldest(5));
    drop(case.machine.forget_oldest());
    let single = Transfer {
        id: 99,
        debit_account_id: 1,
        credit_account_id: 2,
        amount: 1,
        ledger: 1,
        code: 1,
        ..Transfer::default()
    };
    assert!(case.transfers(&[single]).is_empty());
    let spare = case
        .machine
        .spare_plan()
        .make(&Fill::default())
        .expect("address space");
    drop(case.machine.rotate(spare));
    assert!(case.machine.leave_oldest(0));
}

#[test]
fn what_is_posted_while_its_generation_leaves_is_posted_once() {
    let mut case = Case::new();
    assert!(!case.machine.leave_oldest(4));
    // One that is copied already, and one that is not yet.
    let posts = [case.post(1, 0), case.post(7, 0)];
    assert!(case.transfers(&posts).is_empty());
    assert_eq!(case.machine.tables().pendings.len(), 3);
    drop(case.machine.forget_oldest());
    assert_eq!(case.machine.tables().pendings.len(), 6);
    assert_eq!(case.pending(), 60);
    let again = [case.post(3, 0), case.post(5, 0)];
    assert!(case.transfers(&again).is_empty());
    assert_eq!(case.pending(), 40);
}

#[test]
fn what_a_broken_chain_reopens_while_its_generation_leaves_stays_open() {
    let mut case = Case::new();
    assert!(!case.machine.leave_oldest(4));
    let mut broken = vec![
        case.post(1, TransferFlags::LINKED),
        case.post(5, TransferFlags::LINKED),
    ];
    broken.push(case.post(12345, 0));
    let failed = case.transfers(&broken);
    assert_eq!(failed[&2], u32::from(Status::PendingTransferNotFound));
    assert_eq!(failed.len(), 3);
    assert_eq!(case.pending(), 80);
    drop(case.machine.forget_oldest());
    assert_eq!(case.machine.tables().pendings.len(), 8);
    let posts = [case.post(1, 0), case.post(5, 0)];
    assert!(case.transfers(&posts).is_empty());
    assert_eq!(case.pending(), 60);
}

#[test]
fn what_expires_while_its_generation_leaves_expires_once() {
    let mut case = Case::new();
    assert!(!case.machine.leave_oldest(5));
    case.timestamp += 3_000_000_000;
    case.machine.expire(case.timestamp);
    assert_eq!(case.pending(), 40);
    assert_eq!(case.machine.tables().pendings.len(), 3);
    drop(case.machine.forget_oldest());
    assert_eq!(case.machine.tables().pendings.len(), 4);
    case.timestamp += 3_000_000_000;
    case.machine.expire(case.timestamp);
    assert_eq!(case.pending(), 40, "the others have no timeout");
}
