//! The examples of `docs/internals/digest.md`, which pin the formula: a change of it makes old
//! digests worthless.

use giro_base::{Account, Transfer};

use crate::differential::replay;
use crate::inline;
use crate::model::Model;
use crate::request::{Action, Form, Request};

fn examples() -> Vec<Request> {
    let account = |id| Account {
        id,
        ledger: 1,
        code: 1,
        ..Account::default()
    };
    let pending = Transfer {
        id: 7,
        debit_account_id: 1,
        credit_account_id: 1 << 64,
        amount: (1 << 64) + 5,
        timeout: 1,
        ledger: 1,
        code: 1,
        flags: 2,
        ..Transfer::default()
    };
    let actions = [
        (
            1_000,
            Action::CreateAccounts(Form::Dense, vec![vec![account(1), account(1 << 64)]]),
        ),
        (
            1_001,
            Action::CreateTransfers(Form::Dense, vec![vec![pending]]),
        ),
        (
            2_000,
            Action::CreateTransfers(Form::Sparse, vec![vec![Transfer { id: 0, ..pending }]]),
        ),
        (1_000_010_000, Action::Pulse),
    ];
    let requests = actions.into_iter();
    let requests = requests.map(|(timestamp, action)| Request { timestamp, action });
    requests.collect()
}

#[test]
fn digests_are_those_of_the_documentation() {
    let mut model = Model::default();
    let mut digests = vec![format!("{:032x}", model.digest())];
    for request in examples() {
        model.execute(&request);
        digests.push(format!("{:032x}", model.digest()));
    }
    let document = include_str!("../../../../docs/internals/digest.md");
    for digest in &digests {
        assert!(
            document.contains(digest),
            "the documentation lacks one of {digests:#?}"
        );
    }
    replay(&examples(), &inline::maker(2)).unwrap();
}
