//! Two ends of connections between nodes, each with a ring of its own.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use giro_node::transfer::Hello;
use giro_replication::codec::Header;
use giro_replication::limits::APPEND_ENTRIES_MAX;
use giro_replication::{Group, Member, Members, Options, Output, Payload, Replay};

use super::*;

/// One end.
struct End {
    peers: Peers,
    // Dropped before the peers by hand, in `Drop`.
    ring: Option<Ring>,
    started: Instant,
    address: SocketAddr,
    seen: Seen,
}

#[derive(Default)]
struct Seen {
    frames: Vec<Bytes>,
    /// Connections that asked for a checkpoint.
    given: Vec<(NodeId, OwnedFd)>,
    /// Every frame is refused.
    refuses: bool,
}

impl Receiver for Seen {
    type Stop = std::convert::Infallible;

    fn asked(&mut self, hello: &[u8; HELLO_BYTES]) -> Result<NodeId, Refused> {
        Ok(Hello::decode(hello)?.from)
    }

    fn give(&mut self, to: NodeId, socket: OwnedFd) {
        self.given.push((to, socket));
    }

    fn take(&mut self, frame: &Bytes) -> Result<Result<(), Refused>, Self::Stop> {
        if self.refuses {
            return Ok(Err(Refusal::Ourselves.into()));
        }
        self.frames.push(frame.clone());
        Ok(Ok(()))
    }
}

impl End {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut ring = Ring::new(64).unwrap();
        let mut peers = Peers::new(listener).unwrap();
        peers.prepare(&mut ring);
        Self {
            peers,
            ring: Some(ring),
            started: Instant::now(),
            address,
            seen: Seen::default(),
        }
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    fn turn(&mut self) {
        let now = self.now();
        let ring = self.ring.as_mut().expect("it is there until the end");
        self.peers.start(ring, now);
        ring.submit_and_wait(1, Some(Duration::from_millis(2)))
            .unwrap();
        while let Some(completion) = ring.next_completion() {
            let token = Token(completion.token);
            assert_eq!(token.owner(), OWNER_PEER);
            let what = (token.value(), completion);
            let Ok(()) = self.peers.on_operation(ring, what, now, &mut self.seen);
        }
        self.peers.sweep(now);
    }

    fn send(&mut self, to: SocketAddr, frame: &Frame) {
        let now = self.now();
        self.peers.send(2, &to.to_string(), frame.clone(), now);
    }

    /// Sends until the other end has a connection; what is sent before is gone.
    fn connect(&mut self, other: &mut Self, frame: &Frame) {
        until(self, other, |one, other| {
            if one
                .peers
                .outbound
                .get(&2)
                .is_none_or(|peer| !peer.is_open())
            {
                one.send(other.address, frame);
            }
            one.peers.outbound[&2].is_open()
        });
        self.peers.take_unreachable();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        drop(self.ring.take());
    }
}

fn until(one: &mut End, other: &mut End, mut done: impl FnMut(&mut End, &mut End) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done(one, other) {
        assert!(Instant::now() < deadline, "it takes too long");
        one.turn();
        other.turn();
    }
}

/// A group of a voter and a learner, in memory; gives the frames that carry payloads of these many
/// bytes to the learner, and all others between the two.
fn frames(payloads: &[usize]) -> (Vec<Frame>, Vec<Frame>) {
    frames_while(payloads, |_| true)
}

