//! Counts what a peer sends, by WebSocket frame headers (RFC 6455 section 5.2) alone.
//!
//! tungstenite caps the size of messages but neither the number of their fragments (five million
//! empty ones pass in half a second) nor control frames, and its limits cannot be changed once
//! the connection stands. So every byte passes here first. Payloads are skipped, not kept.

use std::time::{Duration, Instant};

/// Payload bytes a control frame may have (RFC 6455 section 5.5).
const CONTROL_PAYLOAD: u64 = 125;
/// Longest header: 2 bytes, 8 of length, 4 of mask.
const MAX_HEADER: usize = 14;
/// The window in which control frames are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// What one connection may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Bytes of a message, over all its fragments.
    pub message: usize,
    /// Fragments of a message, empty ones counted.
    pub fragments: usize,
    /// Control frames a second.
    pub controls: u32,
    /// Text messages pass. Only the conformance tests of WebSocket want them.
    pub text: bool,
}

/// The peer broke a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A control frame longer than RFC 6455, section 5.5, lets one be.
    #[error("a control frame of {0} bytes")]
    LongControl(u64),
    /// A message above what is allowed in this state.
    #[error("a message of {got} bytes or more where {limit} are allowed")]
    TooLarge {
        /// Bytes allowed.
        limit: u64,
        /// Bytes announced so far.
        got: u64,
    },
    /// A text message: this protocol is binary.
    #[error("a text message; send binary ones")]
    Text,
    /// A message in too many pieces.
    #[error("a message in more than {0} fragments")]
    Fragments(usize),
    /// Pings, pongs, closes without end.
    #[error("more than {0} control frames a second")]
    Controls(u32),
    /// The HTTP request that asks for the upgrade goes on and on.
    #[error("an upgrade request of more than {0} bytes")]
    Upgrade(usize),
}

/// Follows the frames of one direction.
#[derive(Debug)]
pub struct Scanner {
    rules: Rules,
    header: [u8; MAX_HEADER],
    /// Bytes of `header` that are there.
    have: usize,
    /// Payload bytes still to skip.
    skip: u64,
    fragments: usize,
    message: u64,
    controls: u32,
    window: Option<Instant>,
}

