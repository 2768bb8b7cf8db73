//! What the pieces of the checkpoint say together, against the world's plain lists.

use std::collections::HashMap;

use giro_base::time::TIMESTAMP_MAX;
use giro_base::{Account, TransferFlags};
use giro_core::pendings::Pending;
use giro_core::phase::Phase;
use giro_core::restore::Boundary;
use giro_core::{Digest, StateMachine};
use giro_store::checkpoint::format::PiecePart;
use giro_store::checkpoint::is_mergeable;
use giro_store::page::{FileTag, Kind, PAGE_BYTES, PAYLOAD_BYTES, seal};
use giro_store::{Catalog, Fate, Reader, StoreError};
use rand::Rng;

use crate::support::{Bench, IDENTITY, State, World, account, mark_of, reply_of};

/// Changes to each file of [`forged_pages_with_right_checksums_never_end_the_process`].
const FORGERIES: usize = 3000;

/// The world as it was at the end of a generation.
struct Moment {
    accounts: Vec<State>,
    /// Rows of open pending transfers.
    open: Vec<u64>,
}

impl Moment {
    fn of(world: &World) -> Self {
        let is_open = |row: &u64| {
            let is_pending = world.rows[*row as usize].flags & TransferFlags::PENDING != 0;
            is_pending && !matches!(world.fates.get(row), Some(fate) if *fate != Fate::None)
        };
        Self {
            accounts: world.accounts.clone(),
            open: (0..world.rows.len() as u64).filter(is_open).collect(),
        }
    }
}

fn as_made(slot: u32, state: &State) -> Account {
    Account {
        debits_pending: state.balances.debits_pending,
        debits_posted: state.balances.debits_posted,
        credits_pending: state.balances.credits_pending,
        credits_posted: state.balances.credits_posted,
        flags: state.flags,
        ..account(slot)
    }
}

fn check(catalog: &Catalog, reader: &mut Reader, world: &World, moment: &Moment) {
    let whole = catalog.checkpoint().unwrap();
    let mut accounts = Vec::new();
    let kept = whole.accounts(reader, |account| {
        accounts.push(*account);
        Ok(())
    });
    kept.unwrap();
    let expected = moment.accounts.iter().zip(0..);
    let expected: Vec<_> = expected.map(|(state, slot)| as_made(slot, state)).collect();
    assert_eq!(accounts, expected);
    let mut open = Vec::new();
    let kept = whole.pendings(reader, |pending| {
        let row = pending.row as usize;
        assert_eq!(pending.transfer, world.rows[row]);
        assert_eq!([pending.debit, pending.credit], world.slots[row]);
        open.push(pending.row);
        Ok(())
    });
    kept.unwrap();
    assert_eq!(open, moment.open);
    let state = whole.state();
    let rows = catalog.end_row();
    assert_eq!(state.rows_end, rows);
    let last = rows
        .checked_sub(1)
        .map(|row| world.rows[row as usize].timestamp);
    assert_eq!(state.timestamp_last, last.unwrap_or(0));
}

/// Sessions are all there, each with the reply to its last write.
fn check_mark(catalog: &Catalog, reader: &mut Reader, number: u64) {
    let found = catalog.checkpoint().unwrap().mark(reader).unwrap();
    let world = giro_core::generation::Generation::new(number, 0, 1, 1).unwrap();
    let mut expected = mark_of(&world);
    for session in &mut expected.sessions {
        session.reply = Some(reply_of(session.client - 1, session.op));
    }
    assert_eq!(found, expected);
}

#[test]
fn pieces_say_what_the_ledger_was_however_they_are_merged() {
    for seed in 0..8 {
        let mut world = World::new(seed, 4 + seed as usize % 5);
        let mut bench = Bench::real();
        for number in 0..24 {
            let steps = [0, 1, 40, 300][world.rng.random_range(0..4)];
            let generation = if world.rng.random_bool(0.1) {
                world.expiries_only(steps)
            } else {
                world.generation(steps)
            };
            bench.write(&generation);
            let catalog = bench.catalog();
            let at_random = catalog.pieces.len() > 1 && world.rng.random_bool(0.1);
            if is_mergeable(&catalog.pieces) || at_random {
                let merged = bench
                    .workshop
                    .merge_pieces(&mut bench.reader, &catalog.pieces);
                assert_eq!((merged.unwrap().first(), number), (0, number));
            }
            let catalog = bench.catalog();
            check(&catalog, &mut bench.reader, &world, &Moment::of(&world));
            check_mark(&catalog, &mut bench.reader, number);
        }
    }
}

#[test]
fn a_lost_piece_is_named_and_nothing_is_removed() {
    let mut world = World::new(5, 4);
    let mut bench = Bench::real();
    for _ in 0..6 {
        bench.write(&world.generation(40));
    }
    for number in 0..6 {
        let path = bench.workshop.names.piece(number, number);
        let kept = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let found = bench.workshop.recover(&mut bench.reader);
        if number == 5 {
            // As a crash leaves it: the generation is made again.
            assert_eq!(found.unwrap().generations(), 5);
            continue;
        }
        let error = found.err().expect("a piece is missing");
        assert!(matches!(error, StoreError::Missing { .. }), "{error}");
        assert!(
            error.to_string().contains(&format!("generation {number}")),
            "{error}"
        );
        std::fs::write(&path, kept).unwrap();
        assert_eq!(bench.catalog().generations(), 6);
    }
    for number in 0..5 {
        std::fs::remove_file(bench.workshop.names.piece(number, number)).unwrap();
    }
    let error = bench.workshop.recover(&mut bench.reader).err().unwrap();
    assert!(error.to_string().contains("generation 0"), "{error}");
    assert!(bench.workshop.names.segment(4).exists());
}