/// The same; nothing gets to the learner while so many payloads are left and `is_there` says no.
fn frames_while(payloads: &[usize], is_there: fn(usize) -> bool) -> (Vec<Frame>, Vec<Frame>) {
    let member = |id| Member {
        id,
        incarnation: id,
        name: String::new(),
    };
    let mut members = Members::of_voters(vec![member(1)]);
    members.learners.push(2);
    members.known.push(member(2));
    members.id_max = 2;
    let mut nodes = [1, 2].map(|node| {
        let start = Replay::default().start(members.clone(), None).unwrap();
        let options = Options {
            node,
            incarnation: node,
            ..Options::default()
        };
        Group::new(options, start).unwrap()
    });
    let (mut large, mut small) = (Vec::new(), Vec::new());
    let mut payloads = payloads.iter();
    // Turns behind the last proposal.
    let mut rest = 100;
    for _ in 0..2000 {
        if nodes[0].is_serving()
            && let Some(bytes) = payloads.next()
        {
            let payload = Payload::new(Bytes::from(vec![*bytes as u8; *bytes]));
            nodes[0].propose(payload, 0).unwrap();
        }
        for place in 0..2 {
            let mut out = Output::default();
            nodes[place].tick();
            nodes[place].poll(&mut out).unwrap();
            for write in out.writes {
                nodes[place].persisted(write.number);
            }
            for commit in out.commits {
                nodes[place].executed(commit.index, 0).unwrap();
            }
            for outgoing in out.frames {
                if !is_there(payloads.len()) {
                    continue;
                }
                let frame = outgoing.frame;
                nodes[1 - place].receive(&frame.to_bytes()).unwrap();
                let kept = if frame.payloads.is_empty() {
                    &mut small
                } else {
                    &mut large
                };
                kept.push(frame);
            }
        }
        rest -= usize::from(payloads.len() == 0);
        if rest == 0 {
            break;
        }
    }
    (large, small)
}

fn bytes_of(frames: &[Frame]) -> Vec<Bytes> {
    frames.iter().map(Frame::to_bytes).collect()
}

#[test]
fn frames_of_all_sizes_arrive_whole_and_in_order() {
    let sizes = [
        64,
        1 << 20,
        40 << 10,
        128,
        600 << 10,
        32 << 10,
        1 << 20,
        4096,
    ];
    let (large, small) = frames(&sizes);
    assert!(!small.is_empty() && large.len() > 3);
    let (mut one, mut other) = (End::new(), End::new());
    one.connect(&mut other, &small[0]);
    let mut sent = Vec::new();
    for round in 0..20 {
        let these = large.iter().chain(small.iter().take(round * 7));
        sent.extend(these.cloned());
    }
    let mut left = sent.iter();
    until(&mut one, &mut other, |one, other| {
        // No more than waits for a peer at most.
        for frame in left.by_ref().take(5) {
            one.send(other.address, frame);
        }
        other.seen.frames.len() >= sent.len()
    });
    assert!(
        other.seen.frames == bytes_of(&sent),
        "all, and in their order"
    );
    assert!(one.peers.take_unreachable().is_empty());
}

#[test]
fn a_frame_with_as_many_entries_as_may_be_arrives() {
    // Small enough that all fit one append. The learner is away for most of them; not for the first
    // entry, which has no payload.
    let is_there = |left| left == 0 || left > APPEND_ENTRIES_MAX + 50;
    let (large, small) = frames_while(&[64; APPEND_ENTRIES_MAX + 100], is_there);
    let most = large.iter().max_by_key(|frame| frame.payloads.len());
    let most = most.unwrap();
    assert_eq!(most.payloads.len(), APPEND_ENTRIES_MAX);
    let (mut one, mut other) = (End::new(), End::new());
    one.connect(&mut other, &small[0]);
    one.send(other.address, most);
    until(&mut one, &mut other, |one, other| {
        assert!(one.peers.take_unreachable().is_empty());
        !other.seen.frames.is_empty()
    });
    assert_eq!(other.seen.frames, bytes_of(std::slice::from_ref(most)));
}

#[test]
fn a_refused_frame_closes_its_connection_and_the_peer_comes_back() {
    let (_, small) = frames(&[64]);
    let (mut one, mut other) = (End::new(), End::new());
    other.seen.refuses = true;
    one.connect(&mut other, &small[0]);
    until(&mut one, &mut other, |one, other| {
        one.send(other.address, &small[0]);
        !one.peers.take_unreachable().is_empty()
    });
    assert!(other.seen.frames.is_empty());
    other.seen.refuses = false;
    until(&mut one, &mut other, |one, other| {
        one.send(other.address, &small[0]);
        !other.seen.frames.is_empty()
    });
}

