//! Futures dropped at any point leave nothing behind, and everything works afterwards.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::time::Duration;

use common::{exchange, on as on_router, pair, run, stream, until};
use ramson::testing::Personality;
use ramson::{ListenOptions, PrivateKeys};

const ROUNDS: u64 = 500;

/// A point in time to drop at: spread over the first three milliseconds.
fn moment(round: u64) -> Duration {
    Duration::from_micros(round.wrapping_mul(2_654_435_761) % 3000)
}

#[test]
fn dropped_connects() {
    run(async {
        for personality in [Personality::Java, Personality::I2pd59] {
            let (bridge, i2p) = on_router(personality).await;
            let (one, other) = pair(&i2p).await;
            let listener = other.listen().await.unwrap();
            let taking = tokio::spawn(async move {
                while let Ok(stream) = listener.accept().await {
                    drop(stream);
                }
            });
            for round in 0..ROUNDS {
                let connect = one.connect(other.destination());
                let _ = tokio::time::timeout(moment(round), connect).await;
            }
            assert_eq!(one.open_streams(), 0);
            taking.abort();
            let _ = taking.await;
            until("two control connections are left", || {
                bridge.connections() == 2
            })
            .await;
            let (mut near, mut far) = stream(&one, &other).await;
            exchange(&mut near, &mut far).await;
        }
    });
}

#[test]
fn dropped_accepts_lose_nothing() {
    run(async {
        for forward in [false, true] {
            let (_bridge, i2p) = on_router(Personality::Java).await;
            let (one, other) = pair(&i2p).await;
            let options = ListenOptions::new();
            let options = if forward { options.forward() } else { options };
            let listener = other.listen_with(options).await.unwrap();
            let target = other.destination().clone();
            let connecting = tokio::spawn(async move {
                let mut streams = Vec::new();
                for _ in 0..100 {
                    streams.push(one.connect(&target).await.unwrap());
                }
                streams
            });
            let mut accepted = 0;
            let mut round = 0;
            while accepted < 100 {
                round += 1;
                let accept = listener.accept();
                if let Ok(stream) = tokio::time::timeout(moment(round) / 3, accept).await {
                    stream.unwrap();
                    accepted += 1;
                }
            }
            assert_eq!(connecting.await.unwrap().len(), 100);
        }
    });
}

#[test]
fn dropped_opens() {
    run(async {
        for personality in [Personality::Java, Personality::I2pd59] {
            let (bridge, i2p) = on_router(personality).await;
            let keys = PrivateKeys::generate();
            for round in 0..ROUNDS {
                let open = i2p.session().open();
                let _ = tokio::time::timeout(moment(round), open).await;
            }
            // The same keys each time, which are free again at once or soon.
            for round in 0..50 {
                let open = i2p.session().keys(keys.clone()).open();
                let _ = tokio::time::timeout(moment(round), open).await;
            }
            until("nothing is left", || bridge.connections() == 0).await;
            assert_eq!(bridge.sessions(), 0);
            let mut tries = 0;
            while let Err(error) = i2p.session().keys(keys.clone()).open().await {
                tries += 1;
                assert!(tries < 100, "{error}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    });
}

#[test]
fn dropped_datagram_opens_and_renewals() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::I2pd59).await;
        let kinds = [ramson::DatagramKind::Datagram1];
        let session = i2p.session().datagram_kinds(&kinds).open().await.unwrap();
        for round in 0..50 {
            let open = session.datagrams().open();
            let _ = tokio::time::timeout(moment(round), open).await;
            let _ = tokio::time::timeout(moment(round) / 100, session.renew()).await;
        }
        session.ready(Duration::from_secs(20)).await.unwrap();
        session.datagrams().open().await.unwrap();
    });
}
