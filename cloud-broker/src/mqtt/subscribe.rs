//! SUBSCRIBE and UNSUBSCRIBE.

use std::rc::Rc;

use headwater_mqtt::{
    Id, Properties, PropertyBuf, Reason, SubAck, Subscribe, UnsubAck, Unsubscribe, Value,
};

use super::connection::{Connection, State};
use super::core::Core;
use super::fanout::Fanout;
use super::replay::{Asked, Log};
use super::scan::Reader;
use super::seek::{self, Behind};
use super::subscriptions::{Group, LIVE, Subscription};

/// Replays that one client may have at a time.
const REPLAYS_MAX: usize = 16;
/// Bytes of a SUBACK beside its reasons and the text that explains them, at most.
const SUBACK_ENVELOPE_BYTES: usize = 32;

/// Where the filters of one SUBSCRIBE begin.
enum Beginning {
    /// With what is committed from here on.
    Live,
    /// Somewhere else; they then have a place in the log of their own.
    Replay(Group, Behind),
}

/// Handles a SUBSCRIBE: what is committed from here on is delivered, and before that what its user
/// property `from` asks for.
pub(super) fn subscribe(core: &Rc<Core>, connection: &Rc<Connection>, packet: &Subscribe<'_>) {
    // What was committed before is none of a new subscription's business, unless it asks for it.
    core.follow_tail();
    let asked = Asked::of(packet.properties).map_err(str::to_owned);
    let begins = asked.and_then(|asked| Ok((core.beginning(connection, &asked, packet)?, asked)));
    let (beginning, asked) = match begins {
        Ok(begins) => begins,
        Err(why) => {
            let refused = vec![Reason::IMPLEMENTATION_SPECIFIC.0; packet.filters.iter().count()];
            return answer(connection, packet.packet_id, &refused, &why);
        }
    };
    let reasons = core.take_filters(connection, packet, beginning, asked.offsets);
    answer(connection, packet.packet_id, &reasons, "");
    if !connection.state.borrow().behind.is_empty() {
        seek::begin(core, connection);
    }
}

/// Handles an UNSUBSCRIBE.
pub(super) fn unsubscribe(core: &Rc<Core>, connection: &Rc<Connection>, packet: &Unsubscribe<'_>) {
    let mut fanout = core.fanout.borrow_mut();
    let mut state = connection.state.borrow_mut();
    let version = state.version();
    let mut reasons = Vec::new();
    for filter in packet.filters.iter() {
        let removed = core.remove(&mut fanout, connection, &mut state, filter);
        reasons.push(match removed {
            Some(_) => Reason::SUCCESS.0,
            None => Reason::NO_SUBSCRIPTION_EXISTED.0,
        });
    }
    let properties = Properties::NONE;
    let unsuback = UnsubAck {
        packet_id: packet.packet_id,
        properties,
        reasons: &reasons,
    };
    let written = state.reply(|out| unsuback.encode(version, out));
    debug_assert!(
        written.is_ok(),
        "there are fewer reasons than bytes in the UNSUBSCRIBE"
    );
}

/// Writes a SUBACK, with a reason in words if there is one and the client takes it.
fn answer(connection: &Connection, packet_id: u16, reasons: &[u8], why: &str) {
    let mut state = connection.state.borrow_mut();
    let version = state.version();
    let mut properties = PropertyBuf::new();
    let bytes = SUBACK_ENVELOPE_BYTES + reasons.len() + why.len();
    let session = state.session.as_ref();
    let takes_words = session.is_some_and(|s| s.problem_information && bytes <= s.packet_bytes_max);
    if takes_words && !why.is_empty() {
        let pushed = properties.push(Id::ReasonString, Value::Text(why));
        debug_assert!(pushed.is_ok(), "it is shorter than the SUBSCRIBE allows");
    }
    let suback = SubAck {
        packet_id,
        properties: properties.view(),
        reasons,
    };
    let written = state.reply(|out| suback.encode(version, out));
    debug_assert!(
        written.is_ok(),
        "there are fewer reasons than bytes in the SUBSCRIBE"
    );
}

