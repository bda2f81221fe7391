//! A token: a statement of the service about a digest, signed in CMS (RFC 5652).

use cms::{
    cert::CertificateChoices,
    content_info::ContentInfo,
    signed_data::{SignedAttributes, SignedData, SignerIdentifier, SignerInfo},
};
use der::{
    Any, Decode, Encode, Sequence, Tag, Tagged,
    asn1::{Int, ObjectIdentifier, OctetString},
};
use plenary_proto::ids::{Digest, UnixMillis};
use ring::digest;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{EndEntityCert, KeyUsage, aws_lc_rs as algorithms};
use x509_cert::{
    Certificate,
    ext::{Extensions, pkix::name::GeneralName},
    spki::AlgorithmIdentifierOwned,
};
use x509_tsp::{Accuracy, MessageImprint, TspVersion};

use super::{Authorities, MAX_STAMP, SHA256, Stamp, StampError};

const fn oid(dotted: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(dotted)
}

const SIGNED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = oid("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = oid("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = oid("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE: ObjectIdentifier = oid("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = oid("1.2.840.113549.1.9.16.2.47");
const SHA384: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.3");

const RSA: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
const RSA_WITH_SHA256: ObjectIdentifier = oid("1.2.840.113549.1.1.11");
const RSA_WITH_SHA384: ObjectIdentifier = oid("1.2.840.113549.1.1.12");
const RSA_WITH_SHA512: ObjectIdentifier = oid("1.2.840.113549.1.1.13");
const ECDSA_WITH_SHA256: ObjectIdentifier = oid("1.2.840.10045.4.3.2");
const ECDSA_WITH_SHA384: ObjectIdentifier = oid("1.2.840.10045.4.3.3");
const ECDSA_WITH_SHA512: ObjectIdentifier = oid("1.2.840.10045.4.3.4");
const ED25519: ObjectIdentifier = oid("1.3.101.112");

/// id-kp-timeStamping, 1.3.6.1.5.5.7.3.8: what the signer's certificate must be for.
const TIME_STAMPING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 8];

type Algorithm = &'static dyn SignatureVerificationAlgorithm;

/// TSTInfo (RFC 3161, section 2.4.2). Not the one of `x509_tsp`: that reads no fractions of seconds.
#[derive(Sequence)]
struct TstInfo {
    version: TspVersion,
    #[allow(dead_code, reason = "whatever rules the service follows")]
    policy: ObjectIdentifier,
    message_imprint: MessageImprint,
    serial_number: Int,
    gen_time: Any,
    #[asn1(optional = "true")]
    #[allow(dead_code, reason = "not shown")]
    accuracy: Option<Accuracy>,
    #[asn1(default = "Default::default")]
    #[allow(dead_code, reason = "not relied on")]
    ordering: bool,
    #[asn1(optional = "true")]
    nonce: Option<Int>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    #[allow(dead_code, reason = "the signer's certificate says who it is")]
    tsa: Option<GeneralName>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    extensions: Option<Extensions>,
}

/// SigningCertificate and SigningCertificateV2 (RFC 2634, RFC 5035): first whose certificate it is.
#[derive(Sequence)]
struct SigningCertificate {
    certs: Vec<Any>,
    #[asn1(optional = "true")]
    #[allow(dead_code, reason = "not relied on")]
    policies: Option<Any>,
}

#[derive(Sequence)]
struct CertId {
    hash: OctetString,
    #[asn1(optional = "true")]
    #[allow(dead_code, reason = "the hash names it")]
    issuer_serial: Option<Any>,
}

#[derive(Sequence)]
struct CertIdV2 {
    /// SHA-256 where none is named.
    #[asn1(optional = "true")]
    algorithm: Option<AlgorithmIdentifierOwned>,
    hash: OctetString,
    #[asn1(optional = "true")]
    #[allow(dead_code, reason = "the hash names it")]
    issuer_serial: Option<Any>,
}

/// What the token says, and the nonce in it.
pub(super) fn check(
    token: &[u8],
    digest: &Digest,
    authorities: Option<&Authorities>,
) -> Result<(Stamp, Option<Int>), StampError> {
    if token.len() > MAX_STAMP {
        return Err(StampError::TooLarge);
    }
    let info = ContentInfo::from_der(token)?;
    if info.content_type != SIGNED_DATA {
        return Err(StampError::Malformed("it is not signed".to_owned()));
    }
    let signed: SignedData = info.content.decode_as()?;
    let content = &signed.encap_content_info;
    if content.econtent_type != TST_INFO {
        return Err(StampError::Malformed("it is no time stamp".to_owned()));
    }
    let content: OctetString = match &content.econtent {
        Some(content) => content.decode_as()?,
        None => return Err(StampError::Malformed("nothing is in it".to_owned())),
    };
    let [signer] = signed.signer_infos.0.as_slice() else {
        let what = "it has not one signer".to_owned();
        return Err(StampError::Malformed(what));
    };
    let certificates = certificates(&signed)?;
    let certificate = signers_certificate(signer, content.as_bytes(), &certificates)?;
    let der = CertificateDer::from(certificate.to_der()?);
    let entity = EndEntityCert::try_from(&der)
        .map_err(|error| StampError::Malformed(format!("its certificate: {error}")))?;
    signature(signer, &entity)?;

    let info = TstInfo::from_der(content.as_bytes())?;
    let imprint = &info.message_imprint;
    let same = imprint.hash_algorithm.oid == SHA256
        && imprint.hashed_message.as_bytes() == digest.as_bytes();
    if info.version != TspVersion::V1 || !same {
        return Err(StampError::OtherDigest);
    }
    let critical = |extensions: &Extensions| extensions.iter().any(|one| one.critical);
    if info.extensions.as_ref().is_some_and(critical) {
        let what = "it has an extension that must be understood".to_owned();
        return Err(StampError::Malformed(what));
    }
    let time = generalized_time(&info.gen_time)?;
    if let Some(authorities) = authorities {
        path(&entity, &certificates, authorities, time)?;
    }
    let serial = info.serial_number.as_bytes();
    let stamp = Stamp {
        time,
        signer: certificate.tbs_certificate.subject.to_string(),
        certificate: crate::ledger::hash(&[&der]),
        serial: serial.iter().map(|byte| format!("{byte:02x}")).collect(),
        backed: authorities.is_some(),
    };
    Ok((stamp, info.nonce))
}

fn certificates(signed: &SignedData) -> Result<Vec<Certificate>, StampError> {
    let set = signed
        .certificates
        .as_ref()
        .ok_or(StampError::Certificate)?;
    let plain = set.0.iter().filter_map(|choice| match choice {
        CertificateChoices::Certificate(certificate) => Some(certificate.clone()),
        CertificateChoices::Other(_) => None,
    });
    Ok(plain.collect())
}

/// The certificate that the signed attributes name, if they are about this content, too.
fn signers_certificate<'a>(
    signer: &SignerInfo,
    content: &[u8],
    certificates: &'a [Certificate],
) -> Result<&'a Certificate, StampError> {
    let attributes = signer.signed_attrs.as_ref();
    let attributes = attributes.ok_or(StampError::Attributes)?;
    let about: ObjectIdentifier = one(attributes, CONTENT_TYPE)?
        .ok_or(StampError::Attributes)?
        .decode_as()?;
    let of: OctetString = one(attributes, MESSAGE_DIGEST)?
        .ok_or(StampError::Attributes)?
        .decode_as()?;
    let digest = digest::digest(hash(&signer.digest_alg)?, content);
    if about != TST_INFO || of.as_bytes() != digest.as_ref() {
        return Err(StampError::Attributes);
    }
    let (algorithm, hash) = match one(attributes, SIGNING_CERTIFICATE_V2)? {
        Some(value) => {
            let first: CertIdV2 = first(value)?.decode_as()?;
            let algorithm = first.algorithm.as_ref().map(self::hash).transpose()?;
            (algorithm.unwrap_or(&digest::SHA256), first.hash)
        }
        None => {
            let value = one(attributes, SIGNING_CERTIFICATE)?.ok_or(StampError::Attributes)?;
            let first: CertId = first(value)?.decode_as()?;
            // Names one of the certificates here; the signature is by its key.
            (&digest::SHA1_FOR_LEGACY_USE_ONLY, first.hash)
        }
    };
    for certificate in certificates {
        if digest::digest(algorithm, &certificate.to_der()?).as_ref() != hash.as_bytes() {
            continue;
        }
        let body = &certificate.tbs_certificate;
        let named = match &signer.sid {
            SignerIdentifier::IssuerAndSerialNumber(id) => {
                id.issuer == body.issuer && id.serial_number == body.serial_number
            }
            SignerIdentifier::SubjectKeyIdentifier(_) => true,
        };
        return match named {
            true => Ok(certificate),
            false => Err(StampError::Attributes),
        };
    }
    Err(StampError::Certificate)
}

