//! Streams that are deleted: nothing of them is found again, and nobody waits for them for ever.

use headwater_broker_core::catalog::{PARTITIONS_MAX, PARTITIONS_OF_ALL_MAX};

use super::*;

fn spec(name: &str, partitions: u32) -> StreamSpec {
    StreamSpec {
        partitions,
        ..StreamSpec::new(name)
    }
}

fn create(site: &Site, name: &str) -> Arc<Stream> {
    wait(site.backend().create_stream(spec(name, 2))).unwrap()
}

fn delete(site: &Site, id: StreamId) -> Result<(), DeleteError> {
    wait(site.backend().delete_stream(id))
}

fn append(site: &Site, stream: &Stream, value: &str) -> i64 {
    let batch = batch(Producer::NONE, &[value]);
    let appended = wait(site.backend().append(stream.partitions[0], batch));
    appended.unwrap().base_offset
}

#[test]
fn what_is_deleted_is_gone_at_once_and_for_ever() {
    let mut site = Site::new(1);
    site.compact_after(2);
    site.start().unwrap();
    for life in 0..4 {
        let stream = create(&site, "short");
        assert_eq!(append(&site, &stream, "a"), 0, "offsets begin at 0");
        assert_eq!(append(&site, &stream, "b"), 1);
        delete(&site, stream.id).unwrap();
        assert!(matches!(
            delete(&site, stream.id),
            Err(DeleteError::NoStream)
        ));
        let place = stream.partitions[0];
        let backend = site.backend();
        assert!(matches!(
            backend.read(place, 0, 1),
            Err(ReadError::NoPartition)
        ));
        assert!(matches!(
            backend.try_bounds(place),
            Err(ReadError::NoPartition)
        ));
        assert!(matches!(
            backend.offset_for_time(place, 0),
            Err(ReadError::NoPartition)
        ));
        assert!(matches!(
            backend.latest_by_time(place),
            Err(ReadError::NoPartition)
        ));
        let refused = wait(backend.append(place, batch(Producer::NONE, &["c"])));
        assert!(matches!(refused, Err(AppendError::NoPartition)));
        match life {
            0 => site.kill(),
            1 => site.restart(),
            2 => site.lose_power(),
            _ => {}
        }
        let catalog = site.backend().catalog();
        assert!(catalog.by_name("short").is_none() && catalog.by_id(&stream.id).is_none());
    }
    assert!(site.records(site.events().partitions[0]).is_empty());
}

#[test]
fn internal_and_unknown_streams_are_not_deleted() {
    let site = Site::open(1);
    let catalog = site.backend().catalog();
    for stream in catalog.streams().filter(|stream| stream.internal) {
        assert!(matches!(
            delete(&site, stream.id),
            Err(DeleteError::Internal)
        ));
    }
    assert!(matches!(delete(&site, [7; 16]), Err(DeleteError::NoStream)));
}

#[test]
fn a_configured_stream_is_made_again_by_the_next_start() {
    let mut site = Site::open(1);
    let before = site.events();
    append(&site, &before, "a");
    delete(&site, before.id).unwrap();
    assert!(site.backend().catalog().route("t").is_none());
    site.restart();
    let after = site.events();
    assert_ne!(after.id, before.id);
    assert_eq!(append(&site, &after, "b"), 0);
    assert_eq!(values(&site.records(after.partitions[0])), ["b"]);
}

#[test]
fn whoever_waits_for_a_deleted_stream_wakes_up() {
    let site = Site::open(1);
    let stream = create(&site, "short");
    let watch = site.backend().watch(&stream.partitions);
    let deleting = site.backend().delete_stream(stream.id);
    let (deleted, ()) = wait(async { tokio::join!(deleting, watch.changed()) });
    deleted.unwrap();
    // One that comes too late finds at once what has happened.
    let late = site.backend().watch(&stream.partitions);
    assert!(site.backend().try_bounds(stream.partitions[0]).is_err());
    drop(late);
}

