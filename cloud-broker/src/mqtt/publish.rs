//! PUBLISH of a plain client: one record in the stream that its topic belongs to.

use std::rc::Rc;

use headwater_broker_core::PlainRecord;
use headwater_mqtt::{Bad, Id, PropertyBuf, Publish, Qos, Reason, Version};

use super::connect::Will;
use super::connection::{End, State};
use super::core::Core;
use super::intake::Intake;
use super::record::PlainHeaders;
use super::{packets, uplink};
use crate::backend::{Busy, Submit};

/// Takes a publish in. Its answer, if it gets one, is put behind those before it.
pub(super) fn handle(intake: &mut Intake<'_>, publish: &Publish<'_>) -> Result<(), Bad> {
    let resolved = admit(&mut intake.connection.state.borrow_mut(), publish)?;
    let topic = resolved.as_deref().unwrap_or(publish.topic);
    let publish = Publish { topic, ..*publish };
    if packets::is_uplink(topic) {
        uplink::handle(intake, &publish)
    } else {
        plain(intake, &publish)
    }
}

/// Applies the rules of the session, and gives the topic that an alias stands for.
fn admit(state: &mut State, publish: &Publish<'_>) -> Result<Option<Rc<str>>, Bad> {
    let Some(session) = &mut state.session else {
        return Ok(None);
    };
    check_offered(session.version, publish)?;
    if publish.qos == Qos::AtLeastOnce {
        session.unanswered.begin()?;
    }
    let alias = publish.properties.short(Id::TopicAlias);
    let aliases = &mut session.aliases;
    alias
        .map(|alias| aliases.resolve(publish.topic, alias))
        .transpose()
}

/// Maximum QoS 1 and Retain Available 0 were said in the CONNACK of version 5; 3.1.1 has no way
/// to say it, and there a retain flag is kept as a flag.
fn check_offered(version: Version, publish: &Publish<'_>) -> Result<(), Bad> {
    if publish.qos > Qos::AtLeastOnce {
        let why = "QoS above the maximum [MQTT-3.3.1-4]";
        return Err(Bad {
            reason: Reason::QOS_NOT_SUPPORTED,
            why,
        });
    }
    if version == Version::V5 && publish.retain && !packets::is_uplink(publish.topic) {
        let why = "Retain is not available [MQTT-3.2.2-14]";
        return Err(Bad {
            reason: Reason::RETAIN_NOT_SUPPORTED,
            why,
        });
    }
    Ok(())
}

fn plain(intake: &mut Intake<'_>, publish: &Publish<'_>) -> Result<(), Bad> {
    let core = intake.core;
    let connection = intake.connection;
    let taken = {
        let state = connection.state.borrow();
        let client_id = state
            .session
            .as_ref()
            .map_or("", |session| &*session.client_id);
        let headers = PlainHeaders::of(client_id, publish);
        submit(
            core,
            client_id,
            publish.topic,
            publish.payload,
            &headers,
            || intake.submit(),
        )
    };
    let reason = match taken {
        Ok(()) => {
            intake.took(publish.topic.len() + publish.payload.len());
            Reason::SUCCESS
        }
        Err(NotTaken::Unrouted) => Reason::TOPIC_NAME_INVALID,
        Err(NotTaken::Busy) => Reason::QUOTA_EXCEEDED,
    };
    answer(intake, publish, reason)
}

/// Why a publish is not in the journal's inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotTaken {
    /// The topic belongs to no stream.
    Unrouted,
    /// Nothing is taken now.
    Busy,
}

fn submit<'s, 'a: 's>(
    core: &Core,
    client_id: &str,
    topic: &str,
    payload: &[u8],
    headers: &PlainHeaders<'_>,
    inbox: impl FnOnce() -> &'s mut Submit<'a>,
) -> Result<(), NotTaken> {
    let catalog = core.catalog();
    let Some(stream) = catalog.route(topic) else {
        core.door.metrics.unrouted.add(1);
        return Err(NotTaken::Unrouted);
    };
    let partition = stream.partition_for_publish(client_id, topic);
    let record = PlainRecord {
        topic,
        value: payload,
        headers: headers.iter(),
    };
    inbox()
        .publish(partition, record)
        .map_err(|Busy| NotTaken::Busy)
}

/// Version 5 says how it went; in 3.1.1 there is no refusal but the end of the connection.
fn answer(intake: &mut Intake<'_>, publish: &Publish<'_>, reason: Reason) -> Result<(), Bad> {
    let version = intake.connection.state.borrow().version();
    if reason.is_failure() && version == Version::V311 {
        return Err(Bad {
            reason,
            why: "Publish refused",
        });
    }
    if let Some(packet_id) = publish.packet_id {
        intake.acknowledge(packet_id, reason, &PropertyBuf::new());
    }
    Ok(())
}

/// Publishes the will of a connection that has ended, unless it ended as the client wished.
pub(super) fn publish_will(core: &Core, state: &mut State) {
    let Some(session) = &mut state.session else {
        return;
    };
    let will = session.will.take();
    if matches!(state.end, Some(End::Goodbye | End::Stopping)) {
        return;
    }
    let Some(will) = will else { return };
    let Will {
        topic,
        payload,
        qos,
        retain,
        properties,
    } = &*will;
    let headers = PlainHeaders::new(&session.client_id, *qos, *retain, properties.view());
    let mut inbox = core.inbox.lock();
    match submit(core, &session.client_id, topic, payload, &headers, || {
        &mut inbox
    }) {
        Ok(()) => core
            .door
            .metrics
            .records_in
            .of(crate::metrics::DoorName::Mqtt)
            .add(1),
        Err(why) => tracing::debug!("Will of {} is not published: {why:?}", session.client_id),
    }
}
