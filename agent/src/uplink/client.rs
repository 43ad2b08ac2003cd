//! One connection of rumqttc: tried by a task, polled by that task alone, and dropped whole.
//!
//! The client's event loop keeps queues that outlive a connection and can wedge for ever
//! (rumqtt issues 250, 1014, 1056); so each connection has a new one, and nothing of it is kept.

use std::sync::Arc;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Packet, PubAck, PubAckReason};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use rumqttc::{Outgoing, TlsConfiguration, Transport};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::address::{Candidate, Candidates};
use super::tls::{self, TlsError};
use super::{Options, PACKET_IDS, words};
use crate::config::{Scheme, Url};
use crate::device::Names;

/// From the start of an attempt to the CONNACK.
const CONNECT_TIMEOUT_S: u64 = 10;
/// The largest packet that the broker may send; rumqttc's own default is 10 KiB.
const INCOMING_BYTES_MAX: u32 = 1024 * 1024;
/// Events that wait for the driver; the task waits when there are more.
const EVENTS_MAX: usize = 64;

/// What happens on a connection.
#[derive(Debug)]
pub(super) enum Happened {
    /// The broker at this address took it.
    Connected(AsyncClient, Box<ConnAck>, Url),
    /// A packet came that matters to nobody.
    Activity,
    /// The next publish was written under this packet id.
    Sent(u16),
    /// The broker answered a publish.
    Answered(PubAck),
    /// It is over; why, in plain words.
    Ended(String),
}

/// A connection, or the attempt at one. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Connection {
    events: mpsc::Receiver<Happened>,
    client: Option<AsyncClient>,
    task: JoinHandle<()>,
}

impl Connection {
    /// Tries candidates until one is connected, each of them once.
    pub(super) fn open(options: Arc<Options>, candidates: Arc<Mutex<Candidates>>) -> Self {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let task = tokio::spawn(async move {
            let error = attempt(&options, &candidates, &sender).await;
            // A driver that is gone has dropped the connection.
            let _gone = sender.send(Happened::Ended(error)).await;
        });
        Self {
            events,
            client: None,
            task,
        }
    }

    /// The next thing that happens.
    pub(super) async fn next(&mut self) -> Happened {
        match self.events.recv().await {
            Some(Happened::Connected(client, ack, url)) => {
                self.client = Some(client.clone());
                Happened::Connected(client, ack, url)
            }
            Some(happened) => happened,
            None => Happened::Ended("The MQTT client stopped".to_owned()),
        }
    }

