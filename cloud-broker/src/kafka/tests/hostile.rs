//! Peers that break the rules lose their own connection; everybody else goes on.

use bytes::{Buf, BufMut, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, MetadataRequest};
use kafka_protocol::protocol::Decodable;
use tokio::io::AsyncWriteExt;

use super::{Broker, batch};
use crate::metrics::DoorName;

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_peer_costs_its_own_connection() {
    let broker = Broker::start("[kafka]\nmax_request = \"1MiB\"");
    let mut witness = broker.client().await;
    let mut counts_too_far = vec![0, 3, 0, 1, 0, 0, 0, 9, 0xff, 0xff];
    counts_too_far.extend([0x7f, 0xff, 0xff, 0xff, 0, 0, 0]);
    let mut framed = u32::try_from(counts_too_far.len())
        .expect("small")
        .to_be_bytes()
        .to_vec();
    framed.extend(&counts_too_far);
    let peers: Vec<(&str, Vec<u8>)> = vec![
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("TLS", vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
        ("a negative length", vec![0xff; 8]),
        (
            "a length above the limit",
            ((1 << 20) + 1i32).to_be_bytes().to_vec(),
        ),
        ("a frame too small for a header", vec![0, 0, 0, 3, 1, 2, 3]),
        (
            "an API that is not spoken",
            vec![0, 0, 0, 10, 0, 10, 0, 0, 0, 0, 0, 1, 0xff, 0xff],
        ),
        (
            "Produce 2",
            vec![0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xff],
        ),
        ("a count that would need 150 GB", framed),
    ];
    for (name, bytes) in peers {
        let mut peer = broker.client().await;
        drop(peer.stream.write_all(&bytes).await);
        peer.closed().await;
        let answer = witness.call(12, &MetadataRequest::default()).await;
        assert_eq!(answer.controller_id.0, 0, "{name}");
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_owed_go_out_before_a_bad_frame_ends_the_connection() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    let request = super::produce_request("events", 0, batch(1, 1));
    client.send(9, &request).await;
    client.send_frame(b"nonsense, and enough of it").await;
    let answer = client
        .receive::<kafka_protocol::messages::ProduceRequest>(9)
        .await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    client.closed().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_api_versions_that_is_too_high_is_answered() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    let mut frame = BytesMut::new();
    frame.put_i16(18);
    frame.put_i16(99);
    frame.put_i32(4711);
    frame.put_slice(b"whatever version 99 may look like");
    client.send_frame(&frame).await;
    let mut answer = client.receive_frame().await.expect("an answer");
    assert_eq!(answer.get_i32(), 4711);
    let answer = ApiVersionsResponse::decode(&mut answer, 0).expect("in version 0");
    assert_eq!((answer.error_code, answer.api_keys.len()), (35, 1));
    // The client goes on with a version that it was told of.
    let answer = client.call(0, &ApiVersionsRequest::default()).await;
    assert_eq!(answer.error_code, 0);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_may_only_ask_for_our_versions() {
    let broker = Broker::start("[auth]\nanonymous = \"never\"");
    let mut client = broker.client().await;
    let answer = client.call(0, &ApiVersionsRequest::default()).await;
    assert_eq!(answer.error_code, 0);
    client.send(12, &MetadataRequest::default()).await;
    client.closed().await;
    let mut greedy = broker.client().await;
    let length = (512 << 10) + 1i32;
    drop(greedy.stream.write_all(&length.to_be_bytes()).await);
    greedy.closed().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_taken_by_what_arrived_not_by_what_was_announced() {
    let limits = "[limits]\nrequest_memory = \"2MiB\"\n[kafka]\nmax_request = \"512KiB\"";
    let broker = Broker::start(limits);
    let mut greedy = Vec::new();
    for _ in 0..20 {
        let mut client = broker.client().await;
        client.call(12, &MetadataRequest::default()).await;
        let announced = (512 << 10) - 100i32;
        let bytes = [&announced.to_be_bytes()[..], &[0; 100]].concat();
        client.stream.write_all(&bytes).await.expect("it is read");
        greedy.push(client);
    }
    let mut honest = broker.client().await;
    honest.append("events", 0, batch(1, 5000)).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_counted_and_limited() {
    let broker = Broker::start("[limits]\nconnections = 2");
    let mut one = broker.client().await;
    let mut two = broker.client().await;
    one.call(12, &MetadataRequest::default()).await;
    two.call(12, &MetadataRequest::default()).await;
    let metrics = broker.door.metrics.clone();
    assert_eq!(metrics.connections.of(DoorName::Kafka).value(), 2);
    broker.client().await.closed().await;
    broker.stop().await;
    assert_eq!(metrics.connections.of(DoorName::Kafka).value(), 0);
}
