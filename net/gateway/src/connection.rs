//! One connection: HTTP/1.1, or HTTP/2 where the client begins with it.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};
use tower::ServiceExt;

use crate::activity::{Activity, Answer, Verdict, Watched};
use crate::app::App;
use crate::gateway::stop_asked;

/// Most requests at a time on a connection of HTTP/2.
const STREAMS_MAX: u32 = 256;
/// Most bytes of a request's head, over HTTP/2; hyper has its own limits for HTTP/1.1.
const HEAD_BYTES_MAX: u32 = 16 << 10;
/// How often a client of HTTP/2 is asked whether it is there, and what it has to answer.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// What a connection has to end by itself.
const CLOSE_PAUSE: Duration = Duration::from_secs(1);
/// Shortest and longest time between two looks at a connection.
const LOOK_INTERVAL: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Serves it until it ends, is quiet for too long, does not take its answers, or the gateway
/// stops.
pub(crate) async fn serve(
    stream: TcpStream,
    app: Arc<App>,
    router: Router,
    stopped: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
) {
    app.metrics.connections.inc();
    // Answers are small, and each leaves whole.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection cannot send without delay");
    }
    let ended = converse(stream, &app, router, stopped).await;
    if let Err(error) = ended {
        tracing::debug!(error, "a connection of HTTP ended");
    }
    app.metrics.connections.dec();
}

async fn converse(
    stream: TcpStream,
    app: &App,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let activity = Arc::new(Activity::new());
    let counted = Arc::clone(&activity);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let ticket = Activity::begin(&counted);
        let router = router.clone();
        async move {
            let request = request.map(axum::body::Body::new);
            let response = match router.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            Ok::<_, Infallible>(response.map(|body| Answer::new(body, ticket)))
        }
    });
    let builder = builder(app);
    let stream = Watched::new(TokioIo::new(stream), Arc::clone(&activity));
    let mut served = pin!(builder.serve_connection(stream, service));
    let (idle, answer) = (app.options.header_timeout, app.options.answer_timeout);
    let (shortest, longest) = LOOK_INTERVAL;
    let interval = (idle.min(answer) / 4).clamp(shortest, longest);
    let mut look = pin!(sleep_until(Instant::now() + interval));
    let mut is_stopping = false;
    let mut closed_by: Option<Instant> = None;
    loop {
        tokio::select! {
            ended = served.as_mut() => return ended,
            () = stop_asked(&mut stopped), if !is_stopping => {
                is_stopping = true;
                served.as_mut().graceful_shutdown();
            }
            () = look.as_mut() => {
                let now = Instant::now();
                look.as_mut().reset(now + interval);
                if closed_by.is_some_and(|by| by <= now) {
                    return Ok(());
                }
                match activity.verdict(now, idle, answer) {
                    Verdict::Well => closed_by = None,
                    Verdict::Idle if closed_by.is_none() => {
                        closed_by = Some(now + CLOSE_PAUSE);
                        served.as_mut().graceful_shutdown();
                    }
                    Verdict::Idle => {}
                    Verdict::Stuck => {
                        app.metrics.cut.inc();
                        return Err("the client does not take its answers".into());
                    }
                }
            }
        }
    }
}

fn builder(app: &App) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(app.options.header_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    builder
}
