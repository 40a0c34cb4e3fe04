//! Where a task lives: the hash Kafka's Java client partitions by.

/// The partition of a task: murmur2 of its id, as Java's default partitioner and librdkafka's
/// `murmur2_random` place a record of that key.
///
/// # Panics
///
/// If `partitions` is not positive: a topic has at least one.
#[must_use]
pub fn home_partition(task_id: &str, partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    (murmur2(task_id.as_bytes()) & 0x7fff_ffff).cast_signed() % partitions
}

/// Austin Appleby's MurmurHash2 of 32 bits with Kafka's seed.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    // Java's lengths are 32 bits wide, and keys far shorter.
    let mut hash = SEED ^ (data.len() as u32);
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        let tail = tail.iter().rev().fold(0, |word, byte| (word << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by `org.apache.kafka.common.utils.Utils.murmur2` of Kafka 4.3.
    #[test]
    fn hashes_are_those_of_the_java_client() {
        let known: [(&str, i32); 8] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
            ("", 275_646_681),
            ("aufgabe-ü", 1_295_810_561),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn a_home_is_one_of_the_partitions() {
        assert!((0..1000).all(|n| (0..6).contains(&home_partition(&format!("task-{n}"), 6))));
        assert_eq!(home_partition("anything", 1), 0);
    }
}
