//! A relay between client and server that can be cut, muted and pointed elsewhere.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Runs as long as the test's runtime does.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    cut: watch::Sender<u32>,
}

struct State {
    target: Mutex<SocketAddr>,
    /// What the server says is lost.
    server_mute: AtomicBool,
    /// What the client says is lost.
    client_mute: AtomicBool,
}

impl Relay {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            target: Mutex::new(target),
            server_mute: AtomicBool::new(false),
            client_mute: AtomicBool::new(false),
        });
        let (cut, is_cut) = watch::channel(0);
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(relay(client, Arc::clone(&shared), is_cut.clone()));
            }
        });
        Self {
            address,
            state,
            cut,
        }
    }

    /// New connections go there.
    pub(crate) fn point_at(&self, target: SocketAddr) {
        *self.state.target.lock().unwrap() = target;
    }

    pub(crate) fn mute_server(&self, mute: bool) {
        self.state.server_mute.store(mute, Ordering::SeqCst);
    }

    pub(crate) fn mute_client(&self, mute: bool) {
        self.state.client_mute.store(mute, Ordering::SeqCst);
    }

    /// Ends all connections.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

async fn relay(client: TcpStream, state: Arc<State>, mut cut: watch::Receiver<u32>) {
    cut.mark_unchanged();
    let target = *state.target.lock().unwrap();
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, &state.client_mute) => {}
        () = pump(from_server, to_client, &state.server_mute) => {}
        _ = cut.changed() => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mute: &AtomicBool) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count) = from.read(&mut bytes).await {
        if count == 0 {
            return;
        }
        if !mute.load(Ordering::SeqCst) && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