#[test]
fn any_byte_of_a_piece_that_changed_is_found() {
    let mut world = World::new(6, 5);
    let mut bench = Bench::real();
    let mut whole = HashMap::new();
    for number in 0..3 {
        bench.write(&world.generation(60));
        let path = bench.workshop.names.piece(number, number);
        whole.insert(path.clone(), std::fs::read(path).unwrap());
    }
    let moment = Moment::of(&world);
    for (path, bytes) in &whole {
        for _ in 0..60 {
            let at = world.rng.random_range(0..bytes.len());
            let mut changed = bytes.clone();
            changed[at] ^= 1 << world.rng.random_range(0..8);
            std::fs::write(path, &changed).unwrap();
            let outcome = read_all(&mut bench);
            let error = outcome.expect_err("a changed byte is never believed");
            assert!(
                error.to_string().contains(path.to_str().unwrap()),
                "{error}"
            );
        }
        std::fs::write(path, bytes).unwrap();
    }
    let catalog = bench.catalog();
    check(&catalog, &mut bench.reader, &world, &moment);
}

/// Makes a state machine of what is there, and expires all it can.
fn restored(bench: &mut Bench) -> Result<(), StoreError> {
    let catalog = giro_store::History::read(&bench.workshop, &mut bench.reader)?;
    let whole = catalog.checkpoint().unwrap();
    let options = giro_core::Options {
        accounts_max: 1 << 10,
        transfers_max: 1 << 15,
        is_archived: true,
        ..giro_core::Options::default()
    };
    let mut machine = StateMachine::new(&options).unwrap();
    whole.accounts(&mut bench.reader, |account| {
        machine.restore_account(account);
        Ok(())
    })?;
    whole.pendings(&mut bench.reader, |pending| {
        machine.restore_pending(Pending {
            transfer: pending.transfer,
            row: pending.row,
            debit: pending.debit,
            credit: pending.credit,
            phase: Phase::Pending,
        });
        Ok(())
    })?;
    whole.mark(&mut bench.reader)?;
    let state = whole.state();
    let restored = machine.restore(&Boundary {
        generation: whole.last() + 1,
        row: state.rows_end,
        timestamp_last: state.timestamp_last,
        digest: Digest::from_value(state.digest),
    });
    restored.map_err(|reason| whole.damaged(PiecePart::Accounts, reason))?;
    machine.expire(TIMESTAMP_MAX);
    Ok(())
}

#[test]
fn forged_pages_with_right_checksums_never_end_the_process() {
    let mut world = World::new(8, 5);
    let mut bench = Bench::real();
    let mut whole = Vec::new();
    for number in 0..3 {
        bench.write(&world.generation(60));
        let path = bench.workshop.names.piece(number, number);
        whole.push((number, path.clone(), std::fs::read(path).unwrap()));
    }
    restored(&mut bench).unwrap();
    let mut refused = 0;
    for (number, path, bytes) in &whole {
        let tag = FileTag::new(IDENTITY.cluster, Kind::Checkpoint, *number, *number);
        for _ in 0..FORGERIES {
            let mut forged = bytes.clone();
            let pages = forged.as_chunks_mut::<PAGE_BYTES>().0;
            let page = world.rng.random_range(0..pages.len());
            // Headers and records begin where pages do, and have numbers of 8 bytes.
            let places = [600, PAYLOAD_BYTES - 8][world.rng.random_range(0..2)];
            let at = world.rng.random_range(0..places) / 8 * 8;
            let value: u64 = match world.rng.random_range(0..4) {
                0 => u64::MAX,
                1 => world.rng.random_range(0..100),
                2 => 0,
                _ => world.rng.random(),
            };
            let length = [2, 4, 8, 8][world.rng.random_range(0..4)];
            pages[page][at..at + length].copy_from_slice(&value.to_le_bytes()[..length]);
            seal(&mut pages[page], tag, page as u64);
            std::fs::write(path, &forged).unwrap();
            refused += usize::from(restored(&mut bench).is_err());
        }
        std::fs::write(path, bytes).unwrap();
    }
    assert!(refused > 50, "{refused} were refused");
}

fn read_all(bench: &mut Bench) -> Result<(), StoreError> {
    let catalog = giro_store::History::read(&bench.workshop, &mut bench.reader)?;
    let whole = catalog.checkpoint().unwrap();
    whole.accounts(&mut bench.reader, |_| Ok(()))?;
    whole.pendings(&mut bench.reader, |_| Ok(()))?;
    whole.mark(&mut bench.reader)?;
    // Small sections share no page, and one that is empty has none: what is left are pages
    // that nothing needs.
    for piece in &catalog.pieces {
        giro_store::verify::read_all(&mut bench.reader, piece.file())?;
    }
    Ok(())
}
