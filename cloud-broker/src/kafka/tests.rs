//! The door over real sockets, with the codec crate's client side at the other end.

mod appending;
mod configs;
mod describing;
mod groups;
mod hostile;
mod matrix;
mod reading;
mod topics;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use headwater_broker_core::catalog::Cleanup;
use headwater_broker_core::{Stream, StreamSpec};
use headwater_wire::batch::{BatchBuilder, Producer};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{ApiKey, ProduceRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, Request, StrBytes};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::serve;
use crate::auth::Auth;
use crate::backend::{Backend, Options};
use crate::config::{Config, Flags};
use crate::door::{Door, Listener, StopSwitch, stop_pair};
use crate::limits::Limits;
use crate::metrics::Metrics;

/// A Kafka door over a log in a temporary directory.
struct Broker {
    door: Door,
    address: SocketAddr,
    switch: StopSwitch,
    serving: JoinHandle<std::io::Result<()>>,
    _data: TempDir,
}

impl Broker {
    /// With the streams `events` (2 partitions, filter `#`) and `table` (compacted), and settings
    /// from `config`.
    fn start(config: &str) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let events = StreamSpec {
            filters: vec!["#".into()],
            partitions: 2,
            ..StreamSpec::new("events")
        };
        let table = StreamSpec {
            cleanup: Cleanup::Compact,
            ..StreamSpec::new("table")
        };
        let options = Options::on_any_disk(data.path(), vec![events, table]);
        let backend = Backend::open(options).expect("an empty directory can be opened");
        let config = Config::parse(config, Path::new("test"), [], &Flags::default());
        let config = Arc::new(config.expect("settings that are right"));
        let metrics = Arc::new(Metrics::default());
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        socket.set_nonblocking(true).expect("sockets can do that");
        let address = socket.local_addr().expect("it is bound");
        let (switch, stop) = stop_pair();
        let door = Door {
            backend,
            auth: Arc::new(Auth::new(&config)),
            limits: Limits::new(&config.limits, Arc::clone(&metrics)),
            presence: Arc::default(),
            addresses: Arc::new(vec![("kafka", address)]),
            metrics,
            config,
            stop,
        };
        let listener = Listener {
            name: "kafka",
            socket,
            tls: None,
        };
        Self {
            serving: tokio::spawn(serve(door.clone(), listener)),
            door,
            address,
            switch,
            _data: data,
        }
    }

    async fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.expect("it listens");
        Client {
            stream,
            correlation_id: 0,
        }
    }

    fn stream(&self, name: &str) -> Arc<Stream> {
        let catalog = self.door.backend.catalog();
        Arc::clone(catalog.by_name(name).expect("the stream exists"))
    }

    async fn stop(self) {
        self.switch.request();
        let ended = self.serving.await.expect("it does not panic");
        ended.expect("it ends in order");
        let backend = self.door.backend;
        let stopped = tokio::task::spawn_blocking(move || backend.stop()).await;
        stopped.expect("the log stops");
    }
}

/// A connection of a client.
struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    async fn call<R: Request>(&mut self, version: i16, body: &R) -> R::Response {
        self.send(version, body).await;
        self.receive::<R>(version).await
    }

    /// Sends without waiting for the answer.
    async fn send<R: Request>(&mut self, version: i16, body: &R) {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("tester")));
        let api = ApiKey::try_from(R::KEY).expect("a key of the crate");
        let mut frame = BytesMut::new();
        let head = header.encode(&mut frame, api.request_header_version(version));
        head.expect("any header can be encoded");
        body.encode(&mut frame, version)
            .expect("fields of this version");
        self.send_frame(&frame).await;
    }

    async fn send_frame(&mut self, frame: &[u8]) {
        let mut bytes = BytesMut::new();
        bytes.put_i32(i32::try_from(frame.len()).expect("small"));
        bytes.put_slice(frame);
        self.stream
            .write_all(&bytes)
            .await
            .expect("the connection is open");
    }

    /// The answer to the oldest request that has none.
    async fn receive<R: Request>(&mut self, version: i16) -> R::Response {
        let (_, answer) = self.receive_any::<R>(version).await;
        answer
    }

    async fn receive_any<R: Request>(&mut self, version: i16) -> (i32, R::Response) {
        let mut frame = self.receive_frame().await.expect("an answer");
        let api = ApiKey::try_from(R::KEY).expect("a key of the crate");
        let head = ResponseHeader::decode(&mut frame, api.response_header_version(version));
        let correlation_id = head.expect("a header").correlation_id;
        let answer = R::Response::decode(&mut frame, version).expect("an answer of this version");
        assert!(frame.is_empty(), "{} bytes left over", frame.len());
        (correlation_id, answer)
    }

    /// One frame, `None` if the connection ends.
    async fn receive_frame(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).await.ok()?;
        let length = usize::try_from(i32::from_be_bytes(length)).expect("a length");
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame).await.ok()?;
        Some(frame.into())
    }

    /// Waits until the other side closes, and checks that it says nothing before.
    async fn closed(mut self) {
        let mut rest = Vec::new();
        // A reset is an end too: it comes if we had sent more than was read.
        drop(self.stream.read_to_end(&mut rest).await);
        assert!(rest.is_empty(), "{} bytes before the end", rest.len());
    }

    async fn produce(&mut self, topic: &str, partition: i32, batch: Bytes) -> Produced {
        let answer = self
            .call(9, &produce_request(topic, partition, batch))
            .await;
        Produced(answer.responses[0].partition_responses[0].clone())
    }

    /// Appends a batch that must be taken, and gives its base offset.
    async fn append(&mut self, topic: &str, partition: i32, batch: Bytes) -> i64 {
        let answer = self.produce(topic, partition, batch).await;
        assert_eq!(answer.0.error_code, 0, "{:?}", answer.0.error_message);
        answer.0.base_offset
    }
}

/// What became of one batch.
struct Produced(PartitionProduceResponse);

fn produce_request(topic: &str, partition: i32, batch: Bytes) -> ProduceRequest {
    let partition = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_name(StrBytes::from_string(topic.into()).into())
        .with_partition_data(vec![partition]);
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic])
}

/// A batch of `count` records, a millisecond apart from `first_ms` on, of a nameless producer.
fn batch(first_ms: i64, count: usize) -> Bytes {
    numbered(first_ms, count, Producer::NONE)
}

fn numbered(first_ms: i64, count: usize, producer: Producer) -> Bytes {
    let mut builder = BatchBuilder::new();
    for record in 0..count {
        let time = first_ms + i64::try_from(record).expect("small");
        let key = format!("key-{}", record % 3);
        let value = format!("value {record} of {first_ms}");
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        builder.push(time, key, value, []).expect("small records");
    }
    let mut batch = Vec::new();
    builder.finish_into(producer, &mut batch);
    batch.into()
}
