//! Durations (`"3s"`, `"10m"`) and sizes (`"256KB"`) as people write them. Both need a unit: a bare number is refused,
//! because nobody can tell seconds from milliseconds by looking at it.

/// For `#[serde(with = "duration")]`: "1h 30m", "3s", "200ms".
pub(super) mod duration {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::time::Duration;

    pub(in crate::config) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*value))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer).map_err(|_| D::Error::custom(EXPECTED))?;
        humantime::parse_duration(text.trim()).map_err(|_| D::Error::custom(EXPECTED))
    }

    const EXPECTED: &str = r#"must be a duration with its unit, such as "3s", "10m" or "24h""#;
}

/// For `#[serde(with = "size")]`: "256KB" (1 KB = 1,024 bytes), "1MB", "100B".
pub(super) mod size {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::config) fn serialize<S: Serializer>(bytes: &usize, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format(*bytes))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
        let text = String::deserialize(deserializer).map_err(|_| D::Error::custom(EXPECTED))?;
        parse(&text).ok_or_else(|| D::Error::custom(EXPECTED))
    }

    const EXPECTED: &str = r#"must be a size with its unit, such as "100B", "256KB" or "1MB""#;
    const UNITS: [(&str, usize); 4] = [("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10), ("B", 1)];

    pub(super) fn parse(text: &str) -> Option<usize> {
        let text = text.trim().to_ascii_uppercase().replace("IB", "B");
        let (unit, factor) = UNITS.into_iter().find(|(unit, _)| text.ends_with(unit))?;
        text.strip_suffix(unit)?.trim().parse::<usize>().ok()?.checked_mul(factor)
    }

    pub(super) fn format(bytes: usize) -> String {
        let (unit, factor) =
            UNITS.into_iter().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor)).unwrap_or(("B", 1));
        format!("{}{unit}", bytes / factor)
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn a_size_reads_back_as_it_is_shown() {
        for bytes in [0, 1, 1000, 1024, 256 << 10, 1 << 20, 3 << 30] {
            assert_eq!(size::parse(&size::format(bytes)), Some(bytes));
        }
        assert_eq!(size::parse("256 kib"), Some(256 << 10));
    }

    #[test]
    fn a_size_without_a_unit_is_refused() {
        assert_eq!(size::parse("256"), None);
        assert_eq!(size::parse("-1KB"), None);
        assert_eq!(size::parse("99999999999999999999GB"), None);
    }
}
