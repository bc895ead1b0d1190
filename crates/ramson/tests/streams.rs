//! Streams: what their ends mean, how they time out, and what dropping them leaves.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use common::{exchange, on as on_router, pair, run, stream, until};
use ramson::testing::{Personality, Verb, on};
use ramson::{ConnectOptions, Error, ErrorKind, ListenOptions, Stream, stream_error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn kind(error: &std::io::Error) -> Option<ErrorKind> {
    stream_error(error).map(Error::kind)
}

/// How a stream ended: with the bytes before, or with an error.
async fn drain(stream: &mut Stream) -> Result<Vec<u8>, std::io::Error> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

#[test]
fn all_bytes_arrive_before_the_end() {
    run(async {
        for personality in Personality::ALL {
            let (_bridge, i2p) = on_router(personality).await;
            let (one, other) = pair(&i2p).await;
            let (mut near, mut far) = stream(&one, &other).await;
            let sent: Vec<u8> = (0..3_000_000u32).map(|n| (n >> 7) as u8).collect();
            let expected = sent.clone();
            let sender = tokio::spawn(async move {
                near.write_all(&sent).await.unwrap();
                drop(near);
            });
            assert!(
                drain(&mut far).await.unwrap() == expected,
                "{personality:?}"
            );
            sender.await.unwrap();
        }
    });
}

#[test]
fn what_was_sent_before_the_shutdown_of_the_other_side_is_read() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::I2pd59).await;
        let (one, other) = pair(&i2p).await;
        let (mut near, mut far) = stream(&one, &other).await;
        far.write_all(b"answer").await.unwrap();
        near.shutdown().await.unwrap();
        assert_eq!(drain(&mut near).await.unwrap(), b"answer");
        assert_eq!(drain(&mut far).await.unwrap(), b"");
    });
}

#[test]
fn a_clean_end_is_an_end() {
    run(async {
        for personality in Personality::ALL {
            let (bridge, i2p) = on_router(personality).await;
            let (one, other) = pair(&i2p).await;
            let (mut near, far) = stream(&one, &other).await;
            drop(far);
            assert_eq!(drain(&mut near).await.unwrap(), b"", "{personality:?}");
            // And stays one.
            assert_eq!(drain(&mut near).await.unwrap(), b"", "{personality:?}");
            drop(near);
            until("the stream is gone", || bridge.streams() == 0).await;
        }
    });
}

#[test]
fn a_router_that_dies_is_never_a_clean_end() {
    run(async {
        for personality in [Personality::Java, Personality::I2pd59] {
            for _ in 0..30 {
                let (bridge, i2p) = on_router(personality).await;
                let (one, other) = pair(&i2p).await;
                let (mut near, mut far) = stream(&one, &other).await;
                exchange(&mut near, &mut far).await;
                bridge.stop();
                for end in [&mut near, &mut far] {
                    let error = drain(end).await.unwrap_err();
                    assert_eq!(kind(&error), Some(ErrorKind::RouterLost), "{error}");
                    assert!(error.to_string().contains("heals by itself"), "{error}");
                    // It stays the same for those who read on, and for writers.
                    let error = drain(end).await.unwrap_err();
                    assert_eq!(kind(&error), Some(ErrorKind::RouterLost), "{error}");
                }
            }
        }
    });
}

#[test]
fn nor_when_the_end_of_the_stream_comes_first() {
    run(async {
        for delay_us in [0, 100, 1000] {
            for _ in 0..10 {
                let (bridge, i2p) = on_router(Personality::I2pd59).await;
                let (one, other) = pair(&i2p).await;
                let (mut near, mut far) = stream(&one, &other).await;
                exchange(&mut near, &mut far).await;
                let reader = tokio::spawn(async move { drain(&mut near).await });
                bridge.cut_streams();
                tokio::time::sleep(Duration::from_micros(delay_us)).await;
                bridge.stop();
                let error = reader.await.unwrap().unwrap_err();
                assert_eq!(kind(&error), Some(ErrorKind::RouterLost), "{error}");
            }
        }
    });
}