    /// Hands a publish to the client: QoS 1, not retained.
    pub(super) fn publish(&self, topic: String, payload: bytes::Bytes) -> Result<(), String> {
        let client = self
            .client
            .as_ref()
            .ok_or("The MQTT client is not connected")?;
        client
            .try_publish(topic, QoS::AtLeastOnce, false, payload)
            .map_err(|error| format!("The MQTT client takes nothing more: {error}"))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects and serves the connection to its end; gives the reason of the end.
async fn attempt(
    options: &Options,
    candidates: &Mutex<Candidates>,
    events: &mpsc::Sender<Happened>,
) -> String {
    let mut error = None;
    loop {
        let Some(candidate) = candidates.lock().await.next().await else {
            match error {
                Some(error) => return error,
                // A round ended with the attempt before: this is the first of the next.
                None => continue,
            }
        };
        match connect(options, &candidate).await {
            Ok((client, event_loop, ack)) => {
                let connected = Happened::Connected(client, Box::new(ack), candidate.url.clone());
                if events.send(connected).await.is_err() {
                    return "The driver is gone".to_owned();
                }
                let error = serve(event_loop, events).await;
                return format!("{}: {error}", candidate.url);
            }
            Err(why) => {
                tracing::debug!(url = %candidate.url, address = ?candidate.address, "{why}");
                error = Some(format!("{}: {why}", candidate.url));
            }
        }
    }
}

/// Tries one candidate; why it failed, in plain words.
pub(super) async fn connect(
    options: &Options,
    candidate: &Candidate,
) -> Result<(AsyncClient, EventLoop, ConnAck), String> {
    if candidate.url.scheme == Scheme::Mqtts {
        check_name(options)?;
    }
    let mqtt = mqtt_options(options, candidate).map_err(|error| error.to_string())?;
    let (client, mut event_loop) = AsyncClient::new(mqtt, usize::from(PACKET_IDS));
    match event_loop.poll().await {
        Ok(Event::Incoming(Packet::ConnAck(ack))) => Ok((client, event_loop, ack)),
        Ok(other) => Err(format!(
            "The broker began with something else than CONNACK: {other:?}"
        )),
        Err(error) => Err(words::explain(&error, &options.files)),
    }
}

/// The certificate may be another one than at the start: nothing is sent under another's name.
fn check_name(options: &Options) -> Result<(), String> {
    let names = Names::collect(None, options.files.cert.as_deref(), None);
    match names.map(|names| names.contradiction(&options.device)) {
        Ok(Some(error)) => Err(error),
        Err(error) => Err(error.to_string()),
        Ok(None) => Ok(()),
    }
}

/// New options for each connection.
fn mqtt_options(options: &Options, candidate: &Candidate) -> Result<MqttOptions, TlsError> {
    let url = &candidate.url;
    let host = candidate
        .address
        .map_or_else(|| url.host.clone(), |address| address.to_string());
    let mut mqtt = MqttOptions::new(&options.client_id, host, url.port);
    mqtt.set_clean_start(true)
        .set_keep_alive(options.keep_alive)
        .set_connection_timeout(CONNECT_TIMEOUT_S)
        .set_outgoing_inflight_upper_limit(PACKET_IDS)
        .set_manual_acks(true)
        .set_max_packet_size(Some(INCOMING_BYTES_MAX))
        .set_session_expiry_interval(Some(0));
    let mut network = rumqttc::NetworkOptions::new();
    network.set_tcp_nodelay(true);
    mqtt.set_network_options(network);
    if let Some((user, password)) = &options.login {
        mqtt.set_credentials(user, password);
    }
    if url.scheme == Scheme::Mqtts {
        let config = tls::config(&options.files, &url.host, candidate.address.is_some())?;
        mqtt.set_transport(Transport::Tls(TlsConfiguration::Rustls(config)));
    }
    Ok(mqtt)
}

/// Polls to the end. Never inside a `select!` or a timeout: a poll that is dropped half way loses
/// what it had begun.
async fn serve(mut event_loop: EventLoop, events: &mpsc::Sender<Happened>) -> String {
    loop {
        let happened = match event_loop.poll().await {
            Ok(event) => translate(event),
            Err(error) => return words::explain_end(&error),
        };
        let Some(happened) = happened else { continue };
        if let Happened::Ended(error) = happened {
            return error;
        }
        if events.send(happened).await.is_err() {
            return "The driver is gone".to_owned();
        }
    }
}

fn translate(event: Event) -> Option<Happened> {
    match event {
        Event::Incoming(Packet::PubAck(ack)) => Some(Happened::Answered(ack)),
        Event::Incoming(_) => Some(Happened::Activity),
        Event::Outgoing(Outgoing::Publish(packet_id)) => Some(Happened::Sent(packet_id)),
        Event::Outgoing(Outgoing::AwaitAck(packet_id)) => {
            let error = format!("The MQTT client used packet id {packet_id} while it was open");
            Some(Happened::Ended(error))
        }
        Event::Outgoing(_) => None,
    }
}

/// Reason code and user properties of an answer, as the core takes them.
pub(super) fn answer(ack: PubAck) -> (u16, u8, Vec<(String, String)>) {
    let reason = match ack.reason {
        PubAckReason::Success => 0x00,
        PubAckReason::NoMatchingSubscribers => 0x10,
        PubAckReason::UnspecifiedError => 0x80,
        PubAckReason::ImplementationSpecificError => 0x83,
        PubAckReason::NotAuthorized => 0x87,
        PubAckReason::TopicNameInvalid => 0x90,
        PubAckReason::PacketIdentifierInUse => 0x91,
        PubAckReason::QuotaExceeded => 0x97,
        PubAckReason::PayloadFormatInvalid => 0x99,
    };
    let properties = ack.properties.map(|properties| properties.user_properties);
    (ack.pkid, reason, properties.unwrap_or_default())
}
