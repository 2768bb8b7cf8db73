//! Every bound that more than one crate relies on, with the relations between them.

/// Bytes of a wire message's header.
pub const MESSAGE_HEADER_BYTES: usize = 256;
/// Most bytes of a whole wire message, header included (1 MiB).
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Most bytes of a message's body.
pub const BODY_BYTES_MAX: usize = MESSAGE_BYTES_MAX - MESSAGE_HEADER_BYTES;

/// Unit of direct I/O: offset, length and address of every log write are multiples of it.
pub const SECTOR_BYTES: usize = 4096;

/// Bytes in front of a log record's ops.
pub const RECORD_HEADER_BYTES: usize = 256;
/// Bytes in front of an op's body in a log record. As large as a wire header, so that an op's
/// header overwrites the message's header in place and the body never moves.
pub const OP_HEADER_BYTES: usize = 256;

/// Bytes of one message buffer: a record header, then one message of the largest size, rounded
/// up to whole sectors.
pub const BUFFER_BYTES: usize =
    (RECORD_HEADER_BYTES + MESSAGE_BYTES_MAX).next_multiple_of(SECTOR_BYTES);

/// Most events in one multi-batch request: the body of 8,189 transfers and one trailer fill a
/// message exactly.
pub const EVENTS_MAX: usize = 8189;
/// Most events in one request of the deprecated operations, which have no trailer.
pub const EVENTS_MAX_UNBATCHED: usize = 8190;

/// Most change events in one reply.
pub const CHANGE_EVENTS_MAX: usize = BODY_BYTES_MAX / 384;

/// Most batches a body's trailer can name. They may be empty, so there can be more than events.
pub const BATCHES_MAX: usize = 65_534;

/// Most bytes of the reply body of a create operation, whose results have at most 16 bytes an
/// event. A count takes two bytes in the request's trailer and in the reply's; an event takes 128
/// bytes of the request for 16 of the reply. So it is the request with the largest trailer that
/// has the largest reply.
pub const CREATE_REPLY_BYTES_MAX: usize = {
    let trailer = (2 * (BATCHES_MAX + 1)).next_multiple_of(128);
    let events = (BODY_BYTES_MAX - trailer) / 128;
    16 * events + trailer
};

/// Transfers one expiry pulse handles at most; further ones are due for the next pulse.
pub const EXPIRIES_PER_PULSE_MAX: usize = 8190;

/// Most branches in one request.
pub const BRANCHES_MAX: usize = 4095;
/// Most legs of a branch.
pub const BRANCH_LEGS_MAX: usize = 64;
/// Most bytes of a branch's global id, and of its branch id.
pub const BRANCH_TEXT_BYTES_MAX: usize = 128;
/// Most ids that one branch of a confirm or cancel is about: those of its legs, and its state's.
pub const BRANCH_EVENTS_MAX: usize = 1 + BRANCH_LEGS_MAX;
/// Most branches that are open at a time. It shows in answers, so it is no option.
pub const BRANCHES_OPEN_MAX: usize = 1 << 26;
/// Most open branches in one reply.
pub const OPEN_BRANCHES_MAX: usize = BODY_BYTES_MAX / 320;

// A settled branch is looked for by two ids.
const _: () = assert!(2 * BRANCHES_MAX <= EVENTS_MAX_UNBATCHED);
const _: () = assert!(BUFFER_BYTES == 257 * SECTOR_BYTES);
const _: () = assert!(EVENTS_MAX * 128 + 128 == BODY_BYTES_MAX);
const _: () = assert!(EVENTS_MAX_UNBATCHED * 128 <= BODY_BYTES_MAX);
const _: () = assert!(CHANGE_EVENTS_MAX == 2730);
const _: () = assert!(CREATE_REPLY_BYTES_MAX >= 16 * EVENTS_MAX_UNBATCHED + SECTOR_BYTES);
const _: () = assert!(CREATE_REPLY_BYTES_MAX == 245_728);
const _: () = assert!(RECORD_HEADER_BYTES.is_multiple_of(64) && OP_HEADER_BYTES.is_multiple_of(64));
