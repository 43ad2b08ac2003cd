//! Random valid packets of every kind, built from the same property table.

use super::*;

/// A random packet that `sender` may send, encoded.
pub(super) fn packet(dice: &mut Dice, version: Version, sender: Sender) -> BytesMut {
    let both = [
        Kind::Publish,
        Kind::PubAck,
        Kind::PubRec,
        Kind::PubRel,
        Kind::PubComp,
    ];
    let client = [
        Kind::Connect,
        Kind::Subscribe,
        Kind::Unsubscribe,
        Kind::PingReq,
        Kind::Disconnect,
    ];
    let server = [
        Kind::ConnAck,
        Kind::SubAck,
        Kind::UnsubAck,
        Kind::PingResp,
        Kind::Disconnect,
    ];
    let kind = match (dice.below(3), sender) {
        (0, _) => dice.pick(&both),
        (_, Sender::Client) => dice.pick(&client),
        (_, Sender::Server) => dice.pick(&server),
    };
    let kind = match kind {
        Kind::Disconnect if version == Version::V311 => dice.pick(&both),
        Kind::Disconnect if dice.chance(3) => Kind::Auth,
        kind => kind,
    };
    of_kind(dice, kind, version, sender)
}

fn of_kind(dice: &mut Dice, kind: Kind, version: Version, sender: Sender) -> BytesMut {
    let mut properties = properties(dice, Place::kind(kind), version, sender);
    let packet_id = u16::try_from(1 + dice.below(65_535)).unwrap();
    let reason = reason(dice, kind, version, sender);
    let reasons: Vec<u8> = (0..=dice.below(3))
        .map(|_| self::reason(dice, kind, version, sender).0)
        .collect();
    let in_5: &[u8] = if version == Version::V5 {
        &reasons
    } else {
        &[]
    };
    if kind == Kind::Auth && properties.view().text(Id::AuthMethod).is_none() {
        properties.push(Id::AuthMethod, Value::Text("m")).unwrap();
    }
    let properties = properties.view();
    let ack = Ack {
        packet_id,
        reason,
        properties,
    };
    let packet = match kind {
        Kind::Connect => return connect(dice, version, properties),
        Kind::Publish => return publish(dice, version, packet_id, properties),
        Kind::Subscribe => return subscribe(dice, version, packet_id, properties),
        Kind::Unsubscribe => return unsubscribe(dice, version, packet_id, properties),
        Kind::PubAck => Packet::PubAck(ack),
        Kind::PubRec => Packet::PubRec(ack),
        Kind::PubRel => Packet::PubRel(ack),
        Kind::PubComp => Packet::PubComp(ack),
        Kind::ConnAck => {
            let session_present = reason == Reason::SUCCESS && dice.chance(2);
            Packet::ConnAck(ConnAck {
                session_present,
                reason,
                properties,
            })
        }
        Kind::SubAck => Packet::SubAck(SubAck {
            packet_id,
            properties,
            reasons: &reasons,
        }),
        Kind::UnsubAck => Packet::UnsubAck(UnsubAck {
            packet_id,
            properties,
            reasons: in_5,
        }),
        Kind::PingReq => Packet::PingReq,
        Kind::PingResp => Packet::PingResp,
        Kind::Disconnect => Packet::Disconnect(Disconnect { reason, properties }),
        Kind::Auth => Packet::Auth(Auth { reason, properties }),
    };
    encoded(version, &packet)
}

fn connect(dice: &mut Dice, version: Version, properties: Properties<'_>) -> BytesMut {
    let will_properties = self::properties(dice, Place::WILL, version, Sender::Client);
    let payload = payload(dice);
    let will = dice.chance(2).then(|| Will {
        qos: qos(dice),
        retain: dice.chance(2),
        properties: will_properties.view(),
        topic: dice.pick(TOPICS),
        payload: &payload,
    });
    let user = dice.chance(2).then(|| dice.pick(TEXTS));
    let packet = Connect {
        version,
        clean_start: dice.chance(2),
        keep_alive: u16::try_from(dice.below(65_536)).unwrap(),
        properties,
        client_id: dice.pick(TEXTS),
        will,
        user,
        password: user.is_some().then(|| dice.pick(TEXTS).as_bytes()),
    };
    encoded(version, &Packet::Connect(packet))
}

fn publish(dice: &mut Dice, version: Version, id: u16, properties: Properties<'_>) -> BytesMut {
    let qos = qos(dice);
    let alias = properties.short(Id::TopicAlias).is_some();
    let packet = Publish {
        dup: qos > Qos::AtMostOnce && dice.chance(4),
        qos,
        retain: dice.chance(3),
        topic: if alias && dice.chance(2) {
            ""
        } else {
            dice.pick(TOPICS)
        },
        packet_id: (qos > Qos::AtMostOnce).then_some(id),
        properties,
        payload: &payload(dice),
    };
    encoded(version, &Packet::Publish(packet))
}

