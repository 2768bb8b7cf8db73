//! Runs against a target that is slow or silent.

use super::*;
use crate::schedule::{Arrivals, Stretch};
use crate::target::fake::{Fake, Faults};
use crate::workload::{JobKind, Kind, Spread, TccOptions, TransferOptions};

/// Fifty payments or transfers a second, one at a time.
fn options(kind: Kind) -> RunOptions {
    RunOptions {
        workload: WorkloadOptions {
            accounts: 10,
            spread: Spread::Uniform,
            batch: 1,
            seed: 1,
            run: 1,
            grown: 0,
            kind,
        },
        schedule: Schedule {
            stretches: vec![Stretch::steady(0.4, 50.0)],
            arrivals: Arrivals::Constant,
            seed: 1,
        },
        closed: false,
        in_flight: 1,
        warm_up: Duration::ZERO,
        backlog: 100,
        deadline: Duration::from_millis(300),
        drain: Duration::from_millis(100),
        silence: Duration::from_secs(5),
    }
}

fn transfers() -> Kind {
    Kind::Transfers(TransferOptions::default())
}

/// Each tried and confirmed.
fn payments() -> Kind {
    Kind::Tcc(TccOptions {
        cancelled: 0.0,
        late: 0.0,
        repeated: 0.0,
    })
}

fn slow(ms: u64) -> Fake {
    Fake::new(Faults {
        takes: Duration::from_millis(ms),
        ..Faults::default()
    })
}

/// Runs, and says what the target has been asked for when it is over and a while later.
fn go(options: &RunOptions, fake: &Fake, stop_at: Option<u64>) -> (Outcome, [usize; 2]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let target = Target::Fake(fake.clone());
        let accounts: Vec<_> = Workload::new(&options.workload).accounts().collect();
        target.create_accounts(&accounts).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        if let Some(ms) = stop_at {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                stop.store(true, Ordering::Relaxed);
            });
        }
        let outcome = run(options, &target, &stop, &mut |_| {}).await;
        let before = fake.asked() + fake.written();
        tokio::time::sleep(Duration::from_millis(600)).await;
        (outcome, [before, fake.asked() + fake.written()])
    })
}

#[test]
fn nothing_is_asked_of_the_target_when_a_run_is_over() {
    let (outcome, [over, later]) = go(&options(payments()), &slow(100), None);
    let why = outcome.stopped.unwrap();
    let what = "requests still waited 0.1 s after the last was due";
    assert!(why.ends_with(what), "{why}");
    assert_eq!(over, later, "a request outlived its run");
}

#[test]
fn what_is_with_the_target_when_the_last_was_due_has_its_time() {
    let options = RunOptions {
        in_flight: 100,
        deadline: Duration::from_secs(5),
        ..options(payments())
    };
    let (outcome, _) = go(&options, &slow(200), None);
    assert_eq!(outcome.stopped, None, "nothing waited");
    assert_eq!(outcome.recorder.served, 20);
}

#[test]
fn the_deadline_is_that_of_all_steps_together() {
    let options = RunOptions {
        in_flight: 100,
        deadline: Duration::from_millis(600),
        ..options(payments())
    };
    // Each step is within the deadline, and both are not.
    let (outcome, [over, later]) = go(&options, &slow(400), None);
    assert_eq!(over, later);
    assert_eq!((outcome.recorder.served, outcome.recorder.errors), (0, 20));
    let unknown = Fate::failed(1, &StepError::Unknown(String::new()));
    assert_eq!(outcome.fates, [unknown; 20], "the try was acknowledged");
    assert!(!unknown.is_known() && unknown.steps(2) == (1..=2));
}

#[test]
fn what_waits_when_a_run_is_stopped_is_never_sent() {
    let fake = slow(250);
    let (outcome, [over, later]) = go(&options(transfers()), &fake, Some(500));
    assert_eq!(outcome.stopped.as_deref(), Some("interrupted"));
    assert_eq!(over, later);
    // One was answered before, and one was under way.
    assert_eq!((fake.asked(), fake.written()), (2, 2));
    let done = outcome.fates.iter().filter(|fate| **fate == Fate::DONE);
    assert_eq!(done.count(), 2);
    let unsent = outcome.fates.iter().filter(|fate| **fate == Fate::NOTHING);
    assert_eq!(unsent.count(), outcome.fates.len() - 2);
    assert!(outcome.fates.len() > 5, "{}", outcome.fates.len());
    let recorder = &outcome.recorder;
    assert_eq!(recorder.offered as usize, outcome.fates.len());
    assert_eq!(recorder.in_flight(), 0);
}

#[test]
fn a_job_that_never_comes_back_may_have_happened() {
    let (now, stop) = (Instant::now(), AtomicBool::new(false));
    let mut outcome = Outcome {
        recorder: Recorder::new(now, Duration::ZERO),
        fates: Vec::new(),
        stopped: None,
        first_error: None,
    };
    for number in 0..3 {
        outcome.take(Event::Due(now, number), &stop);
    }
    let done = Done {
        number: 1,
        kind: JobKind::Transfers,
        units: 1,
        due: now,
        ended: now,
        result: Ok(()),
        steps: 1,
    };
    outcome.take(Event::Done(done), &stop);
    assert_eq!(outcome.fates, [Fate::UNKNOWN, Fate::DONE, Fate::UNKNOWN]);
    assert_eq!(outcome.recorder.in_flight(), 2);
}
