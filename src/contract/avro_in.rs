//! From Avro straight to our structs, for bodies written with our own schemas; the counterpart of [`super::avro_out`].
//!
//! Bodies come from anyone: lengths and counts are believed only as far as there are bytes. It does not say what is
//! wrong with a body, only that it is none: then the general reader looks at it again and says it.

use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};
use std::fmt;

/// The record, if the whole body is one.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let mut body = Body(body);
    let record = T::deserialize(&mut body).ok()?;
    body.0.is_empty().then_some(record)
}

/// What is left to be read.
struct Body<'de>(&'de [u8]);

/// Not what it should be; nobody asks for more.
#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the record it should be")
    }
}

impl std::error::Error for Broken {}

impl de::Error for Broken {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'de> Body<'de> {
    fn take(&mut self, count: usize) -> Result<&'de [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Broken)?;
        self.0 = rest;
        Ok(taken)
    }

    fn long(&mut self) -> Result<i64, Broken> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = *self.take(1)? else { return Err(Broken) };
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(Broken)
    }

    fn bytes(&mut self) -> Result<&'de [u8], Broken> {
        let count = self.long()?;
        self.take(usize::try_from(count).map_err(|_| Broken)?)
    }
}

/// So many fields, one after the other.
struct Fields<'a, 'de>(&'a mut Body<'de>, usize);

impl<'de> de::SeqAccess<'de> for Fields<'_, 'de> {
    type Error = Broken;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Broken> {
        let Some(left) = self.1.checked_sub(1) else { return Ok(None) };
        self.1 = left;
        seed.deserialize(&mut *self.0).map(Some)
    }
}

/// The items of an array or a map, in blocks, until an empty one.
struct Blocks<'a, 'de> {
    body: &'a mut Body<'de>,
    left: u64,
}

impl Blocks<'_, '_> {
    /// Whether there is another item.
    fn advance(&mut self) -> Result<bool, Broken> {
        if self.left == 0 {
            let count = self.body.long()?;
            if count < 0 {
                // A block that says its size in bytes, for those who skip it.
                self.body.long()?;
            }
            self.left = count.unsigned_abs();
            if self.left == 0 {
                return Ok(false);
            }
        }
        self.left -= 1;
        Ok(true)
    }
}

impl<'de> de::SeqAccess<'de> for Blocks<'_, 'de> {
    type Error = Broken;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Broken> {
        if self.advance()? { seed.deserialize(&mut *self.body).map(Some) } else { Ok(None) }
    }
}

impl<'de> de::MapAccess<'de> for Blocks<'_, 'de> {
    type Error = Broken;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Broken> {
        if self.advance()? { seed.deserialize(&mut *self.body).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Broken> {
        seed.deserialize(&mut *self.body)
    }
}

/// An enum by its symbol's number.
struct Symbol(u32);

impl<'de> de::EnumAccess<'de> for Symbol {
    type Error = Broken;
    type Variant = Unit;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Unit), Broken> {
        let index: de::value::U32Deserializer<Broken> = self.0.into_deserializer();
        Ok((seed.deserialize(index)?, Unit))
    }
}

/// All symbols are bare.
struct Unit;

impl<'de> de::VariantAccess<'de> for Unit {
    type Error = Broken;

    fn unit_variant(self) -> Result<(), Broken> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, Broken> {
        Err(Broken)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Broken> {
        Err(Broken)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Broken> {
        Err(Broken)
    }
}

impl<'de> de::Deserializer<'de> for &mut Body<'de> {
    type Error = Broken;

    /// A type that does not say what it is cannot be read without its schema.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Broken> {
        Err(Broken)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        match self.take(1)? {
            [0] => visitor.visit_bool(false),
            [1] => visitor.visit_bool(true),
            _ => Err(Broken),
        }
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        visitor.visit_i32(i32::try_from(self.long()?).map_err(|_| Broken)?)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        visitor.visit_i64(self.long()?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        let bytes = self.take(8)?.first_chunk().ok_or(Broken)?;
        visitor.visit_f64(f64::from_le_bytes(*bytes))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        visitor.visit_borrowed_str(std::str::from_utf8(self.bytes()?).map_err(|_| Broken)?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        visitor.visit_borrowed_bytes(self.bytes()?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        match self.long()? {
            0 => visitor.visit_none(),
            1 => visitor.visit_some(self),
            _ => Err(Broken),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Broken> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        visitor.visit_seq(Blocks { body: self, left: 0 })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        visitor.visit_map(Blocks { body: self, left: 0 })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Broken> {
        visitor.visit_seq(Fields(self, fields.len()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Broken> {
        visitor.visit_enum(Symbol(u32::try_from(self.long()?).map_err(|_| Broken)?))
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u32 u64 u128 f32 char unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{AgentReport, ReportStatus, TaskSubmitted, avro_out};

    fn bytes_of<T: serde::Serialize>(record: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        avro_out::write(record, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_was_written_is_read() {
        let mut task = TaskSubmitted { task_id: "t".into(), priority: -70_000, ..TaskSubmitted::new("ü") };
        task.labels = [("a".to_owned(), "b".to_owned()), ("c".to_owned(), String::new())].into();
        task.deadline = Some(i64::MIN);
        assert_eq!(read(&bytes_of(&task)), Some(task));
        let mut report = AgentReport::new("t", "x", "a", ReportStatus::InputRequired);
        report.progress = Some(0.5);
        assert_eq!(read(&bytes_of(&report)), Some(report));
    }

    #[test]
    fn bytes_cut_anywhere_or_longer_are_no_record() {
        let bytes = bytes_of(&TaskSubmitted { agents: vec!["a".into(), "b".into()], ..TaskSubmitted::new("x") });
        assert!((0..bytes.len()).all(|end| read::<TaskSubmitted>(&bytes[..end]).is_none()));
        assert_eq!(read::<TaskSubmitted>(&[&bytes[..], b"\0"].concat()), None);
    }

    #[test]
    fn items_may_come_in_several_blocks_with_their_sizes() {
        // Two items in a block of 4 bytes, one in a block without a size, the end.
        assert_eq!(read(&[3, 8, 2, b'a', 2, b'b', 2, 2, b'c', 0]), Some(["a", "b", "c"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn a_forged_length_or_count_takes_no_memory() {
        let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(read::<String>(&huge), None);
        assert_eq!(read::<Vec<String>>(&huge), None);
        assert_eq!(read::<i64>(&[0xff; 11]), None);
    }
}
