//! One connection, with or without TLS.

use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::super::Failure;
use super::target::Target;

/// How long a connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Requests go in at this end; a task carries them.
#[derive(Debug)]
pub(super) struct Link(SendRequest<Body>);

impl Link {
    pub(super) async fn open(target: &Target) -> Result<Self, Failure> {
        let (host, port) = &target.address;
        let connecting = TcpStream::connect((host.as_str(), *port));
        let stream = match timeout(CONNECT_MAX, connecting).await {
            Ok(connected) => connected.map_err(|error| target.unreachable(error))?,
            Err(late) => return Err(target.unreachable(late)),
        };
        // Without it small requests may wait; all else is the same.
        drop(stream.set_nodelay(true));
        let Some((config, name)) = &target.tls else {
            return Self::begin(target, stream).await;
        };
        let connector = TlsConnector::from(config.clone());
        match timeout(CONNECT_MAX, connector.connect(name.clone(), stream)).await {
            Ok(Ok(stream)) => Self::begin(target, stream).await,
            Ok(Err(error)) => Err(target.unreachable(error)),
            Err(late) => Err(target.unreachable(late)),
        }
    }

    async fn begin<S>(target: &Target, stream: S) -> Result<Self, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| target.lost(error))?;
        // What goes wrong there, whoever waits for an answer is told.
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    pub(super) fn is_open(&self) -> bool {
        !self.0.is_closed()
    }

    pub(super) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        self.0.ready().await?;
        self.0.send_request(request).await
    }
}
