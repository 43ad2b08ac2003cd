//! One connection: frames in, answers out in the same order.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use headwater_kafka::{EncodeError, Encoded, Header, Incoming, ParseError, Request, parse};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{error::Elapsed, timeout};

use super::dispatch::{self, Handled, Unacknowledged};
use super::frames::{Frame, FrameError, FrameReader};
use super::room::Room;
use super::session::{Session, Shared};
use super::{outgoing, produce};
use crate::accept;
use crate::auth::Denied;
use crate::limits::Reserved;
use crate::metrics::DoorName;
use crate::tls::peer_certificate;

/// The largest frame of a client that has not shown who it is.
const STRANGER_REQUEST_BYTES_MAX: usize = 512 << 10;
/// Requests of one connection that are worked on; more are not read. Producers of the stock
/// clients have five in flight.
const PIPELINE_MAX: usize = 32;
/// How long a TLS handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// How long a client may say nothing (Kafka's `connections.max.idle.ms`).
const IDLE_MAX: Duration = Duration::from_secs(600);

/// Why a connection was ended from this side.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Request(#[from] ParseError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("{0}")]
    Denied(Denied),
    #[error("Not authorized")]
    Stranger,
    #[error(transparent)]
    Unacknowledged(#[from] Unacknowledged),
    #[error("Nothing was heard for too long")]
    Idle(#[from] Elapsed),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What a request has come to: an answer (none with `acks` = 0), and what is held until it is out.
pub(super) struct Answer {
    frame: Option<Encoded>,
    held: Held,
}

/// Given back once the answer is written.
#[derive(Default)]
struct Held {
    _request: Option<Reserved>,
    _turn: Option<OwnedSemaphorePermit>,
    _records: Option<Room>,
}

type Working = Pin<Box<dyn Future<Output = Result<Answer, Ended>> + Send>>;

/// Serves one client until it goes, breaks the rules, or the broker stops.
pub(super) async fn run(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let Some(place) = shared.door.limits.enter(DoorName::Kafka) else {
        tracing::debug!(%peer, "All places for connections are taken");
        return;
    };
    match Box::pin(greet(&shared, stream, peer)).await {
        Ok(()) => tracing::debug!(%peer, "Kafka client has gone"),
        Err(reason) => tracing::debug!(%peer, %reason, "Kafka connection ended"),
    }
    drop(place);
}

/// Learns who the client is, then talks with it.
async fn greet(shared: &Arc<Shared>, stream: TcpStream, peer: SocketAddr) -> Result<(), Ended> {
    accept::tune(&stream);
    let local = stream.local_addr()?;
    let Some(tls) = &shared.tls else {
        let identity = shared.door.auth.admit(peer.ip(), None);
        let session = Session::new(shared, (local, peer), None, admitted(peer, identity)?);
        return talk(Arc::new(session), stream).await;
    };
    let stream = timeout(HANDSHAKE_MAX, tls.acceptor().accept(stream)).await??;
    let (_, handshake) = stream.get_ref();
    let identity = shared
        .door
        .auth
        .admit(peer.ip(), peer_certificate(handshake));
    let identity = admitted(peer, identity)?;
    let session = Session::new(shared, (local, peer), handshake.server_name(), identity);
    talk(Arc::new(session), stream).await
}

/// A client that could still show who it is may ask for our versions; one with a certificate that
/// says nothing may not even that.
fn admitted<T>(peer: SocketAddr, identity: Result<T, Denied>) -> Result<Option<T>, Ended> {
    match identity {
        Ok(identity) => Ok(Some(identity)),
        Err(denied @ Denied::BadCertificate) => Err(Ended::Denied(denied)),
        Err(denied @ Denied::CertificateNeeded) => {
            tracing::info!(%peer, "{denied}");
            Ok(None)
        }
    }
}

async fn talk<S>(session: Arc<Session>, mut stream: S) -> Result<(), Ended>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let bytes_max = match session.identity {
        Some(_) => session.config().kafka.max_request.as_usize(),
        None => STRANGER_REQUEST_BYTES_MAX,
    };
    let stop = session.door().stop.clone();
    let turn = Arc::new(Semaphore::new(1));
    let mut frames = FrameReader::new(&session.door().limits);
    let mut working = FuturesOrdered::<Working>::new();
    // Set once no more is read: the answers owed for what came before still go out.
    let mut end = None;
    while end.is_none() || !working.is_empty() {
        tokio::select! {
            biased;
            Some(answer) = working.next() => {
                let Answer { frame, held } = answer?;
                if let Some(frame) = frame {
                    outgoing::write(&mut stream, frame, &session.door().limits).await?;
                }
                drop(held);
            }
            () = stop.requested(), if end.is_none() => end = Some(Ok(())),
            frame = timeout(IDLE_MAX, frames.next(&mut stream, bytes_max)),
                if end.is_none() && working.len() < PIPELINE_MAX =>
            {
                match frame? {
                    Ok(Some(frame)) => match begin(&session, frame, &turn).await {
                        Ok(request) => working.push_back(request),
                        Err(reason) => end = Some(Err(reason)),
                    },
                    // Nobody is left who could take answers.
                    Ok(None) => return Ok(()),
                    Err(FrameError::Io(reason)) => return Err(reason.into()),
                    Err(reason) => end = Some(Err(reason.into())),
                }
            }
        }
    }
    outgoing::farewell(&mut stream).await;
    end.unwrap_or(Ok(()))
}

/// Starts a request. Batches to append take their place in line here, one request after the other;
/// everything else runs alone, one at a time and until its answer is out, so that a connection
/// holds at most one answer's memory.
async fn begin(
    session: &Arc<Session>,
    frame: Frame,
    turn: &Arc<Semaphore>,
) -> Result<Working, Ended> {
    let Incoming { header, request } = parse(&frame.bytes).inspect_err(|reason| {
        tracing::debug!(software = session.software(), %reason, "Kafka request refused");
        if let ParseError::Unsupported { key, version } = *reason {
            session.door().metrics.kafka_refused.add(key, version);
        }
    })?;
    tracing::trace!(key = header.key, version = header.version, "Kafka request");
    if session.identity.is_none() && !matches!(request, Request::ApiVersions(_)) {
        return Err(Ended::Stranger);
    }
    let session = Arc::clone(session);
    let reserved = frame.reserved;
    if let Request::Produce(request) = request {
        let submitted = produce::submit(&session, request, header.version).await;
        return Ok(Box::pin(async move {
            let handled = submitted.finish(&session).await?;
            answer(&header, handled, reserved, None)
        }));
    }
    let turn = Arc::clone(turn);
    Ok(Box::pin(async move {
        let turn = turn.acquire_owned().await.ok();
        let handled = dispatch::handle(&session, &header, request).await?;
        answer(&header, handled, reserved, turn)
    }))
}

fn answer(
    header: &Header,
    handled: Handled,
    request: Reserved,
    turn: Option<OwnedSemaphorePermit>,
) -> Result<Answer, Ended> {
    let frame = match &handled.response {
        Some(response) => Some(headwater_kafka::encode(header, response)?),
        None => None,
    };
    let held = Held {
        _request: Some(request),
        _turn: turn,
        _records: handled.room,
    };
    Ok(Answer { frame, held })
}
