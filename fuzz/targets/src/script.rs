/// A fuzzer's input read as a small script: what is missing at its end is zero.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next operation, a number below `count`; `None` at the end.
    pub(crate) fn operation(&mut self, count: u8) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        first.checked_rem(count)
    }

    pub(crate) fn u8(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        for (to, from) in out.iter_mut().zip(self.take(N)) {
            *to = *from;
        }
        out
    }

    /// At most `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> &'a [u8] {
        let (front, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        front
    }

    /// `[length: u8][bytes]`, or `[255][length: u16 BE][bytes]`.
    pub(crate) fn piece(&mut self) -> &'a [u8] {
        let len = match self.u8() {
            u8::MAX => self.u16(),
            len => len.into(),
        };
        self.take(len.into())
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Damages `bytes` as the script says: `[count: u8]`, at most 15, then for each
    /// `[at: u16 BE][xor: u8]`. Behind the end, so many bytes are appended; at 65535, so many cut off.
    pub(crate) fn edit(&mut self, bytes: &mut Vec<u8>) -> bool {
        let count = self.u8() % 16;
        for _ in 0..count {
            let (at, xor) = (self.u16(), self.u8());
            match bytes.get_mut(usize::from(at)) {
                Some(byte) => *byte ^= xor,
                None if at == u16::MAX => bytes.truncate(bytes.len().saturating_sub(xor.into())),
                None => bytes.resize(bytes.len().saturating_add(xor.into()), xor),
            }
        }
        count > 0
    }
}
