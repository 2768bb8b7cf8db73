//! The task that owns the socket: it waits for calls, bytes and time, and lets the conductor
//! decide.

use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use giro_wire::{PingHeader, Release};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep, sleep_until};
use zerocopy::IntoBytes;

use crate::call::Call;
use crate::conductor::{CALLS_TOGETHER, Conductor, Opened};
use crate::dial::Dial;
use crate::inbox::Inbox;
use crate::options::ClientOptions;
use crate::outbox::Outbox;

/// Longest sleep, when nothing at all is to be done.
const SLEEP_MAX: Duration = Duration::from_secs(3600);
/// Reads in a row before calls and writes get their turn.
const READS_MAX: usize = 64;
/// Calls taken in a row.
const COMMANDS_MAX: usize = 1024;

/// What handles ask of the driver.
pub(crate) enum Command {
    /// Send it and answer it.
    Call(Call),
    /// Tell when no given up write can happen any more.
    Settle(oneshot::Sender<()>),
}

/// Everything the task owns, but for the dial and the connection.
pub(crate) struct Driver {
    conductor: Conductor,
    commands: mpsc::Receiver<Command>,
    /// All handles are gone.
    is_orphan: bool,
    inbox: Inbox,
    /// Reading stopped with more to read.
    is_interrupted: bool,
    outbox: Outbox,
    pulse: Pulse,
    cluster: u128,
    /// How long a server may be silent to a request while there are others to ask.
    silence_max: Duration,
    /// The server last said something.
    heard: Instant,
}

/// Pings, and whether the server shows a sign of life between them.
struct Pulse {
    /// The ping, which also asks for refusals. Its client id is not a session's, so it says
    /// nothing about one.
    ping: Arc<Vec<u8>>,
    interval: Duration,
    at: Instant,
    /// The server sent or took something since the last ping.
    is_alive: bool,
}

impl Driver {
    pub(crate) fn new(
        options: &ClientOptions,
        commands: mpsc::Receiver<Command>,
        opened: Opened,
    ) -> Self {
        Self {
            conductor: Conductor::new(options, opened),
            commands,
            is_orphan: false,
            inbox: Inbox::new(),
            is_interrupted: false,
            outbox: Outbox::default(),
            pulse: Pulse::new(options.cluster, options.release, options.ping_interval),
            cluster: options.cluster,
            silence_max: options.silence_max,
            heard: Instant::now(),
        }
    }

    /// Runs until all handles are gone and nobody waits for an answer.
    pub(crate) async fn run(mut self, mut dial: Dial) {
        let mut sleep = pin!(sleep_until(Instant::now()));
        loop {
            let Some(stream) = self.wait_for(dial.connect(), sleep.as_mut()).await else {
                return;
            };
            self.begin();
            let ended = self.converse(&stream, &mut dial, sleep.as_mut()).await;
            self.hear_the_rest(&mut dial);
            self.conductor.on_disconnected();
            self.outbox.clear();
            let Err(error) = ended else {
                return;
            };
            dial.lost();
            tracing::debug!(%error, "connection lost");
        }
    }

    /// Takes calls and lets time pass until there is a connection. None at the end.
    async fn wait_for(
        &mut self,
        connecting: impl Future<Output = TcpStream>,
        mut sleep: Pin<&mut Sleep>,
    ) -> Option<TcpStream> {
        let mut connecting = pin!(connecting);
        loop {
            if self.is_finished() {
                return None;
            }
            let has_room = self.conductor.has_room();
            self.set_alarm(sleep.as_mut(), None);
            tokio::select! {
                stream = &mut connecting => return Some(stream),
                command = self.commands.recv(), if has_room && !self.is_orphan => {
                    self.take(command, Instant::now());
                }
                () = sleep.as_mut() => {
                    self.conductor.on_time(Instant::now(), &mut self.outbox);
                }
            }
        }
    }

    fn begin(&mut self) {
        let now = Instant::now();
        self.heard = now;
        self.inbox.clear();
        self.is_interrupted = false;
        self.pulse.begin(now, &mut self.outbox);
        self.conductor.on_connected(now, &mut self.outbox);
    }

    /// Talks on a connection until it is lost (an error) or nothing is left to say.
    async fn converse(
        &mut self,
        stream: &TcpStream,
        dial: &mut Dial,
        mut sleep: Pin<&mut Sleep>,
    ) -> io::Result<()> {
        loop {
            if self.is_finished() {
                return Ok(());
            }
            self.conductor.dispatch(Instant::now(), &mut self.outbox);
            self.outbox
                .write(|slices| stream.try_write_vectored(slices))?;
            let has_room = self.conductor.has_room();
            let silence = self.silence_ends(dial);
            self.set_alarm(sleep.as_mut(), Some(silence.min(self.pulse.at)));
            let is_interrupted = self.is_interrupted;
            let readable = async || match is_interrupted {
                true => Ok(()),
                false => stream.readable().await,
            };
            tokio::select! {
                ready = readable() => {
                    ready?;
                    self.hear(stream, dial)?;
                    if self.is_interrupted {
                        // Who has an answer may have another question. The server is not to wait
                        // for it while others have one.
                        self.conductor.dispatch(Instant::now(), &mut self.outbox);
                        self.outbox
                            .write(|slices| stream.try_write_vectored(slices))?;
                        tokio::task::yield_now().await;
                        self.take_waiting(Instant::now());
                    }
                }
                ready = stream.writable(), if !self.outbox.is_empty() => {
                    ready?;
                    // The kernel was full, and the server took something.
                    self.pulse.is_alive = true;
                }
                command = self.commands.recv(), if has_room && !self.is_orphan => {
                    self.take(command, Instant::now());
                }
                () = sleep.as_mut() => {
                    let now = Instant::now();
                    self.conductor.on_time(now, &mut self.outbox);
                    self.pulse.on_time(now, &mut self.outbox)?;
                    if now >= self.silence_ends(dial) && !self.is_interrupted {
                        dial.look_elsewhere(0);
                        let error = "the server does not answer, and there are others";
                        return Err(io::Error::new(ErrorKind::TimedOut, error));
                    }
                }
            }
        }
    }

