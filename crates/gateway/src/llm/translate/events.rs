//! A stream taken apart into its events, of which one at a time is held.
//!
//! Neither a line nor an event may be longer than [`LONGEST`], which is why this is not left to a
//! library: those there are hold whatever comes.

use super::chat::Untranslatable;

/// No event of a chat is nearly as long.
pub(super) const LONGEST: usize = 1 << 20;

/// Takes a stream apart, however it is cut into pieces.
#[derive(Debug)]
pub(super) struct Events {
    form: Form,
    /// A line that is still coming.
    line: Vec<u8>,
    /// The data of an event whose end has not come.
    data: Option<Vec<u8>>,
    /// The byte before was a carriage return.
    after_return: bool,
    /// Nothing has come yet.
    fresh: bool,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// Server-sent events.
    Sse,
    /// JSON, one per line.
    Lines,
}

impl Events {
    pub(super) fn new(form: Form) -> Events {
        Events { form, line: Vec::new(), data: None, after_return: false, fresh: true }
    }

    /// Takes a piece, and tells `each` the data of the events that end in it.
    pub(super) fn feed(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), Untranslatable>,
    ) -> Result<(), Untranslatable> {
        for byte in piece {
            let rest_of_end = self.after_return && *byte == b'\n';
            self.after_return = *byte == b'\r';
            match byte {
                b'\n' if rest_of_end => {}
                b'\n' | b'\r' => self.end_line(&mut each)?,
                byte if self.line.len() < LONGEST => self.line.push(*byte),
                _ => return Err(too_long()),
            }
        }
        Ok(())
    }

    /// What is left at the end of the stream: some servers leave out the last line end.
    pub(super) fn finish(
        &mut self,
        mut each: impl FnMut(&[u8]) -> Result<(), Untranslatable>,
    ) -> Result<(), Untranslatable> {
        if !self.line.is_empty() {
            self.end_line(&mut each)?;
        }
        match self.data.take() {
            Some(data) => each(&data),
            None => Ok(()),
        }
    }

    fn end_line(
        &mut self,
        each: &mut impl FnMut(&[u8]) -> Result<(), Untranslatable>,
    ) -> Result<(), Untranslatable> {
        let line = std::mem::take(&mut self.line);
        let text = match std::mem::take(&mut self.fresh) {
            true => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line),
            false => &line,
        };
        let done = match self.form {
            Form::Lines if text.iter().all(u8::is_ascii_whitespace) => Ok(()),
            Form::Lines => each(text),
            Form::Sse if text.is_empty() => match self.data.take() {
                Some(data) => each(&data),
                None => Ok(()),
            },
            Form::Sse => self.field(text),
        };
        // The room is used again.
        self.line = line;
        self.line.clear();
        done
    }

    /// Of all fields only the data matter: what an event is called, they say as well.
    fn field(&mut self, line: &[u8]) -> Result<(), Untranslatable> {
        let value = match line.strip_prefix(b"data") {
            Some([]) => &[][..],
            Some([b':', b' ', value @ ..] | [b':', value @ ..]) => value,
            _ => return Ok(()),
        };
        match &mut self.data {
            None => self.data = Some(value.to_vec()),
            Some(data) if data.len() + value.len() < LONGEST => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            Some(_) => return Err(too_long()),
        }
        Ok(())
    }
}

fn too_long() -> Untranslatable {
    Untranslatable::new(format!("an event is longer than {LONGEST} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(form: Form, stream: &str) -> Vec<String> {
        let mut all = [1, 2, 3, 5, stream.len().max(1)].map(|size| {
            let mut events = Events::new(form);
            let mut found = Vec::new();
            let mut each = |data: &[u8]| {
                found.push(String::from_utf8(data.to_vec()).unwrap());
                Ok(())
            };
            for piece in stream.as_bytes().chunks(size) {
                events.feed(piece, &mut each).unwrap();
            }
            events.finish(&mut each).unwrap();
            found
        });
        assert!(all.iter().all(|found| *found == all[0]), "{stream:?}: {all:?}");
        std::mem::take(&mut all[0])
    }

    #[test]
    fn events_are_what_stands_between_blank_lines() {
        for (stream, expected) in [
            ("", &[][..]),
            ("data: a\n\ndata:b\n\n", &["a", "b"]),
            ("data: a\r\n\r\ndata: b\r\rdata: c\n\n", &["a", "b", "c"]),
            ("\u{feff}data: a\n\n", &["a"]),
            (": comment\n\nevent: x\nid: 7\nretry: 3\ndata: a\ndata: b\n\n", &["a\nb"]),
            ("event: nothing\n\n", &[]),
            ("data\n\ndata:\n\ndata:  a\n\n", &["", "", " a"]),
            ("dataset: a\n\n", &[]),
            ("data: [DONE]", &["[DONE]"]),
            ("data: a\n", &["a"]),
            ("data: æøå 🦀\n\n", &["æøå 🦀"]),
        ] {
            assert_eq!(events(Form::Sse, stream), expected, "{stream:?}");
        }
    }

    #[test]
    fn lines_are_events_unless_they_are_blank() {
        assert_eq!(events(Form::Lines, "{\"a\":1}\n\n \r\n{}\r\n[]"), ["{\"a\":1}", "{}", "[]"]);
    }

    #[test]
    fn no_event_is_held_beyond_the_bound() {
        let mut line = Events::new(Form::Lines);
        let long = vec![b'x'; LONGEST];
        line.feed(&long, |_| Ok(())).unwrap();
        assert!(line.feed(b"x", |_| Ok(())).is_err());
        let mut data = Events::new(Form::Sse);
        let half = [b"data: ", &long[..LONGEST / 2], b"\n"].concat();
        data.feed(&half, |_| Ok(())).unwrap();
        assert!(data.feed(&half, |_| Ok(())).is_err());
    }
}