fn subscribe(dice: &mut Dice, version: Version, id: u16, properties: Properties<'_>) -> BytesMut {
    let mut filters = FilterBuf::default();
    for _ in 0..=dice.below(3) {
        let in_5 = version == Version::V5;
        let handling = [
            RetainHandling::Send,
            RetainHandling::SendIfNew,
            RetainHandling::DoNotSend,
        ];
        let options = Options {
            qos: qos(dice),
            no_local: in_5 && dice.chance(3),
            retain_as_published: in_5 && dice.chance(3),
            retain_handling: if in_5 {
                dice.pick(&handling)
            } else {
                RetainHandling::Send
            },
        };
        filters.push(dice.pick(FILTERS), options).unwrap();
    }
    let packet = Subscribe {
        packet_id: id,
        properties,
        filters: filters.view(),
    };
    encoded(version, &Packet::Subscribe(packet))
}

fn unsubscribe(dice: &mut Dice, version: Version, id: u16, properties: Properties<'_>) -> BytesMut {
    let mut filters = TopicBuf::default();
    for _ in 0..=dice.below(3) {
        filters.push(dice.pick(FILTERS)).unwrap();
    }
    let packet = Unsubscribe {
        packet_id: id,
        properties,
        filters: filters.view(),
    };
    encoded(version, &Packet::Unsubscribe(packet))
}

/// Some of the properties that the table allows there.
fn properties(dice: &mut Dice, place: Place, version: Version, sender: Sender) -> PropertyBuf {
    let mut buf = PropertyBuf::new();
    if version == Version::V311 || dice.chance(2) {
        return buf;
    }
    for spec in TABLE.iter().filter(|spec| spec.places(sender).meets(place)) {
        let data = spec.id == Id::AuthData && buf.view().text(Id::AuthMethod).is_none();
        let once = !spec.repeatable || spec.id == Id::SubscriptionId && sender == Sender::Client;
        for _ in 0..if once { 1 } else { 3 } {
            if dice.chance(3) && !data {
                let value = value(dice, spec);
                buf.push(spec.id, value).unwrap();
            }
        }
    }
    buf
}

fn value(dice: &mut Dice, spec: &Spec) -> Value<'static> {
    let number = 1 + dice.below(65_535);
    match spec.form {
        Form::Byte => Value::Byte(u8::from(dice.chance(2))),
        Form::Short => Value::Short(u16::try_from(number).unwrap()),
        Form::Int => Value::Int(u32::try_from(number * 60_000).unwrap()),
        Form::Var => Value::Var(u32::try_from(number * 4_000).unwrap()),
        Form::Text if spec.id == Id::ResponseTopic => Value::Text(dice.pick(TOPICS)),
        Form::Text => Value::Text(dice.pick(TEXTS)),
        Form::Binary => Value::Binary(dice.pick(TEXTS).as_bytes()),
        Form::Pair => Value::Pair(dice.pick(TEXTS), dice.pick(TEXTS)),
    }
}

fn reason(dice: &mut Dice, kind: Kind, version: Version, sender: Sender) -> Reason {
    let allowed: Vec<Reason> = (0..=255)
        .map(Reason)
        .filter(|r| r.is_allowed(kind, version, sender))
        .collect();
    match version {
        _ if allowed.is_empty() => Reason::SUCCESS,
        Version::V311 if kind != Kind::ConnAck && kind != Kind::SubAck => Reason::SUCCESS,
        _ => dice.pick(&allowed),
    }
}

fn qos(dice: &mut Dice) -> Qos {
    dice.pick(&[Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce])
}

fn payload(dice: &mut Dice) -> Vec<u8> {
    let long = dice.chance(8);
    (0..dice.below(if long { 20_000 } else { 40 }))
        .map(|_| dice.roll().to_be_bytes()[0])
        .collect()
}

const TOPICS: &[&str] = &[
    "t",
    "plant/line-1/temperature",
    "/",
    "a//b",
    "$hw/1/status",
    "gr\u{fc}n/\u{1f331}",
];
const FILTERS: &[&str] = &[
    "#",
    "+",
    "a/+/c",
    "a/#",
    "plant/line-1/temperature",
    "/+",
    "\u{e4}",
];
const TEXTS: &[&str] = &[
    "x",
    "client-17",
    "text/plain;charset=utf-8",
    "\u{20ac}",
    "a b",
];
