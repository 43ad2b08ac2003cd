//! The uplink against a broker that misbehaves by a seed.

mod broker;
mod tls;

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::log::{Event, LogOptions};
use crate::status::Changes;
use broker::{Broker, Script};

/// After this a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

struct Agent {
    log: Log,
    link: Link,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Agent {
    fn start(url: &str, contradiction: Option<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(log_options(dir.path())).unwrap();
        let (stop, stopping) = Stopping::new();
        let link = Link::new();
        let status = Status::new(
            log.clone(),
            "00000001".to_owned(),
            Vec::new(),
            link.clone(),
            Changes::default(),
        );
        let options = options(url);
        let task = tokio::spawn(run(
            options,
            contradiction,
            log.clone(),
            link.clone(),
            status,
            stopping,
        ));
        Self {
            log,
            link,
            stop,
            task,
            _dir: dir,
        }
    }

    async fn append(&self, stream: &str, number: u32) {
        self.log.append(stream, vec![event(number)]).await.unwrap();
    }

    async fn stop(self) {
        self.stop.send(true).unwrap();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
        self.log.stop().await;
    }
}

fn log_options(dir: &std::path::Path) -> LogOptions {
    let mut options = LogOptions::new(dir, "gw-1");
    options.batch_bytes = 1_000;
    options.batch_age = Duration::from_millis(5);
    options
}

fn options(url: &str) -> Options {
    Options {
        urls: vec![Url::parse(url).unwrap()],
        client_id: "gw-1~00000001".to_owned(),
        device: "gw-1".to_owned(),
        files: TlsFiles::default(),
        login: None,
        window: 16,
        keep_alive: Duration::from_secs(5),
        drop_missing: false,
        watchdog: Duration::from_millis(60),
    }
}

/// Numbered, and hard to compress, so that batches are many.
fn event(number: u32) -> Event {
    let mut noise = u64::from(number) | 1;
    let value: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        noise.to_be_bytes()[0]
    })
    .take(90)
    .collect();
    Event {
        timestamp: 1_700_000_000_000 + i64::from(number),
        key: format!("gw-1/n/{number}"),
        value: Bytes::from(value),
        headers: Vec::new(),
    }
}

fn keys(count: u32) -> Vec<String> {
    (0..count).map(|number| event(number).key).collect()
}

/// How many events share a batch, and so how often the broker can misbehave, is up to the
/// machine: seeds are played until every kind of trouble was seen.
const SEEDS_MAX: u64 = 40;

#[tokio::test]
async fn everything_arrives_once_and_in_order_whatever_the_broker_does() {
    let (mut cuts, mut refusals, mut frozen) = (0, 0, 0);
    for seed in 1..=SEEDS_MAX {
        let broker = Broker::start(Script::bad(seed)).await;
        let agent = Agent::start(&broker.url(), None);
        for number in 0..300 {
            agent.append("events", number).await;
        }
        timeout(PATIENCE, broker.has("events", 300))
            .await
            .expect("All events arrive");
        assert_eq!(broker.keys("events"), keys(300), "seed {seed}");
        let seen = broker.counts();
        agent.stop().await;
        (cuts, refusals, frozen) = (
            cuts + seen.cuts,
            refusals + seen.refusals,
            frozen + seen.frozen,
        );
        if seed > 1 && cuts > 0 && refusals > 0 && frozen > 0 {
            return;
        }
    }
    panic!("{SEEDS_MAX} seeds: {cuts} cuts, {refusals} refusals, {frozen} times frozen");
}

#[tokio::test]
async fn batches_travel_as_they_lie_in_the_log_and_the_window_is_used() {
    let broker = Broker::start(Script::good()).await;
    let agent = Agent::start("mqtt://127.0.0.1:1", Some("Not yet".to_owned()));
    for number in 0..2_000 {
        drop(agent.log.append("events", vec![event(number)]));
    }
    agent.append("events", 2_000).await;
    let (stop, stopping) = Stopping::new();
    let status = Status::new(
        agent.log.clone(),
        "00000002".to_owned(),
        Vec::new(),
        agent.link.clone(),
        Changes::default(),
    );
    let uplink = run(
        options(&broker.url()),
        None,
        agent.log.clone(),
        agent.link.clone(),
        status,
        stopping,
    );
    let uplink = tokio::spawn(uplink);
    timeout(PATIENCE, broker.has("events", 2_001))
        .await
        .expect("The backlog drains");
    assert_eq!(broker.counts().duplicates, 0);
    assert!(broker.counts().statuses > 0);
    stop.send(true).unwrap();
    uplink.await.unwrap();
    agent.stop().await;
}

#[tokio::test]
async fn a_refused_lane_is_held_and_the_others_go_on() {
    let broker = Broker::start(Script::good().without_stream("ghost")).await;
    let agent = Agent::start(&broker.url(), None);
    agent.append("ghost", 0).await;
    for number in 0..50 {
        agent.append("events", number).await;
    }
    timeout(PATIENCE, broker.has("events", 50))
        .await
        .expect("The other lane drains");
    let mut changes = agent.log.watch();
    let held = async {
        loop {
            let status = agent.log.status().await;
            let ghost = status
                .lanes
                .iter()
                .find(|lane| &*lane.name.stream == "ghost");
            if let Some(error) = ghost.and_then(|lane| lane.held.clone()) {
                return error;
            }
            let _more = changes.changed().await;
        }
    };
    let error = timeout(PATIENCE, held).await.expect("The lane is held");
    assert!(error.contains("no-stream"), "{error}");
    agent.stop().await;
}

#[tokio::test]
async fn a_contradicted_device_sends_nothing_and_says_why() {
    let agent = Agent::start("mqtt://127.0.0.1:1", Some("Two names".to_owned()));
    agent.append("events", 0).await;
    tokio::task::yield_now().await;
    let link = agent.link.view();
    assert_eq!(
        (link.state, link.error.as_deref()),
        (LinkState::Down, Some("Two names"))
    );
    agent.stop().await;
}

#[tokio::test]
async fn every_url_is_tried_until_one_answers() {
    let broker = Broker::start(Script::good()).await;
    let agent = Agent::start("mqtt://127.0.0.1:1", Some("Not yet".to_owned()));
    agent.append("events", 0).await;
    let (stop, stopping) = Stopping::new();
    let status = Status::new(
        agent.log.clone(),
        "00000002".to_owned(),
        Vec::new(),
        agent.link.clone(),
        Changes::default(),
    );
    let mut options = options(&broker.url());
    options.urls.push(Url::parse("mqtt://127.0.0.1:1").unwrap());
    options.urls.push(Url::parse("mqtt://127.0.0.1:2").unwrap());
    let (log, link) = (agent.log.clone(), agent.link.clone());
    let uplink = tokio::spawn(run(options, None, log, link, status, stopping));
    timeout(PATIENCE, broker.has("events", 1))
        .await
        .expect("One of them is a broker");
    assert_eq!(agent.link.view().state, LinkState::Up);
    stop.send(true).unwrap();
    uplink.await.unwrap();
    agent.stop().await;
}
