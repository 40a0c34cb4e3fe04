//! The few bytes of Avro that load and agents need, by hand: what they cost must not be what is measured.

/// A record in the Confluent wire format, written field by field.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new(schema: u32) -> Self {
        let mut bytes = Vec::with_capacity(512);
        bytes.push(0);
        bytes.extend_from_slice(&schema.to_be_bytes());
        Self(bytes)
    }

    pub(crate) fn long(mut self, value: i64) -> Self {
        let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
        while rest > 0x7f {
            self.0.push((rest as u8) | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
        self
    }

    pub(crate) fn text(self, value: &str) -> Self {
        let mut this = self.long(value.len() as i64);
        this.0.extend_from_slice(value.as_bytes());
        this
    }

    /// The second branch of a union with null.
    pub(crate) fn some(self, value: &str) -> Self {
        self.long(1).text(value)
    }

    /// So many zero bytes: the first branch of a union, the first symbol, no items, false.
    pub(crate) fn zeros(mut self, many: usize) -> Self {
        self.0.resize(self.0.len() + many, 0);
        self
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// A `TaskSubmitted`; its mode is AUTO.
pub(crate) fn task(schema: u32, id: &str, objective: &str, input: &str, contract: &str) -> Vec<u8> {
    let head = Writer::new(schema).text(id).zeros(1).text(objective).some(input).some(contract);
    // priority; deadline, notBefore, plan, mode, agents, onStepFailure, requireApproval; explore; all the rest.
    head.long(5).zeros(7).long(-1).zeros(6).done()
}

/// An `AgentReport`: SUCCEEDED.
pub(crate) fn report(schema: u32, assignment: &Assignment<'_>, output: &str) -> Vec<u8> {
    let head = Writer::new(schema).text(assignment.task_id).text(assignment.id).text(assignment.agent);
    // instance; status; output; progress, message, error, usage, time.
    head.some("pool-1").long(2).some(output).zeros(5).done()
}

/// What an agent must know of an `Assignment` to answer it.
pub(crate) struct Assignment<'a> {
    pub(crate) id: &'a str,
    pub(crate) task_id: &'a str,
    pub(crate) agent: &'a str,
}

impl<'a> Assignment<'a> {
    pub(crate) fn read(value: &'a [u8]) -> Option<Self> {
        let mut rest = value.get(5..)?;
        let mut text = || -> Option<&'a str> {
            let (mut length, mut shift) = (0_usize, 0);
            loop {
                let (byte, after) = rest.split_first()?;
                rest = after;
                length |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let (text, after) = rest.split_at_checked(length / 2)?;
            rest = after;
            std::str::from_utf8(text).ok()
        };
        let (id, task_id, _step, agent) = (text()?, text()?, text()?, text()?);
        Some(Self { id, task_id, agent })
    }
}