/// The one value of an attribute.
fn one(attributes: &SignedAttributes, oid: ObjectIdentifier) -> Result<Option<&Any>, StampError> {
    let mut found = attributes.iter().filter(|attribute| attribute.oid == oid);
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some(attribute), None) => match attribute.values.as_slice() {
            [value] => Ok(Some(value)),
            _ => Err(StampError::Attributes),
        },
        (Some(_), Some(_)) => Err(StampError::Attributes),
    }
}

fn first(value: &Any) -> Result<Any, StampError> {
    let all: SigningCertificate = value.decode_as()?;
    all.certs.into_iter().next().ok_or(StampError::Attributes)
}

fn hash(algorithm: &AlgorithmIdentifierOwned) -> Result<&'static digest::Algorithm, StampError> {
    match algorithm.oid {
        SHA256 => Ok(&digest::SHA256),
        SHA384 => Ok(&digest::SHA384),
        SHA512 => Ok(&digest::SHA512),
        other => Err(StampError::Algorithm(other.to_string())),
    }
}

fn signature(signer: &SignerInfo, entity: &EndEntityCert<'_>) -> Result<(), StampError> {
    let attributes = signer.signed_attrs.as_ref();
    // As a set, not with the implicit tag that it has in the token (RFC 5652, section 5.4).
    let signed = attributes.ok_or(StampError::Attributes)?.to_der()?;
    for algorithm in suitable(signer)? {
        match entity.verify_signature(*algorithm, &signed, signer.signature.as_bytes()) {
            Ok(()) => return Ok(()),
            Err(webpki::Error::InvalidSignatureForPublicKey) => return Err(StampError::Signature),
            // Of another kind of key.
            Err(_) => {}
        }
    }
    Err(StampError::Algorithm(
        signer.signature_algorithm.oid.to_string(),
    ))
}

