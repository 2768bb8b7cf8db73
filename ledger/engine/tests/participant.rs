//! The library's participant: branches of many callers, open ones after a restart, and the
//! coordinator being asked.
#![cfg(not(loom))]

use std::collections::HashMap;
use std::time::Duration;

use giro::tcc::{
    BranchKey, BranchRefusal, BranchState, BranchStatus, ConfirmBranch, Decision, Leg, Open,
    Settled, TryBranch,
};
use giro::{Account, CreateTransferStatus, Error, Ledger, Options, TccParticipant};

const ACCOUNTS: u128 = 16;

fn options() -> Options {
    Options {
        buffers: 16,
        sessions_max: 4,
        pin: false,
        accounts_max: 1 << 16,
        transfers_max: 1 << 20,
        generation_rows: 300,
        ..Options::default()
    }
}

fn key(gid: &str, branch: usize) -> BranchKey {
    BranchKey::new(gid, format!("{branch:02}"))
}

fn payment(key: BranchKey, debit: u128, credit: u128, amount: u128) -> TryBranch {
    let leg = Leg {
        debit_account_id: debit,
        credit_account_id: credit,
        amount,
        ledger: 1,
        code: 1,
        ..Leg::default()
    };
    TryBranch {
        key,
        timeout: 0,
        legs: [leg].into_iter().collect(),
    }
}

fn with_accounts(ledger: Ledger) -> TccParticipant {
    let account = |id| Account {
        id,
        ledger: 1,
        code: 1,
        ..Account::default()
    };
    let accounts: Vec<Account> = (1..=ACCOUNTS).map(account).collect();
    ledger.create_accounts(&accounts).wait().unwrap();
    TccParticipant::new(ledger)
}

/// Sums of debits and credits, pending and posted.
fn sums(participant: &TccParticipant) -> [u128; 4] {
    let ids: Vec<u128> = (1..=ACCOUNTS).collect();
    let accounts = participant.ledger().lookup_accounts(&ids).wait().unwrap();
    accounts.iter().fold([0; 4], |[a, b, c, d], account| {
        [
            a + account.debits_pending,
            b + account.debits_posted,
            c + account.credits_pending,
            d + account.credits_posted,
        ]
    })
}

#[test]
fn one_branch_after_the_other() {
    let giro = with_accounts(Ledger::in_memory(options()).unwrap());
    let first = giro.try_(payment(key("g", 1), 1, 2, 10)).wait().unwrap();
    assert_eq!(first.status, BranchStatus::Done);
    let again = giro.try_(payment(key("g", 1), 1, 2, 10)).wait().unwrap();
    assert_eq!(again.status, BranchStatus::DoneBefore);
    assert_eq!(again.ok(), first.ok());
    let other = giro.try_(payment(key("g", 1), 1, 2, 11)).wait().unwrap();
    assert_eq!(other.leg, Some(0));
    let differs = CreateTransferStatus::ExistsWithDifferentAmount;
    assert_eq!(other.leg_status, Some(differs));
    assert_eq!(
        BranchRefusal(other).to_string(),
        "the branch was refused: differs, leg 0: exists_with_different_amount"
    );
    let confirm = giro.confirm(ConfirmBranch::whole(key("g", 1)));
    assert!(confirm.wait().unwrap().ok().is_ok());
    let cancel = giro.cancel(key("g", 1)).wait().unwrap();
    assert_eq!(cancel.status, BranchStatus::Confirmed);
    assert_eq!(sums(&giro), [0, 10, 0, 10]);
    let states = giro.lookup(&vec![key("g", 1), key("g", 2)]).wait().unwrap();
    assert_eq!(states[0].state, u8::from(BranchState::Confirmed));
    assert_eq!((states[0].legs, states[1].legs), (1, 0));
    assert_eq!(states[1].state, u8::from(BranchState::None));
}

