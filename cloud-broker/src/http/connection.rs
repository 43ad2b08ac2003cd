//! Connections: accepted, admitted, served, ended.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::error::ApiError;
use super::stall::Stall;
use crate::accept::{self, AcceptTrouble};
use crate::door::{Door, Listener};
use crate::limits::Place;
use crate::metrics::DoorName;
use crate::tls::{Tls, peer_certificate};

/// A TLS handshake takes at most this long.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// A request's head takes at most this long to arrive, a pause before it included.
const HEAD_MAX: Duration = Duration::from_secs(60);
/// Bytes of a request's head, and of each direction's buffer.
const BUFFER_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;

/// Accepts until it is time to stop, then waits for the connections to end.
pub(super) async fn accept(door: Door, listener: Listener) -> io::Result<()> {
    let socket = TcpListener::from_std(listener.socket)?;
    let router = super::router(door.clone());
    let mut connections = JoinSet::new();
    let mut trouble = AcceptTrouble::default();
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = door.stop.requested() => break,
            accepted = socket.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    trouble.tell(listener.name, &error);
                    tokio::time::sleep(accept::PAUSE).await;
                    continue;
                }
            },
        };
        while connections.try_join_next().is_some() {}
        let Some(place) = door.limits.enter(DoorName::Http) else {
            tracing::debug!(%peer, "Connection closed, all places are taken");
            continue;
        };
        let connection = Connection {
            door: door.clone(),
            router: router.clone(),
            peer,
            place,
        };
        connections.spawn(connection.run(stream, listener.tls.clone()));
    }
    drop(socket);
    connections.join_all().await;
    Ok(())
}

struct Connection {
    door: Door,
    router: Router,
    peer: SocketAddr,
    place: Place,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<Arc<Tls>>) {
        accept::tune(&stream);
        let Some(tls) = tls else {
            return self.serve(stream, None).await;
        };
        match timeout(HANDSHAKE_MAX, tls.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => {
                let certificate = peer_certificate(stream.get_ref().1).cloned();
                self.serve(stream, certificate).await;
            }
            Ok(Err(error)) => tracing::debug!(peer = %self.peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(peer = %self.peer, "TLS handshake took too long"),
        }
    }

    async fn serve<S>(self, stream: S, certificate: Option<CertificateDer<'static>>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            door,
            router,
            peer,
            place,
        } = self;
        let stream = TokioIo::new(Stall::new(stream, Arc::clone(&door.limits)));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEAD_MAX)
            .max_headers(HEADERS_MAX)
            .max_buf_size(BUFFER_BYTES_MAX);
        let served = match admit(&door, peer.ip(), certificate.as_ref()) {
            Ok(()) => {
                let service = TowerToHyperService::new(router);
                let connection = http.serve_connection(stream, service);
                let mut connection = std::pin::pin!(connection);
                tokio::select! {
                    served = connection.as_mut() => served,
                    () = door.stop.requested() => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                }
            }
            Err(message) => {
                let refuse = service_fn(|_| refuse(message.clone()));
                http.keep_alive(false)
                    .serve_connection(stream, refuse)
                    .await
            }
        };
        if let Err(error) = served {
            tracing::trace!(%peer, %error, "Connection ended");
        }
        drop(place);
    }
}

fn admit(
    door: &Door,
    peer: IpAddr,
    certificate: Option<&CertificateDer<'static>>,
) -> Result<(), String> {
    match door.auth.admit(peer, certificate) {
        Ok(_) => Ok(()),
        Err(denied) => {
            tracing::debug!(%peer, %denied, "HTTP client refused");
            Err(denied.to_string())
        }
    }
}

fn refuse(message: String) -> Ready<Result<Response, Infallible>> {
    ready(Ok(ApiError::unauthorized(message).into_response()))
}
