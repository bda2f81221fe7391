//! What must hold for every content, and Plenary's own, pinned.

use plenary_proto::{
    ids::{ChannelId, MemberId, NetworkId},
    label::Label,
    limits,
};
use proptest::prelude::*;

use super::{
    vectors::{bytes_of, hex_of},
    *,
};

fn fields(extensions: &str, body: &str) -> Vec<u8> {
    bytes_of(&format!(
        "8750{}f640f6f6{extensions}{body}",
        "11".repeat(16)
    ))
}

#[test]
fn refusals_name_their_culprit() {
    let null = "83016000";
    assert!(Content::decode(&fields("a0", null)).is_ok());
    let wrong = |field| move |error: &ContentError| matches!(error, ContentError::Field { field: found, .. } if *found == field);
    type Says = Box<dyn Fn(&ContentError) -> bool>;
    let cases: Vec<(Vec<u8>, Says)> = vec![
        (bytes_of("80"), Box::new(wrong("content"))),
        (bytes_of("870000000000a000"), Box::new(wrong("salt"))),
        (fields("80", null), Box::new(wrong("extensions"))),
        (fields("a14000", null), Box::new(wrong("extensions"))),
        (fields("a12005", null), Box::new(wrong("label"))),
        (fields("a122f4", null), Box::new(wrong("flag"))),
        (fields("a0", "831901006000"), Box::new(wrong("disposition"))),
        (fields("a0", "83010000"), Box::new(wrong("language"))),
        (fields("a0", "84016000f6"), Box::new(wrong("part"))),
        (fields("a0", "83016004"), Box::new(wrong("part"))),
        (fields("a0", "85016001f6f6"), Box::new(wrong("contentType"))),
        (
            fields("a0", &format!("850160030382{null}{null}")),
            Box::new(wrong("partSemantics")),
        ),
        (
            fields("a0", "85016003008183016000"),
            Box::new(wrong("parts")),
        ),
        (
            fields("a2210020f6", null),
            Box::new(|error| matches!(error, ContentError::NotDeterministic { .. })),
        ),
    ];
    for (bytes, says) in cases {
        let error = Content::decode(&bytes).unwrap_err();
        assert!(says(&error), "{}: {error}", hex_of(&bytes));
    }
}

fn nested(depth: usize) -> Part {
    let leaf = Part {
        disposition: Disposition::RENDER,
        language: String::new(),
        body: Body::Null,
    };
    (0..depth).fold(leaf.clone(), |inner, _| Part {
        body: Body::Multi {
            semantics: Semantics::ProcessAll,
            parts: vec![inner, leaf.clone()],
        },
        ..leaf.clone()
    })
}

fn plain(text: &str) -> Content {
    Draft::text(text).into_content(Salt([1; 16])).unwrap()
}

#[test]
fn bounds_hold_both_ways() {
    let mut content = plain("");
    content.body = nested(MAX_DEPTH);
    assert_eq!(
        Content::decode(&content.encode().unwrap()),
        Ok(content.clone())
    );
    content.body = nested(MAX_DEPTH + 1);
    assert_eq!(content.encode(), Err(ContentError::PartDepth));

    let part = |parts| Part {
        body: Body::Multi {
            semantics: Semantics::ChooseOne,
            parts,
        },
        ..nested(0)
    };
    content.body = part(vec![nested(0); MAX_PARTS - 1]);
    let most = content.encode().unwrap();
    assert_eq!(Content::decode(&most), Ok(content.clone()));
    content.body = part(vec![nested(0); MAX_PARTS]);
    assert_eq!(content.encode(), Err(ContentError::PartCount));
    content.body = part(vec![nested(0)]);
    assert!(content.encode().is_err());

    // What this encoder refuses to write is refused when somebody else wrote it.
    let null = "83016000";
    let level = |inner: &str| format!("850160030282{inner}{null}");
    let deep = (0..=MAX_DEPTH).fold(null.to_owned(), |inner, _| level(&inner));
    assert_eq!(
        Content::decode(&fields("a0", &deep)),
        Err(ContentError::PartDepth)
    );
    let deeper = (0..200).fold(null.to_owned(), |inner, _| level(&inner));
    assert!(matches!(
        Content::decode(&fields("a0", &deeper)),
        Err(ContentError::Nesting { .. })
    ));
    let many = format!("8501600302990400{}", null.repeat(1024));
    assert_eq!(
        Content::decode(&fields("a0", &many)),
        Err(ContentError::PartCount)
    );
    assert!(matches!(
        Content::decode(&vec![0; limits::CONTENT + 1]),
        Err(ContentError::TooLarge { .. })
    ));
}

