//! Paths into a JSON value and texts that hold some: parsed when the configuration is read, trusted afterwards.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A JSON Pointer (RFC 6901): `/lead/email`, `/items/0`; empty is the whole value. In a name `~1` stands for `/` and
/// `~0` for `~`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    names: Vec<String>,
}

impl Pointer {
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(format!("{text:?} is no JSON Pointer: one begins with a slash, as in \"/lead/email\""));
        }
        let unescaped = |name: &str| {
            let mut rest = name;
            while let Some(at) = rest.find('~') {
                if !rest[at + 1..].starts_with(['0', '1']) {
                    return Err(format!("{text:?} is no JSON Pointer: write ~0 for ~ and ~1 for / within a name"));
                }
                rest = &rest[at + 2..];
            }
            Ok(name.replace("~1", "/").replace("~0", "~"))
        };
        let names = text.split('/').skip(1).map(unescaped).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), names })
    }

    /// The names on the way, from the outside in.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.text.is_empty() { "(the whole value)" } else { &self.text })
    }
}

impl Serialize for Pointer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A text with paths in braces: `Qualify {/name} of {/company/name}`. `{{` and `}}` stand for the braces themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
}

/// What a template is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    Path(Pointer),
}

impl Template {
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let (brace, after) = (&rest[at..=at], &rest[at + 1..]);
            if let Some(after) = after.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let Some((path, after)) = after.split_once('}').filter(|_| brace == "{") else {
                return Err(format!("{text:?} has a single {brace:?}; write it twice where it stands for itself"));
            };
            if path.is_empty() {
                return Err(format!("{text:?} has empty braces; name a path, as in {{/company_name}}"));
            }
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Path(Pointer::parse(path)?));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { text: text.to_owned(), pieces })
    }

    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    pub(super) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_read_as_rfc_6901_says() {
        assert_eq!(Pointer::parse("/a~1b/m~0n/0").unwrap().names(), ["a/b", "m~n", "0"]);
        assert!(Pointer::parse("").unwrap().names().is_empty());
        assert_eq!(Pointer::parse("/").unwrap().names(), [""]);
        assert!(Pointer::parse("a.b").unwrap_err().contains("begins with a slash"));
        assert!(Pointer::parse("/a~2").unwrap_err().contains("~0 for ~") && Pointer::parse("/a~").is_err());
    }

    #[test]
    fn a_template_is_text_and_paths() {
        let path = |text| Piece::Path(Pointer::parse(text).unwrap());
        let text = |text: &str| Piece::Text(text.to_owned());
        let template = Template::parse("{/a} of {{x}} {/b/c}!").unwrap();
        assert_eq!(template.pieces(), [path("/a"), text(" of {x} "), path("/b/c"), text("!")]);
    }

    #[test]
    fn a_template_with_a_stray_brace_is_refused() {
        for (bad, why) in [("a {/b", "single \"{\""), ("a } b", "single \"}\""), ("{}", "empty"), ("{b}", "slash")] {
            assert!(Template::parse(bad).unwrap_err().contains(why), "{bad}: {:?}", Template::parse(bad));
        }
    }
}
