//! Records that are written over HTTP.

use headwater_broker::fuzz;
use headwater_broker::validate::Validator;
use headwater_broker_core::catalog::Validation;
use headwater_wire::batch::BatchError;
use serde_json::Value;

use super::Check;

/// A byte for the form, then a body: what is taken makes batches that every door would take, and
/// what is shown of them is taken again and makes the same.
pub const HTTP_APPEND: Check = Check {
    name: "http_append",
    run,
    memory_fixed: 16 << 20,
    memory_per_byte: 1024,
};

fn run(bytes: &[u8]) {
    let Some((&form, body)) = bytes.split_first() else {
        return;
    };
    let lines = form & 1 == 1;
    let batches = match fuzz::posted(body, lines) {
        Ok(batches) => batches,
        Err(message) => return assert!(!message.is_empty()),
    };
    let mut again = String::new();
    for (partition, batch) in &batches {
        assert!(*partition < fuzz::POSTED_PARTITIONS);
        let checked = Validator::default().check::<BatchError>(batch, Validation::Full, |_| Ok(()));
        checked.expect("every door takes it");
        for record in fuzz::records_as_json(batch.clone()) {
            let mut record: Value = serde_json::from_str(&record).expect("JSON");
            record.as_object_mut().expect("an object").remove("offset");
            record["partition"] = (*partition).into();
            again += &format!("{record}\n");
        }
    }
    assert_eq!(fuzz::posted(again.as_bytes(), true), Ok(batches));
}
