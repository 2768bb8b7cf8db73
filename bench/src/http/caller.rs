//! The client: connections that send one request after the other, and read as much of an answer as
//! they need.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What is sent.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) connections: usize,
    pub(super) seconds: u64,
    pub(super) accounts: u128,
    pub(super) account_first: u128,
    pub(super) ledger: u32,
}

/// What came of it.
pub(super) struct Measured {
    /// Requests a second.
    pub(super) rate: f64,
    /// From a request's first byte to its answer's last (us).
    pub(super) times: Histogram<u64>,
    /// All requests that were answered, the warm-up's too.
    pub(super) answered: u64,
}

/// Nothing is counted for so long.
const WARM: Duration = Duration::from_secs(1);
/// Ids of all transfers differ.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Sends transfers to a route, and looks at each answer.
pub(super) fn measure(
    address: SocketAddr,
    route: &'static str,
    load: &Load,
    is_right: fn(&[u8]) -> bool,
) -> anyhow::Result<Measured> {
    let load = *load;
    super::blocking(async move {
        let (from, mut callers) = (Instant::now() + WARM, JoinSet::new());
        let until = from + Duration::from_secs(load.seconds);
        for number in 0..load.connections {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let caller = Caller {
                stream,
                route,
                load,
                rng: ChaCha8Rng::seed_from_u64(number as u64),
                request: Vec::new(),
                answer: Vec::new(),
            };
            callers.spawn(caller.call(from, until, is_right));
        }
        let mut all = Measured {
            rate: 0.0,
            times: Histogram::new(3)?,
            answered: 0,
        };
        while let Some(done) = callers.join_next().await {
            let (times, answered) = done??;
            all.times.add(&times)?;
            all.answered += answered;
        }
        all.rate = all.times.len() as f64 / load.seconds as f64;
        Ok(all)
    })
}

struct Caller {
    stream: TcpStream,
    route: &'static str,
    load: Load,
    rng: ChaCha8Rng,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Caller {
    async fn call(
        mut self,
        from: Instant,
        until: Instant,
        is_right: fn(&[u8]) -> bool,
    ) -> anyhow::Result<(Histogram<u64>, u64)> {
        let mut times = Histogram::new(3)?;
        let mut answered = 0;
        loop {
            self.make_request();
            let began = Instant::now();
            if began >= until {
                return Ok((times, answered));
            }
            self.stream.write_all(&self.request).await?;
            let body = self.read_answer().await?;
            ensure!(
                is_right(&self.answer[body..]),
                "a wrong answer: {}",
                String::from_utf8_lossy(&self.answer)
            );
            answered += 1;
            let now = Instant::now();
            if began >= from && now < until {
                times.record((now - began).as_micros() as u64)?;
            }
        }
    }

    fn make_request(&mut self) {
        use std::io::Write;
        let load = &self.load;
        let debit = self.rng.random_range(0..load.accounts);
        let credit = (debit + self.rng.random_range(1..load.accounts)) % load.accounts;
        let body = format!(
            concat!(
                r#"[{{"id":"{}","debit_account_id":{},"credit_account_id":{},"#,
                r#""amount":1,"ledger":{},"code":1}}]"#
            ),
            NEXT_ID.fetch_add(1, Ordering::Relaxed),
            load.account_first + debit,
            load.account_first + credit,
            load.ledger,
        );
        self.request.clear();
        let written = write!(
            self.request,
            "POST {} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.route,
            body.len()
        );
        written.expect("memory takes all");
    }

    /// Reads one answer, and gives where its body begins.
    async fn read_answer(&mut self) -> anyhow::Result<usize> {
        self.answer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.answer).await?;
            ensure!(read > 0, "the server closed a connection");
            let Some(end) = find(&self.answer, b"\r\n\r\n") else {
                continue;
            };
            let head = std::str::from_utf8(&self.answer[..end]).context("the answer's head")?;
            if !head.starts_with("HTTP/1.1 200 ") {
                bail!("refused: {}", String::from_utf8_lossy(&self.answer));
            }
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is_length = name.eq_ignore_ascii_case("content-length");
                is_length.then(|| value.trim().parse::<usize>().ok())?
            });
            let length = length.context("no content-length")?;
            if self.answer.len() >= end + 4 + length {
                return Ok(end + 4);
            }
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|part| part == what)
}
