//! FNV-1a: the same in every build and on every worker, which std's hashers do not promise.

/// 64 bits, of bytes or of whole characters.
pub fn fnv1a_64<T: Into<u64>>(items: impl IntoIterator<Item = T>) -> u64 {
    items.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, item| (hash ^ item.into()).wrapping_mul(0x0100_0000_01b3))
}

/// 32 bits, of a text.
#[must_use]
pub fn fnv1a_32(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_that_are_published() {
        assert_eq!((fnv1a_64("foobar".bytes()), fnv1a_32("foobar")), (0x8594_4171_f739_67e8, 0xbf9c_f968));
    }
}