#[test]
fn a_writer_learns_that_the_router_died() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let (one, other) = pair(&i2p).await;
        let (mut near, mut far) = stream(&one, &other).await;
        exchange(&mut near, &mut far).await;
        let writer = tokio::spawn(async move {
            let bytes = [0; 65536];
            loop {
                if let Err(error) = near.write_all(&bytes).await {
                    return error;
                }
            }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        bridge.stop();
        let error = writer.await.unwrap();
        assert_eq!(kind(&error), Some(ErrorKind::RouterLost), "{error}");
    });
}

#[test]
fn a_lost_control_connection_ends_streams_as_lost() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let (one, other) = pair(&i2p).await;
        let (mut near, _far) = stream(&one, &other).await;
        // The bridge leaves the stream's own socket open.
        bridge.cut_control_connections();
        let error = tokio::time::timeout(Duration::from_secs(5), drain(&mut near))
            .await
            .expect("the stream hangs")
            .unwrap_err();
        assert_eq!(kind(&error), Some(ErrorKind::RouterLost), "{error}");
    });
}

#[test]
fn a_silent_peer_is_told_from_an_idle_one() {
    run(async {
        let (bridge, i2p) = on_router(Personality::I2pd59).await;
        let (one, other) = pair(&i2p).await;
        bridge.add(on(Verb::StreamConnect).reply("STREAM STATUS RESULT=OK"));
        let limit = Duration::from_millis(200);
        let options = ConnectOptions::new().answer_within(Some(limit));
        let mut near = one
            .connect_with(other.destination(), options)
            .await
            .unwrap();
        near.write_all(b"anybody?").await.unwrap();
        let error = drain(&mut near).await.unwrap_err();
        assert_eq!(kind(&error), Some(ErrorKind::PeerSilent), "{error}");
        assert!(error.to_string().contains("renew()"), "{error}");
        let error = near.confirmed().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PeerSilent, "{error}");
        // A router that asks the peer first leaves no such doubt.
        bridge.clear_rules();
        let (_bridge, i2p) = on_router(Personality::Java).await;
        let (one, other) = pair(&i2p).await;
        let listener = other.listen().await.unwrap();
        let mut near = one
            .connect_with(other.destination(), options)
            .await
            .unwrap();
        let _far = listener.accept().await.unwrap();
        near.confirmed().await.unwrap();
        let read = tokio::time::timeout(limit * 2, near.read_u8()).await;
        assert!(read.is_err(), "{read:?}");
    });
}

#[test]
fn a_confirmed_stream_keeps_its_first_byte() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::I2pd59).await;
        let (one, other) = pair(&i2p).await;
        let (mut near, mut far) = stream(&one, &other).await;
        far.write_all(b"x").await.unwrap();
        near.confirmed().await.unwrap();
        near.confirmed().await.unwrap();
        assert_eq!(near.read_u8().await.unwrap(), b'x');
    });
}

#[test]
fn an_idle_stream_times_out_at_both_ends() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::Java).await;
        let (one, other) = pair(&i2p).await;
        let limit = Duration::from_millis(1500);
        let listening = ListenOptions::new().idle_timeout(limit);
        let listener = other.listen_with(listening).await.unwrap();
        let options = ConnectOptions::new().idle_timeout(limit);
        let mut near = one
            .connect_with(other.destination(), options)
            .await
            .unwrap();
        let mut far = listener.accept().await.unwrap();
        let started = Instant::now();
        for _ in 0..8 {
            tokio::time::sleep(limit / 6).await;
            exchange(&mut near, &mut far).await;
        }
        assert!(started.elapsed() > limit);
        for end in [&mut near, &mut far] {
            let error = drain(end).await.unwrap_err();
            assert_eq!(kind(&error), Some(ErrorKind::TimedOut), "{error}");
            assert!(error.to_string().contains("idle"), "{error}");
        }
        // Nobody reads, so writing stands still some time later.
        let bytes = vec![0; 1 << 20];
        let error = loop {
            if let Err(error) = near.write_all(&bytes).await {
                break error;
            }
        };
        assert_eq!(kind(&error), Some(ErrorKind::TimedOut), "{error}");
    });
}

