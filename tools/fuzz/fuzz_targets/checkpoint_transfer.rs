//! What opens the transfer of a checkpoint: the greeting that asks for one, and the listing of its
//! files. Any bytes are judged and none panics; what is taken says what was sent, and no more.
#![no_main]

use giro_base::checksum;
use giro_node::transfer::{HELLO_BYTES, Hello, decode_listing, encode_listing};
use libfuzzer_sys::fuzz_target;

/// Bytes of a file in a listing, and where its numbers are: kind, first, last, pages.
const FILE_BYTES: usize = 48;
/// Most pages of a file: 1 TiB.
const PAGES_MAX: u64 = (1 << 40) / 4096;

fuzz_target!(|input: &[u8]| {
    if let Some(bytes) = input.first_chunk() {
        greet(bytes);
        greet(&resealed(*bytes));
    }
    list(input);
    list(&planned(input));
});

fn greet(bytes: &[u8; HELLO_BYTES]) {
    let Ok(hello) = Hello::decode(bytes) else {
        return;
    };
    assert!(Hello::is_begun_by(bytes));
    assert!(hello.from != 0 && hello.to != 0 && hello.from != hello.to && hello.index != 0);
    assert_eq!(hello.encode(), *bytes, "nothing in it is passed over");
}

/// The greeting with everything fixed that would only say "damaged".
fn resealed(mut bytes: [u8; HELLO_BYTES]) -> [u8; HELLO_BYTES] {
    bytes[48..54].copy_from_slice(b"GIRS\x01\x00");
    let sum = checksum(&bytes[16..]);
    bytes[..16].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn list(bytes: &[u8]) {
    let listed = decode_listing(bytes);
    assert_eq!(listed.is_ok(), is_whole(bytes));
    if let Ok(files) = listed {
        assert_eq!(
            encode_listing(&files),
            bytes,
            "nothing in it is passed over"
        );
    }
}

/// A listing that is nearly right: for each three bytes a file of some kind, which begins where
/// the last one of its kind ended, has some generations, and may have something wrong.
fn planned(plan: &[u8]) -> Vec<u8> {
    let mut ends = [0_u64; 3];
    let mut listing = Vec::new();
    for [kind, generations, wrong] in plan.as_chunks().0 {
        let kind = usize::from(kind % 3);
        let first = ends[kind];
        let last = first + u64::from(generations % 4);
        ends[kind] = last + 1;
        let mut numbers = [kind as u64 + 1, first, last, 2, 5, 0];
        if *wrong > 250 {
            numbers[usize::from(*wrong - 251)] ^= u64::MAX;
        }
        numbers
            .iter()
            .for_each(|number| listing.extend_from_slice(&number.to_le_bytes()));
    }
    listing
}

/// Whether it is that of a whole checkpoint, as the page about replication has it.
fn is_whole(bytes: &[u8]) -> bool {
    let (files, rest) = bytes.as_chunks::<FILE_BYTES>();
    let mut ends = [0_u64; 4];
    let mut before = 1;
    for file in files {
        let numbers = file.as_chunks::<8>().0;
        let [kind, first, last, pages] = [0, 1, 2, 3].map(|n| u64::from_le_bytes(numbers[n]));
        let is_file = (before..=3).contains(&kind)
            && first == ends[kind as usize & 3]
            && (first..u64::MAX).contains(&last)
            && (kind != 1 || first == last)
            && (1..=PAGES_MAX).contains(&pages);
        if !is_file {
            return false;
        }
        ends[kind as usize] = last + 1;
        before = kind;
    }
    rest.is_empty() && ends[1] > 0 && ends[1] == ends[2] && ends[2] == ends[3]
}
