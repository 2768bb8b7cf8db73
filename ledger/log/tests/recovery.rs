//! The rows of the recovery table in `docs/internals/log.md`.

mod support;

use std::path::Path;

use giro_base::checksum;
use giro_log::storage::Storage;
use giro_log::{IN_FLIGHT_MAX, Log, LogError, LogId, RecordHeader};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use support::model::{Model, ModelDisk, SECTOR};
use support::*;
use zerocopy::{FromBytes, IntoBytes};

/// A record of one op that takes so many sectors, all of them not zero.
fn sized(sectors: usize, fill: u8) -> Bodies {
    vec![vec![fill; body_bytes(sectors)]]
}

/// Appends records one at a time; each is durable before the next.
fn write_all(model: &Model, log: &mut Log, records: &[Bodies]) {
    write_to(&mut ModelDisk::new(model), log, records);
}

/// As `write_all`, to the disk the log has written to before.
fn write_to(disk: &mut ModelDisk, log: &mut Log, records: &[Bodies]) {
    for record in records {
        append(log, disk, record).unwrap();
        let write = disk.complete(0);
        log.on_write(write.index, Ok(write.bytes)).unwrap();
    }
}

/// Appends records all at once; none is reported durable to the log.
fn write_in_flight(model: &Model, log: &mut Log, records: &[Bodies]) {
    let mut disk = ModelDisk::new(model);
    for record in records {
        append(log, &mut disk, record).unwrap();
    }
    while disk.in_flight() > 0 {
        disk.complete(0);
    }
}

/// A ledger with these records, each durable before the next.
fn ledger(records: &[Bodies]) -> Model {
    let model = formatted();
    let (_, mut log) = recover(&model).unwrap();
    write_all(&model, &mut log, records);
    model
}

/// Records of so many sectors, distinguishable.
fn records(sectors: &[usize]) -> Vec<Bodies> {
    let fills = 1_u8..;
    sectors
        .iter()
        .zip(fills)
        .map(|(&sectors, fill)| sized(sectors, fill))
        .collect()
}

fn clear(model: &Model, path: &Path, sector: usize) {
    model.edit(path, sector * SECTOR, |bytes| bytes.fill(0));
}

/// Gives exactly these records, takes another, and gives that too.
fn check_goes_on(model: &Model, expected: &[Bodies]) {
    let (found, mut log) = recover(model).unwrap();
    assert!(
        found == expected,
        "{} records instead of {}",
        found.len(),
        expected.len()
    );
    let next = sized(1, 99);
    write_all(model, &mut log, std::slice::from_ref(&next));
    let (found, _) = recover(model).unwrap();
    assert!(found[..] == [expected, &[next]].concat()[..]);
}

#[test]
fn a_new_ledger_is_empty() {
    let model = formatted();
    let (found, log) = recover(&model).unwrap();
    assert!(found.is_empty() && log.can_append());
    assert_eq!(log.positions().appended, 0);
    check_goes_on(&model, &[]);
}

#[test]
fn whole_records_come_back() {
    let records = [records(&[1, 3, 2]), vec![vec![], vec![vec![], vec![1; 65]]]].concat();
    check_goes_on(&ledger(&records), &records);
}

#[test]
fn records_go_on_in_the_next_segment() {
    let records = records(&[200, 50, 100, 157, 257, 1, 257, 3]);
    let model = ledger(&records);
    assert_ne!(model.bytes(&segment(5), 0, 16), [0; 16]);
    check_goes_on(&model, &records);
}

#[test]
fn a_lost_last_record_is_the_end() {
    let records = records(&[1, 2, 3]);
    let model = ledger(&records);
    for sector in 3..6 {
        clear(&model, &segment(1), sector);
    }
    check_goes_on(&model, &records[..2]);
}

#[test]
fn a_torn_last_record_is_the_end() {
    for torn in 4..6 {
        let records = records(&[1, 2, 3]);
        let model = ledger(&records);
        clear(&model, &segment(1), torn);
        let (found, log) = recover(&model).unwrap();
        assert!(found == records[..2]);
        drop(log);
        assert_eq!(
            model.bytes(&segment(1), 3 * SECTOR, 3 * SECTOR),
            vec![0; 3 * SECTOR]
        );
        check_goes_on(&model, &records[..2]);
    }
}

#[test]
fn a_last_record_without_header_is_the_end() {
    let records = records(&[1, 2, 3]);
    let model = ledger(&records);
    clear(&model, &segment(1), 3);
    check_goes_on(&model, &records[..2]);
}

