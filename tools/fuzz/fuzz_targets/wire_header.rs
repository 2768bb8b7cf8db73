//! A message's header: any bytes are judged, none panics; and a header that is taken as a view
//! says the same when its checksum is computed anew.
#![no_main]

use giro_base::checksum;
use giro_wire::{HeaderBytes, Message, parse_header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut header: HeaderBytes = [0; 256];
    let bytes = input.len().min(header.len());
    header[..bytes].copy_from_slice(&input[..bytes]);
    judge(&header);
    // With the right checksum every other rule is reached.
    let sum = checksum(&header[16..]);
    header[..16].copy_from_slice(&sum.to_le_bytes());
    judge(&header);
});

fn judge(header: &HeaderBytes) {
    match parse_header(header, 0) {
        Ok(Message::Request(request)) => {
            assert_ne!(request.client.get(), 0);
            assert!(request.frame.body_bytes() + 256 <= 1 << 20);
            let _ = request.operation();
        }
        Ok(Message::Reply(reply)) => assert!(reply.frame.body_bytes() + 256 <= 1 << 20),
        Ok(_) => {}
        Err(rejected) => assert!(!rejected.to_string().is_empty()),
    }
}
