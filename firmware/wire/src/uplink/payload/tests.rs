use super::*;

#[test]
fn texts_are_as_agreed() {
    let range = LostRange {
        from: Position(3),
        to: Position(9),
    };
    let report = LossReport {
        range,
        reason: LossReason::LaneLost,
        events: 6,
        first_ms: Some(-1),
        last_ms: None,
        crc: Some(0xab),
    };
    assert_eq!(
        report.to_string(),
        r#"{"from":3,"to":9,"reason":"lane-lost","events":6,"first_ms":-1,"last_ms":null,"crc":"000000ab"}"#
    );
    let wrap = LossReport {
        reason: LossReason::Wrap,
        crc: None,
        ..report
    }
    .to_string();
    assert!(wrap.ends_with(r#""crc":null}"#), "{wrap}");
    assert_eq!(range.to_string(), "3-9");
    assert_eq!(
        LossKey {
            device: "gw",
            stream: "events"
        }
        .to_string(),
        "$hw/loss/gw/events"
    );
    assert_eq!(
        RepairKey {
            device: "gw",
            stream: "events"
        }
        .to_string(),
        "$hw/repair/gw/events"
    );
    let resume = Resume {
        oldest: Position(123),
        next: Position(456),
        predecessor: None,
    };
    assert_eq!(
        resume.to_string(),
        r#"{"oldest":123,"next":456,"predecessor":null}"#
    );
    let resume = Resume {
        predecessor: Some(2),
        ..resume
    };
    assert!(resume.to_string().ends_with(r#""predecessor":2}"#));
    let request = RepairRequest {
        reason: RepairReason::Clone,
    };
    assert_eq!(request.to_string(), r#"{"reason":"clone"}"#);
    let report = RepairReport {
        lane: "main",
        from_generation: 0,
        to_generation: 1,
        reason: RepairReason::Rollback,
    };
    assert_eq!(
        report.to_string(),
        r#"{"lane":"main","from_generation":0,"to_generation":1,"reason":"rollback"}"#
    );
}

#[test]
fn reasons_round_trip() {
    for name in [
        "overflow",
        "damaged",
        "refused",
        "restored",
        "lane-lost",
        "recreated",
        "wrap",
    ] {
        assert_eq!(name.parse::<LossReason>().map(LossReason::as_str), Ok(name));
    }
    for name in ["rollback", "clone", "conflict"] {
        assert_eq!(
            name.parse::<RepairReason>().map(RepairReason::as_str),
            Ok(name)
        );
    }
    assert_eq!("Wrap".parse::<LossReason>(), Err(UnknownReason));
}

#[test]
fn ranges_have_one_spelling() {
    let parse = |text: &str| LostRange::parse(text.as_bytes());
    assert_eq!(
        parse("0-1"),
        Some(LostRange {
            from: Position(0),
            to: Position(1)
        })
    );
    let all = LostRange {
        from: Position(0),
        to: Position::END,
    };
    assert_eq!(parse(&all.to_string()), Some(all));
    for bad in [
        "", "1", "1-", "-1", "1-1", "2-1", "00-1", "+0-1", "0-+1", "0-1 ", "0-1-2",
    ] {
        assert_eq!(parse(bad), None, "{bad}");
    }
    assert_eq!(parse("0-70368744177665"), None);
    assert_eq!(LostRange::parse(b"\xff-1"), None);
}

#[cfg(feature = "zstd")]
#[test]
fn loss_batches_are_known_by_their_form() {
    use crate::batch::{BatchBuilder, Compressor, Producer, payload};

    let long = [b'x'; 500];
    let batch = |key: &str, lost: &str, records: usize, compress: bool| {
        let mut builder = BatchBuilder::new();
        for _ in 0..records {
            let headers = [(LOST, Some(lost.as_bytes()))];
            builder
                .push(0, Some(key.as_bytes()), Some(&long), headers)
                .expect("small");
        }
        let mut out = Vec::new();
        match compress {
            true => builder.finish_zstd_into(Producer::NONE, &mut Compressor::new(1), &mut out),
            false => builder.finish_into(Producer::NONE, &mut out),
        }
        out
    };
    let range = |batch: Vec<u8>| {
        let header = Header::parse(&batch).expect("built");
        loss_range(&header, payload(&header, &batch))
    };
    let expected = LostRange {
        from: Position(5),
        to: Position(8),
    };
    assert_eq!(
        range(batch("$hw/loss/gw/events", "5-8", 1, false)),
        Some(expected)
    );
    assert_eq!(range(batch("$hw/loss/gw/events", "5-8", 2, false)), None);
    assert_eq!(range(batch("$hw/loss/gw/events", "5-8", 1, true)), None);
    assert_eq!(range(batch("$hw/loss/gw/events", "8-5", 1, false)), None);
    assert_eq!(range(batch("a/b", "5-8", 1, false)), None);
}
