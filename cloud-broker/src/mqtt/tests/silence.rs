//! Whose time runs while nothing is heard.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::{TcpListener, TcpStream};

use super::harness::Broker;
use crate::metrics::DoorName;
use crate::mqtt::connection::{CONNECT_TIME_MAX, Connection};
use crate::mqtt::core::Core;
use crate::mqtt::io::Io;

/// A client that has said nothing.
async fn stranger(core: &Core) -> (TcpStream, Rc<Connection>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, accepted) = tokio::join!(client, listener.accept());
    let (socket, peer) = accepted.unwrap();
    let (_, writing) = socket.into_split();
    let limits = &core.door.limits;
    let place = limits.enter(DoorName::Mqtt).unwrap();
    let (holder, io) = (core.registry.connection(), Io::new(writing, None));
    let connection = Rc::new(Connection::new(holder, peer.ip(), io, place, limits));
    core.connections.borrow_mut().insert(&connection);
    (client.unwrap(), connection)
}

#[test]
fn a_stranger_s_time_stands_still_while_the_broker_does_not_read_it() {
    let broker = Broker::start("", 1);
    let core = Core::new(broker.door.clone(), Arc::default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (_client, connection) = runtime.block_on(stranger(&core));
    let _inside = runtime.enter();
    let is_open = || connection.state.borrow().end.is_none();
    let mut now = Instant::now();
    let mut pass = |time| {
        now += time;
        core.close_silent(now, time);
    };
    connection.queued.set(true);
    pass(CONNECT_TIME_MAX * 2);
    connection.queued.set(false);
    connection.state.borrow_mut().stalled = true;
    pass(CONNECT_TIME_MAX * 2);
    connection.state.borrow_mut().stalled = false;
    pass(CONNECT_TIME_MAX / 2);
    assert!(is_open());
    pass(CONNECT_TIME_MAX);
    assert!(!is_open());
}
