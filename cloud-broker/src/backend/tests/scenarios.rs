//! What has lost data elsewhere, played here: a bit flipped in each kind of file, the newest file
//! cut off, metadata corrupt or gone, a process that stands still while the disk loses power, many
//! kills. Nothing is served that was not stored, nothing else is lost, and no stream is taken for
//! one that was deleted.

use std::collections::BTreeMap;

use headwater_store::ErrorKind;
use headwater_store::faulty::calls::FaultyCalls;

use super::*;

/// Flips of each kind of file.
const FLIPS: u64 = 24;
const BATCHES: usize = 12;
const REGISTERS: &str = "registers.redb";

/// Records in two journals, the first of which is sealed, and snapshots; then the disk as it is left
/// by an end in order, or by a kill.
fn stored(seed: u64, in_order: bool) -> (Site, BTreeMap<i64, String>) {
    let mut site = Site::new(seed);
    site.options.recent_bytes = 0;
    store_in(site, in_order)
}

fn store_in(mut site: Site, in_order: bool) -> (Site, BTreeMap<i64, String>) {
    site.start().unwrap();
    for n in 0..BATCHES {
        if n == BATCHES / 2 {
            site.restart();
        }
        append(&site, &format!("value {n}")).unwrap();
    }
    let found = all(&site);
    assert_eq!(found.len(), BATCHES);
    if in_order {
        site.backend().stop();
    }
    site.backend = None;
    site.disk.kill();
    (site, found)
}

fn append(site: &Site, value: &str) -> Result<i64, AppendError> {
    let batch = batch(Producer::NONE, &[value]);
    let appended = wait(site.backend().append(site.events().partitions[0], batch));
    appended.map(|appended| appended.base_offset)
}

