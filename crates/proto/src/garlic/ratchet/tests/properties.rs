use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bodies_do_not_panic(body: Vec<u8>, long in prop::collection::vec(any::<u8>(), 90..300)) {
        let mut one = sessions(1, Limits::default());
        prop_assert!(open(&mut one, &body, at(0)).is_err());
        prop_assert!(open(&mut one, &frame(&long), at(0)).is_err());
        prop_assert_eq!((one.sessions(), one.tags()), (0, 0));
    }

    #[test]
    fn arbitrary_payloads_of_any_kind_do_not_panic(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..8),
        blocks in prop::collection::vec((0u8..13, prop::collection::vec(any::<u8>(), 0..40)), 0..6),
    ) {
        let mut structured = Vec::new();
        for (kind, data) in &blocks {
            structured.push(*kind);
            structured.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
            structured.extend_from_slice(data);
        }
        let limits = Limits { unknown_per_s: 10_000, ..Limits::default() };
        for payload in payloads.iter().chain([&structured]) {
            let mut pair = Pair::new(limits);
            let (a, b) = (pair.a.public(), pair.b.public());
            let time = encoded(&[PayloadBlock::DateTime(pair.now.unix)]);
            let body = new_session(&mut pair.a, &b, &[&time[..], payload].concat());
            let _ = open(&mut pair.b, &body, pair.now);
            pair.wait(millis(300));
            pair.a_to_b();
            let body = reply(&mut pair.b, &a, payload);
            let _ = open(&mut pair.a, &body, pair.now);

            let mut pair = Pair::established(limits);
            for _ in 0..3 {
                let _ = pair.hostile(payload);
            }
            pair.wait(secs(1));
            transmits(&mut pair.b, pair.now);
            prop_assert!(pair.b.tags() < 1_000);
            prop_assert!(pair.b.sessions() <= 1);
        }
    }

    #[test]
    fn what_is_sealed_opens(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2_000), 0..8),
        direction: Vec<bool>,
    ) {
        let mut pair = Pair::new(Limits::default());
        let messages: Vec<_> = (0..).zip(&bodies).map(|(id, body)| data(id, body)).collect();
        let cloves: Vec<_> = messages.iter().map(clove).collect();
        for to_bob in direction.iter().take(15) {
            pair.wait(millis(300));
            let (from, to) = match to_bob {
                true => (&mut pair.a, &mut pair.b),
                false => (&mut pair.b, &mut pair.a),
            };
            let out = Outgoing { cloves: &cloves, lease_set: true, ack: true };
            let sealed = from.seal(&to.public(), out, pair.now).unwrap();
            let opened = open(to, &sealed.body, pair.now).unwrap();
            let got: Vec<_> = opened.cloves.iter().map(|clove| clove.message.clone()).collect();
            prop_assert_eq!(&got, &messages);
        }
    }
}
