//! Turns `HW_FAULT=name` into `cfg(hw_fault = "name")` for this crate alone, so that the
//! proof that the power-loss tests can fail rebuilds nothing else.

fn main() {
    println!("cargo:rerun-if-env-changed=HW_FAULT");
    if let Ok(fault) = std::env::var("HW_FAULT") {
        println!("cargo:rustc-cfg=hw_fault=\"{fault}\"");
    }
}
