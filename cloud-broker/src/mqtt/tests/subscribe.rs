use headwater_mqtt::PropertyBuf;
use headwater_wire::batch::{Headers, Record};

use super::*;

fn refusal(subscriptions: &Subscriptions, filter: &str) -> Option<Reason> {
    subscriptions.refusal(filter, Properties::NONE, Version::V5)
}

fn subscription(qos: Qos, id: Option<u32>) -> Subscription {
    let options = Options {
        qos,
        ..Options::default()
    };
    let mut subscription = Subscription::new(options, Properties::NONE, None);
    subscription.id = id;
    subscription
}

fn granted(subscriptions: &Subscriptions, topic: &str, at: (usize, i64)) -> Grant {
    let record = Record {
        timestamp: 0,
        offset_delta: 0,
        key: Some(topic.as_bytes()),
        value: None,
        headers: Headers::default(),
    };
    let delivery = Delivery::of(record, 0, 0).unwrap();
    let mut grant = Grant::default();
    subscriptions.grant(&delivery, "c", at, &mut grant);
    grant
}

#[test]
fn matching_subscriptions_are_put_together() {
    let mut subscriptions = Subscriptions::default();
    subscriptions.insert("a/+", subscription(Qos::AtMostOnce, Some(1)));
    subscriptions.insert("a/b", subscription(Qos::AtLeastOnce, None));
    subscriptions.insert("#", subscription(Qos::AtMostOnce, Some(3)));
    let grant = granted(&subscriptions, "a/b", (0, 0));
    assert_eq!((grant.wanted, grant.qos), (true, Qos::AtLeastOnce));
    assert_eq!(grant.ids.iter().sum::<u32>(), 4);
    assert_eq!(granted(&subscriptions, "x", (0, 0)).qos, Qos::AtMostOnce);
    assert!(!granted(&Subscriptions::default(), "x", (0, 0)).wanted);
}

#[test]
fn a_late_subscription_does_not_count_for_older_records() {
    let mut subscriptions = Subscriptions::default();
    let mut late = subscription(Qos::AtMostOnce, None);
    late.since = Some([5, 7].into());
    subscriptions.insert("#", late);
    for (at, wanted) in [
        ((0, 4), false),
        ((0, 5), true),
        ((1, 6), false),
        ((2, 0), true),
    ] {
        assert_eq!(granted(&subscriptions, "x", at).wanted, wanted, "{at:?}");
    }
}

#[test]
fn what_one_client_may_ask_for_is_bounded() {
    let mut subscriptions = Subscriptions::default();
    for number in 0..FILTERS_MAX {
        subscriptions.insert(&number.to_string(), subscription(Qos::AtMostOnce, None));
    }
    assert_eq!(refusal(&subscriptions, "x"), Some(Reason::QUOTA_EXCEEDED));
    assert_eq!(
        refusal(&subscriptions, "0"),
        None,
        "a known filter is changed"
    );
    assert!(subscriptions.remove("0") && !subscriptions.remove("0"));
    assert_eq!(refusal(&subscriptions, "x"), None);
    let mut subscriptions = Subscriptions::default();
    let long = "x".repeat(FILTER_BYTES_MAX / 4);
    for number in 0..3 {
        subscriptions.insert(
            &format!("{number}{long}"),
            subscription(Qos::AtMostOnce, None),
        );
    }
    assert_eq!(refusal(&subscriptions, &long), Some(Reason::QUOTA_EXCEEDED));
    assert_eq!(refusal(&subscriptions, "short"), None);
}

#[test]
fn replay_is_asked_for_in_vain() {
    let subscriptions = Subscriptions::default();
    for name in REPLAY_PROPERTIES {
        let mut properties = PropertyBuf::new();
        properties.push_user(name, "earliest").unwrap();
        let refusal = subscriptions.refusal("a", properties.view(), Version::V5);
        assert_eq!(refusal, Some(Reason::IMPLEMENTATION_SPECIFIC));
    }
}
