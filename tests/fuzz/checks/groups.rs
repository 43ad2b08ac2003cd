//! The state of consumer groups, as it lies in the log.

use std::collections::BTreeMap;

use headwater_broker_core::groups::{Action, Answer, Groups, Limits, Request};
use headwater_wire::time::Millis;

use super::Check;
use super::data::Data;

/// Many records of `__groups`: what is read lives on until all of it is too old, and whatever it
/// writes meanwhile can be read again and says the same.
pub const GROUPS: Check = Check {
    name: "groups",
    run,
    memory_fixed: 256 << 10,
    memory_per_byte: 2048,
};

const START: Millis = Millis(1_760_000_000_000);
const STEPS_MAX: usize = 50;

/// The newest record of each key.
type Log = BTreeMap<Vec<u8>, Vec<u8>>;

fn run(bytes: &[u8]) {
    let mut data = Data(bytes);
    let mut log = Log::new();
    while !data.is_empty() {
        let key = data.bytes().to_vec();
        let length = data.u16();
        log.insert(key, data.take(length.into()).to_vec());
    }
    let Some(mut groups) = load(&log, START) else {
        return;
    };
    let mut now = START;
    for _ in 0..STEPS_MAX {
        let Some(deadline) = groups.deadline() else {
            return;
        };
        assert!(deadline > now || now == START, "time stands still");
        now = now.max(deadline);
        groups.poll(now);
        write(&mut groups, &mut log, now);
        let mut again = load(&log, now).expect("own output can be read");
        assert_eq!(positions(&mut again), positions(&mut groups));
    }
}

fn load(log: &Log, now: Millis) -> Option<Groups> {
    let records = log
        .iter()
        .map(|(key, value)| (key.as_slice(), value.as_slice()));
    Groups::load(Limits::default(), records, now).ok()
}

/// Makes everything durable that is to be written.
fn write(groups: &mut Groups, log: &mut Log, now: Millis) {
    loop {
        let actions = groups.take_actions();
        if actions.is_empty() {
            return;
        }
        for action in actions {
            let Action::Write(write) = action else {
                continue;
            };
            for record in write.records {
                match record.value {
                    Some(value) => drop(log.insert(record.key, value)),
                    None => drop(log.remove(&record.key)),
                }
            }
            groups.handle_written(now, write.ticket, true);
        }
    }
}

/// What every group has read.
fn positions(groups: &mut Groups) -> Vec<Answer> {
    let mut answers = vec![ask(groups, Request::List)];
    let Answer::List(list) = &answers[0] else {
        panic!("{answers:?}");
    };
    let names: Vec<String> = list.iter().map(|group| group.group.clone()).collect();
    answers.clear();
    for group in names {
        let wanted = None;
        answers.push(ask(groups, Request::Fetch { group, wanted }));
    }
    answers.retain(|answer| *answer != Answer::Fetch(Vec::new()));
    answers
}

fn ask(groups: &mut Groups, request: Request) -> Answer {
    groups.handle(START, 1, request);
    match groups.take_actions().pop() {
        Some(Action::Answer { answer, .. }) => answer,
        other => panic!("{other:?}"),
    }
}