impl Core {
    /// Where the filters of a SUBSCRIBE begin, or why it is refused.
    fn beginning(
        &self,
        connection: &Connection,
        asked: &Asked<'_>,
        packet: &Subscribe<'_>,
    ) -> Result<Beginning, String> {
        let Some(from) = asked.from else {
            return Ok(Beginning::Live);
        };
        let fanout = self.fanout.borrow();
        let mut state = connection.state.borrow_mut();
        let replays = state.behind.keys().filter(|group| **group != LIVE);
        if replays.count() >= REPLAYS_MAX {
            return Err(format!(
                "A client has at most {REPLAYS_MAX} replays at a time"
            ));
        }
        let log = Log {
            backend: &self.door.backend,
            catalog: &self.catalog(),
            live: fanout.next(),
        };
        let filters = packet.filters.iter().map(|(filter, _)| filter);
        let beginning = log.beginning(from, filters)?;
        state.groups += 1;
        Ok(Beginning::Replay(state.groups, beginning.into()))
    }

    /// Takes the filters in that are not refused; gives the reasons for the SUBACK.
    fn take_filters(
        &self,
        connection: &Connection,
        packet: &Subscribe<'_>,
        beginning: Beginning,
        offsets: bool,
    ) -> Vec<u8> {
        let mut fanout = self.fanout.borrow_mut();
        let mut state = connection.state.borrow_mut();
        let version = state.version();
        let group = match &beginning {
            Beginning::Live => LIVE,
            Beginning::Replay(group, _) => *group,
        };
        let mut reasons = Vec::new();
        for (filter, options) in packet.filters.iter() {
            if let Some(refused) = state.subscriptions.refusal(filter, version) {
                reasons.push(refused.0);
                continue;
            }
            let mut subscription = Subscription::new(options, packet.properties, offsets);
            subscription.group = group;
            reasons.push(subscription.granted().0);
            self.insert(&mut fanout, connection, &mut state, filter, subscription);
        }
        if let Beginning::Replay(group, behind) = beginning
            && !state.subscriptions.has_none_of(group)
        {
            state.behind.insert(group, behind);
        }
        reasons
    }

    /// Puts one filter in the place of what the client had asked of it before.
    fn insert(
        &self,
        fanout: &mut Fanout,
        connection: &Connection,
        state: &mut State,
        filter: &str,
        mut subscription: Subscription,
    ) {
        let index = connection.index.get();
        let before = self.remove(fanout, connection, state, filter);
        if subscription.group == LIVE {
            let behind = state.behind.get(&LIVE);
            let followed = before.filter(|before| before.group == LIVE);
            subscription.since = match followed {
                // What the client is still to get it gets as it asks for it now.
                Some(before) => before.since,
                None => behind.map(|_| fanout.positions()),
            };
            if let Some(Behind::Reading(id)) = behind {
                let (reader, what) = (reader(connection, LIVE), subscription.clone());
                self.scans.borrow_mut().insert(*id, filter, reader, what);
            }
            fanout.insert(filter, index, subscription.clone());
        }
        state.subscriptions.insert(filter, subscription);
    }

    /// Takes one filter out of everything.
    fn remove(
        &self,
        fanout: &mut Fanout,
        connection: &Connection,
        state: &mut State,
        filter: &str,
    ) -> Option<Subscription> {
        let removed = state.subscriptions.remove(filter)?;
        let group = removed.group;
        if group == LIVE {
            fanout.remove(filter, connection.index.get());
        }
        let reader = reader(connection, group);
        let scan = match state.behind.get(&group) {
            Some(Behind::Reading(id)) => Some(*id),
            _ => None,
        };
        if let Some(id) = scan {
            self.scans.borrow_mut().remove(id, filter, reader);
        }
        if state.subscriptions.has_none_of(group) {
            state.behind.remove(&group);
            scan.into_iter()
                .for_each(|id| self.scans.borrow_mut().leave(id, reader));
        }
        Some(removed)
    }

    /// Takes everything out that a connection has subscribed to.
    pub(super) fn forget(&self, connection: &Connection, state: &mut State) {
        let mut fanout = self.fanout.borrow_mut();
        let filters = state.subscriptions.iter().map(|(filter, _)| filter.into());
        for filter in filters.collect::<Vec<Box<str>>>() {
            self.remove(&mut fanout, connection, state, &filter);
        }
    }
}

fn reader(connection: &Connection, group: Group) -> Reader {
    Reader {
        connection: connection.index.get(),
        group,
    }
}
