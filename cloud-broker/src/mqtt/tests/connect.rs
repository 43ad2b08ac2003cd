use headwater_mqtt::{Properties, Will as SentWill};
use headwater_settings::Span;

use super::*;
use crate::auth::IdentityKind;

const CONNECT: Connect<'static> = Connect {
    version: Version::V5,
    clean_start: true,
    keep_alive: 10,
    properties: Properties::NONE,
    client_id: "c",
    will: None,
    user: None,
    password: None,
};

const WILL: SentWill<'static> = SentWill {
    qos: Qos::AtLeastOnce,
    retain: false,
    properties: Properties::NONE,
    topic: "t",
    payload: b"gone",
};

fn decided(connect: Connect<'_>) -> Result<Session, Reason> {
    decide(
        &connect,
        &Identity::ANONYMOUS,
        &MqttConfig::default(),
        "assigned",
    )
}

fn refused(connect: Connect<'_>) -> Reason {
    decided(connect).expect_err("refused")
}

#[test]
fn a_client_without_an_id_is_given_one() {
    for version in [Version::V311, Version::V5] {
        let session = decided(Connect {
            version,
            client_id: "",
            ..CONNECT
        })
        .unwrap();
        assert_eq!(&*session.client_id, "assigned");
    }
    let kept = Connect {
        clean_start: false,
        client_id: "",
        ..CONNECT
    };
    assert!(decided(kept).is_ok());
    let kept = Connect {
        version: Version::V311,
        ..kept
    };
    assert_eq!(refused(kept), Reason::CLIENT_ID_NOT_VALID);
    let long = "x".repeat(CLIENT_ID_BYTES_MAX + 1);
    assert_eq!(
        refused(Connect {
            client_id: &long,
            ..CONNECT
        }),
        Reason::CLIENT_ID_NOT_VALID
    );
}

#[test]
fn what_is_not_offered_is_refused() {
    let mut method = PropertyBuf::new();
    method.push(Id::AuthMethod, Value::Text("SCRAM")).unwrap();
    let with_method = Connect {
        properties: method.view(),
        ..CONNECT
    };
    assert_eq!(refused(with_method), Reason::BAD_AUTHENTICATION_METHOD);
    let with = |will| Connect {
        will: Some(will),
        ..CONNECT
    };
    let exactly_once = SentWill {
        qos: Qos::ExactlyOnce,
        ..WILL
    };
    assert_eq!(refused(with(exactly_once)), Reason::QOS_NOT_SUPPORTED);
    assert_eq!(
        refused(with(SentWill {
            retain: true,
            ..WILL
        })),
        Reason::RETAIN_NOT_SUPPORTED
    );
    let uplink = SentWill {
        topic: "$hw/1/status",
        ..WILL
    };
    assert_eq!(refused(with(uplink)), Reason::NOT_AUTHORIZED);
}

#[test]
fn in_3_1_1_a_will_keeps_its_flag_and_loses_a_qos_that_nobody_could_be_granted() {
    let will = SentWill {
        qos: Qos::ExactlyOnce,
        retain: true,
        ..WILL
    };
    let session = decided(Connect {
        version: Version::V311,
        will: Some(will),
        ..CONNECT
    })
    .unwrap();
    let will = session.will.unwrap();
    assert_eq!((will.qos, will.retain), (Qos::AtLeastOnce, true));
}

#[test]
fn a_will_is_kept_without_its_delay() {
    let mut properties = PropertyBuf::new();
    properties.push(Id::WillDelay, Value::Int(30)).unwrap();
    properties.push_user("a", "b").unwrap();
    let will = SentWill {
        properties: properties.view(),
        ..WILL
    };
    let session = decided(Connect {
        will: Some(will),
        ..CONNECT
    })
    .unwrap();
    let will = session.will.unwrap();
    assert_eq!(will.properties.view().int(Id::WillDelay), None);
    assert_eq!(will.properties.view().user().count(), 1);
}

#[test]
fn an_agent_is_known_by_its_client_id() {
    let agent = |client_id, identity: &Identity| {
        let connect = Connect {
            client_id,
            ..CONNECT
        };
        decide(&connect, identity, &MqttConfig::default(), "x")
            .unwrap()
            .agent
    };
    let anonymous = Identity::ANONYMOUS;
    assert_eq!(agent("gw-1~0123abcd", &anonymous).as_deref(), Some("gw-1"));
    for plain in [
        "gw-1",
        "gw-1~",
        "gw-1~0123abc",
        "gw-1~0123abcx",
        "g/w~0123abcd",
        "~0123abcd",
    ] {
        assert_eq!(agent(plain, &anonymous), None, "{plain}");
    }
    let certified = Identity {
        name: Some("gw-7".into()),
        kind: IdentityKind::Certificate,
    };
    assert_eq!(agent("gw-1~0123abcd", &certified).as_deref(), Some("gw-7"));
    let old = Connect {
        version: Version::V311,
        client_id: "gw-1~0123abcd",
        ..CONNECT
    };
    assert_eq!(decided(old).unwrap().agent, None);
}

#[test]
fn silence_is_one_and_a_half_keep_alives() {
    let silence = |keep_alive, server_s| {
        let server_keep_alive = Span::from_secs(server_s);
        silence_max(
            keep_alive,
            &MqttConfig {
                server_keep_alive,
                ..MqttConfig::default()
            },
        )
    };
    assert_eq!(silence(0, 0), None);
    assert_eq!(silence(10, 0), Some(Duration::from_secs(15)));
    assert_eq!(silence(u16::MAX, 3), Some(Duration::from_millis(4500)));
    assert_eq!(silence(0, 3), Some(Duration::from_millis(4500)));
}

#[test]
fn the_client_is_told_its_limits() {
    let config = MqttConfig {
        server_keep_alive: Span::from_secs(7),
        ..MqttConfig::default()
    };
    let connect = Connect {
        client_id: "",
        ..CONNECT
    };
    let session = decide(&connect, &Identity::ANONYMOUS, &config, "assigned").unwrap();
    let granted = granted(&connect, &session, &config).unwrap();
    let granted = granted.view();
    assert_eq!(granted.int(Id::SessionExpiry), Some(0));
    assert_eq!(granted.byte(Id::MaximumQos), Some(1));
    assert_eq!(granted.byte(Id::RetainAvailable), Some(0));
    assert_eq!(granted.byte(Id::SharedAvailable), Some(0));
    assert_eq!(granted.short(Id::ReceiveMaximum), Some(1024));
    assert_eq!(granted.int(Id::MaximumPacketSize), Some((1 << 20) + 4096));
    assert_eq!(granted.short(Id::TopicAliasMaximum), Some(16));
    assert_eq!(granted.short(Id::ServerKeepAlive), Some(7));
    assert_eq!(granted.text(Id::AssignedClientId), Some("assigned"));
}