impl Scanner {
    /// At the start of a stream of frames.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            header: [0; MAX_HEADER],
            have: 0,
            skip: 0,
            fragments: 0,
            message: 0,
            controls: 0,
            window: None,
        }
    }

    /// Allows messages of so many bytes from now on.
    pub fn set_message_limit(&mut self, bytes: usize) {
        self.rules.message = bytes;
    }

    /// Takes the bytes that came, cut anywhere. After an error the connection must end.
    pub fn scan(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Violation> {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len() as u64);
                self.skip -= skipped;
                bytes = &bytes[skipped as usize..];
                continue;
            }
            let wanted = self.header_len() - self.have;
            let (part, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.header[self.have..self.have + part.len()].copy_from_slice(part);
            self.have += part.len();
            bytes = rest;
            if self.have >= 2 && self.have == self.header_len() {
                self.have = 0;
                self.frame(now)?;
            }
        }
        Ok(())
    }

    /// Length of the header as far as it is known: two bytes tell the rest.
    fn header_len(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let mask = if self.header[1] & 0x80 != 0 { 4 } else { 0 };
        mask + match self.header[1] & 0x7f {
            126 => 4,
            127 => 10,
            _ => 2,
        }
    }

    fn payload_len(&self) -> u64 {
        let [_, second, rest @ ..] = &self.header;
        match (second & 0x7f, rest) {
            (126, [a, b, ..]) => u64::from(u16::from_be_bytes([*a, *b])),
            (127, [a, b, c, d, e, f, g, h, ..]) => {
                u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h])
            }
            (short, _) => u64::from(short),
        }
    }

    /// A header is complete.
    fn frame(&mut self, now: Instant) -> Result<(), Violation> {
        let len = self.payload_len();
        self.skip = len;
        match self.header[0] & 0x0f {
            0x8.. => self.control(len, now),
            0x1 if !self.rules.text => Err(Violation::Text),
            0x0 => self.data(len),
            // Binary and text begin a message. Reserved ones do too; tungstenite refuses them.
            _ => {
                self.fragments = 0;
                self.message = 0;
                self.data(len)
            }
        }
    }

    fn data(&mut self, len: u64) -> Result<(), Violation> {
        self.fragments += 1;
        self.message = self.message.saturating_add(len);
        if self.fragments > self.rules.fragments {
            return Err(Violation::Fragments(self.rules.fragments));
        }
        self.within(self.rules.message as u64, self.message)
    }

    fn control(&mut self, len: u64, now: Instant) -> Result<(), Violation> {
        if self.window.is_none_or(|start| now - start >= WINDOW) {
            self.window = Some(now);
            self.controls = 0;
        }
        self.controls += 1;
        if self.controls > self.rules.controls {
            return Err(Violation::Controls(self.rules.controls));
        }
        if len > CONTROL_PAYLOAD {
            return Err(Violation::LongControl(len));
        }
        Ok(())
    }

    fn within(&self, limit: u64, got: u64) -> Result<(), Violation> {
        if got > limit {
            return Err(Violation::TooLarge { limit, got });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: Rules = Rules {
        message: 70_000,
        fragments: 64,
        controls: 10,
        text: false,
    };

    fn frame(first: u8, len: usize, masked: bool) -> Vec<u8> {
        let mask_bit = if masked { 0x80 } else { 0 };
        let mut bytes = vec![first];
        match len {
            0..126 => bytes.push(mask_bit | len as u8),
            126..65536 => {
                bytes.push(mask_bit | 126);
                bytes.extend_from_slice(&(len as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask_bit | 127);
                bytes.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        if masked {
            bytes.extend_from_slice(&[0xff; 4]);
        }
        // What a header would be punished for, were it read as one.
        bytes.resize(bytes.len() + len, 0x81);
        bytes
    }

    fn scan(bytes: &[u8], step: usize) -> Result<(), Violation> {
        let mut scanner = Scanner::new(RULES);
        let now = Instant::now();
        bytes
            .chunks(step)
            .try_for_each(|chunk| scanner.scan(chunk, now))
    }

    proptest! {
        #[test]
        fn allowed_traffic_passes_however_it_is_cut(
            lens in prop::collection::vec(prop_oneof![0usize..300, 65_000usize..70_001], 0..20),
            masked: bool,
            step in 1usize..5_000,
        ) {
            let bytes: Vec<u8> = lens.iter().flat_map(|len| frame(0x82, *len, masked)).collect();
            prop_assert_eq!(scan(&bytes, step), Ok(()));
        }

        #[test]
        fn a_bad_frame_is_found_behind_any_traffic(
            lens in prop::collection::vec(0usize..70_000, 0..8),
            step in 1usize..5_000,
        ) {
            let mut bytes: Vec<u8> = lens.iter().flat_map(|len| frame(0x82, *len, true)).collect();
            bytes.extend(frame(0x81, 5, true));
            prop_assert_eq!(scan(&bytes, step), Err(Violation::Text));
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, step in 1usize..50) {
            let _ = scan(&bytes, step);
        }
    }

    #[test]
    fn the_65th_fragment_is_refused_empty_or_not() {
        for len in [0, 10] {
            let mut bytes = frame(0x02, len, true);
            for _ in 0..62 {
                bytes.extend(frame(0x00, len, true));
            }
            bytes.extend(frame(0x80, len, true));
            assert_eq!(scan(&bytes, 7), Ok(()));
            // The next message starts from zero.
            assert_eq!(scan(&bytes.repeat(2), 7), Ok(()));
            let mut more = bytes[..bytes.len() - frame(0x80, len, true).len()].to_vec();
            more.extend(frame(0x00, len, true));
            assert_eq!(scan(&more, 7), Ok(()));
            more.extend(frame(0x80, len, true));
            assert_eq!(scan(&more, 7), Err(Violation::Fragments(64)));
        }
    }

    #[test]
    fn size_counts_over_fragments_and_is_judged_by_the_header() {
        let whole = |got| Err(Violation::TooLarge { limit: 70_000, got });
        let mut bytes = frame(0x02, 40_000, true);
        bytes.extend(&frame(0x80, 30_001, true)[..8]);
        assert_eq!(scan(&bytes, 4096), whole(70_001));
        let mut huge = vec![0x82, 0xff];
        huge.extend_from_slice(&u64::MAX.to_be_bytes());
        huge.extend_from_slice(&[0; 4]);
        assert_eq!(scan(&huge, 1), whole(u64::MAX));
        // Fragments whose lengths overflow together.
        let mut fragments = frame(0x02, 1, true);
        fragments.push(0x00);
        fragments.extend_from_slice(&huge[1..]);
        assert_eq!(scan(&fragments, 1), whole(u64::MAX));
    }

    #[test]
    fn the_message_limit_can_be_raised() {
        let mut scanner = Scanner::new(Rules {
            message: 10,
            ..RULES
        });
        let now = Instant::now();
        let big = frame(0x82, 11, true);
        assert!(scanner.scan(&frame(0x82, 10, true), now).is_ok());
        scanner.set_message_limit(11);
        assert!(scanner.scan(&big, now).is_ok());
        scanner.set_message_limit(10);
        assert!(scanner.scan(&big, now).is_err());
    }

    #[test]
    fn control_frames_are_counted_a_second_also_between_fragments() {
        let mut scanner = Scanner::new(RULES);
        let start = Instant::now();
        let ping = frame(0x89, 4, true);
        for second in 0..3 {
            let now = start + Duration::from_secs(second);
            scanner.scan(&frame(0x02, 1, true), now).unwrap();
            for _ in 0..10 {
                scanner.scan(&ping, now).unwrap();
            }
        }
        let late = start + Duration::from_millis(2999);
        assert_eq!(scanner.scan(&ping, late), Err(Violation::Controls(10)));
        assert_eq!(
            scan(&frame(0x89, 126, true), 1),
            Err(Violation::LongControl(126))
        );
    }
}
