//! The protection of records: the keys of one direction, once rustls has agreed on them.
//!
//! The ciphers are those with authentication that rustls knows: of TLS 1.3 (RFC 8446 §5.2), and of TLS 1.2 AES-GCM (RFC 5288)
//! and ChaCha20-Poly1305 (RFC 7905). A record is sealed from one place into another and opened where it lies: no byte is
//! copied besides, and nothing is allocated.

use std::ops::Range;

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use rustls::{AlertDescription, ConnectionTrafficSecrets, ContentType, Error, ProtocolVersion};

use super::traffic::Fault;

/// The most plaintext in one record (RFC 8446 §5.1).
pub(super) const PLAIN: usize = 1 << 14;

/// What comes before the body of a record: its type, a version, the body's length.
pub(super) const HEADER: usize = 5;

/// The version in the header of every record (RFC 8446 §5.2).
const VERSION: [u8; 2] = [3, 3];

/// How the cipher's inputs are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The type of the content is sealed with it, zeros may follow it.
    Tls13,
    /// A part of the nonce travels in front of the ciphertext.
    Tls12ExplicitNonce,
    /// The nonce is known to both sides.
    Tls12,
}

/// The keys of one direction of a connection.
pub(super) struct Cipher {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    form: Form,
    /// The number of the next record. It never comes twice under one key, and so no nonce does.
    sequence: u64,
}

