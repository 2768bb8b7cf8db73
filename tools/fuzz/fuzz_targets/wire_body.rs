//! A request's body and its trailer: any bytes are judged, none panics; and a body that is taken
//! has as many events as its batches say.
#![no_main]

use giro_base::Operation;
use giro_base::multi_batch::{Body, split_trailer, trailer_bytes, write_trailer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&operation, bytes)) = input.split_first() else {
        return;
    };
    for element_bytes in [8, 16, 64, 128] {
        let _ = split_trailer(bytes, element_bytes);
    }
    let Ok(operation) = Operation::try_from(operation) else {
        return;
    };
    let Ok(body) = Body::parse(operation, bytes) else {
        return;
    };
    let event_bytes = operation.event_bytes();
    if event_bytes == 0 {
        return;
    }
    assert_eq!(body.batches().sum::<usize>(), body.event_count());
    assert_eq!(body.batches().count(), body.batch_count());
    assert_eq!(body.events.len(), body.event_count() * event_bytes);
    if operation.is_multi_batch() {
        // Written anew it is the same bytes.
        let mut again = body.events.to_vec();
        again.resize(
            body.events.len() + trailer_bytes(body.batch_count(), event_bytes),
            0,
        );
        let batches: Vec<_> = body.batches().collect();
        let length = write_trailer(
            &mut again,
            body.events.len(),
            event_bytes,
            batches.into_iter(),
        );
        assert_eq!(&again[..length], bytes);
    }
});
