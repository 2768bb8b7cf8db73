//! A network that takes its time: connections through a port that passes on what comes after a
//! delay, in order. Bandwidth is not limited, but for the bytes that can be on their way.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Bytes read at a time, and how many such pieces are on their way at most in each direction: 64
/// MiB, which is a gigabit of 100 ms five times over.
const PIECE_BYTES: usize = 64 << 10;
const PIECES_MAX: usize = 1024;

/// A port in front of another one.
pub(crate) struct DelayedPort {
    port: u16,
    delay_us: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

/// What came, and when it goes on. No bytes: the end.
struct Piece {
    due: Instant,
    bytes: Vec<u8>,
}

impl DelayedPort {
    /// A port of this machine whose connections go on to `target`, at first at once.
    pub(crate) fn start(target: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let delayed = Self {
            port: listener.local_addr()?.port(),
            delay_us: Arc::default(),
            is_over: Arc::default(),
        };
        let (delay_us, is_over) = (Arc::clone(&delayed.delay_us), Arc::clone(&delayed.is_over));
        std::thread::spawn(move || {
            for came in listener.incoming() {
                if is_over.load(Ordering::Acquire) {
                    return;
                }
                // One that cannot go on is closed, as the target would.
                if let Ok(came) = came
                    && let Ok(onward) = TcpStream::connect((Ipv4Addr::LOCALHOST, target))
                {
                    let _ = join(&came, &onward, &delay_us);
                }
            }
        });
        Ok(delayed)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What comes from now on takes so long, each way.
    pub(crate) fn set_delay(&self, delay: Duration) {
        let delay_us = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.delay_us.store(delay_us, Ordering::Relaxed);
    }
}

impl Drop for DelayedPort {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // Wakes the thread that accepts; connections end with their processes.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

/// Passes both ways.
fn join(came: &TcpStream, onward: &TcpStream, delay_us: &Arc<AtomicU64>) -> std::io::Result<()> {
    for (from, to) in [(came, onward), (onward, came)] {
        from.set_nodelay(true)?;
        let (from, to) = (from.try_clone()?, to.try_clone()?);
        let (pieces, due) = sync_channel(PIECES_MAX);
        let delay_us = Arc::clone(delay_us);
        std::thread::spawn(move || take(from, &pieces, &delay_us));
        std::thread::spawn(move || pass_on(to, &due));
    }
    Ok(())
}

fn take(mut from: TcpStream, pieces: &SyncSender<Piece>, delay_us: &AtomicU64) {
    let mut bytes = vec![0; PIECE_BYTES];
    loop {
        let count = match from.read(&mut bytes) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        let delay = Duration::from_micros(delay_us.load(Ordering::Relaxed));
        let piece = Piece {
            due: Instant::now() + delay,
            bytes: bytes[..count].to_vec(),
        };
        if pieces.send(piece).is_err() || count == 0 {
            return;
        }
    }
}

fn pass_on(mut to: TcpStream, pieces: &Receiver<Piece>) {
    for piece in pieces {
        std::thread::sleep(piece.due.saturating_duration_since(Instant::now()));
        if piece.bytes.is_empty() {
            break;
        }
        if to.write_all(&piece.bytes).is_err() {
            // Nobody is there any more: the other side is to hear of it.
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A port that sends back what it gets, and ends when its client does.
    fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut back = stream.try_clone().unwrap();
            std::io::copy(&mut stream, &mut back).unwrap();
            back.shutdown(Shutdown::Write).unwrap();
        });
        port
    }

    #[test]
    fn what_comes_goes_on_later_in_order_and_whole() {
        let delayed = DelayedPort::start(echo()).unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, delayed.port())).unwrap();
        let mut there_and_back = |bytes: &[u8]| {
            let start = Instant::now();
            let mut back = vec![0; bytes.len()];
            let mut sender = stream.try_clone().unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| sender.write_all(bytes).unwrap());
                stream.read_exact(&mut back).unwrap();
            });
            assert!(back == bytes, "in order and whole");
            start.elapsed()
        };
        there_and_back(b"at once");
        delayed.set_delay(Duration::from_millis(60));
        let long: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
        for bytes in [&b"later"[..], &long] {
            let took = there_and_back(bytes);
            assert!(took >= Duration::from_millis(120), "{took:?}");
        }
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the end comes through");
    }

    #[test]
    fn a_target_that_is_not_there_ends_the_connection() {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let target = free.local_addr().unwrap().port();
        drop(free);
        let delayed = DelayedPort::start(target).unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, delayed.port())).unwrap();
        let ended = stream.read(&mut [0]);
        assert!(ended.is_err() || ended.unwrap() == 0);
    }
}