#[test]
fn what_was_appended_in_the_same_commit_goes_with_the_stream() {
    let mut site = Site::open(1);
    let mut tail = site.backend().tail();
    let stream = create(&site, "short");
    let backend = site.backend();
    let batch = batch(Producer::NONE, &["a"]);
    let appending = backend.append(stream.partitions[0], batch);
    let deleting = backend.delete_stream(stream.id);
    let creating = backend.create_stream(spec("short", 3));
    // All three are in line before the journal can take the first.
    let (appended, deleted, created) = wait(async { tokio::join!(appending, deleting, creating) });
    assert_eq!(appended.unwrap().base_offset, 0);
    deleted.unwrap();
    let created = created.unwrap();
    assert_ne!(created.id, stream.id);
    while !matches!(tail.next(), TailStep::Nothing) {}
    site.lose_power();
    let found = site.backend().catalog();
    let found = found.by_name("short").unwrap();
    assert_eq!((found.id, found.partitions.len()), (created.id, 3));
    assert!(site.records(found.partitions[0]).is_empty());
}

#[test]
fn agents_hear_that_their_stream_is_gone_and_then_that_it_is_another() {
    let mut site = Site::open(1);
    let (before, gw) = (site.events(), lane("gw-1"));
    let inbox = site.backend().inbox();
    let answers = |put: &mut dyn FnMut(&mut Submit<'_>)| ask(&inbox, |submit| put(submit)).1;
    answers(&mut |submit| submit.resume(1, resume(&gw, 1)));
    answers(&mut |submit| submit.lane_batch(1, lane_batch(&gw, 1, 0, &["a", "b"])));
    assert_eq!(site.backend().devices()[0].lanes.len(), 1);
    delete(&site, before.id).unwrap();
    assert_eq!(site.backend().devices()[0].lanes.len(), 0);
    let gone = [LaneOutcome::Refused(Refusal::NoStream)];
    assert_eq!(
        answers(&mut |submit| submit.resume(1, resume(&gw, 1))),
        gone
    );
    let next = || lane_batch(&gw, 1, 2, &["c"]);
    assert_eq!(answers(&mut |submit| submit.lane_batch(1, next())), gone);
    let again = StreamSpec::clone(&before.spec);
    let again = wait(site.backend().create_stream(again)).unwrap();
    let stale = [LaneOutcome::Refused(Refusal::Stale)];
    assert_eq!(answers(&mut |submit| submit.lane_batch(1, next())), stale);
    drop(inbox);
    site.lose_power();
    let inbox = site.backend().inbox();
    let (_, resumed) = ask(&inbox, |submit| submit.resume(1, resume(&gw, 2)));
    let [
        LaneOutcome::Resumed {
            next,
            crc,
            topic_id,
            ..
        },
    ] = resumed[..]
    else {
        panic!("{resumed:?}")
    };
    assert_eq!((next, crc, topic_id), (0, None, again.id));
    assert!(
        site.backend()
            .devices()
            .iter()
            .all(|device| device.lanes.is_empty())
    );
}

#[test]
fn all_streams_together_have_a_bound() {
    let site = Site::open(1);
    let most = PARTITIONS_OF_ALL_MAX - site.backend().catalog().partitions();
    let create = |name: &str, partitions: usize| {
        let partitions = u32::try_from(partitions).unwrap();
        wait(site.backend().create_stream(spec(name, partitions)))
    };
    create("a", PARTITIONS_MAX as usize).unwrap();
    let rest = most - PARTITIONS_MAX as usize;
    let refused = create("b", rest + 1);
    assert!(matches!(refused, Err(CreateError::TooManyPartitions)));
    let b = create("b", rest).unwrap();
    assert!(matches!(
        create("c", 1),
        Err(CreateError::TooManyPartitions)
    ));
    delete(&site, b.id).unwrap();
    create("c", 1).unwrap();
}
