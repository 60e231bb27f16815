//! The server: accepts a bounded number of connections, each with a time limit on its heads.

use std::{future::Future, sync::Arc};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware,
    routing::{get, post},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};

use crate::{
    ApiState,
    error::Problem,
    host,
    limits::{BODY_BYTES_MAX, CONNECTIONS_MAX, HEAD_TIME_OUT},
    rest::{accounts, blocks, operations, status, transactions},
};

/// Every route, with the checks that all requests pass.
pub(crate) fn router(state: ApiState) -> Router {
    let not_found = || async { Problem::not_found("there is no such path; see the README") };
    let not_allowed = || async {
        let detail = "this path does not take that method";
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    };
    Router::new()
        .route("/v1/status", get(status::status))
        .route("/v1/blocks", get(blocks::list))
        .route("/v1/blocks/{id}", get(blocks::one))
        .route("/v1/transactions", post(transactions::submit))
        .route("/v1/transactions/{hash}", get(transactions::one))
        .route("/v1/accounts/{address}", get(accounts::one))
        .route("/healthy", get(operations::healthy))
        .route("/metrics", get(operations::metrics))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(state.clone(), host::check))
        .with_state(state)
}

/// Serves until `shutdown` is done; then open connections finish their present answer.
pub async fn serve(listener: TcpListener, state: ApiState, shutdown: impl Future<Output = ()>) {
    let service = TowerToHyperService::new(router(state));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Dropping the sender tells every connection to finish.
    let (stop, stopped) = watch::channel(());
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = &mut shutdown => break,
        };
        let Some((stream, place)) = accepted else {
            continue;
        };
        let (service, mut stopped) = (service.clone(), stopped.clone());
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME_OUT)
                .serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            tokio::select! {
                // A client that breaks off is its own affair.
                _ = connection.as_mut() => {}
                _ = stopped.changed() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
            drop(place);
        });
    }
    drop(stop);
}

/// The next connection and its place; none if the system has no connection to give just now.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!("cannot accept a connection: {error}");
            // Out of file descriptors, most likely: asking again at once would spin.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            None
        }
    }
}