#[test]
fn what_cannot_be_a_branch_is_refused_before_it_is_sent() {
    let giro = with_accounts(Ledger::in_memory(options()).unwrap());
    let long = "x".repeat(129);
    for gid in ["", long.as_str()] {
        let refused = giro.try_(payment(key(gid, 1), 1, 2, 10)).wait();
        assert!(matches!(refused, Err(Error::Branches(_))));
        assert!(matches!(
            giro.cancel(key(gid, 1)).wait(),
            Err(Error::Branches(_))
        ));
        assert!(giro.lookup(&vec![key(gid, 1)]).wait().is_err());
    }
    let mut wide = payment(key("g", 1), 1, 2, 10);
    wide.legs = vec![wide.legs[0]; 65].into();
    assert!(matches!(giro.try_(wide).wait(), Err(Error::Branches(_))));
    let none = giro.cancel_all(Vec::new()).wait().unwrap();
    assert_eq!(none, []);
}

/// Each thread has many branches under way; all share operations.
#[test]
fn many_callers_at_once_get_their_own_answers() {
    const BRANCHES: usize = 2_000;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let giro = with_accounts(Ledger::open(dir.path(), options()).unwrap());
    let threads = (0..4).map(|thread: usize| {
        let giro = giro.clone();
        std::thread::spawn(move || {
            let gid = format!("gid-{thread}");
            let tries = (0..BRANCHES).map(|n| {
                let debit = 1 + (n as u128 + thread as u128) % ACCOUNTS;
                let credit = 1 + debit % ACCOUNTS;
                giro.try_(payment(key(&gid, n), debit, credit, 1 + n as u128))
            });
            let tries: Vec<_> = tries.collect();
            for answer in tries {
                assert_eq!(answer.wait().unwrap().status, BranchStatus::Done);
            }
            // A third each: confirmed, cancelled, left open.
            let settled = (0..BRANCHES).filter(|n| n % 3 != 2).map(|n| match n % 3 {
                0 => giro.confirm(ConfirmBranch::whole(key(&gid, n))),
                _ => giro.cancel(key(&gid, n)),
            });
            for answer in settled.collect::<Vec<_>>() {
                assert_eq!(answer.wait().unwrap().status, BranchStatus::Done);
            }
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
    let amounts = |rest: usize| {
        4 * (0..BRANCHES)
            .filter(|n| n % 3 == rest)
            .map(|n| 1 + n as u128)
            .sum::<u128>()
    };
    let (posted, open) = (amounts(0), amounts(2));
    assert_eq!(sums(&giro), [open, posted, open, posted]);
    drop(giro);

    // Log and history agree on what became of each.
    let verified = giro::verify::verify(dir.path(), &options(), &mut |_| {}).unwrap();
    assert!(verified.compared > 1_000, "{}", verified.compared);
    drop(verified);

    // The open ones are there after a restart, which goes on from a checkpoint.
    let giro = TccParticipant::new(Ledger::open(dir.path(), options()).unwrap());
    assert_eq!(sums(&giro), [open, posted, open, posted]);
    let mut coordinator = |branch: &Open| {
        let n: usize = branch.key.branch_id.parse().unwrap();
        assert_eq!((n % 3, branch.legs), (2, 1));
        if n.is_multiple_of(2) {
            Decision::Confirm
        } else {
            Decision::Cancel
        }
    };
    let settled = giro.settle_open(u64::MAX, &mut coordinator).unwrap();
    let even = 4 * (0..BRANCHES).filter(|n| n % 3 == 2 && n % 2 == 0).count() as u64;
    let all = 4 * (0..BRANCHES).filter(|n| n % 3 == 2).count() as u64;
    let expected = Settled {
        confirmed: even,
        cancelled: all - even,
        ..Settled::default()
    };
    assert_eq!(settled, expected);
    assert_eq!(sums(&giro)[0], 0);
    let keys = (0..6).map(|n| key("gid-1", n)).collect();
    let states = giro.lookup(&keys).wait().unwrap();
    let states: Vec<u8> = states.iter().map(|info| info.state).collect();
    let (confirmed, cancelled) = (BranchState::Confirmed, BranchState::Cancelled);
    let expected = [
        confirmed, cancelled, confirmed, confirmed, cancelled, cancelled,
    ];
    assert_eq!(states, expected.map(u8::from));
}

#[test]
fn try_and_confirm_without_waiting_take_effect_in_order() {
    let giro = with_accounts(Ledger::in_memory(options()).unwrap());
    let pending = (0..500).map(|n| {
        let first = giro.try_(payment(key("g", n), 1, 2, 1));
        let second = giro.confirm(ConfirmBranch::whole(key("g", n)));
        (first, second)
    });
    for (first, second) in pending.collect::<Vec<_>>() {
        assert_eq!(first.wait().unwrap().status, BranchStatus::Done);
        assert_eq!(second.wait().unwrap().status, BranchStatus::Done);
    }
    assert_eq!(sums(&giro), [0, 500, 0, 500]);
}

#[test]
fn open_branches_are_listed_by_age_and_by_account() {
    let giro = with_accounts(Ledger::in_memory(options()).unwrap());
    let tries = (0..2500).map(|n| {
        let debit = 1 + n as u128 % 4;
        payment(key("g", n), debit, 9, 1)
    });
    let answers = giro.try_all(tries.collect()).wait().unwrap();
    let list = |until, account| {
        let mut open = giro.open_branches(until, account);
        let mut found = Vec::new();
        while let Some(page) = open.next_page().unwrap() {
            found.extend(page);
        }
        found
    };
    let all = list(u64::MAX, None);
    assert_eq!(all.len(), 2500);
    let times = all.iter().zip(&answers);
    assert!(
        times
            .into_iter()
            .all(|(open, answer)| open.tried_at == answer.timestamp)
    );
    let old = list(answers[99].timestamp, None);
    assert_eq!(old[..], all[..100]);
    let of_two = list(u64::MAX, Some(2));
    assert_eq!(of_two.len(), 625);
    assert!(
        of_two
            .iter()
            .all(|open| open.key.branch_id.parse::<usize>().unwrap() % 4 == 1)
    );
    assert_eq!(list(u64::MAX, Some(9)).len(), 2500);
    assert_eq!(list(u64::MAX, Some(8)), []);
}

#[test]
fn a_list_that_is_too_long_for_a_record_is_refused() {
    let giro = with_accounts(Ledger::in_memory(options()).unwrap());
    let key = |n| BranchKey::new("g".repeat(128), format!("{n:0100}"));
    let tries: Vec<_> = (0..4095).map(|n| payment(key(n), 1, 2, 1)).collect();
    let refused = giro.try_all(tries.clone()).wait();
    assert!(matches!(refused, Err(Error::Branches(_))));
    // The ledger goes on, and takes half of it.
    let answers = giro.try_all(tries[..2000].to_vec()).wait().unwrap();
    assert_eq!(answers.len(), 2000);
}

#[test]
fn a_decision_that_no_ledger_takes_leaves_the_other_branches_to_be_settled() {
    let giro = with_accounts(Ledger::in_memory(options()).unwrap());
    giro.try_(payment(key("a", 1), 1, 2, 10)).wait().unwrap();
    giro.try_(payment(key("b", 1), 1, 2, 7)).wait().unwrap();
    let mut coordinator = |branch: &Open| match branch.key.gid.as_str() {
        "a" => Decision::ConfirmPart(vec![1; 65]),
        _ => Decision::Cancel,
    };
    let settled = giro.settle_open(u64::MAX, &mut coordinator).unwrap();
    assert_eq!((settled.differs, settled.cancelled), (1, 1));
}

#[test]
fn a_watcher_settles_what_nobody_else_does() {
    let giro = with_accounts(Ledger::in_memory(options()).unwrap());
    giro.try_(payment(key("a", 1), 1, 2, 10)).wait().unwrap();
    giro.try_(payment(key("b", 1), 1, 2, 7)).wait().unwrap();
    let mut asked: HashMap<String, u32> = HashMap::new();
    let coordinator = move |branch: &Open| {
        let times = asked.entry(branch.key.gid.clone()).or_default();
        *times += 1;
        match (branch.key.gid.as_str(), *times) {
            (_, 1) => Decision::Wait,
            ("a", _) => Decision::ConfirmPart(vec![4]),
            _ => Decision::Cancel,
        }
    };
    let (told, heard) = crossbeam_channel::unbounded();
    let every = Duration::from_millis(5);
    let report = move |settled: Result<Settled, Error>| told.send(settled.unwrap()).unwrap();
    let watcher = giro
        .watch(Duration::ZERO, every, coordinator, report)
        .unwrap();
    let first = heard.recv().unwrap();
    assert_eq!((first.waiting, first.confirmed), (2, 0));
    let second = heard.recv().unwrap();
    assert_eq!((second.confirmed, second.cancelled), (1, 1));
    drop(watcher);
    assert_eq!(sums(&giro), [0, 4, 0, 4]);
}