#[test]
fn largest_text_is_known_to_the_byte() {
    let overhead = plain("").encode().unwrap().len() + 2; // a longer text has a longer head
    let largest = "x".repeat(limits::CONTENT - overhead);
    assert_eq!(plain(&largest).encode().unwrap().len(), limits::CONTENT);
    assert_eq!(
        plain(&(largest + "x")).encode(),
        Err(ContentError::TooLarge {
            bytes: limits::CONTENT + 1,
            limit: limits::CONTENT
        })
    );
}

#[test]
fn own_contents_are_pinned() {
    let thread = ThreadId::of_title(ChannelId([2; 16]), "Wallets");
    let content = Draft::markdown("*Seen* \u{1f441}")
        .thread(thread)
        .title("Wallets")
        .reply_to(MessageId([3; 32]))
        .label(Label::AmberStrict)
        .withhold_attribution()
        .ask_acknowledgement()
        .expires(Expiration::AfterReading(60))
        .language("en")
        .into_content(Salt([5; 16]))
        .unwrap();
    let bytes = content.encode().unwrap();
    assert_eq!(
        hex_of(&bytes),
        "875005050505050505050505050505050505f65034909eaaf7422977ed730efbcd8c187f82f5183c5820\
         0303030303030303030303030303030303030303030303030303030303030303a4200321f522f5236757\
         616c6c657473850162656e01781e746578742f6d61726b646f776e3b76617269616e743d47464d2d4d49\
         4d494b2a5365656e2a20f09f9181"
    );
    let read = Content::decode(&bytes).unwrap();
    assert_eq!(read, content);
    assert_eq!(read.thread(), Some(thread));
    assert_eq!(read.extensions.title(), Some("Wallets"));
    assert_eq!(read.extensions.label(), Some(Label::AmberStrict));
    assert!(read.extensions.attribution_withheld() && read.extensions.acknowledgement_asked());
    assert!(!read.extensions.is_notice());
    let network = NetworkId([1; 16]);
    let id = content
        .message_id(
            &sender_uri(network, MemberId([6; 16])),
            &room_uri(network, ChannelId([2; 16])),
        )
        .unwrap();
    assert_eq!(
        id.to_string(),
        "0156ef2917af210dfb3443c153023fba96f1a4473883b26a6ca3dc6aef23bfad"
    );
}

#[test]
fn drafts_are_what_they_are_called() {
    let salt = Salt([0; 16]);
    let of = |draft: Draft| draft.into_content(salt).unwrap();
    assert_eq!(
        of(Draft::text("")).kind(),
        Kind::Text {
            text: "",
            markdown: false
        }
    );
    assert_eq!(of(Draft::item(vec![1, 2])).kind(), Kind::Item(&[1, 2]));
    assert_eq!(
        of(Draft::deletion(MessageId([1; 32]))).kind(),
        Kind::Deletion
    );
    assert_eq!(
        of(Draft::reaction(MessageId([1; 32]), "+1")).kind(),
        Kind::Reaction("+1")
    );
    let notice = of(Draft::notice("Moved"));
    assert!(notice.extensions.is_notice() && notice.extensions.acknowledgement_asked());
    assert!(
        Draft::text("")
            .title("no thread")
            .into_content(salt)
            .is_err()
    );
    let long = "t".repeat(MAX_TITLE + 1);
    assert!(
        Draft::text("")
            .thread(ThreadId([0; 16]))
            .title(long)
            .into_content(salt)
            .is_err()
    );
    assert_ne!(fresh_salt().unwrap(), fresh_salt().unwrap());
}

