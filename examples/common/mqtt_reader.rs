//! rumqttc, subscribed to everything from before the first reading.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{Client, Event, MqttOptions};

/// Packets up to the broker's own default limit.
const PACKET_BYTES_MAX: u32 = 1_100_000;
const REQUESTS: usize = 64;

/// Topic and payload.
pub type Message = (Vec<u8>, Vec<u8>);

/// Messages that came, in order.
pub type Messages = Arc<Mutex<Vec<Message>>>;

/// Subscribes to `#`, says so on `subscribed`, and notes every message until `stop`.
///
/// # Errors
/// What rumqttc says.
pub fn follow(
    mqtt: SocketAddr,
    messages: &Messages,
    subscribed: &Sender<()>,
    stop: &Arc<AtomicBool>,
) -> Result<(), String> {
    let mut options = MqttOptions::new("quickstart-reader", mqtt.ip().to_string(), mqtt.port());
    options.set_max_packet_size(Some(PACKET_BYTES_MAX));
    let (client, mut connection) = Client::new(options, REQUESTS);
    client
        .subscribe("#", QoS::AtLeastOnce)
        .map_err(|e| e.to_string())?;
    for event in connection.iter() {
        match event {
            Ok(Event::Incoming(Packet::SubAck(_))) => {
                let _example_gone = subscribed.send(());
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let mut messages = messages.lock().map_err(|e| e.to_string())?;
                messages.push((publish.topic.to_vec(), publish.payload.to_vec()));
            }
            Ok(_) => {}
            Err(_) if stop.load(Ordering::Relaxed) => break,
            Err(error) => return Err(error.to_string()),
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}