#[test]
fn records_behind_a_gap_that_were_in_flight_are_dropped() {
    let before = records(&[1, 2]);
    let model = ledger(&before);
    let (_, mut log) = recover(&model).unwrap();
    write_in_flight(&model, &mut log, &records(&[1; IN_FLIGHT_MAX]));
    clear(&model, &segment(1), 3);
    let (found, mut log) = recover(&model).unwrap();
    assert!(found == before);
    // A record that ends just where a dropped one started must not bring that back.
    let next = sized(1, 50);
    write_all(&model, &mut log, std::slice::from_ref(&next));
    check_goes_on(&model, &[before, vec![next]].concat());
}

#[test]
fn a_gap_at_the_end_of_a_segment_drops_the_next_ones_records() {
    let before = records(&[250]);
    let model = ledger(&before);
    let (_, mut log) = recover(&model).unwrap();
    write_in_flight(&model, &mut log, &records(&[7, 1, 1]));
    clear(&model, &segment(1), 250);
    let (found, log) = recover(&model).unwrap();
    assert!(found == before);
    drop(log);
    assert_eq!(model.bytes(&segment(2), 0, 4 * SECTOR), vec![0; 4 * SECTOR]);
    check_goes_on(&model, &before);
}

#[test]
fn a_gap_before_a_record_that_saw_it_durable_is_damage() {
    let model = ledger(&records(&[1, 2, 3, 1]));
    clear(&model, &segment(1), 3);
    let (path, offset, index, reason) = damage(&model);
    assert_eq!((path, offset, index), (segment(1), 3 * SECTOR as u64, 3));
    assert!(
        reason.contains("record 4") && reason.contains("durable"),
        "{reason}"
    );
}

#[test]
fn a_gap_before_a_record_too_far_behind_is_damage() {
    let model = ledger(&records(&[1]));
    let (_, mut log) = recover(&model).unwrap();
    let in_flight = records(&[1; IN_FLIGHT_MAX]);
    write_in_flight(&model, &mut log, &in_flight);
    // The ninth in flight can't be made with the log: it is put there with a true checksum.
    let (from, to) = (IN_FLIGHT_MAX * SECTOR, (IN_FLIGHT_MAX + 1) * SECTOR);
    forge(&model, from, to, |header| header.index += 1);
    clear(&model, &segment(1), 1);
    let (_, offset, index, reason) = damage(&model);
    assert_eq!((offset, index), (SECTOR as u64, 2));
    assert!(reason.contains("too far"), "{reason}");
}

/// Copies the first sector of a record to another place, with a changed header that is sealed.
fn forge(model: &Model, from: usize, to: usize, change: impl FnOnce(&mut RecordHeader)) {
    let mut sector = model.bytes(&segment(1), from, SECTOR);
    let mut header = RecordHeader::read_from_bytes(&sector[..256]).unwrap();
    change(&mut header);
    header.checksum = checksum(&header.as_bytes()[16..]);
    sector[..256].copy_from_slice(header.as_bytes());
    model.edit(&segment(1), to, |bytes| bytes.copy_from_slice(&sector));
}

#[test]
fn a_hole_in_a_sealed_segment_is_damage() {
    let model = ledger(&records(&[200, 50, 100, 157, 200]));
    let path = segment(1);
    for sector in 200..250 {
        clear(&model, &path, sector);
    }
    let (found, offset, index, reason) = damage(&model);
    assert_eq!((found, offset, index), (path, 200 * SECTOR as u64, 2));
    assert!(reason.contains("record 3"), "{reason}");
}

#[test]
fn a_changed_byte_is_damage_wherever_it_is() {
    let middle = vec![vec![7; 100], vec![8; 5000]];
    let records = [sized(1, 1), middle, sized(1, 2), sized(1, 3)];
    let intact = ledger(&records);
    let record = SECTOR;
    // Header fields, zeros of the header, both op headers, both bodies, zeros behind each body.
    let header = [
        0, 16, 32, 48, 64, 80, 88, 96, 104, 112, 120, 128, 132, 136, 138, 140, 255,
    ];
    let first_op = [
        256, 272, 288, 304, 320, 336, 344, 352, 360, 364, 368, 372, 373, 511,
    ];
    let rest = [
        512,
        611,
        612,
        639,
        640,
        896,
        5000,
        5895,
        5896,
        6100,
        2 * SECTOR - 1,
    ];
    for at in header.into_iter().chain(first_op).chain(rest) {
        for bit in [0, 7] {
            let model = intact.copy();
            let place = record + at;
            model.edit(&segment(1), place, |bytes| {
                bytes[place % SECTOR] ^= 1_u8 << bit;
            });
            let (path, offset, index, _) = damage(&model);
            let found = (path, offset, index);
            assert_eq!(found, (segment(1), record as u64, 2), "byte {at}");
        }
    }
    // The start of a segment.
    let model = intact.copy();
    model.edit(&segment(1), 0, |bytes| bytes[80] ^= 1);
    assert_eq!(damage(&model).1, 0);
    // Damage is reported again and again: nothing was changed.
    assert_eq!(damage(&model).1, 0);
}

