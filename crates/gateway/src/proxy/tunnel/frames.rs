//! Where WebSocket frames begin and end (RFC 6455, section 5.2), as far as it takes to know a proper
//! end from a cut. What is in them is nobody's business here.

/// The longest header: two bytes, a length of eight, a mask of four.
const LONGEST: usize = 14;

/// The operation that closes a connection.
const CLOSE: u8 = 8;

/// "Going away" (section 7.4.1), as the payload of a close frame.
const GOING_AWAY: [u8; 2] = 1001_u16.to_be_bytes();

/// Follows the frames of one direction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Frames {
    header: [u8; LONGEST],
    have: usize,
    /// What is left of the current frame's payload.
    left: u64,
    closed: bool,
}

impl Frames {
    pub(super) fn new() -> Frames {
        Frames { header: [0; LONGEST], have: 0, left: 0, closed: false }
    }

    /// Follows the next bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let taken = self.left.min(bytes.len() as u64);
                self.left -= taken;
                bytes = &bytes[taken as usize..];
                continue;
            }
            let (first, rest) = (bytes[0], &bytes[1..]);
            self.header[self.have] = first;
            self.have += 1;
            bytes = rest;
            if self.have == self.header_length() {
                self.closed |= self.header[0] & 0x0f == CLOSE;
                self.left = self.payload_length();
                self.have = 0;
            }
        }
    }

    /// Whether this side has said that it closes.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether another frame may begin here.
    pub(super) fn is_between(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    fn header_length(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let length = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        2 + length + mask
    }

    fn payload_length(&self) -> u64 {
        match self.header[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes([self.header[2], self.header[3]])),
            127 => {
                let mut length = [0; 8];
                length.copy_from_slice(&self.header[2..10]);
                u64::from_be_bytes(length)
            }
            short => u64::from(short),
        }
    }
}

/// A close frame from a server: going away.
pub(super) fn goodbye_to_client() -> [u8; 4] {
    [0x80 | CLOSE, 2, GOING_AWAY[0], GOING_AWAY[1]]
}

/// A close frame from a client, which masks what it sends: going away.
pub(super) fn goodbye_to_server(mask: [u8; 4]) -> [u8; 8] {
    let [a, b, c, d] = mask;
    [0x80 | CLOSE, 0x80 | 2, a, b, c, d, GOING_AWAY[0] ^ a, GOING_AWAY[1] ^ b]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the bytes are cut into pieces.
    fn follow(bytes: &[u8]) -> Frames {
        let mut ends: Vec<Frames> = [1, 2, 3, 7, bytes.len()]
            .into_iter()
            .map(|size| {
                let mut frames = Frames::new();
                for piece in bytes.chunks(size) {
                    frames.feed(piece);
                }
                // What is left over of an earlier header is nothing.
                frames.header = [0; LONGEST];
                frames
            })
            .collect();
        ends.dedup();
        assert_eq!(ends.len(), 1, "{ends:?}");
        ends.remove(0)
    }

    fn frame(operation: u8, length: &[u8], mask: bool, payload: usize) -> Vec<u8> {
        let mut length = length.to_vec();
        length[0] |= if mask { 0x80 } else { 0 };
        let mask = if mask { &[8, 8, 8, 8][..] } else { &[] };
        // Payloads full of what would be a close frame.
        [&[0x80 | operation], &length[..], mask, &vec![0x88; payload]].concat()
    }

    #[test]
    fn frames_of_every_length_are_followed() {
        for mask in [false, true] {
            let all = [
                frame(1, &[0], mask, 0),
                frame(1, &[125], mask, 125),
                frame(2, &[126, 0, 126], mask, 126),
                frame(2, &[126, 0xff, 0xff], mask, 0xffff),
                frame(0, &[127, 0, 0, 0, 0, 0, 1, 0, 0], mask, 0x1_0000),
                frame(9, &[1], mask, 1),
            ]
            .concat();
            let frames = follow(&all);
            assert!(frames.is_between() && !frames.is_closed());
            let cut = follow(&all[..all.len() - 1]);
            assert!(!cut.is_between() && !cut.is_closed());
            let close = frame(8, &[2], mask, 2);
            assert!(follow(&[all.clone(), close.clone()].concat()).is_closed());
            assert!(follow(&[all, close].concat()[..]).is_between());
        }
        assert!(Frames::new().is_between());
        assert!(!follow(&[0x82]).is_between());
        let endless = frame(2, &[127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], false, 9);
        assert!(!follow(&endless).is_between());
    }

    #[test]
    fn a_goodbye_is_a_close_frame() {
        for bytes in [&goodbye_to_client()[..], &goodbye_to_server([1, 2, 3, 4])] {
            let frames = follow(bytes);
            assert!(frames.is_closed() && frames.is_between(), "{bytes:?}");
        }
        let goodbye = goodbye_to_server([9, 8, 7, 6]);
        assert_eq!(goodbye[2..6], [9, 8, 7, 6]);
        assert_eq!([goodbye[6] ^ 9, goodbye[7] ^ 8], GOING_AWAY);
    }
}
