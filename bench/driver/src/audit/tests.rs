//! Audits of targets that do not have what they said they have.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::*;
use crate::run::{RunOptions, run};
use crate::schedule::{Arrivals, Schedule, Stretch};
use crate::target::fake::{Fake, Faults};
use crate::workload::{Kind, Spread, TccOptions, TransferOptions};

/// Two callers for a moment, with half of the payments cancelled.
fn options(kind: Kind) -> RunOptions {
    RunOptions {
        workload: WorkloadOptions {
            accounts: 10,
            spread: Spread::Uniform,
            batch: 8,
            seed: 1,
            run: 1,
            grown: 0,
            kind,
        },
        schedule: Schedule {
            stretches: vec![Stretch::steady(0.05, 100.0)],
            arrivals: Arrivals::Constant,
            seed: 1,
        },
        closed: true,
        in_flight: 2,
        warm_up: Duration::ZERO,
        backlog: 100,
        deadline: Duration::from_secs(5),
        drain: Duration::from_secs(5),
        silence: Duration::from_secs(5),
    }
}

fn payments() -> Kind {
    Kind::Tcc(TccOptions {
        cancelled: 0.5,
        ..TccOptions::default()
    })
}

fn transfers() -> Kind {
    Kind::Transfers(TransferOptions {
        pending: 0.5,
        rejected: 0.2,
        random_ids: false,
    })
}

/// A run with these faults, and its audit with those.
fn audited(kind: Kind, faults: Faults, later: Faults) -> Result<Audited, AuditError> {
    let fake = Fake::new(Faults {
        takes: Duration::from_millis(1),
        ..faults
    });
    let (options, target) = (options(kind), Target::Fake(fake.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let accounts: Vec<_> = Workload::new(&options.workload).accounts().collect();
        target.create_accounts(&accounts).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let outcome = run(&options, &target, &stop, &mut |_| {}).await;
        assert!(outcome.fates.len() > 2, "{:?}", outcome.fates);
        fake.set(later);
        audit(&target, &options.workload, &outcome.fates, u64::MAX).await
    })
}

/// The audit fails, and says this.
fn fails(kind: Kind, faults: Faults, later: Faults, why: &str) {
    match audited(kind, faults, later) {
        Err(AuditError::Failed(what)) => assert!(what.contains(why), "{what}"),
        other => panic!("{other:?}, not {why}"),
    }
}

fn busy() -> Option<StepError> {
    Some(StepError::Refused("busy".into()))
}

fn silent() -> Option<StepError> {
    Some(StepError::Unknown("no answer".into()))
}

#[test]
fn a_target_that_has_everything_passes() {
    for kind in [payments(), transfers()] {
        let audited = audited(kind, Faults::default(), Faults::default()).unwrap();
        assert!(audited.acknowledged > 8 && audited.resolved == 0);
        assert_eq!(audited.looked_up, audited.acknowledged);
    }
}

#[test]
fn what_was_acknowledged_before_a_step_failed_passes_when_it_is_there() {
    for (error, is_known) in [(busy(), true), (silent(), false)] {
        let faults = Faults {
            to_confirms: error,
            ..Faults::default()
        };
        let audited = audited(payments(), faults, Faults::default()).unwrap();
        assert!(audited.acknowledged > 8, "{audited:?}");
        assert_eq!(audited.resolved == 0, is_known, "{audited:?}");
    }
}

#[test]
fn a_try_that_was_acknowledged_and_lost_fails_the_audit_when_its_confirm_failed() {
    for error in [busy(), silent()] {
        let faults = Faults {
            forgets_tries: true,
            to_confirms: error,
            ..Faults::default()
        };
        fails(payments(), faults, Faults::default(), "");
    }
}

#[test]
fn a_confirm_that_was_acknowledged_and_lost_fails_the_audit_when_a_cancel_failed() {
    for error in [busy(), silent()] {
        let faults = Faults {
            forgets_confirms: true,
            to_cancels: error,
            ..Faults::default()
        };
        fails(payments(), faults, Faults::default(), "");
    }
}

#[test]
fn tries_without_an_answer_are_there_all_or_none() {
    let faults = Faults {
        halves_tries: true,
        ..Faults::default()
    };
    let why = "was acknowledged up to its step";
    fails(payments(), faults, Faults::default(), why);
}

#[test]
fn look_ups_that_are_short_of_a_row_fail_the_audit() {
    let later = Faults {
        is_short: true,
        ..Faults::default()
    };
    fails(payments(), Faults::default(), later.clone(), "answers for");
    let unknown = Faults {
        to_confirms: silent(),
        ..Faults::default()
    };
    fails(payments(), unknown, later.clone(), "answers for");
    fails(transfers(), Faults::default(), later, "are there");
}

#[test]
fn look_ups_with_a_row_too_many_fail_the_audit() {
    let later = Faults {
        is_long: true,
        ..Faults::default()
    };
    fails(payments(), Faults::default(), later.clone(), "answers for");
    fails(transfers(), Faults::default(), later, "are there");
}