    /// Reads, and finds out whether this server is the right one.
    fn hear(&mut self, stream: &TcpStream, dial: &mut Dial) -> io::Result<()> {
        let read = self.read(stream);
        if self.conductor.take_answered() {
            dial.answered();
        }
        if let Some(view) = self.conductor.take_redirection() {
            dial.look_elsewhere(view);
            return Err(io::Error::other("the server does not lead"));
        }
        read
    }

    /// When another server is asked, unless this one says something.
    fn silence_ends(&self, dial: &Dial) -> Instant {
        let asked = self.conductor.oldest_asked().filter(|_| dial.has_others());
        let ends = asked.map(|asked| asked.max(self.heard) + self.silence_max);
        ends.unwrap_or_else(|| Instant::now() + SLEEP_MAX)
    }

    /// Handles a command, and those right behind it: calls that come together leave together.
    fn take(&mut self, command: Option<Command>, now: Instant) {
        let Some(command) = command else {
            self.is_orphan = true;
            return;
        };
        self.obey(command, now);
        self.take_waiting(now);
    }

    fn take_waiting(&mut self, now: Instant) {
        for _ in 1..COMMANDS_MAX {
            if !self.conductor.has_room() {
                return;
            }
            match self.commands.try_recv() {
                Ok(command) => self.obey(command, now),
                Err(_) => return,
            }
        }
    }

    fn obey(&mut self, command: Command, now: Instant) {
        match command {
            Command::Call(call) => self.conductor.submit(call),
            Command::Settle(done) => self.conductor.settle(done, now, &mut self.outbox),
        }
    }

    /// Reads what is there, until so many calls are answered that those who made them should go
    /// on first.
    fn read(&mut self, stream: &TcpStream) -> io::Result<()> {
        self.is_interrupted = false;
        self.conductor.count_answers();
        for _ in 0..READS_MAX {
            self.handle_messages()?;
            if self.is_interrupted {
                break;
            }
            match stream.try_read(self.inbox.room()) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => self.inbox.on_received(bytes),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            self.pulse.is_alive = true;
            self.heard = Instant::now();
        }
        self.handle_messages()
    }

    /// Handles what has come when there will be no more from this connection: an answer counts,
    /// whatever became of what was sent behind it.
    fn hear_the_rest(&mut self, dial: &mut Dial) {
        loop {
            self.is_interrupted = false;
            self.conductor.count_answers();
            if self.handle_messages().is_err() || !self.is_interrupted {
                break;
            }
        }
        // What it said is about this connection's server, not the next one's.
        if self.conductor.take_answered() {
            dial.answered();
        }
        if let Some(view) = self.conductor.take_redirection() {
            dial.look_elsewhere(view);
        }
    }

    /// Handles the messages that have come.
    fn handle_messages(&mut self) -> io::Result<()> {
        let senseless = |fault| io::Error::new(ErrorKind::InvalidData, fault);
        let now = Instant::now();
        while !self.is_interrupted
            && let Some((message, body)) = self.inbox.next(self.cluster).map_err(senseless)?
        {
            self.conductor
                .on_message(message, body, now, &mut self.outbox);
            self.is_interrupted = self.conductor.answers() >= CALLS_TOGETHER;
        }
        Ok(())
    }

    fn is_finished(&mut self) -> bool {
        self.is_orphan && self.conductor.is_quiet()
    }

    /// Sets the sleep to the next time something is to be done, if that is earlier or past.
    fn set_alarm(&self, mut sleep: Pin<&mut Sleep>, other: Option<Instant>) {
        let next = self.conductor.next_time().into_iter().chain(other).min();
        let next = next.unwrap_or_else(|| Instant::now() + SLEEP_MAX);
        if sleep.is_elapsed() || next < sleep.deadline() {
            sleep.as_mut().reset(next);
        }
    }
}

impl Pulse {
    fn new(cluster: u128, release: Release, interval: Duration) -> Self {
        let id = rand::random_range(1..=u128::MAX);
        let ping = PingHeader::build(cluster, release, id, 0, 0).asking_for_refusals();
        Self {
            ping: Arc::new(ping.as_bytes().to_vec()),
            interval,
            at: Instant::now(),
            is_alive: false,
        }
    }

    /// The first message of a connection.
    fn begin(&mut self, now: Instant, out: &mut Outbox) {
        out.push(Arc::clone(&self.ping));
        self.at = now + self.interval;
        self.is_alive = false;
    }

    fn on_time(&mut self, now: Instant, out: &mut Outbox) -> io::Result<()> {
        if now < self.at {
            return Ok(());
        }
        if !self.is_alive {
            let error = "the server neither sends nor takes anything";
            return Err(io::Error::new(ErrorKind::TimedOut, error));
        }
        self.begin(now, out);
        Ok(())
    }
}