#[test]
fn a_broken_chain_is_damage() {
    let model = ledger(&records(&[1, 1, 1]));
    forge(&model, SECTOR, SECTOR, |header| {
        header.previous_checksum ^= 1;
    });
    let (path, offset, index, reason) = damage(&model);
    assert_eq!((path, offset, index), (segment(1), SECTOR as u64, 2));
    assert!(reason.contains("chain"), "{reason}");
}

#[test]
fn a_missing_segment_is_damage() {
    let model = ledger(&records(&[257, 257, 257]));
    drop(model.remove(&segment(2)).unwrap());
    let (path, _, index, reason) = damage(&model);
    assert_eq!((path, index), (segment(2), 2));
    assert!(reason.contains("missing"), "{reason}");
}

#[test]
fn a_log_without_its_first_segment_is_damage() {
    let model = ledger(&records(&[257, 257]));
    drop(model.remove(&segment(1)).unwrap());
    assert_eq!(
        damage(&model).0.file_name(),
        Path::new("0000000000000001.log").file_name()
    );
    for sequence in 2..=4 {
        drop(model.remove(&segment(sequence)).unwrap());
    }
    assert!(damage(&model).3.contains("missing"));
}

#[test]
fn a_short_segment_is_damage() {
    let model = ledger(&records(&[257, 257]));
    model.cut(&segment(1), 100);
    let (path, offset, index, reason) = damage(&model);
    assert_eq!((path, offset, index), (segment(1), 100 * SECTOR as u64, 1));
    assert!(reason.contains("bytes instead of"), "{reason}");
}

#[test]
fn old_records_of_a_recycled_segment_are_not_read() {
    let model = ledger(&records(&[1; 100]));
    let (_, mut log) = recover(&model).unwrap();
    let mut disk = ModelDisk::new(&model);
    write_to(&mut disk, &mut log, &records(&[157, 257, 100]));
    let durable = log.positions().durable;
    log.advance_committed(durable);
    log.advance_executed(durable);
    log.advance_checkpointed(101);
    log.release(101);
    // Spares 5 and on are files the log had before.
    write_to(&mut disk, &mut log, &records(&[257, 257, 5]));
    let last = log.positions().durable;
    drop(log);
    let (found, mut log) = recover_from(&model, 102).unwrap();
    assert_eq!(found.len() as u64, last - 101);
    let next = records(&[2, 255, 1]);
    write_all(&model, &mut log, &next);
    let (again, _) = recover_from(&model, 102).unwrap();
    assert!(again == [found, next].concat());
    assert!(
        model
            .list(&Path::new(DIR).join("log"))
            .unwrap()
            .iter()
            .all(|n| !n.starts_with("0000000000000001"))
    );
}

#[test]
fn a_forged_record_in_a_body_is_not_believed() {
    let model = ledger(&records(&[1, 1]));
    let (_, mut log) = recover(&model).unwrap();
    // A client knows everything but the tag: it guesses the one of a ledger without a secret.
    let good = model.bytes(&segment(1), SECTOR, 256);
    let mut header = RecordHeader::read_from_bytes(&good).unwrap();
    header.tag = LogId::new(IDENTITY.cluster, [0; 2]).tag;
    (header.index, header.durable_index) = (4, 3);
    header.checksum = checksum(&header.as_bytes()[16..]);
    let mut body = vec![1; 3 * SECTOR];
    body[SECTOR - 512..][..256].copy_from_slice(header.as_bytes());
    write_in_flight(&model, &mut log, &[vec![body]]);
    assert_eq!(model.bytes(&segment(1), 3 * SECTOR, 256), header.as_bytes());
    clear(&model, &segment(1), 2);
    check_goes_on(&model, &records(&[1, 1]));
}

