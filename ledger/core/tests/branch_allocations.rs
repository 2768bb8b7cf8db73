//! Executing branches allocates nothing once a ledger is warm. A process of its own, because what
//! other tests allocate would count.

mod counting;

use std::collections::BTreeSet;

use giro_base::Operation;
use giro_base::branch::{BranchKey, Branches, ConfirmBranch, Leg, TryBranch, encode};
use giro_base::limits::CREATE_REPLY_BYTES_MAX;
use giro_core::Batch;
use giro_core::branches::Expanded;

use counting::{allocations, machine};

const ROUNDS: u64 = 40;
/// Rounds after which nothing may be allocated any more.
const WARM_ROUNDS: usize = 4;
const BRANCHES: u64 = 500;

/// A round of branches: all are tried, two thirds are confirmed, and confirmed again, the others
/// are cancelled; and some are cancelled that were never tried.
fn branch_bodies(round: u64) -> Vec<(Operation, Vec<u8>)> {
    let key = |n: u64| BranchKey::new(format!("gid-{round}-{n}"), "01");
    let leg = |debit| Leg {
        debit_account_id: debit,
        credit_account_id: debit + 1,
        amount: 5,
        ledger: 1,
        code: 1,
        ..Leg::default()
    };
    let tries = (0..BRANCHES).map(|n| TryBranch {
        key: key(n),
        timeout: 0,
        legs: [leg(1), leg(2), leg(3)]
            .into_iter()
            .take(1 + n as usize % 3)
            .collect(),
    });
    let confirms = (0..BRANCHES * 2 / 3).map(|n| ConfirmBranch::whole(key(n)));
    let confirms = encode(&confirms.collect::<Vec<_>>());
    let cancels = (BRANCHES * 2 / 3..BRANCHES + 10).map(key);
    vec![
        (Operation::TryBranches, encode(&tries.collect::<Vec<_>>())),
        (Operation::ConfirmBranches, confirms.clone()),
        (Operation::ConfirmBranches, confirms),
        (
            Operation::CancelBranches,
            encode(&cancels.collect::<Vec<_>>()),
        ),
    ]
}

#[test]
fn executing_branches_on_a_warm_ledger_allocates_nothing() {
    for shards in [1, 3] {
        let mut machine = machine(shards);
        let rounds: Vec<_> = (0..ROUNDS).map(branch_bodies).collect();
        let mut out = vec![0; CREATE_REPLY_BYTES_MAX];
        let mut expanded = Expanded::default();
        let mut counts = Vec::with_capacity(ROUNDS as usize);
        let mut timestamp = 10_000_000_000;
        let mut statuses = BTreeSet::new();
        for bodies in &rounds {
            let before = allocations();
            let mut results = [0_u16; 16];
            for (operation, body) in bodies {
                timestamp += 10_000;
                let branches = Branches::parse(operation.kind(), body).unwrap();
                machine.expand(&branches, &mut expanded);
                let events = (branches, &expanded);
                let batch = Batch::of_branches(*operation, timestamp, body, events);
                let len = machine.execute(&batch, &mut out);
                for result in out[..len].chunks_exact(16) {
                    results[usize::from(result[8])] = 1;
                }
            }
            counts.push(allocations() - before);
            statuses.extend((0..16).filter(|status| results[*status] > 0));
        }
        assert_eq!(statuses, BTreeSet::from([1, 2]));
        assert!(machine.tables().branches.is_empty());
        let warm = &counts[WARM_ROUNDS..];
        assert_eq!(warm, vec![0; warm.len()], "{shards} shards");
    }
}
