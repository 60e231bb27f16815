//! The server: accepts a bounded number of connections, in all and of each client, with time
//! limits on heads and answers.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    future::Future,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use axum::{
    Extension, Router, extract::DefaultBodyLimit, http::StatusCode, middleware, routing::any,
};
use hyper::{
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use tower_http::{
    CompressionLevel,
    compression::{
        CompressionLayer, Predicate,
        predicate::{NotForContentType, SizeAbove},
    },
};

use crate::{
    ApiState,
    error::Problem,
    host,
    limits::{
        BODY_BYTES_MAX, COMPRESS_BYTES_MIN, CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS,
        HEAD_BYTES_MAX, HEAD_TIME_OUT, IDLE_TIME_OUT, STOP_TIME_OUT, WRITE_TIME_OUT,
    },
    openapi, origin,
    rest::{events::Stopped, faucet},
    socket::{Patience, Requests, Socket},
};

const PATIENCE: Patience = Patience {
    head: HEAD_TIME_OUT,
    idle: IDLE_TIME_OUT,
    write: WRITE_TIME_OUT,
};

/// Every route, with the checks that all requests pass.
pub(crate) fn router(state: ApiState, stopped: watch::Receiver<()>) -> Router {
    let not_found =
        || async { Problem::not_found("there is no such path; /docs has those there are") };
    let not_allowed = || async {
        let detail = "this path does not take that method";
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    };
    let routes = match state.faucet {
        Some(_) => openapi::routes().merge(openapi::faucet()),
        None => openapi::routes().route("/v1/dev/faucet", any(faucet::none)),
    };
    let routes: Router<ApiState> = routes.into();
    routes
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(compression())
        .layer(middleware::from_fn_with_state(state.clone(), origin::check))
        .layer(middleware::from_fn_with_state(state.clone(), host::check))
        .layer(Extension(Stopped(stopped)))
        .with_state(state)
}

/// The fastest level: it shortens JSON to about a fifth at a few milliseconds a megabyte. Events
/// leave one by one and are not held back for it.
fn compression() -> CompressionLayer<impl Predicate> {
    let large = SizeAbove::new(COMPRESS_BYTES_MIN).and(NotForContentType::SSE);
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(large)
}

/// Serves until `shutdown` is done; then open connections finish their present answer.
pub async fn serve(listener: TcpListener, state: ApiState, shutdown: impl Future<Output = ()>) {
    let mut connections = Connections::default();
    // Dropping the sender tells every connection to finish, and every stream to end.
    let (stop, stopped) = watch::channel(());
    let service = TowerToHyperService::new(router(state, stopped.clone()));
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = connections.tasks.join_next() => connections.ended(ended.ok()),
            accepted = listener.accept(), if connections.tasks.len() < CONNECTIONS_MAX => {
                match accepted {
                    Ok((stream, peer)) => {
                        let served = connection(stream, service.clone(), stopped.clone(), PATIENCE);
                        connections.start(peer.ip(), served);
                    }
                    Err(error) => {
                        tracing::warn!("cannot accept a connection: {error}");
                        // Out of file descriptors, most likely: asking again at once would spin.
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        }
    }
    drop(stop);
    let finish = async { while connections.tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_TIME_OUT, finish).await.is_err() {
        tracing::debug!("some clients did not take their answers in time");
    }
}

/// The connections that are open, and how many each client has.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<IpAddr>,
    by_client: BTreeMap<IpAddr, usize>,
}

/// What tells clients from each other: an address of IPv4, or the part of one of IPv6 that is given
/// out, of whose other half everybody may use all.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

impl Connections {
    /// Serves a connection, unless its client has its share.
    fn start(&mut self, address: IpAddr, served: impl Future<Output = ()> + Send + 'static) {
        let is_local = address.to_canonical().is_loopback();
        let client = client_of(address);
        let open = self.by_client.entry(client).or_default();
        if *open >= CONNECTIONS_PER_ADDRESS && !is_local {
            // The stream closes as `served` is dropped.
            return;
        }
        *open += 1;
        self.tasks.spawn(async move {
            // A panic in a handler must not lose count of the connection.
            let _ = tokio::spawn(served).await;
            client
        });
    }

    fn ended(&mut self, client: Option<IpAddr>) {
        let Some(client) = client else { return };
        if let Entry::Occupied(mut open) = self.by_client.entry(client) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
        }
    }
}

/// Answers one connection's requests, until it ends or is told to finish.
async fn connection(
    stream: TcpStream,
    service: TowerToHyperService<Router>,
    mut stopped: watch::Receiver<()>,
    patience: Patience,
) {
    let requests = Requests::default();
    let socket = Socket::new(stream, patience, requests.clone());
    let counted = service_fn(move |request| {
        requests.begin();
        let (requests, answer) = (requests.clone(), service.call(request));
        async move {
            let answer = answer.await;
            requests.end();
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.idle)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), counted);
    tokio::pin!(connection);
    tokio::select! {
        // A client that breaks off is its own affair.
        _ = connection.as_mut() => {}
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Threat A1: who begins a head and stops has less time than who says nothing, and both end.
    #[tokio::test]
    async fn connections_that_ask_nothing_end() {
        let short = Duration::from_millis(50);
        for (text, head, idle) in [
            (
                &b"GET / HTTP/1.1\r\nHo"[..],
                short,
                Duration::from_secs(600),
            ),
            (b"", Duration::from_secs(600), short),
            (b"GET / HTTP/1.1\r\n\r\n", Duration::from_secs(600), short),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap())
                .await
                .unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            client.write_all(text).await.unwrap();
            let (_stop, stopped) = watch::channel(());
            let patience = Patience {
                head,
                idle,
                write: Duration::from_secs(600),
            };
            let service = TowerToHyperService::new(Router::new());
            connection(stream, service, stopped, patience).await;
        }
    }

    /// Threat A1.
    #[tokio::test]
    async fn an_address_has_its_share_of_connections_and_this_machine_all() {
        let mut connections = Connections::default();
        let (stop, stopped) = watch::channel(());
        let served = || {
            let mut stopped = stopped.clone();
            async move { drop(stopped.changed().await) }
        };
        let share = CONNECTIONS_PER_ADDRESS;
        for (address, taken) in [
            ("192.0.2.1", share),
            // The same, as a socket of both protocols writes it.
            ("::ffff:192.0.2.1", 0),
            ("192.0.2.2", share),
            ("2001:db8::1", share),
            ("2001:db8::ffff:1", 0),
            ("2001:db8:0:1::1", share),
            ("127.0.0.1", share + 4),
            ("::ffff:127.0.0.1", share + 4),
            ("::1", share + 4),
        ] {
            let before = connections.tasks.len();
            for _ in 0..share + 4 {
                connections.start(address.parse().unwrap(), served());
            }
            assert_eq!(connections.tasks.len() - before, taken, "{address}");
        }
        drop(stop);
        while let Some(ended) = connections.tasks.join_next().await {
            connections.ended(ended.ok());
        }
        assert!(connections.by_client.is_empty());
    }
}
