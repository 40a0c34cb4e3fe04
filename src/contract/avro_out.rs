//! From our structs straight to Avro, without looking at a schema.
//!
//! Our structs are made after our schemas: fields in the schema's order, `Option` where it has a union of null and one
//! type (in that order), enums with its symbols in its order. Then the bytes follow from the struct alone, and a record
//! costs a small part of what the general writer needs, which looks every field up by name. That a struct is made so
//! is checked wherever debug assertions are on: each record is written both ways there.

use serde::ser::{self, Serialize};
use std::fmt;

/// Appends a record's body. Fails only for a type that none of our records has.
pub(super) fn write<T: Serialize>(record: &T, out: &mut Vec<u8>) -> Result<(), fmt::Error> {
    record.serialize(&mut Body(out))
}

struct Body<'a>(&'a mut Vec<u8>);

impl Body<'_> {
    fn long(&mut self, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
        while rest > 0x7f {
            self.0.push((rest as u8) | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn count(&mut self, count: usize) {
        self.long(i64::try_from(count).expect("memory holds fewer"));
    }
}

/// The items of an array or a map: one block, then the end; nothing but the end where there are none.
struct Block<'a, 'b> {
    body: &'b mut Body<'a>,
    is_empty: bool,
}

impl<'a, 'b> Block<'a, 'b> {
    fn new(body: &'b mut Body<'a>, items: Option<usize>) -> Result<Self, fmt::Error> {
        let items = items.ok_or(fmt::Error)?;
        body.count(items);
        Ok(Self { body, is_empty: items == 0 })
    }

    fn finish(self) {
        if !self.is_empty {
            self.body.count(0);
        }
    }
}

impl<'a, 'b> ser::Serializer for &'b mut Body<'a> {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = Block<'a, 'b>;
    type SerializeMap = Block<'a, 'b>;
    type SerializeStruct = Self;
    type SerializeTuple = ser::Impossible<(), fmt::Error>;
    type SerializeTupleStruct = ser::Impossible<(), fmt::Error>;
    type SerializeTupleVariant = ser::Impossible<(), fmt::Error>;
    type SerializeStructVariant = ser::Impossible<(), fmt::Error>;

    fn serialize_bool(self, value: bool) -> Result<(), fmt::Error> {
        self.0.push(u8::from(value));
        Ok(())
    }

    fn serialize_i32(self, value: i32) -> Result<(), fmt::Error> {
        self.long(value.into());
        Ok(())
    }

    fn serialize_i64(self, value: i64) -> Result<(), fmt::Error> {
        self.long(value);
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), fmt::Error> {
        self.0.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), fmt::Error> {
        self.bytes(value.as_bytes());
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), fmt::Error> {
        self.bytes(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), fmt::Error> {
        self.long(0);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), fmt::Error> {
        self.long(1);
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Result<(), fmt::Error> {
        self.long(index.into());
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), fmt::Error> {
        value.serialize(self)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Block<'a, 'b>, fmt::Error> {
        Block::new(self, len)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Block<'a, 'b>, fmt::Error> {
        Block::new(self, len)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, fmt::Error> {
        Ok(self)
    }

    // What follows none of our records has.

    fn serialize_i8(self, _: i8) -> Result<(), fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_i16(self, _: i16) -> Result<(), fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_u8(self, _: u8) -> Result<(), fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_u16(self, _: u16) -> Result<(), fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_u32(self, _: u32) -> Result<(), fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_u64(self, _: u64) -> Result<(), fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_f32(self, _: f32) -> Result<(), fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_char(self, _: char) -> Result<(), fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_unit(self) -> Result<(), fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, fmt::Error> {
        Err(fmt::Error)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

impl ser::SerializeSeq for Block<'_, '_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), fmt::Error> {
        value.serialize(&mut *self.body)
    }

    fn end(self) -> Result<(), fmt::Error> {
        self.finish();
        Ok(())
    }
}

impl ser::SerializeMap for Block<'_, '_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), fmt::Error> {
        key.serialize(&mut *self.body)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), fmt::Error> {
        value.serialize(&mut *self.body)
    }

    fn end(self) -> Result<(), fmt::Error> {
        self.finish();
        Ok(())
    }
}

impl ser::SerializeStruct for &mut Body<'_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Result<(), fmt::Error> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), fmt::Error> {
        Ok(())
    }
}
