//! Answers that are encrypted with a key of ours, and come as ratchet messages of a session that
//! has this one message: to look-ups through tunnels (I2NP, DatabaseLookup, reply encryption) and
//! of tunnel tests.

use std::collections::VecDeque;
use std::time::Duration;

use ramson_crypto::Random;
use ramson_proto::garlic::router::{self, GarlicError, GarlicKey, OpenedGarlic};
use ramson_wire::Instant;
use ramson_wire::i2np::Garlic;

/// How long an answer is waited for.
const KEEP: Duration = Duration::from_secs(30);
/// Answers waited for at once; with more, the first is given up.
const MAX_EXPECTED: usize = 512;

/// The keys of the answers that are waited for, each good for one.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The oldest first.
    expected: VecDeque<(Instant, GarlicKey)>,
}

impl Answers {
    /// Draws a key for an answer that is to come.
    pub(crate) fn expect(&mut self, random: &mut Random, now: Instant) -> GarlicKey {
        while self.expected.len() >= MAX_EXPECTED
            || self.expected.front().is_some_and(|(until, _)| *until < now)
        {
            self.expected.pop_front();
        }
        let key = GarlicKey::generate(random);
        self.expected.push_back((now + KEEP, key.clone()));
        key
    }

    /// Opens a message if it is one that is waited for.
    pub(crate) fn open(
        &mut self,
        garlic: Garlic<'_>,
        now: Instant,
    ) -> Option<Result<OpenedGarlic, GarlicError>> {
        let tag = garlic.0.first_chunk()?;
        let expected = |(until, key): &(Instant, GarlicKey)| key.tag == *tag && *until >= now;
        let index = self.expected.iter().position(expected)?;
        let (_, key) = self.expected.remove(index)?;
        Some(router::open_with_key(&key, garlic))
    }
}

#[cfg(test)]
mod tests {
    use ramson_wire::{CloveDelivery, GarlicClove, I2npMessage, MessageType};

    use super::*;
    use crate::testing::at;

    fn answer(key: &GarlicKey) -> Vec<u8> {
        let message = I2npMessage::new(
            MessageType::DeliveryStatus,
            7,
            at(10_000).unix,
            bytes::Bytes::from_static(&[0; 12]),
        );
        let message = message.unwrap();
        let clove = GarlicClove {
            delivery: CloveDelivery::Local,
            message: message.as_ref(),
        };
        router::seal_with_key(key, &[clove]).unwrap().to_vec()
    }

    fn open(answers: &mut Answers, body: &[u8], at: Instant) -> Option<bool> {
        let garlic = Garlic::parse(body).unwrap();
        answers.open(garlic, at).map(|opened| opened.is_ok())
    }

    #[test]
    fn an_answer_opens_once_in_its_time() {
        let mut random = Random::from_seed([1; 32]);
        let mut answers = Answers::default();
        let now = at(0).instant;
        let [first, second, late] = [(); 3].map(|()| answers.expect(&mut random, now));
        assert_eq!(open(&mut answers, &answer(&second), now), Some(true));
        assert_eq!(open(&mut answers, &answer(&second), now), None);
        assert_eq!(open(&mut answers, &answer(&first), now + KEEP), Some(true));
        let after = now + KEEP + Duration::from_secs(1);
        assert_eq!(open(&mut answers, &answer(&late), after), None);
    }

    #[test]
    fn a_changed_answer_is_an_error_and_a_strange_one_none() {
        let mut random = Random::from_seed([2; 32]);
        let mut answers = Answers::default();
        let now = at(0).instant;
        let key = answers.expect(&mut random, now);
        let mut body = answer(&key);
        *body.last_mut().unwrap() ^= 1;
        assert_eq!(open(&mut answers, &body, now), Some(false));
        let strange = GarlicKey::generate(&mut random);
        assert_eq!(open(&mut answers, &answer(&strange), now), None);
    }

    #[test]
    fn so_many_are_waited_for_and_no_more() {
        let mut random = Random::from_seed([3; 32]);
        let mut answers = Answers::default();
        let now = at(0).instant;
        let first = answers.expect(&mut random, now);
        let second = answers.expect(&mut random, now);
        for _ in 0..MAX_EXPECTED - 1 {
            answers.expect(&mut random, now);
        }
        assert_eq!(answers.expected.len(), MAX_EXPECTED);
        assert_eq!(open(&mut answers, &answer(&first), now), None);
        assert_eq!(open(&mut answers, &answer(&second), now), Some(true));
    }
}