impl Cipher {
    /// What rustls gives out: the number of the next record, and the keys.
    ///
    /// # Errors
    /// For ciphers that are not known here.
    pub(super) fn new(
        version: ProtocolVersion,
        (sequence, secrets): (u64, ConnectionTrafficSecrets),
    ) -> Result<Self, Error> {
        use ConnectionTrafficSecrets as Secrets;
        let (algorithm, key, iv): (&'static Algorithm, _, _) = match secrets {
            Secrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            Secrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            Secrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(unsuitable()),
        };
        let form = match version {
            ProtocolVersion::TLSv1_3 => Form::Tls13,
            _ if algorithm == &CHACHA20_POLY1305 => Form::Tls12,
            _ => Form::Tls12ExplicitNonce,
        };
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| unsuitable())?;
        let iv = iv.as_ref().try_into().map_err(|_| unsuitable())?;
        Ok(Self { key: LessSafeKey::new(key), iv, form, sequence })
    }

    /// How many records these keys have sealed or opened.
    pub(super) fn count(&self) -> u64 {
        self.sequence
    }

    /// How long the record is that holds so much plaintext.
    pub(super) fn sealed_length(&self, plain: usize) -> usize {
        HEADER + self.nonce_length() + plain + self.inner_type_length() + self.key.algorithm().tag_len()
    }

    /// Seals at most [`PLAIN`] bytes into `record`, which is [as long as that takes](Self::sealed_length).
    ///
    /// # Errors
    /// When `record` is of another length.
    pub(super) fn seal(&mut self, kind: ContentType, plain: &[u8], record: &mut [u8]) -> Result<(), Error> {
        let body = record.len().checked_sub(HEADER).and_then(|length| u16::try_from(length).ok());
        let body_length = body.ok_or(Error::EncryptError)?.to_be_bytes();
        let kind = u8::from(kind);
        let inner_type: &[u8] = if self.form == Form::Tls13 { &[kind] } else { &[] };
        let outer_type = if self.form == Form::Tls13 { ContentType::ApplicationData.into() } else { kind };
        let nonce = self.nonce();

        let (header, rest) = record.split_at_mut(HEADER);
        header.copy_from_slice(&[outer_type, VERSION[0], VERSION[1], body_length[0], body_length[1]]);
        let (explicit, rest) = rest.split_at_mut_checked(self.nonce_length()).ok_or(Error::EncryptError)?;
        explicit.copy_from_slice(nonce.split_at(NONCE_LEN - explicit.len()).1);
        let (sealed, tail) = rest.split_at_mut_checked(plain.len()).ok_or(Error::EncryptError)?;

        let (aad, length) = self.additional_data(header, plain.len());
        let aad = Aad::from(aad.split_at(length).0);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let done = self.key.seal_out_of_place_scatter(nonce, aad, plain, sealed, inner_type, tail);
        done.map_err(|_| Error::EncryptError)?;
        self.sequence += 1;
        Ok(())
    }

    /// How long the record is that begins here; `None` where that is not known yet.
    ///
    /// # Errors
    /// When it is longer than records may be.
    pub(super) fn length(&self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let expansion = if self.form == Form::Tls13 { 256 } else { 2048 };
        let Some(&[_, _, _, high, low]) = bytes.first_chunk() else { return Ok(None) };
        let body = usize::from(u16::from_be_bytes([high, low]));
        if body > PLAIN + expansion {
            return Err(Fault::ours(AlertDescription::RecordOverflow, "a record is too long"));
        }
        Ok(Some(HEADER + body))
    }

    /// Opens a whole record where it lies; answers what it holds, and where in `record`.
    ///
    /// # Errors
    /// When it is not the peer's next one, or breaks the rules.
    pub(super) fn open(&mut self, record: &mut [u8]) -> Result<(ContentType, Range<usize>), Fault> {
        let broken = || Fault::ours(AlertDescription::BadRecordMac, "a record is broken");
        let (header, body) = record.split_at_mut_checked(HEADER).ok_or_else(broken)?;
        let outer_type = ContentType::from(header.first().copied().unwrap_or_default());
        let (explicit, sealed) = body.split_at_mut_checked(self.nonce_length()).ok_or_else(broken)?;
        let mut nonce = self.nonce();
        // The peer chooses what travels; the rest is agreed upon.
        nonce.split_at_mut(NONCE_LEN - explicit.len()).1.copy_from_slice(explicit);
        let length = sealed.len().checked_sub(self.key.algorithm().tag_len()).ok_or_else(broken)?;

        let (aad, aad_length) = self.additional_data(header, length);
        let aad = Aad::from(aad.split_at(aad_length).0);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = self.key.open_in_place(nonce, aad, sealed).map_err(|_| broken())?;
        self.sequence += 1;

        let (kind, length) = match self.form {
            Form::Tls13 => inner_type(outer_type, plain)?,
            Form::Tls12 | Form::Tls12ExplicitNonce => (outer_type, plain.len()),
        };
        if length > PLAIN {
            return Err(Fault::ours(AlertDescription::RecordOverflow, "a record holds too much"));
        }
        let start = HEADER + self.nonce_length();
        Ok((kind, start..start + length))
    }

    /// Reads back what this direction has sealed since its first record; `None` if that is something else.
    pub(super) fn read_back(&mut self, mut records: Vec<u8>) -> Option<Vec<u8>> {
        let sequence = std::mem::take(&mut self.sequence);
        let mut content = Vec::new();
        let mut at = 0;
        while let Some(Ok(Some(length))) = records.get(at..).map(|rest| self.length(rest))
            && let Some(record) = records.get_mut(at..at + length)
            && let Ok((ContentType::Handshake, range)) = self.open(record)
        {
            content.extend_from_slice(record.get(range).unwrap_or_default());
            at += length;
        }
        let whole = self.sequence == sequence && at == records.len();
        self.sequence = sequence;
        whole.then_some(content)
    }

    /// How much of the nonce travels with each record.
    fn nonce_length(&self) -> usize {
        if self.form == Form::Tls12ExplicitNonce { 8 } else { 0 }
    }

    fn inner_type_length(&self) -> usize {
        usize::from(self.form == Form::Tls13)
    }

    /// The agreed bytes, and the number of the record mixed into the last eight.
    fn nonce(&self) -> [u8; NONCE_LEN] {
        let mut nonce = self.iv;
        for (byte, number) in nonce.iter_mut().skip(NONCE_LEN - 8).zip(self.sequence.to_be_bytes()) {
            *byte ^= number;
        }
        nonce
    }

    /// What is authenticated besides the content, and how long that is: the header; in TLS 1.2 with the number of the
    /// record before it, and with the length of the plaintext for that of the body.
    fn additional_data(&self, header: &[u8], plain: usize) -> ([u8; 13], usize) {
        let mut all = [0; 13];
        if self.form == Form::Tls13 {
            all.split_at_mut(HEADER).0.copy_from_slice(header);
            return (all, HEADER);
        }
        let (sequence, rest) = all.split_at_mut(8);
        sequence.copy_from_slice(&self.sequence.to_be_bytes());
        let (described, length) = rest.split_at_mut(3);
        described.copy_from_slice(header.split_at(3).0);
        length.copy_from_slice(&u16::try_from(plain).unwrap_or(u16::MAX).to_be_bytes());
        (all, 13)
    }
}

/// The type at the end of the plaintext, and where the content before it ends.
fn inner_type(outer_type: ContentType, plain: &[u8]) -> Result<(ContentType, usize), Fault> {
    let unexpected = |why| Fault::ours(AlertDescription::UnexpectedMessage, why);
    if outer_type != ContentType::ApplicationData {
        return Err(unexpected("a record is of another type than it says"));
    }
    let end = plain.iter().rposition(|&byte| byte != 0).ok_or_else(|| unexpected("a record has no type"))?;
    Ok((ContentType::from(plain.get(end).copied().unwrap_or_default()), end))
}

fn unsuitable() -> Error {
    Error::General("the cipher suite cannot be used for data".into())
}