fn any_part() -> impl Strategy<Value = Part> {
    let single = (".{0,20}", any::<Vec<u8>>()).prop_map(|(content_type, content)| Body::Single {
        content_type,
        content,
    });
    let external = (
        ".{0,9}",
        any::<(u32, u64, u16, u8)>(),
        any::<[Vec<u8>; 4]>(),
    )
        .prop_map(
            |(text, (expires, size, enc_alg, hash_alg), [key, nonce, aad, content_hash])| {
                Body::External(Box::new(External {
                    content_type: text.clone(),
                    url: text.clone(),
                    expires,
                    size,
                    enc_alg,
                    key,
                    nonce,
                    aad,
                    hash_alg,
                    content_hash,
                    description: text.clone(),
                    filename: text,
                }))
            },
        );
    let leaf = prop_oneof![Just(Body::Null), single, external];
    let part = |body| {
        (any::<u8>(), "[a-z]{0,3}", body).prop_map(|(disposition, language, body)| Part {
            disposition: Disposition(disposition),
            language,
            body,
        })
    };
    part(leaf.boxed()).prop_recursive(MAX_DEPTH as u32, 12, 3, move |inner| {
        let semantics = prop_oneof![
            Just(Semantics::ChooseOne),
            Just(Semantics::SingleUnit),
            Just(Semantics::ProcessAll)
        ];
        let multi = (semantics, proptest::collection::vec(inner, 2..4))
            .prop_map(|(semantics, parts)| Body::Multi { semantics, parts });
        part(multi.boxed())
    })
}

fn any_content() -> impl Strategy<Value = Content> {
    let id = || proptest::option::of(any::<[u8; 32]>().prop_map(MessageId));
    let expires = proptest::option::of(prop_oneof![
        any::<u32>().prop_map(Expiration::At),
        any::<u32>().prop_map(Expiration::AfterReading),
    ]);
    let key = prop_oneof![
        (6..1_i64 << 53).prop_map(ExtensionKey::Int),
        (1 - (1_i64 << 53)..-5).prop_map(ExtensionKey::Int),
        "[a-z]{1,30}".prop_map(ExtensionKey::Text),
    ];
    let value = prop_oneof![
        Just(bytes_of("f6")),
        Just(bytes_of("a20102616182f4f5")),
        Just(bytes_of("8182d820616118ff")),
        Just(bytes_of("fb3ff199999999999a")),
    ];
    let extensions = proptest::collection::vec((key, value), 0..5).prop_map(|entries| {
        let mut all = Extensions::default();
        for (key, value) in entries {
            all.insert(&key, &value).unwrap();
        }
        all
    });
    (
        (any::<[u8; 16]>(), id(), any::<Vec<u8>>(), expires, id()),
        extensions,
        any_part(),
    )
        .prop_map(
            |((salt, replaces, topic, expires, in_reply_to), extensions, body)| Content {
                salt: Salt(salt),
                replaces,
                topic,
                expires,
                in_reply_to,
                extensions,
                body,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_content_round_trips(content in any_content()) {
        let bytes = content.encode().unwrap();
        prop_assert_eq!(Content::decode(&bytes), Ok(content));
    }

    #[test]
    fn every_text_round_trips(text in any::<String>()) {
        let bytes = plain(&text).encode().unwrap();
        let content = Content::decode(&bytes).unwrap();
        prop_assert_eq!(content.kind(), Kind::Text { text: &text, markdown: false });
    }

    #[test]
    fn noise_never_panics(noise in any::<Vec<u8>>()) {
        let _ = Content::decode(&noise);
    }

    #[test]
    fn one_spelling(content in any_content(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = content.encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = Content::decode(&bytes) {
            prop_assert_eq!(read.encode().unwrap(), bytes);
        }
    }
}
