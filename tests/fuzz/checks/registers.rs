//! The database of registers, damaged.

use std::panic;
use std::sync::OnceLock;

use headwater_store::faulty::FakeDisk;
use headwater_store::local::{LocalOptions, open_on};
use headwater_store::{Outcome, Registers, Store};

use super::Check;
use super::data::Data;

/// Bytes of a sound database are changed, and its end is cut or grown: it opens and all that it
/// says can be read, or it says why not.
pub const REGISTERS: Check = Check {
    name: "registers",
    run,
    memory_fixed: 48 << 20,
    memory_per_byte: 1024,
};

const FILE: &str = "registers.redb";
/// Changes lie in these first bytes, where redb keeps its header and first pages.
const BUSY_BYTES: usize = 64 << 10;

fn run(bytes: &[u8]) {
    let mut data = Data(bytes);
    let mut file = sound().clone();
    match data.byte() % 4 {
        0 => file.truncate(usize::from(data.u16()) << 5),
        1 => file.resize(file.len() + usize::from(data.u16()), 0),
        _ => {}
    }
    while !data.is_empty() {
        let at = usize::from(data.u16()) % BUSY_BYTES.min(file.len()).max(1);
        let changed = data.byte();
        if let Some(byte) = file.get_mut(at) {
            *byte ^= changed;
        }
    }
    let disk = FakeDisk::new(1);
    disk.replace(FILE, file);
    // redb panics on some files, which our store catches; the fuzzer would end at the first.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let opened = open(&disk);
    panic::set_hook(hook);
    match opened {
        Ok(store) => look(&*store.registers),
        Err(message) => assert!(!message.is_empty()),
    }
}

fn open(disk: &FakeDisk) -> Result<Store, String> {
    let options = LocalOptions {
        prepare: false,
        ..LocalOptions::default()
    };
    open_on(disk.shared(), options).map_err(|error| error.to_string())
}

fn look(registers: &dyn Registers) {
    let Ok(names) = registers.list("") else {
        return;
    };
    for name in names {
        if let Ok(Some(found)) = registers.read(&name) {
            let _ = registers.cas(&name, &found.version, b"next");
        }
    }
    let _ = registers.create("new", b"value");
}

/// A database with some registers.
fn sound() -> &'static Vec<u8> {
    static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
    SOUND.get_or_init(|| {
        let disk = FakeDisk::new(1);
        let store = open(&disk).expect("an empty disk");
        for number in 0..20_u8 {
            let value = vec![number; usize::from(number) * 50];
            let name = format!("register-{number}");
            let made = store.registers.create(&name, &value);
            assert!(matches!(made, Ok(Outcome::Mine)), "a sound disk");
        }
        drop(store);
        disk.contents(FILE).expect("it was made")
    })
}
