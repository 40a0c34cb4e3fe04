//! The Confluent wire format: a zero byte, the schema's id as four bytes big-endian, the body.

use super::schema::WireRecord;

const MAGIC: u8 = 0;
const HEADER: usize = 5;

/// The id and the body; none if the bytes do not start with a header.
#[must_use]
pub fn split(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (header, body) = bytes.split_first_chunk::<HEADER>()?;
    let [MAGIC, id @ ..] = *header else { return None };
    Some((u32::from_be_bytes(id), body))
}

/// A body of any kind behind the header.
#[must_use]
pub fn frame(id: u32, body: &[u8]) -> Vec<u8> {
    [&[MAGIC], &id.to_be_bytes()[..], body].concat()
}

/// A record in Avro behind the header.
#[must_use]
pub fn encode<T: WireRecord>(id: u32, record: &T) -> Vec<u8> {
    // Most records fit; growing twice costs more than 200 bytes for a moment.
    let mut bytes = Vec::with_capacity(256);
    bytes.push(MAGIC);
    bytes.extend_from_slice(&id.to_be_bytes());
    T::KIND.write(record, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_big_endian_behind_a_zero_byte() {
        assert_eq!(split(&[0, 0, 0, 1, 2, 9, 8]), Some((258, &[9, 8][..])));
        assert_eq!(split(&[0, 0, 0, 1, 2]), Some((258, &[][..])));
    }

    #[test]
    fn short_bytes_and_another_first_byte_have_no_header() {
        assert_eq!(split(&[0, 0, 0, 1]), None);
        assert_eq!(split(b"{\"a\":1}"), None);
        assert_eq!(split(&[]), None);
    }
}
