//! The ledger over gRPC: the services of `net/gateway/proto`, on the port of HTTP.
//!
//! A request becomes what a route's request becomes, and an error of a route becomes a status
//! ([`status`]), so both doors mean the same.

mod branches;
mod call;
mod codec;
mod convert;
mod dtm;
mod guard;
mod health;
mod ledger;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::any_service;
use prost::Message as _;
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server::Builder as ReflectionBuilder;

pub(crate) use self::codec::Codec;
pub(crate) use self::status::unknown_method;
use self::v1::branches_server::BranchesServer;
use self::v1::dtm_participant_server::DtmParticipantServer;
use self::v1::ledger_server::LedgerServer;
use crate::app::App;

/// What prost and tonic make of the `.proto` files.
#[expect(
    missing_docs,
    clippy::pedantic,
    reason = "the documentation is in the .proto files, the rest is as the generator writes it"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/giro.v1.rs"));
}

/// The `.proto` files, compiled: what reflection answers from.
const DESCRIPTION: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/giro.v1.bin"));
const PACKAGE: &str = "giro.v1";
/// Answers are as long as the ledger's pages; what is received is bounded by [`guard`].
const ENCODED_BYTES_MAX: usize = usize::MAX;

/// A route for each method of each service.
pub(crate) fn router(app: &Arc<App>) -> Router<Arc<App>> {
    let bytes_max = app.options.body_bytes_max;
    macro_rules! service {
        ($server:ident, $handler:expr) => {
            $server::new($handler)
                .max_decoding_message_size(bytes_max)
                .max_encoding_message_size(ENCODED_BYTES_MAX)
        };
    }
    let ledger = service!(LedgerServer, ledger::Door(Arc::clone(app)));
    let branches = service!(BranchesServer, branches::Door(Arc::clone(app)));
    let dtm = service!(DtmParticipantServer, dtm::Door(Arc::clone(app)));
    let health = HealthServer::new(health::Door(Arc::clone(app)));
    let mut router = Router::new()
        .route("/grpc.health.v1.Health/Check", any_service(health.clone()))
        .route("/grpc.health.v1.Health/Watch", any_service(health));
    for (service, method) in methods() {
        let path = format!("/{PACKAGE}.{service}/{method}");
        router = match &*service {
            "Ledger" => router.route(&path, any_service(ledger.clone())),
            "Branches" => router.route(&path, any_service(branches.clone())),
            "DtmParticipant" => router.route(&path, any_service(dtm.clone())),
            other => unreachable!("no door for the service {other}"),
        };
    }
    let reflection = || {
        ReflectionBuilder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTION)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    const READABLE: &str = "the build wrote the description";
    let old = reflection().build_v1alpha().expect(READABLE);
    router
        .route(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            any_service(reflection().build_v1().expect(READABLE)),
        )
        .route(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            any_service(old),
        )
        .layer(middleware::from_fn_with_state(
            Arc::clone(app),
            guard::bound,
        ))
}

/// Services and their methods, as the `.proto` files have them.
fn methods() -> Vec<(String, String)> {
    let files = prost_types::FileDescriptorSet::decode(DESCRIPTION);
    let files = files.expect("the build wrote the description").file;
    let ours = files.into_iter().filter(|file| file.package() == PACKAGE);
    let services = ours.flat_map(|file| file.service);
    let methods = services.flat_map(|service| {
        let name = service.name().to_owned();
        let methods = service.method.into_iter();
        methods.map(move |method| (name.clone(), method.name().to_owned()))
    });
    methods.collect()
}
