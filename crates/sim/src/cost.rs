use ramson_crypto::simulation::Work;

/// How long work takes on one core of a simulated router, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Costs {
    /// A step of any part, whatever it does.
    pub step_ns: u64,
    /// An X25519 key pair made.
    pub key_ns: u64,
    /// An X25519 agreement.
    pub agreement_ns: u64,
    /// A signature made.
    pub sign_ns: u64,
    /// A signature checked.
    pub verify_ns: u64,
    /// A KiB read or written by a link: encryption and the system's share.
    pub link_kib_ns: u64,
    /// A tunnel message with its layer.
    pub tunnel_message_ns: u64,
}

impl Default for Costs {
    /// Measured on one core of a small machine, with what sockets cost around it.
    fn default() -> Self {
        Self {
            step_ns: 3_000,
            key_ns: 25_000,
            agreement_ns: 35_000,
            sign_ns: 25_000,
            verify_ns: 50_000,
            link_kib_ns: 2_000,
            tunnel_message_ns: 3_000,
        }
    }
}

/// What one step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Public-key operations.
    pub work: Work,
    /// Bytes that a link read and wrote.
    pub link_bytes: u64,
    /// Messages of tunnels.
    pub tunnel_messages: u64,
}

impl Costs {
    /// How long it takes, in whole microseconds and at least one.
    pub fn micros(&self, done: &Done) -> u64 {
        let Work {
            keys,
            agreements,
            signed,
            verified,
        } = done.work;
        let nanos = self.step_ns
            + keys * self.key_ns
            + agreements * self.agreement_ns
            + signed * self.sign_ns
            + verified * self.verify_ns
            + done.link_bytes * self.link_kib_ns / 1024
            + done.tunnel_messages * self.tunnel_message_ns;
        (nanos / 1000).max(1)
    }
}
