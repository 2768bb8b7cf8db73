//! Making a sieve from keys that rise.

use giro_base::Region;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{BUCKET_BITS_MAX, BUCKET_BITS_MIN, HASHES_MAX, Sieve, WINDOW, key, place};
use crate::error::StoreError;
use crate::format::Entry;
use crate::reader::Reader;
use crate::run::Run;
use crate::sort::{clear, nothing};

/// Entries read at a time.
const READ_AT_ONCE: u64 = 64 * 1024;

/// A sieve in the making.
pub(super) struct Maker {
    sieve: Sieve,
    /// Buckets begun.
    buckets: usize,
}

impl Maker {
    /// Of the ids of these generations, `hashes` at most.
    pub(super) fn new(covered: Vec<(u64, u64)>, shift: u32, hashes: usize) -> Self {
        assert!(hashes <= HASHES_MAX, "more hashes than a sieve can have");
        let bucket_bits = bucket_bits(hashes);
        let mut starts = room((1 << bucket_bits) + 1);
        starts.set_len((1 << bucket_bits) + 1);
        let sieve = Sieve {
            covered,
            shift,
            bucket_bits,
            hashes: 0,
            starts,
            low: room(hashes + WINDOW),
            high: room(hashes),
            members: room(hashes),
        };
        Self { sieve, buckets: 0 }
    }

    /// The next key, not before the last one.
    #[inline(always)]
    pub(super) fn push(&mut self, key: u64, member: u8) {
        let sieve = &mut self.sieve;
        let (bucket, kept) = place(key, sieve.bucket_bits);
        while self.buckets <= bucket {
            sieve.starts[self.buckets] = sieve.hashes as u32;
            self.buckets += 1;
        }
        sieve.low.push(kept as u16);
        sieve.high.push((kept >> 16) as u16);
        sieve.members.push(member);
        sieve.hashes += 1;
    }

    pub(super) fn finish(mut self) -> Sieve {
        let sieve = &mut self.sieve;
        for start in &mut sieve.starts[self.buckets..] {
            *start = sieve.hashes as u32;
        }
        sieve.low.set_len(sieve.hashes + WINDOW);
        self.sieve
    }
}

impl Sieve {
    /// The sieve of a run's ids, read from its file.
    ///
    /// # Errors
    /// The system's, and that something is damaged.
    pub fn of(run: &Run, reader: &mut Reader) -> Result<Self, StoreError> {
        let covered = vec![(run.first(), run.last())];
        let mut maker = Maker::new(covered, 0, run.entries() as usize);
        let mut before = 0;
        for partition in run.partitions() {
            let section = run.entries_of(partition);
            let mut done = 0;
            while done < section.count {
                let end = (done + READ_AT_ONCE).min(section.count);
                let entries = reader.range::<Entry>(run.file(), &section, done..end)?;
                for entry in entries {
                    // Nothing says which of several generations an entry is from, and they are
                    // in one file: the first stands for all.
                    let key = key(entry.hash);
                    if key < before {
                        return Err(run.file().damaged(section.page, "entries are not in order"));
                    }
                    before = key;
                    maker.push(key, 0);
                }
                done = end;
            }
        }
        Ok(maker.finish())
    }
}

/// As many buckets as give each five to eleven hashes.
fn bucket_bits(hashes: usize) -> u32 {
    let bits = (hashes + hashes / 2).max(1).ilog2().saturating_sub(3);
    bits.clamp(BUCKET_BITS_MIN, BUCKET_BITS_MAX)
}

/// Memory for so many, in huge pages unless it is little.
fn room<T: FromBytes + IntoBytes + Immutable + Copy>(len: usize) -> Region<T> {
    let mut room = nothing();
    clear(&mut room, len);
    room
}
