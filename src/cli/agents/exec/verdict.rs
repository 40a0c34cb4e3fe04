//! From how a command ended to what is reported. The classes are those of `docs/agents.md`, the codes of `sysexits.h`.

use crate::agent::{Answer, ErrorClass, Failure};
use serde::de::IgnoredAny;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

/// What ended a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, or by somebody else's signal.
    Exited(ExitStatus),
    /// It printed more than is taken.
    TooMuch,
    /// It ran for longer than it may.
    TimedOut(Duration),
    /// Its assignment's deadline came.
    Late,
    /// Its assignment is no longer wanted.
    Withdrawn,
}

/// What is reported; `said` are the last lines of its standard error, `most` the bytes an output may have.
pub(super) fn verdict(
    end: End,
    output: Vec<u8>,
    said: Option<String>,
    gives_json: bool,
    most: usize,
) -> Result<Answer, Failure> {
    let failure = |class, code: &str, why: String| Err(Failure::new(class, why).code(code));
    let status = match end {
        End::Exited(status) => status,
        End::TooMuch => {
            return failure(ErrorClass::InvalidOutput, "too_large", format!("it printed more than {most} B"));
        }
        End::TimedOut(after) => {
            let after = humantime::format_duration(after);
            return failure(ErrorClass::Timeout, "timeout", format!("it was not done within {after}"));
        }
        End::Late => return failure(ErrorClass::Timeout, "deadline", "its deadline passed".to_owned()),
        End::Withdrawn => return failure(ErrorClass::Cancelled, "withdrawn", "it was withdrawn".to_owned()),
    };
    if !status.success() {
        let (class, code) = match (status.code(), status.signal()) {
            (Some(code), _) => (class_of(code), format!("exit_{code}")),
            (None, signal) => (ErrorClass::Transient, format!("signal_{}", signal.unwrap_or_default())),
        };
        return failure(class, &code, said.unwrap_or_else(|| format!("the command ended with {status}")));
    }
    let Ok(text) = String::from_utf8(output) else {
        return failure(ErrorClass::InvalidOutput, "not_utf8", "what it printed is not UTF-8".to_owned());
    };
    if !gives_json {
        return Ok(Answer::Text(
            text.strip_suffix('\n').map_or(text.as_str(), |it| it.trim_end_matches('\r')).to_owned(),
        ));
    }
    // Handed on as it is: numbers of any length, keys in their order.
    match serde_json::from_str::<IgnoredAny>(&text) {
        Ok(_) => Ok(Answer::Text(text.trim().to_owned())),
        Err(_) if text.trim().is_empty() => {
            failure(ErrorClass::InvalidOutput, "not_json", "it printed nothing, and has to print JSON".to_owned())
        }
        Err(error) => failure(
            ErrorClass::InvalidOutput,
            "not_json",
            format!("what it printed is not JSON, as its definition says: {error}"),
        ),
    }
}

/// By `sysexits.h`; 126 and 127 are the shells'. Of what says nothing of itself another try may do.
fn class_of(code: i32) -> ErrorClass {
    match code {
        65 | 66 => ErrorClass::Contract,
        77 => ErrorClass::Auth,
        64 | 78 | 126 | 127 => ErrorClass::Permanent,
        _ => ErrorClass::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 100;

    fn exited(code: i32) -> End {
        End::Exited(ExitStatus::from_raw(code << 8))
    }

    #[test]
    fn an_exit_code_is_a_class_and_the_last_words_are_the_message() {
        for (code, class) in [
            (1, ErrorClass::Transient),
            (64, ErrorClass::Permanent),
            (65, ErrorClass::Contract),
            (66, ErrorClass::Contract),
            (69, ErrorClass::Transient),
            (75, ErrorClass::Transient),
            (77, ErrorClass::Auth),
            (78, ErrorClass::Permanent),
            (127, ErrorClass::Permanent),
            (137, ErrorClass::Transient),
        ] {
            let failure =
                verdict(exited(code), b"ignored".to_vec(), Some("no key".to_owned()), true, MOST).unwrap_err();
            assert_eq!(
                (failure.class, failure.code, failure.message.as_str()),
                (class, Some(format!("exit_{code}")), "no key")
            );
        }
        let silent = verdict(exited(3), Vec::new(), None, true, MOST).unwrap_err();
        assert_eq!(silent.message, "the command ended with exit status: 3");
        let killed = verdict(End::Exited(ExitStatus::from_raw(9)), Vec::new(), None, true, MOST).unwrap_err();
        assert_eq!((killed.class, killed.code.as_deref()), (ErrorClass::Transient, Some("signal_9")));
    }

    #[test]
    fn json_is_handed_on_as_it_was_printed_and_text_without_its_last_line_break() {
        let json = |text: &str| verdict(exited(0), text.as_bytes().to_vec(), None, true, MOST);
        let long = "{\"b\": 12345678901234567890123, \"a\": 1.10}";
        assert_eq!(json(&format!("\n{long}\n")), Ok(Answer::Text(long.to_owned())));
        for wrong in ["", " \n", "{\"a\":1} {\"a\":2}", "no"] {
            let failure = json(wrong).unwrap_err();
            assert_eq!(
                (failure.class, failure.code.as_deref()),
                (ErrorClass::InvalidOutput, Some("not_json")),
                "{wrong:?}"
            );
        }
        let text = |text: &[u8]| verdict(exited(0), text.to_vec(), Some("chatter".to_owned()), false, MOST);
        assert_eq!(text(b" one\n\n"), Ok(Answer::Text(" one\n".to_owned())));
        assert_eq!(text(b"one\r\n"), Ok(Answer::Text("one".to_owned())));
        assert_eq!(text(b""), Ok(Answer::Text(String::new())));
        assert_eq!(text(b"\xff").unwrap_err().class, ErrorClass::InvalidOutput);
    }

    #[test]
    fn what_was_cut_short_says_by_what() {
        let class = |end| verdict(end, b"1".to_vec(), Some("x".to_owned()), true, MOST).unwrap_err().class;
        assert_eq!(class(End::TooMuch), ErrorClass::InvalidOutput);
        assert_eq!(class(End::TimedOut(Duration::from_secs(1))), ErrorClass::Timeout);
        assert_eq!(class(End::Late), ErrorClass::Timeout);
        assert_eq!(class(End::Withdrawn), ErrorClass::Cancelled);
    }
}