#[test]
fn a_half_prepared_spare_is_made_again() {
    let records = records(&[257]);
    let model = ledger(&records);
    let (_, log) = recover(&model).unwrap();
    drop(log);
    let unready = segment(9).with_extension("new");
    model.create(&unready).unwrap();
    check_goes_on(&model, &records);
    let names = model.list(&Path::new(DIR).join("log")).unwrap();
    assert!(names.iter().all(|name| name.ends_with(".log")), "{names:?}");
}

#[test]
fn a_write_that_fails_or_is_short_stops_the_log() {
    for result in [Ok(0), Err(std::io::ErrorKind::StorageFull.into())] {
        let model = formatted();
        let (_, mut log) = recover(&model).unwrap();
        let mut disk = ModelDisk::new(&model);
        let index = append(&mut log, &mut disk, &sized(1, 1)).unwrap();
        let failed = log.on_write(index, result);
        let Err(LogError::WriteFailed {
            path,
            offset: 0,
            index: 1,
            ..
        }) = failed
        else {
            panic!("{failed:?}");
        };
        assert_eq!(path, segment(1));
        assert!(!log.can_append());
        let stopped = append(&mut log, &mut disk, &sized(1, 1));
        assert!(matches!(stopped, Err(LogError::Stopped)));
    }
}

#[test]
fn a_full_disk_makes_the_log_busy_until_there_is_room() {
    let model = formatted();
    let (_, mut log) = recover(&model).unwrap();
    let mut disk = ModelDisk::new(&model);
    model.set_free(Some(100));
    write_to(&mut disk, &mut log, &records(&[250]));
    assert!(!log.can_append());
    let refused = append(&mut log, &mut disk, &sized(10, 1)).unwrap_err();
    assert!(refused.is_passing());
    assert!(refused.to_string().contains("/ledger/log"), "{refused}");
    let Some(LogError::DiskFull { bytes, .. }) = log.obstacle() else {
        panic!("the disk is full");
    };
    assert_eq!(bytes, IDENTITY.segment_bytes);
    assert_eq!(log.positions().appended, 1);
    // What fits the current segment is still taken.
    write_to(&mut disk, &mut log, &[sized(2, 2)]);
    model.set_free(None);
    assert!(log.can_append());
    write_to(&mut disk, &mut log, &[sized(10, 3)]);
    assert!(log.obstacle().is_none());
    check_goes_on(&model, &[sized(250, 1), sized(2, 2), sized(10, 3)]);
}

#[test]
fn completions_in_any_order_make_only_the_first_ones_durable() {
    let model = formatted();
    let (_, mut log) = recover(&model).unwrap();
    let mut disk = ModelDisk::new(&model);
    for count in 1..=IN_FLIGHT_MAX as u64 {
        assert!(log.can_append());
        assert_eq!(append(&mut log, &mut disk, &sized(1, 1)).unwrap(), count);
    }
    assert!(!log.can_append());
    assert!(matches!(
        append(&mut log, &mut disk, &sized(1, 1)),
        Err(LogError::Busy)
    ));
    assert_eq!(log.on_write(2, Ok(SECTOR)).unwrap(), 0);
    assert_eq!(log.on_write(8, Ok(SECTOR)).unwrap(), 0);
    assert_eq!(log.on_write(1, Ok(SECTOR)).unwrap(), 2);
    assert!(log.can_append());
    let positions = log.positions();
    assert_eq!(
        (positions.appended, positions.durable, positions.committed),
        (8, 2, 0)
    );
    log.advance_committed(2);
    log.advance_executed(1);
    log.advance_checkpointed(1);
    assert_eq!(log.positions().executed, 1);
}

#[test]
fn the_oldest_segment_stays_until_the_next_has_a_durable_record() {
    let model = ledger(&records(&[257]));
    let (_, mut log) = recover(&model).unwrap();
    log.advance_checkpointed(1);
    let mut disk = ModelDisk::new(&model);
    append(&mut log, &mut disk, &sized(200, 1)).unwrap();
    log.release(1);
    // Takes every spare there is, and has another made.
    for sectors in [257, 257, 257] {
        append(&mut log, &mut disk, &sized(sectors, 1)).unwrap();
    }
    drop(log);
    // None of the records in flight reaches the disk.
    let rng = &mut ChaCha8Rng::seed_from_u64(0);
    for _ in 0..50 {
        let (model, _) = model.crash(rng);
        assert!(recover_from(&model, 2).is_ok());
        assert!(
            model
                .list(&Path::new(DIR).join("log"))
                .unwrap()
                .contains(&"0000000000000001.log".to_owned())
        );
    }
}
