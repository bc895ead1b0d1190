use bytes::Bytes;

/// Returns `part` as a slice of `buffer` if it lies in there, a copy of it if not.
pub(crate) fn share_or_copy(buffer: &Bytes, part: &[u8]) -> Bytes {
    let (outer, inner) = (buffer.as_ptr_range(), part.as_ptr_range());
    // An empty part may lie anywhere and needs no buffer.
    if !part.is_empty() && outer.start <= inner.start && inner.end <= outer.end {
        buffer.slice_ref(part)
    } else {
        Bytes::copy_from_slice(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_buffer_is_shared_and_another_copied() {
        let buffer = Bytes::from(vec![1, 2, 3, 4]);
        let shared = share_or_copy(&buffer, &buffer[1..3]);
        assert_eq!(shared.as_ptr(), buffer[1..].as_ptr());
        assert_eq!(shared, [2, 3][..]);
        assert_eq!(share_or_copy(&buffer, &[7]), [7][..]);
        assert!(share_or_copy(&buffer, &[]).is_empty());
        assert_eq!(
            share_or_copy(&buffer.slice(0..2), &buffer[1..3]),
            [2, 3][..]
        );
    }
}
