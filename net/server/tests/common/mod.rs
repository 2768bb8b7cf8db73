//! What the tests of the port share: a server on a thread, a simple ledger, a raw client.
#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod client;
pub(crate) mod ledger;

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use giro::Engine;
use giro_base::BufferPool;
use giro_server::{Handle, Options, Server, Snapshot};

use client::Client;
use ledger::{Gate, SimpleLedger};

/// A server that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) handle: Handle,
    pub(crate) gate: Arc<Gate>,
    pub(crate) pool: BufferPool,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// With limits and deadlines short enough for tests.
    pub(crate) fn start(change: impl FnOnce(&mut Options)) -> Self {
        Self::with_buffers(4, change)
    }

    /// The same with this many receive buffers.
    pub(crate) fn with_buffers(buffers: u32, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options {
            large_replies_max: 3,
            reserved_buffers: 0,
            reactors: crate::REACTORS,
            ..Options::default()
        };
        change(&mut options);
        let server = Server::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let (address, handle) = (server.address(), server.handle());
        let gate = Arc::new(Gate::default());
        let pool = BufferPool::new(buffers).unwrap();
        let (ledger_gate, ledger_pool) = (Arc::clone(&gate), pool.clone());
        let thread = std::thread::spawn(move || {
            let ledger = SimpleLedger::new(ledger_gate);
            server.run(ledger, &ledger_pool, &options).unwrap();
        });
        Self {
            address,
            handle,
            gate,
            pool,
            thread: Some(thread),
        }
    }

    /// With the real ledger, in a directory.
    pub(crate) fn on_disk(directory: &Path) -> Self {
        let server = Server::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let (address, handle) = (server.address(), server.handle());
        let options = giro::Options {
            pin: false,
            buffers: 16,
            sessions_max: 64,
            ..giro::Options::default()
        };
        let engine = Engine::open(directory, &options, &mut |_| {}).unwrap();
        let pool = engine.pool().clone();
        let thread = std::thread::spawn(move || {
            let options = Options {
                reactors: crate::REACTORS,
                ..Options::default()
            };
            server.serve(engine, &options).unwrap();
        });
        Self {
            address,
            handle,
            gate: Arc::default(),
            pool,
            thread: Some(thread),
        }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address).unwrap())
    }

    /// Waits until the counters are as expected.
    pub(crate) fn until(&self, expected: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let seen = self.handle.counters();
            if expected(&seen) {
                return seen;
            }
            assert!(Instant::now() < deadline, "counters stay at {seen:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Whether the server still does its work.
    pub(crate) fn assert_serves(&self) {
        let mut client = self.connect();
        client.register(0xA11CE);
        client.ping(0xA11CE);
    }

    /// Stops the server and waits for it.
    pub(crate) fn stop(mut self) {
        self.join();
    }

    fn join(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "the server panicked"
            );
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.gate.open();
        self.join();
    }
}
