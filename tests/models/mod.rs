//! Models of protocols, checked state by state with stateright: every order of steps, every fault
//! at every step, within stated bounds. `cargo run --release -p headwater-tests --bin model -- list`
//! says which there are.

pub mod check;
pub mod lanes;
pub mod reach;
