use headwater_wire::batch::{Headers, Record};

use super::*;

fn refusal(subscriptions: &Subscriptions, filter: &str) -> Option<Reason> {
    subscriptions.refusal(filter, Version::V5)
}

fn subscription(qos: Qos, id: Option<u32>) -> Subscription {
    let options = Options {
        qos,
        ..Options::default()
    };
    let mut subscription = Subscription::new(options, Properties::NONE, false);
    subscription.id = id;
    subscription
}

fn granted(subscriptions: &[&Subscription], index: usize, offset: i64) -> Grant {
    let record = Record {
        timestamp: 0,
        offset_delta: 0,
        key: Some(b"a/b"),
        value: None,
        headers: Headers::default(),
    };
    let delivery = Delivery::of(record, 0, 0).unwrap();
    let at = At {
        index,
        stream: "s",
        partition: 7,
        offset,
    };
    let mut grant = Grant::default();
    for subscription in subscriptions {
        grant.add(subscription, &delivery, "c", at);
    }
    grant
}

#[test]
fn matching_subscriptions_are_put_together() {
    let (first, third) = (Some(1), Some(3));
    let (low, high) = (Qos::AtMostOnce, Qos::AtLeastOnce);
    let subscriptions = [
        subscription(low, first),
        subscription(high, None),
        subscription(low, third),
    ];
    let all: Vec<_> = subscriptions.iter().collect();
    let grant = granted(&all, 0, 0);
    assert_eq!(
        (grant.wanted, grant.qos, grant.offsets),
        (true, high, false)
    );
    assert_eq!(grant.ids, [1, 3]);
    assert_eq!(granted(&all[..1], 0, 0).qos, low);
    assert!(!granted(&[], 0, 0).wanted);
    let mut telling = subscription(low, None);
    telling.offsets = true;
    assert!(granted(&[all[0], &telling], 0, 0).offsets);
}

#[test]
fn a_late_subscription_does_not_count_for_older_records() {
    let mut late = subscription(Qos::AtMostOnce, None);
    late.since = Some([5, 7].into());
    for (index, offset, wanted) in [(0, 4, false), (0, 5, true), (1, 6, false), (2, 0, true)] {
        let grant = granted(&[&late], index, offset);
        assert_eq!(grant.wanted, wanted, "{index} {offset}");
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
    assert!(subscriptions.remove("0").is_some() && subscriptions.remove("0").is_none());
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
fn groups_are_told_apart() {
    let mut subscriptions = Subscriptions::default();
    subscriptions.insert("live", subscription(Qos::AtMostOnce, None));
    let mut replay = subscription(Qos::AtMostOnce, None);
    replay.group = 3;
    subscriptions.insert("replay", replay);
    let names = |group| subscriptions.of(group).map(|(f, _)| f).collect::<Vec<_>>();
    assert_eq!((names(LIVE), names(3)), (vec!["live"], vec!["replay"]));
    assert!(subscriptions.has_none_of(1) && subscriptions.iter().count() == 2);
}