#[test]
fn bytes_that_are_no_frame_close_their_connection_only() {
    let (_, small) = frames(&[64]);
    let (mut one, mut other) = (End::new(), End::new());
    one.connect(&mut other, &small[0]);
    let mut stranger = std::net::TcpStream::connect(other.address).unwrap();
    stranger.write_all(&[0x55; 4096]).unwrap();
    stranger.set_nonblocking(true).unwrap();
    until(&mut one, &mut other, |_, _| {
        let ended = stranger.read(&mut [0; 16]);
        !matches!(&ended, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    });
    one.send(other.address, &small[0]);
    until(&mut one, &mut other, |_, other| {
        !other.seen.frames.is_empty()
    });
}

#[test]
fn a_newer_connection_of_a_node_ends_the_older_one() {
    let (_, small) = frames(&[64]);
    let (mut one, mut other) = (End::new(), End::new());
    one.connect(&mut other, &small[0]);
    one.send(other.address, &small[0]);
    until(&mut one, &mut other, |_, other| {
        !other.seen.frames.is_empty()
    });
    let mut again = std::net::TcpStream::connect(other.address).unwrap();
    again.write_all(&small[0].to_bytes()).unwrap();
    until(&mut one, &mut other, |_, other| {
        let open = other
            .peers
            .inbound
            .iter()
            .filter(|s| s.connection.is_some());
        other.seen.frames.len() == 2 && open.count() == 1
    });
    until(&mut one, &mut other, |one, other| {
        one.send(other.address, &small[0]);
        !one.peers.take_unreachable().is_empty()
    });
}

#[test]
fn a_peer_that_is_not_there_is_unreachable_and_found_when_it_comes() {
    let (_, small) = frames(&[64]);
    let (mut one, mut other) = (End::new(), End::new());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    until(&mut one, &mut other, |one, _| {
        one.send(address, &small[0]);
        one.peers.take_unreachable() == [2]
    });
    // It moved: the name leads elsewhere now.
    until(&mut one, &mut other, |one, other| {
        one.send(other.address, &small[0]);
        !other.seen.frames.is_empty()
    });
}

#[test]
fn frames_without_a_connection_are_told_as_lost_once_a_turn() {
    let (_, small) = frames(&[64]);
    let (mut one, other) = (End::new(), End::new());
    for _ in 0..2 {
        one.send(other.address, &small[0]);
        one.send(other.address, &small[0]);
        assert_eq!(one.peers.take_unreachable(), [2]);
        assert!(one.peers.take_unreachable().is_empty());
    }
}

#[test]
fn a_peer_that_ended_is_noticed_before_anything_is_sent_to_it() {
    let (_, small) = frames(&[64]);
    let (mut one, mut other) = (End::new(), End::new());
    one.connect(&mut other, &small[0]);
    assert_eq!(one.peers.take_opened(), [2]);
    one.send(other.address, &small[0]);
    until(&mut one, &mut other, |_, other| {
        !other.seen.frames.is_empty()
    });
    assert!(one.peers.take_unreachable().is_empty());
    let ended = other.peers.inbound.iter_mut();
    ended
        .filter_map(|slot| slot.connection.as_mut())
        .for_each(|connection| connection.close());
    until(&mut one, &mut other, |one, _| {
        one.peers.take_unreachable() == [2]
    });
    until(&mut one, &mut other, |one, _| {
        one.peers.take_opened() == [2]
    });
}

#[test]
fn a_peer_that_comes_back_is_not_waited_for() {
    let (_, small) = frames(&[64]);
    let (mut one, mut other) = (End::new(), End::new());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    one.send(address, &small[0]);
    let is_patient = |end: &End| {
        let peer = &end.peers.outbound[&2];
        matches!(peer.way, Way::Closed { until } if until > end.now() + 300_000_000)
    };
    until(&mut one, &mut other, |one, _| is_patient(one));
    // It speaks, so it is there.
    let from = |frame: &&Frame| {
        Header::parse(frame.to_bytes().first_chunk().unwrap())
            .unwrap()
            .from
    };
    let frame = small.iter().find(|frame| from(frame) == 2).unwrap();
    let mut again = std::net::TcpStream::connect(one.address).unwrap();
    again.write_all(&frame.to_bytes()).unwrap();
    until(&mut one, &mut other, |one, _| !one.seen.frames.is_empty());
    assert!(!is_patient(&one));
}

#[test]
fn an_attempt_that_ends_late_does_not_replace_a_connection() {
    let (_, small) = frames(&[64]);
    let (mut one, mut other) = (End::new(), End::new());
    // It is forgotten while the first attempt is under way, and sent to again.
    for has_left in [true, false] {
        let now = one.now();
        one.send(other.address, &small[0]);
        one.peers.start(one.ring.as_mut().unwrap(), now);
        one.peers.forget(|_| has_left, now);
    }
    one.connect(&mut other, &small[0]);
    let accepted = |end: &End| end.peers.inbound.len();
    until(&mut one, &mut other, |one, other| {
        one.send(other.address, &small[0]);
        accepted(other) == 2 && !other.seen.frames.is_empty()
    });
    for _ in 0..50 {
        one.send(other.address, &small[0]);
        one.turn();
        other.turn();
    }
    assert_eq!(one.peers.outbound[&2].epoch, 1);
}

#[test]
fn what_waits_for_a_peer_is_bounded() {
    let (large, small) = frames(&[1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20]);
    let (mut one, mut other) = (End::new(), End::new());
    one.connect(&mut other, &small[0]);
    let frame = large.iter().max_by_key(|frame| frame.len()).unwrap();
    for _ in 0..70 {
        one.send(other.address, frame);
    }
    assert_eq!(one.peers.take_unreachable(), [2], "more waits than may");
}

#[test]
fn a_connection_that_asks_for_a_checkpoint_is_handed_out() {
    let mut end = End::new();
    let hello = Hello {
        cluster: 5,
        from: 3,
        to: 1,
        incarnation: 9,
        index: 7,
        term: 1,
    };
    let mut damaged = hello.encode();
    damaged[80] ^= 1;
    let mut refused = std::net::TcpStream::connect(end.address).unwrap();
    refused.write_all(&damaged).unwrap();
    let mut asking = std::net::TcpStream::connect(end.address).unwrap();
    // In two parts: the first does not say yet what the connection is for.
    asking.write_all(&hello.encode()[..50]).unwrap();
    (0..10).for_each(|_| end.turn());
    asking.write_all(&hello.encode()[50..]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while end.seen.given.is_empty() {
        assert!(Instant::now() < deadline, "nobody heard it");
        end.turn();
    }
    let (from, socket) = end.seen.given.pop().unwrap();
    assert_eq!((from, end.seen.given.len()), (3, 0));
    // It is an ordinary connection, and nothing was taken from it.
    let mut given = std::net::TcpStream::from(socket);
    given.write_all(b"listing").unwrap();
    let mut answer = [0; 7];
    asking.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"listing");
    assert_eq!(refused.read(&mut answer).unwrap_or(0), 0, "it is closed");
}

#[test]
fn bytes_that_are_no_frame_put_no_deadline_off() {
    let mut end = End::new();
    let mut slow = std::net::TcpStream::connect(end.address).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    for _ in 0..4 {
        slow.write_all(&[0]).unwrap();
        (0..10).for_each(|_| end.turn());
        // Two seconds pass.
        end.started -= Duration::from_secs(2);
    }
    (0..10).for_each(|_| end.turn());
    let is_closed = match slow.read(&mut [0]) {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    };
    assert!(is_closed, "a byte now and then is no frame");
}