/// What can be read of the partition, around what is damaged.
fn all(site: &Site) -> BTreeMap<i64, String> {
    let partition = site.events().partitions[0];
    let mut found = BTreeMap::new();
    let mut offset = 0;
    loop {
        match site.backend().read(partition, offset, 1) {
            Ok(batches) if batches.is_empty() => return found,
            Ok(batches) => {
                let mut records = Vec::new();
                batches.iter().for_each(|batch| decode(batch, &mut records));
                offset = batches[batches.len() - 1].last_offset + 1;
                found.extend(records.into_iter().map(|(at, _, value)| (at, value)));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// A bit that is in use.
fn bit_of(site: &Site, path: &str, chance: &mut Chance) -> u64 {
    let bytes = site.disk.contents(path).unwrap();
    let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let at = used[usize::try_from(chance.below(used.len() as u64)).unwrap()];
    at as u64 * 8 + chance.below(8)
}

fn files(site: &Site, directory: &str) -> Vec<String> {
    let mut files = site.disk.files();
    files.retain(|path| path.starts_with(directory) && !path.contains("spare"));
    files
}

fn snapshots(site: &Site) -> Vec<String> {
    let mut files = files(site, "blobs/");
    files.retain(|path| path.contains("/x/"));
    files
}

/// What is there must be what was; what comes next gets an offset that was never given.
fn check(site: &Site, before: &BTreeMap<i64, String>, lost_max: usize) {
    let found = all(site);
    assert!(
        found
            .iter()
            .all(|(at, value)| before.get(at) == Some(value))
    );
    assert!(found.len() + lost_max >= before.len(), "{found:?}");
    let next = append(site, "next").unwrap();
    assert!(before.keys().all(|given| *given < next), "{next}");
}

#[test]
fn a_flipped_bit_in_the_journal_costs_one_batch_at_most() {
    for seed in 0..FLIPS {
        let (mut site, before) = stored(seed, true);
        let mut chance = Chance::new(seed + 1);
        let journals = files(&site, "journal/");
        let path = &journals[usize::try_from(seed).unwrap() % journals.len()];
        let bit = bit_of(&site, path, &mut chance);
        site.disk.flip_bit(path, bit);
        site.start().unwrap();
        check(&site, &before, 1);
        site.lose_power();
        assert!(all(&site).len() >= before.len());
    }
}

#[test]
fn a_flipped_bit_in_a_segment_costs_one_batch_at_most() {
    for seed in 0..FLIPS {
        let mut site = Site::new(seed);
        site.compact_after(4);
        site.options.recent_bytes = 0;
        let (mut site, before) = store_in(site, true);
        let mut chance = Chance::new(seed + 1);
        let segments = site.segments();
        let path = &segments[usize::try_from(seed).unwrap() % segments.len()];
        let bit = bit_of(&site, path, &mut chance);
        site.disk.flip_bit(path, bit);
        site.start().unwrap();
        check(&site, &before, 1);
    }
}

#[test]
fn a_flipped_bit_in_a_snapshot_costs_nothing() {
    for seed in 0..FLIPS {
        let (mut site, before) = stored(seed, false);
        let mut chance = Chance::new(seed + 1);
        for path in snapshots(&site) {
            let bit = bit_of(&site, &path, &mut chance);
            site.disk.flip_bit(&path, bit);
        }
        site.start().unwrap();
        check(&site, &before, 0);
    }
}

#[test]
fn snapshots_that_are_cut_or_gone_cost_nothing() {
    for seed in 0..4 {
        let (mut site, before) = stored(seed, false);
        for path in snapshots(&site) {
            let bytes = site.disk.contents(&path).unwrap().len();
            match seed {
                0 => site.disk.cut(&path, bytes - 1),
                1 => site.disk.cut(&path, bytes / 2),
                2 => site.disk.cut(&path, 0),
                _ => site.disk.lose(&path),
            }
        }
        site.start().unwrap();
        check(&site, &before, 0);
    }
}

#[test]
fn a_flipped_bit_in_the_registers_is_found_or_harmless() {
    let mut refused = 0;
    for seed in 0..FLIPS {
        let (mut site, before) = stored(seed, false);
        let mut chance = Chance::new(seed + 1);
        let bit = bit_of(&site, REGISTERS, &mut chance);
        site.disk.flip_bit(REGISTERS, bit);
        if let Err(error) = site.start() {
            assert!(matches!(error, OpenError::Store(_)), "{error}");
            refused += 1;
            // Nothing was deleted: with the bit as it was, all is there.
            site.disk.kill();
            site.disk.flip_bit(REGISTERS, bit);
            site.start().unwrap();
        }
        check(&site, &before, 0);
    }
    assert!(refused > 0);
}

fn is_damage(error: &OpenError) -> bool {
    matches!(error, OpenError::Store(error) if error.kind == ErrorKind::Damaged)
}

#[test]
fn without_its_registers_a_log_is_not_taken_for_a_new_one() {
    for cut in [false, true] {
        let (mut site, before) = stored(1, false);
        let registers = site.disk.contents(REGISTERS).unwrap();
        match cut {
            true => site.disk.cut(REGISTERS, 0),
            false => site.disk.lose(REGISTERS),
        }
        for _ in 0..2 {
            let error = site.start().unwrap_err();
            assert!(is_damage(&error), "{error}");
            site.disk.kill();
        }
        site.disk.replace(REGISTERS, registers);
        site.start().unwrap();
        check(&site, &before, 0);
    }
}

#[test]
fn the_newest_file_cut_off_costs_only_what_it_held() {
    for cut in [1, 512, 4096, usize::MAX] {
        let (mut site, before) = stored(1, false);
        let newest = files(&site, "journal/").into_iter().find(|path| {
            let bytes = site.disk.contents(path).unwrap();
            bytes.windows(8).any(|value| value == b"value 11")
        });
        let newest = newest.expect("the last record lies somewhere");
        let bytes = site.disk.contents(&newest).unwrap().len();
        site.disk.cut(&newest, bytes.saturating_sub(cut));
        site.start().unwrap();
        let lost = if cut == usize::MAX { BATCHES / 2 } else { 0 };
        check(&site, &before, lost);
        site.lose_power();
        assert!(all(&site).len() > before.len() - lost);
    }
}

#[test]
fn a_broker_that_stands_still_while_the_power_fails_acknowledges_nothing() {
    let mut site = Site::open(1);
    append(&site, "safe").unwrap();
    site.backend = None;
    site.disk.kill();
    let calls = FaultyCalls::new(1);
    let store = calls.open(local::open_on(site.disk.shared(), memory::options()).unwrap());
    site.backend = Some(Backend::open_on(store, site.options.clone()).unwrap());
    calls.hold_puts();
    let partition = site.events().partitions[0];
    let pending = wait(site.backend().submit(
        partition,
        batch(Producer::NONE, &["late"]),
        Vec::new(),
    ));
    calls.wait_for_put(|| false);
    site.disk.crash();
    calls.release_puts();
    let answer = wait(pending.unwrap());
    assert_eq!(answer, Err(AppendError::Unavailable(Unavailable::Failed)));
    site.lose_power();
    assert_eq!(all(&site), BTreeMap::from([(0, "safe".to_owned())]));
}

#[test]
fn streams_outlive_any_number_of_kills() {
    let mut site = Site::open(1);
    let create = |site: &Site, n: usize| {
        let spec = StreamSpec::new(&format!("kept-{n}"));
        wait(site.backend().create_stream(spec)).unwrap().id
    };
    let mut ids = Vec::new();
    for n in 0..30 {
        ids.push(create(&site, n));
        append(&site, &n.to_string()).unwrap();
        match n % 3 {
            0 => site.lose_power(),
            _ => site.kill(),
        }
        for (n, id) in ids.iter().enumerate() {
            let catalog = site.backend().catalog();
            let found = catalog.by_name(&format!("kept-{n}")).map(|kept| kept.id);
            assert_eq!(found, Some(*id), "kept-{n}");
        }
        assert_eq!(all(&site).len(), n + 1);
    }
}
