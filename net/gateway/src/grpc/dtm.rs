//! DTM's contract of a TCC participant over gRPC (`docs/reference/grpc.md`, section "DTM").
//!
//! OK is success, ABORTED a failure, FAILED_PRECONDITION "still running"; everything else is asked
//! again. So phase two never says ABORTED. The confirm and the cancel come as
//! `application/grpc+dtm_raw`, with the bytes of the try's message.

use std::collections::HashMap;
use std::sync::Arc;

use giro_client::{BranchKey, BranchStatus, ConfirmBranch, TryBranch};
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::ledger::wrong;
use super::status::DOMAIN;
use super::v1::dtm_participant_server::DtmParticipant;
use super::{call, convert, v1};
use crate::app::App;
use crate::book::Book;
use crate::error::ApiError;
use crate::routes::dtm::{Phase, Settled, confirmable, refused_try, second_phase};
use crate::routes::{described, only, valid, watch};

type Answer = Result<Response<()>, Status>;

pub(super) struct Door(pub(super) Arc<App>);

impl Door {
    fn book<T>(&self, request: &Request<T>) -> Result<Book, ApiError> {
        call::book(&self.0, request, self.0.options.dtm_deadline)
    }
}

/// The key of a request's branch, from its metadata.
fn key(metadata: &MetadataMap, op: &str) -> Result<BranchKey, ApiError> {
    let find = |name: &'static str| {
        let mut values = metadata.get_all(name).iter();
        let value = values
            .next()
            .ok_or_else(|| ApiError::field(name, "is missing"))?;
        if values.next().is_some() {
            return Err(ApiError::field(name, "is there twice"));
        }
        // Not `to_str`, which takes ASCII only.
        let text = std::str::from_utf8(value.as_encoded_bytes());
        text.map_err(|_| ApiError::field(name, "is not UTF-8"))
    };
    let (gid, branch_id) = (find("dtm-gid")?, find("dtm-branch_id")?);
    if find("dtm-trans_type")? != "tcc" {
        return Err(ApiError::field("dtm-trans_type", "must be tcc"));
    }
    if find("dtm-op")? != op {
        let why = format!("must be {op} for this method");
        return Err(ApiError::field("dtm-op", why));
    }
    let key = BranchKey::new(gid, branch_id);
    valid(key.check()).map_err(|mut error| {
        error.problem.field = error.problem.field.map(|field| format!("dtm-{field}"));
        error
    })?;
    Ok(key)
}

#[tonic::async_trait]
impl DtmParticipant for Door {
    async fn r#try(&self, request: Request<v1::DtmBranch>) -> Answer {
        let key = key(request.metadata(), "try")?;
        let book = self.book(&request)?;
        let body = request.into_inner();
        let branch = TryBranch {
            key: key.clone(),
            timeout: body.timeout,
            legs: wrong(convert::each(&body.legs, "legs", convert::leg))?.into(),
        };
        valid(branch.check())?;
        confirmable(&branch, &wrong(convert::amounts(&body.amounts))?)?;
        let answer = only(book.try_branches("", vec![branch]).await?)?;
        watch(&self.0, "try", &key, &answer);
        match answer.status {
            BranchStatus::Done | BranchStatus::DoneBefore => Ok(Response::new(())),
            _ if let Some(passing) = refused_try(&answer) => Err(passing.into()),
            status => {
                let mut details = ErrorDetails::new();
                let leg = answer.leg.map(|leg| ("leg".to_owned(), leg.to_string()));
                let why = answer.leg_status;
                let why = why.map(|why| ("leg_status".to_owned(), why.to_string()));
                let metadata: HashMap<_, _> = leg.into_iter().chain(why).collect();
                details.set_error_info(status.to_string(), DOMAIN, metadata);
                let message = "FAILURE";
                Err(Status::with_error_details(Code::Aborted, message, details))
            }
        }
    }

    async fn confirm(&self, request: Request<v1::DtmBranch>) -> Answer {
        let key = key(request.metadata(), "confirm")?;
        let book = self.book(&request)?;
        let amounts = wrong(convert::amounts(&request.get_ref().amounts))?;
        let branch = ConfirmBranch {
            key: key.clone(),
            amounts: amounts.into(),
        };
        branch
            .check()
            .map_err(|error| ApiError::field("amounts", described(&error).1))?;
        let answered = book.confirm_branches("", vec![branch]).await;
        settled(second_phase(&self.0, Phase::Confirm, &key, answered)?)
    }

    async fn cancel(&self, request: Request<()>) -> Answer {
        let key = key(request.metadata(), "cancel")?;
        let book = self.book(&request)?;
        let answered = book.cancel_branches("", vec![key.clone()]).await;
        settled(second_phase(&self.0, Phase::Cancel, &key, answered)?)
    }
}

fn settled(settled: Settled) -> Answer {
    match settled {
        Settled::Done => Ok(Response::new(())),
        Settled::Ongoing => Err(Status::failed_precondition("ONGOING")),
    }
}
