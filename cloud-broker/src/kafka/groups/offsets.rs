//! OffsetCommit, OffsetFetch, OffsetDelete: topics by name here, streams by id behind.

use std::collections::{BTreeMap, BTreeSet};

use headwater_broker_core::groups::{Answer, Caller, Commit, Position, Request};
use headwater_broker_core::{Catalog, StreamId};
use headwater_kafka::{ErrorCode, offset_commit, offset_delete, offset_fetch};

use super::super::session::Session;
use super::{ask, code, place, result_code};

const UNKNOWN: ErrorCode = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;

/// Positions by stream and partition.
type Known = BTreeMap<(StreamId, u32), Position>;

pub(in super::super) async fn commit(
    session: &Session,
    request: offset_commit::Request,
) -> offset_commit::Response {
    let catalog = session.backend().catalog();
    let mut offsets = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let found = place(&catalog, &topic.name, partition.index);
            if let Some((stream, number)) = found {
                let position = Position {
                    offset: partition.offset,
                    leader_epoch: partition.leader_epoch,
                    metadata: partition.metadata,
                };
                offsets.push((stream, number, position));
            }
            partitions.push((partition.index, found.map_or(UNKNOWN, |_| ErrorCode::NONE)));
        }
        topics.push((topic.name, partitions));
    }
    let caller = Caller {
        group: request.group,
        generation: request.generation,
        member: request.member,
        instance: request.instance,
    };
    let answer = ask(session, Request::Commit(Commit { caller, offsets })).await;
    let result = match answer {
        Some(Answer::Commit(result)) => result.map_err(code),
        _ => Err(ErrorCode::NOT_COORDINATOR),
    };
    fill_in(&mut topics, result);
    offset_commit::Response { topics }
}

/// Puts results where no error stands yet, in their order; a whole one everywhere.
fn fill_in(
    topics: &mut [(String, Vec<(i32, ErrorCode)>)],
    result: Result<Vec<Result<(), headwater_broker_core::groups::GroupError>>, ErrorCode>,
) {
    let slots = topics.iter_mut().flat_map(|(_, partitions)| partitions);
    match result {
        Ok(results) => {
            let mut results = results.into_iter();
            for (_, error) in slots.filter(|(_, error)| error.is_none()) {
                *error = results
                    .next()
                    .map_or(ErrorCode::UNKNOWN_SERVER_ERROR, result_code);
            }
        }
        Err(whole) => slots.for_each(|(_, error)| *error = whole),
    }
}

pub(in super::super) async fn fetch(
    session: &Session,
    mut request: offset_fetch::Request,
) -> offset_fetch::Response {
    // Each once, however often it is named: the answer is bounded by what there is.
    let mut seen = BTreeSet::new();
    request
        .groups
        .retain(|group| seen.insert(group.name.clone()));
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        groups.push(fetch_one(session, group).await);
    }
    offset_fetch::Response { groups }
}

async fn fetch_one(session: &Session, group: offset_fetch::Group) -> offset_fetch::GroupResponse {
    let catalog = session.backend().catalog();
    let topics = group.topics.map(merged);
    let asked = Request::Fetch {
        group: group.name.clone(),
        wanted: topics.as_ref().map(|topics| places(&catalog, topics)),
    };
    let (known, error) = match ask(session, asked).await {
        Some(Answer::Fetch(found)) => (found.into_iter().collect(), ErrorCode::NONE),
        _ => (Known::new(), ErrorCode::NOT_COORDINATOR),
    };
    let topics = match topics {
        None => all(&catalog, known),
        Some(topics) => {
            let asked = topics.into_iter();
            asked
                .map(|(name, indexes)| named(&catalog, &known, name, &indexes))
                .collect()
        }
    };
    offset_fetch::GroupResponse {
        name: group.name,
        error,
        topics,
    }
}

/// Every topic and partition once.
fn merged(topics: Vec<(String, Vec<i32>)>) -> Vec<(String, Vec<i32>)> {
    let mut merged: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for (name, indexes) in topics {
        merged.entry(name).or_default().extend(indexes);
    }
    let partitions = |(name, indexes): (String, BTreeSet<i32>)| (name, Vec::from_iter(indexes));
    merged.into_iter().map(partitions).collect()
}

/// Those of them that there are.
fn places(catalog: &Catalog, topics: &[(String, Vec<i32>)]) -> Vec<(StreamId, u32)> {
    let of_topic = |(name, indexes): &(String, Vec<i32>)| {
        let found = indexes.iter().map(|index| place(catalog, name, *index));
        found.flatten().collect::<Vec<_>>()
    };
    topics.iter().flat_map(of_topic).collect()
}

fn all(catalog: &Catalog, known: Known) -> Vec<(String, Vec<offset_fetch::Partition>)> {
    let mut topics: Vec<(String, Vec<offset_fetch::Partition>)> = Vec::new();
    for ((stream, number), position) in known {
        let Some(stream) = catalog.by_id(&stream) else {
            continue;
        };
        let partition = found(i32::try_from(number).unwrap_or(i32::MAX), &position);
        match topics.last_mut() {
            Some((name, partitions)) if *name == stream.spec.name => partitions.push(partition),
            _ => topics.push((stream.spec.name.clone(), vec![partition])),
        }
    }
    topics
}

fn named(
    catalog: &Catalog,
    known: &Known,
    name: String,
    indexes: &[i32],
) -> (String, Vec<offset_fetch::Partition>) {
    let one = |index: &i32| {
        let position = place(catalog, &name, *index).and_then(|key| known.get(&key));
        position.map_or_else(
            || offset_fetch::Partition::none(*index, ErrorCode::NONE),
            |position| found(*index, position),
        )
    };
    let partitions = indexes.iter().map(one).collect();
    (name, partitions)
}

fn found(index: i32, position: &Position) -> offset_fetch::Partition {
    offset_fetch::Partition {
        index,
        offset: position.offset,
        leader_epoch: position.leader_epoch,
        metadata: position.metadata.clone(),
        error: ErrorCode::NONE,
    }
}

pub(in super::super) async fn delete(
    session: &Session,
    request: offset_delete::Request,
) -> offset_delete::Response {
    let catalog = session.backend().catalog();
    let mut known = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for (name, indexes) in request.topics {
        let mut partitions = Vec::with_capacity(indexes.len());
        for index in indexes {
            let found = place(&catalog, &name, index);
            known.extend(found.map(|(stream, number)| (stream, number, name.clone())));
            partitions.push((index, found.map_or(UNKNOWN, |_| ErrorCode::NONE)));
        }
        topics.push((name, partitions));
    }
    let ask_delete = Request::DeleteOffsets {
        group: request.group,
        partitions: known,
    };
    let result = match ask(session, ask_delete).await {
        Some(Answer::DeleteOffsets(result)) => result.map_err(code),
        _ => Err(ErrorCode::NOT_COORDINATOR),
    };
    if let Err(error) = result {
        let topics = Vec::new();
        return offset_delete::Response { error, topics };
    }
    fill_in(&mut topics, result);
    offset_delete::Response {
        error: ErrorCode::NONE,
        topics,
    }
}
