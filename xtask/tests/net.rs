//! A real network of current i2pd routers, from start to end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use xtask::net::{NAMES, Network, NetworkSpec, SamSocket};
use xtask::peers::Peer;

#[test]
fn a_network_carries_streams_survives_a_restart_and_leaves_nothing() {
    let network = Network::start(NetworkSpec::new(Peer::Current, 6)).unwrap();
    println!(
        "{}: ready in {:?}",
        network.version(),
        network.ready_after().unwrap()
    );
    let mut pids: Vec<u32> = (0..network.len())
        .filter_map(|index| network.pid(index))
        .collect();
    assert_eq!(pids.len(), 6);

    for router in network.routers() {
        let mut sam = SamSocket::connect(router.sam).unwrap();
        for (name, entry) in NAMES.iter().zip(network.names()) {
            assert_eq!(sam.lookup(name).unwrap(), entry.destination);
        }
    }
    assert!(
        network
            .demo_keys()
            .unwrap()
            .starts_with(&network.demo().unwrap().destination[..500])
    );

    network.kill(5).unwrap();
    assert_eq!(network.pid(5), None);
    network.restart(5).unwrap();
    pids.push(network.pid(5).unwrap());
    let crossing = network.cross(1, 5, Duration::from_secs(120)).unwrap();
    println!("after the restart: {crossing}");

    let sam = network.router(4).unwrap().sam;
    network.suspend(4).unwrap();
    let silent = TcpStream::connect(sam).unwrap();
    silent
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    (&silent).write_all(b"HELLO VERSION\n").unwrap();
    assert!(
        (&silent).read(&mut [0; 64]).is_err(),
        "a halted router answers"
    );
    network.resume(4).unwrap();
    silent
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    assert!(
        (&silent).read(&mut [0; 64]).unwrap() > 0,
        "a resumed router goes on"
    );

    network.stop().unwrap();
    for pid in pids {
        assert!(
            !PathBuf::from(format!("/proc/{pid}")).exists(),
            "router {pid} is left"
        );
    }
}