#[test]
fn halves_go_to_two_tasks() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let (one, other) = pair(&i2p).await;
        let (near, far) = stream(&one, &other).await;
        let (mut reader, mut writer) = near.into_split();
        let (mut back, mut forth) = far.into_split();
        let echo = tokio::spawn(async move { tokio::io::copy(&mut back, &mut forth).await });
        let sender = tokio::spawn(async move {
            for _ in 0..100 {
                writer.write_all(&[7; 1000]).await.unwrap();
            }
            writer
        });
        let mut bytes = vec![0; 100_000];
        reader.read_exact(&mut bytes).await.unwrap();
        assert!(bytes.iter().all(|byte| *byte == 7));
        drop(sender.await.unwrap());
        assert_eq!(reader.read(&mut bytes).await.unwrap(), 0);
        assert_eq!(echo.await.unwrap().unwrap(), 100_000);
        drop(reader);
        until("the stream is gone", || bridge.streams() == 0).await;
        assert_eq!(one.open_streams(), 0);
    });
}

#[test]
fn a_dropped_stream_tells_the_peer() {
    run(async {
        for personality in Personality::ALL {
            let (_bridge, i2p) = on_router(personality).await;
            let (one, other) = pair(&i2p).await;
            let (near, mut far) = stream(&one, &other).await;
            assert_eq!(one.open_streams(), 1);
            drop(near);
            assert_eq!(one.open_streams(), 0);
            let read = tokio::time::timeout(Duration::from_secs(5), drain(&mut far)).await;
            assert_eq!(read.unwrap().unwrap(), b"", "{personality:?}");
        }
    });
}

#[test]
fn connecting_to_oneself_is_refused() {
    run(async {
        let (_bridge, i2p) = on_router(Personality::Java).await;
        let session = i2p.session().open().await.unwrap();
        for target in [
            session.address().to_string(),
            session.destination().to_base64(),
        ] {
            let error = session.connect(target).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PeerUnreachable);
            assert!(error.to_string().contains("own Destination"), "{error}");
        }
    });
}

#[test]
fn a_peer_that_comes_online_within_the_deadline_is_found() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let (one, other) = pair(&i2p).await;
        let listener = other.listen().await.unwrap();
        bridge.add(
            on(Verb::StreamConnect)
                .times(2)
                .reply("STREAM STATUS RESULT=CANT_REACH_PEER"),
        );
        let started = Instant::now();
        let (near, far) = tokio::join!(one.connect(other.destination()), listener.accept());
        exchange(&mut near.unwrap(), &mut far.unwrap()).await;
        assert!(started.elapsed() < Duration::from_secs(10));
        assert_eq!(bridge.seen_of(Verb::StreamConnect).len(), 3);
    });
}

#[test]
fn a_deadline_holds() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let (one, other) = pair(&i2p).await;
        bridge.add(on(Verb::StreamConnect).silence());
        let options = ConnectOptions::new().deadline(Duration::from_millis(400));
        let started = Instant::now();
        let error = one
            .connect_with(other.destination(), options)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        assert!(
            error.to_string().contains("0.4 s waiting for the peer"),
            "{error}"
        );
        assert!(started.elapsed() < Duration::from_secs(10));
        until("the attempt is gone", || {
            // Two control connections are left.
            bridge.connections() == 2
        })
        .await;
    });
}

#[test]
fn a_bridge_that_closes_instead_of_answering_connect() {
    run(async {
        let (bridge, i2p) = on_router(Personality::Java).await;
        let (one, other) = pair(&i2p).await;
        bridge.add(on(Verb::StreamConnect).close());
        let options = ConnectOptions::new().attempts(2);
        let error = one
            .connect_with(other.destination(), options)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PeerUnreachable, "{error}");
        assert!(one.status().get().is_ready());
    });
}
