//! `grpc.health.v1`: whether the ledger answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::app::App;

/// Time between two looks of who watches.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// What one can ask about; the empty name is all of it.
const SERVICES: [&str; 4] = [
    "",
    "giro.v1.Ledger",
    "giro.v1.Branches",
    "giro.v1.DtmParticipant",
];

pub(super) struct Door(pub(super) Arc<App>);

#[tonic::async_trait]
impl Health for Door {
    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !SERVICES.contains(&request.get_ref().service.as_str()) {
            return Err(Status::not_found("there is no such service"));
        }
        Ok(Response::new(response(serving(&self.0).await)))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let is_known = SERVICES.contains(&request.get_ref().service.as_str());
        let (changes, watched) = mpsc::channel(1);
        let app = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut last = None;
            while !changes.is_closed() {
                let now = if is_known {
                    serving(&app).await
                } else {
                    ServingStatus::ServiceUnknown
                };
                if last.replace(now) != Some(now) && changes.send(Ok(response(now))).await.is_err()
                {
                    return;
                }
                tokio::time::sleep(WATCH_INTERVAL).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(watched)))
    }
}

async fn serving(app: &App) -> ServingStatus {
    match app.is_ready().await {
        Ok(()) => ServingStatus::Serving,
        Err(_) => ServingStatus::NotServing,
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}