/// Which algorithms an identifier may stand for. SHA-1 is none of them.
fn suitable(signer: &SignerInfo) -> Result<&'static [Algorithm], StampError> {
    const RSA_SHA256: &[Algorithm] = &[algorithms::RSA_PKCS1_2048_8192_SHA256];
    const RSA_SHA384: &[Algorithm] = &[algorithms::RSA_PKCS1_2048_8192_SHA384];
    const RSA_SHA512: &[Algorithm] = &[algorithms::RSA_PKCS1_2048_8192_SHA512];
    const ECDSA_SHA256: &[Algorithm] =
        &[algorithms::ECDSA_P256_SHA256, algorithms::ECDSA_P384_SHA256];
    const ECDSA_SHA384: &[Algorithm] =
        &[algorithms::ECDSA_P384_SHA384, algorithms::ECDSA_P256_SHA384];
    const ECDSA_SHA512: &[Algorithm] = &[algorithms::ECDSA_P521_SHA512];
    const EDDSA: &[Algorithm] = &[algorithms::ED25519];
    let (named, digest) = (signer.signature_algorithm.oid, signer.digest_alg.oid);
    Ok(match (named, digest) {
        (RSA_WITH_SHA256, _) | (RSA, SHA256) => RSA_SHA256,
        (RSA_WITH_SHA384, _) | (RSA, SHA384) => RSA_SHA384,
        (RSA_WITH_SHA512, _) | (RSA, SHA512) => RSA_SHA512,
        (ECDSA_WITH_SHA256, _) => ECDSA_SHA256,
        (ECDSA_WITH_SHA384, _) => ECDSA_SHA384,
        (ECDSA_WITH_SHA512, _) => ECDSA_SHA512,
        (ED25519, _) => EDDSA,
        (other, _) => return Err(StampError::Algorithm(other.to_string())),
    })
}

/// A path from the signer's certificate to an authority, valid when the stamp was made, with the
/// purpose of time stamping.
fn path(
    entity: &EndEntityCert<'_>,
    certificates: &[Certificate],
    authorities: &Authorities,
    time: UnixMillis,
) -> Result<(), StampError> {
    let wrong = |error: webpki::Error| StampError::Authority(error.to_string());
    let anchors: Result<Vec<_>, _> = authorities
        .certificates()
        .iter()
        .map(webpki::anchor_from_trusted_cert)
        .collect();
    let anchors = anchors.map_err(wrong)?;
    let between: Result<Vec<_>, _> = certificates
        .iter()
        .map(|certificate| certificate.to_der().map(CertificateDer::from))
        .collect();
    let time = std::time::Duration::from_millis(time.0);
    entity
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &between?,
            UnixTime::since_unix_epoch(time),
            KeyUsage::required(TIME_STAMPING),
            None,
            None,
        )
        .map(drop)
        .map_err(wrong)
}

/// `YYYYMMDDhhmmss[.f...]Z`, the fraction down to milliseconds.
fn generalized_time(value: &Any) -> Result<UnixMillis, StampError> {
    let wrong = || StampError::Malformed("its time is none".to_owned());
    if value.tag() != Tag::GeneralizedTime {
        return Err(wrong());
    }
    let text = std::str::from_utf8(value.value()).map_err(|_| wrong())?;
    let text = text.strip_suffix('Z').ok_or_else(wrong)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 14 || !digits(whole) || !digits(fraction) {
        return Err(wrong());
    }
    let number = |from: usize, to: usize| {
        let part = whole.get(from..to).unwrap_or_default();
        part.parse::<i16>().map_err(|_| wrong())
    };
    let small = |from: usize| number(from, from + 2).map(|number| number as i8);
    let moment = jiff::civil::DateTime::new(
        number(0, 4)?,
        small(4)?,
        small(6)?,
        small(8)?,
        small(10)?,
        small(12)?,
        0,
    )
    .and_then(|moment| moment.to_zoned(jiff::tz::TimeZone::UTC))
    .map_err(|_| wrong())?;
    let seconds = u64::try_from(moment.timestamp().as_second()).map_err(|_| wrong())?;
    let millis: String = fraction.chars().chain("000".chars()).take(3).collect();
    let millis: u64 = millis.parse().map_err(|_| wrong())?;
    Ok(UnixMillis(
        seconds.saturating_mul(1000).saturating_add(millis),
    ))
}
