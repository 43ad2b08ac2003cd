//! Clients that behave, one at each door, on connections that stay: nothing that others do may cut
//! them or lose what they were told is stored.

use std::net::SocketAddr;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, MetadataRequest, ProduceRequest, RequestKind, ResponseKind,
};

use super::kafka::{Pending, decode};
use super::link::Link;
use super::requests::{frame, topic};
use crate::broker::Broker;
use crate::http;
use crate::uplink::{Uplink, batch_of};
use headwater_wire::batch::Producer;

const DEVICE: &str = "control";
const TOPIC: &str = "control";
const PLAIN_TOPIC: &str = "control/plain";
const BATCH_KEY: &str = "control/test";
const PARTITIONS: u32 = 8;

/// See the module.
pub(super) struct Control {
    agent: Uplink,
    kafka: Link,
    requests: i32,
    /// Rounds: each stores its number once at each door.
    rounds: u64,
}

impl Control {
    pub(super) fn connect(broker: &Broker) -> Result<Self, String> {
        let mqtt = broker.process().address("mqtt");
        let mut agent = Uplink::connect(mqtt, DEVICE)?;
        let resumed = agent.resume("events", 0, 0)?;
        if resumed.reason != 0 {
            return Err(format!("Control agent: {resumed:?}"));
        }
        let kafka = Link::connect(broker.process().address("kafka"))?;
        let mut control = Self {
            agent,
            kafka,
            requests: 0,
            rounds: 0,
        };
        control.create_topic()?;
        Ok(control)
    }

    /// Stores one record at each door, and asks whether the broker is ready.
    pub(super) fn round(&mut self, broker: &Broker) -> Result<(), String> {
        let value = self.rounds.to_string();
        let batch = self.agent.make_batch("events", self.rounds, &[&value]);
        let answer = self
            .agent
            .batch("events", &batch)
            .map_err(|e| format!("Control agent: {e}"))?;
        let next = self.rounds + 1;
        if answer.reason != 0 || answer.property("next") != next.to_string() {
            return Err(format!("Control agent: {answer:?}"));
        }
        let answer = self.agent.publish(PLAIN_TOPIC, value.as_bytes());
        let answer = answer.map_err(|e| format!("Control client: {e}"))?;
        if answer.reason != 0 {
            return Err(format!("Control client: {answer:?}"));
        }
        self.produce(&value)?;
        self.rounds = next;
        let (status, body) = http::get(broker.process().address("http"), "/readyz")?;
        if status != 200 {
            return Err(format!("Not ready: {status} {body}"));
        }
        Ok(())
    }

    /// Reads back all that was stored; gives how many records that is.
    pub(super) fn find_all(&mut self, broker: &Broker) -> Result<usize, String> {
        let stored: Vec<String> = (0..self.rounds).map(|number| number.to_string()).collect();
        let address = broker.process().address("http");
        let of_kafka = read(address, TOPIC, 1, "control/kafka")?;
        let batches = read(address, "events", PARTITIONS, BATCH_KEY)?;
        let plain = read(address, "events", PARTITIONS, PLAIN_TOPIC)?;
        for (door, found) in [("kafka", &of_kafka), ("uplink", &batches), ("mqtt", &plain)] {
            if *found != stored {
                return Err(format!(
                    "Stored at the {door} door: {stored:?}, found {found:?}"
                ));
            }
        }
        Ok(3 * stored.len())
    }

    fn create_topic(&mut self) -> Result<(), String> {
        let wanted = MetadataRequestTopic::default().with_name(Some(topic(TOPIC)));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![wanted]))
            .with_allow_auto_topic_creation(true);
        self.call(request.into(), ApiKey::Metadata, 9).map(drop)
    }

    fn produce(&mut self, value: &str) -> Result<(), String> {
        let batch = batch_of(Producer::NONE, "control/kafka", &[value]);
        let data = PartitionProduceData::default()
            .with_index(0)
            .with_records(Some(batch.into()));
        let data = TopicProduceData::default()
            .with_name(topic(TOPIC))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(5_000)
            .with_topic_data(vec![data]);
        let response = self.call(request.into(), ApiKey::Produce, 9)?;
        let ResponseKind::Produce(response) = response else {
            return Err("Control producer: another answer".to_owned());
        };
        match response.responses[0].partition_responses[0].error_code {
            0 => Ok(()),
            code => Err(format!("Control producer: error {code}")),
        }
    }

    fn call(
        &mut self,
        request: RequestKind,
        api: ApiKey,
        version: i16,
    ) -> Result<ResponseKind, String> {
        self.requests += 1;
        let correlation_id = self.requests;
        let bytes = frame(&request, api, version, correlation_id).ok_or("No such request")?;
        self.kafka.write_now(&bytes);
        self.kafka
            .wait(|received| super::kafka::whole(received).is_some())?;
        let length = super::kafka::whole(&self.kafka.received).ok_or("Control producer: cut")?;
        let body: Vec<u8> = self.kafka.received.drain(..4 + length).skip(4).collect();
        let expected = Pending {
            api,
            version,
            correlation_id,
        };
        decode(expected, body.into())
    }
}

/// Values of all records with this key, in the order of their partition.
fn read(
    address: SocketAddr,
    stream: &str,
    partitions: u32,
    key: &str,
) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for partition in 0..partitions {
        let mut offset = 0;
        loop {
            let path = format!(
                "/api/v1/streams/{stream}/records?partition={partition}&offset={offset}&limit=10000&max_bytes=8MiB"
            );
            let page = http::json(address, &path)?;
            let records = page["records"].as_array().ok_or("No records")?;
            let of_key = records.iter().filter(|record| record["key"] == key);
            found.extend(of_key.filter_map(|record| Some(record["value"].as_str()?.to_owned())));
            let next = page["next"].as_u64().ok_or("No next offset")?;
            if next == offset || page["end"].as_u64().is_none_or(|end| next >= end) {
                break;
            }
            offset = next;
        }
    }
    Ok(found)
}
