use super::*;

fn spec(name: &str, filters: &[&str], partitions: u32) -> StreamSpec {
    let filters = filters.iter().map(|filter| (*filter).to_owned()).collect();
    StreamSpec {
        filters,
        partitions,
        ..StreamSpec::new(name)
    }
}

fn route<'a>(catalog: &'a Catalog, topic: &str) -> Option<&'a str> {
    catalog.route(topic).map(|stream| stream.spec.name.as_str())
}

#[test]
fn file_order_then_creation_and_catch_all_last() {
    let mut catalog = Catalog::new(vec!["all".into(), "b".into(), "a".into()]);
    catalog.insert([1; 16], spec("made", &["x/#"], 1), 1);
    catalog.insert([2; 16], spec("a", &["x/+"], 1), 2);
    catalog.insert([3; 16], spec("b", &["x/1"], 1), 3);
    catalog.insert([4; 16], spec("all", &["#"], 1), 4);
    assert_eq!(route(&catalog, "x/1"), Some("b"));
    assert_eq!(route(&catalog, "x/2"), Some("a"));
    assert_eq!(route(&catalog, "x/2/3"), Some("made"));
    assert_eq!(route(&catalog, "y"), Some("all"));
    assert_eq!(route(&catalog, "$SYS/y"), None);
    assert_eq!(catalog.next_created(), 5);
}

#[test]
fn internal_streams_are_never_routed_to() {
    let catalog = Catalog::new(Vec::new());
    assert_eq!(route(&catalog, "__catalog"), None);
    assert!(catalog.by_name(LANES).is_some_and(|stream| stream.internal));
    assert_eq!(catalog.partitions(), 49);
}

#[test]
fn partitions_grow_and_never_shrink() {
    let mut catalog = Catalog::new(Vec::new());
    catalog.insert([1; 16], spec("a", &[], 2), 1);
    let before = catalog.by_name("a").unwrap().partitions.clone();
    catalog.insert([2; 16], spec("b", &[], 1), 2);
    catalog.insert([1; 16], spec("a", &[], 4), 1);
    catalog.insert([1; 16], spec("a", &[], 1), 1);
    let after = &catalog.by_name("a").unwrap().partitions;
    assert_eq!((after.len(), &after[..2]), (4, &before[..]));
    assert_eq!(catalog.owner(after[3]), Some(([1; 16], 3)));
    assert_eq!(catalog.partition(&[1; 16], 3), Some(after[3]));
    assert_eq!(catalog.partition(&[1; 16], 4), None);
}

#[test]
fn a_stream_made_again_has_another_identity() {
    let mut catalog = Catalog::new(Vec::new());
    catalog.insert([1; 16], spec("a", &["#"], 2), 1);
    catalog.remove("a");
    assert!(catalog.by_name("a").is_none() && catalog.by_id(&[1; 16]).is_none());
    catalog.insert([2; 16], spec("a", &["#"], 2), 2);
    assert_eq!(catalog.by_name("a").unwrap().id, [2; 16]);
}

#[test]
fn partition_choice_is_kafkas() {
    let mut catalog = Catalog::new(Vec::new());
    catalog.insert([1; 16], spec("a", &[], 8), 1);
    let stream = catalog.by_name("a").unwrap();
    assert_eq!(
        stream.partition_for_client("abc"),
        stream.partitions[479_470_107 % 8]
    );
    assert_eq!(
        stream.partition_for_publish("abc", "t"),
        stream.partition_for_key(b"abc")
    );
    assert!(stream.takes_whole_batches());
}

#[test]
fn shards_spread() {
    let used: std::collections::BTreeSet<u32> =
        (0..16).map(|p| shard(&[7; 16], p, SHARDS)).collect();
    assert_eq!(used.len(), 16);
    assert_eq!(shard(&internal::CATALOG_ID, 0, SHARDS), 0);
}

#[test]
fn specs_are_checked() {
    assert_eq!(spec("events", &["#"], 8).check(), Ok(()));
    for (bad, error) in [
        (spec("", &[], 1), SpecError::Name),
        (spec("a/b", &[], 1), SpecError::Name),
        (spec("..", &[], 1), SpecError::Name),
        (spec(&"a".repeat(201), &[], 1), SpecError::Name),
        (spec("__x", &[], 1), SpecError::Internal),
        (spec("a", &[], 0), SpecError::Partitions),
        (spec("a", &["a#"], 1), SpecError::Filter("a#".into())),
    ] {
        assert_eq!(bad.check(), Err(error));
    }
    let compact = StreamSpec {
        cleanup: Cleanup::Compact,
        ..spec("a", &["#"], 1)
    };
    assert_eq!(compact.check(), Err(SpecError::CompactByClient));
}

/// `FORMAT.md`; these records are on disk.
#[test]
fn stored_records_stay_readable() {
    let text = r#"{"id":"09090909-0909-0909-0909-090909090909","created":7,"name":"events","#
        .to_owned()
        + r##""filters":["#"],"partitions":8,"retention_ms":604800000,"retention_bytes":null,"##
        + r#""cleanup":"delete","partition_by":"client","validation":"full","transient":false}"#;
    let (id, record) = CatalogRecord::decode(text.as_bytes()).unwrap();
    assert_eq!(
        (id, record.created, &record.spec),
        ([9; 16], 7, &spec("events", &["#"], 8))
    );
    assert_eq!(String::from_utf8(record.encode()).unwrap(), text);
    let later = text.replace(r#""created":7"#, r#""created":7,"later":[1]"#);
    assert_eq!(
        CatalogRecord::decode(later.as_bytes()).unwrap(),
        (id, record)
    );
}

#[test]
fn internal_streams_keep_their_identities() {
    let found =
        internal_streams().map(|(id, spec)| (crate::uuid::format(&id), spec.name, spec.partitions));
    let expected = [
        ("1", CATALOG, 1),
        ("2", LANES, 16),
        ("3", DEVICES, 16),
        ("4", GROUPS, 16),
    ];
    let expected = expected.map(|(number, name, partitions)| {
        let id = format!("68656164-7761-7465-7200-00000000000{number}");
        (id, name.to_owned(), partitions)
    });
    assert_eq!(found, expected);
    let shards = [0, 1, 15].map(|partition| shard(&internal::LANES_ID, partition, SHARDS));
    assert_eq!(shards, SHARDS_OF_LANES);
}
/// Computed by other means.
const SHARDS_OF_LANES: [u32; 3] = [8, 9, 7];

#[test]
fn catalog_records_and_back() {
    let mut catalog = Catalog::new(Vec::new());
    catalog.insert([9; 16], spec("a", &["x/#"], 3), 7);
    let record = CatalogRecord::new(catalog.by_name("a").unwrap());
    let (id, decoded) = CatalogRecord::decode(&record.encode()).unwrap();
    assert_eq!((id, &decoded), ([9; 16], &record));
    assert!(CatalogRecord::decode(b"{}").is_err() && CatalogRecord::decode(b"").is_err());
}
