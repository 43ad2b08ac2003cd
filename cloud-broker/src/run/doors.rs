//! Every protocol's door, opened on its listeners and waited for.

use std::io;
use std::num::NonZeroUsize;

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::door::{Door, Listener};
use crate::{http, kafka, mqtt};

const MQTT_LISTENERS: [&str; 2] = ["mqtt", "mqtts"];
const KAFKA_LISTENERS: [&str; 2] = ["kafka", "kafkas"];

/// Doors that are open: the name of each that ends, and how.
pub(super) type Doors = JoinSet<(&'static str, io::Result<()>)>;

/// Starts each door on its listeners. MQTT has threads of its own; the others share `runtime`.
pub(super) fn open(runtime: &Runtime, door: &Door, listeners: Vec<Listener>) -> io::Result<Doors> {
    let mut doors = JoinSet::new();
    let handle = runtime.handle();
    let (of_mqtt, others): (Vec<_>, Vec<_>) = listeners
        .into_iter()
        .partition(|listener| MQTT_LISTENERS.contains(&listener.name));
    if !of_mqtt.is_empty() {
        let cores = mqtt_cores(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));
        let served = mqtt::serve(door.clone(), of_mqtt, cores)?;
        let ended = async move {
            served.ended().await;
            ("mqtt", Ok(()))
        };
        doors.spawn_on(ended, handle);
    }
    for listener in others {
        let name = listener.name;
        let door = door.clone();
        if KAFKA_LISTENERS.contains(&name) {
            let serve = kafka::serve(door, listener);
            doors.spawn_on(async move { (name, serve.await) }, handle);
        } else {
            let serve = http::serve(door, listener);
            doors.spawn_on(async move { (name, serve.await) }, handle);
        }
    }
    Ok(doors)
}

/// One core is left to the journal's thread, which all of them wait for, and to the other doors:
/// with as many as there are, each did less at a time, and a message cost more.
fn mqtt_cores(all: NonZeroUsize) -> NonZeroUsize {
    NonZeroUsize::new(all.get() - 1).unwrap_or(NonZeroUsize::MIN)
}

/// Waits for all doors; one that ends too early is a failure of the broker.
pub(super) async fn join(mut doors: Doors, door: &Door, ended: &watch::Sender<Option<String>>) {
    while let Some(joined) = doors.join_next().await {
        if door.stop.is_requested() {
            continue;
        }
        let message = match joined {
            Ok((name, Ok(()))) => format!("The {name} listener has ended"),
            Ok((name, Err(error))) => format!("The {name} listener has failed: {error}"),
            Err(error) => format!("A listener has failed: {error}"),
        };
        ended.send_replace(Some(message));
    }
    // Whoever waits for a failure has nothing more to wait for, and must not be told so.
    door.stop.requested().await;
}
