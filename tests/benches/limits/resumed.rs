//! Subscriptions that begin in the past, each with its own topic: what they make the broker read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use headwater_mqtt::{
    Connect, FilterBuf, Options, Packet, Properties, PropertyBuf, Sender, Subscribe, Version,
    frame, parse,
};
use headwater_tests::broker::Broker;
use headwater_tests::{http, process};
use headwater_wire::batch::{BatchBuilder, Compressor, Producer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::agents::Agent;
use super::{idle, say};

/// Records of one batch, all of one device and topic.
const BATCH_RECORDS: u64 = 100;
/// Clients that connect at the same time.
const CONNECTING_MAX: usize = 200;
const PACKET_BYTES_MAX: usize = 1 << 20;
const START_MS: i64 = 1_760_000_000_000;
const READ: &str = "headwater_store_read_bytes_total";

pub(super) fn measure(subscriptions: u64, records: u64) -> Result<(), String> {
    idle::raise_file_limit()?;
    let broker = Broker::start(&process::node())?;
    let door = broker.process().address("mqtt");
    let batches = (records / subscriptions / BATCH_RECORDS).max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(fill(door, subscriptions, batches))?;
    let log = http::json(broker.process().address("http"), "/api/v1/streams/events")?["bytes"]
        .as_f64()
        .unwrap_or_default();
    say(&format!(
        "{} records of {subscriptions} topics passed, {:.0} MB",
        broker.records("events")?,
        log / 1e6
    ));
    for readers in [1, subscriptions] {
        let (before, begun) = (broker.metric(READ)?, Instant::now());
        runtime.block_on(read_all(door, readers, batches * BATCH_RECORDS))?;
        let read = broker.metric(READ)? - before;
        say(&format!(
            "{readers} resumed subscriptions read {:.1} MB of it, {:.4} of the log, in {:.1} s; {} MiB resident",
            read / 1e6,
            read / log,
            begun.elapsed().as_secs_f64(),
            broker.process().resident_bytes().unwrap_or(0) >> 20
        ));
    }
    Ok(())
}

async fn fill(door: SocketAddr, devices: u64, batches: u64) -> Result<(), String> {
    let room = Arc::new(Semaphore::new(CONNECTING_MAX));
    let mut fleet = JoinSet::new();
    for device in 0..devices {
        let batch = batch(device);
        let permit = Arc::clone(&room).acquire_owned().await;
        let permit = permit.map_err(|e| e.to_string())?;
        fleet.spawn(async move {
            let agent = Agent::new(format!("d-{device}"), BATCH_RECORDS, batch);
            let sent = agent.run(door, batches).await;
            drop(permit);
            sent.map_err(|e| e.to_string())
        });
    }
    all(fleet).await
}

/// A device's batch, compressed.
fn batch(device: u64) -> Bytes {
    let (mut builder, mut batch) = (BatchBuilder::new(), Vec::new());
    let key = topic(device);
    for number in 0..BATCH_RECORDS {
        let none: [(&str, Option<&[u8]>); 0] = [];
        let value = format!(
            r#"{{"value":{}.{},"unit":"C"}}"#,
            device % 90,
            number * 7919 % 9973
        );
        let (time, value) = (START_MS + number.cast_signed(), Some(value.as_bytes()));
        builder
            .push(time, Some(key.as_bytes()), value, none)
            .expect("a small record");
    }
    builder.finish_zstd_into(Producer::NONE, &mut Compressor::new(1), &mut batch);
    batch.into()
}

fn topic(device: u64) -> String {
    format!("plant/{}/device/{device}", device % 100)
}

/// Subscribers come at once, and are done when each has got its `count` records.
async fn read_all(door: SocketAddr, readers: u64, count: u64) -> Result<(), String> {
    let room = Arc::new(Semaphore::new(CONNECTING_MAX));
    let mut all_readers = JoinSet::new();
    for device in 0..readers {
        let room = Arc::clone(&room);
        all_readers.spawn(async move {
            let permit = room.acquire().await.map_err(|e| e.to_string())?;
            let link = subscribe(door, device).await.map_err(|e| e.to_string())?;
            drop(permit);
            receive(link, count).await
        });
    }
    all(all_readers).await
}

async fn all(mut tasks: JoinSet<Result<(), String>>) -> Result<(), String> {
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|e| e.to_string())??;
    }
    Ok(())
}

async fn subscribe(door: SocketAddr, device: u64) -> std::io::Result<TcpStream> {
    let mut link = TcpStream::connect(door).await?;
    link.set_nodelay(true)?;
    let client_id = format!("reader-{device}");
    let connect = Packet::Connect(Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive: 0,
        properties: Properties::NONE,
        client_id: &client_id,
        will: None,
        user: None,
        password: None,
    });
    let (mut from, mut filters) = (PropertyBuf::new(), FilterBuf::default());
    let short = "a topic and a property are short";
    from.push_user("from", "earliest").expect(short);
    filters
        .push(&topic(device), Options::default())
        .expect(short);
    let subscribe = Packet::Subscribe(Subscribe {
        packet_id: 1,
        properties: from.view(),
        filters: filters.view(),
    });
    let mut out = BytesMut::new();
    for packet in [connect, subscribe] {
        packet.encode(Version::V5, &mut out).expect(short);
    }
    link.write_all(&out).await?;
    Ok(link)
}

/// Waits for so many deliveries at QoS 0.
async fn receive(mut link: TcpStream, count: u64) -> Result<(), String> {
    let (mut received, mut publishes) = (BytesMut::new(), 0);
    let patience = Duration::from_secs(600);
    while publishes < count {
        let Some(found) = frame(&received, PACKET_BYTES_MAX).map_err(|bad| bad.why)? else {
            let read = tokio::time::timeout(patience, link.read_buf(&mut received)).await;
            match read
                .map_err(|_| "Nothing comes")?
                .map_err(|e| e.to_string())?
            {
                0 => return Err("The broker has closed".to_owned()),
                _ => continue,
            }
        };
        let bytes = received.split_to(found.total);
        match parse(Version::V5, Sender::Server, found, &bytes).map_err(|bad| bad.why)? {
            Packet::Publish(_) => publishes += 1,
            Packet::ConnAck(connack) if connack.reason.0 == 0 => {}
            Packet::SubAck(suback) if suback.reasons == [0] => {}
            other => return Err(format!("{other:?}")),
        }
    }
    Ok(())
}
