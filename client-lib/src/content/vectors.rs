//! The published examples of draft-ietf-mimi-content-08 (repository ietf-wg-mimi/draft-ietf-mimi-content,
//! `examples/*.cbor`, with the ids that the `.edn` files name; Revised BSD License).

use super::*;

struct Vector {
    name: &'static str,
    /// The message id, with sender and room as the content names them.
    id: &'static str,
    bytes: &'static str,
}

const VECTORS: &[Vector] = &[
    Vector {
        name: "original",
        id: "017ce54837404c3696e0c747b985cb172716d0ed0a3d249ca63ace7d82a096f4",
        bytes: "87505eed9406c2545547ab6f09f20a18b003f640f6f6a20178206d696d693a2f2f6578616d706c652e63\
         6f6d2f752f616c6963652d736d6974680278256d696d693a2f2f6578616d706c652e636f6d2f722f656e\
         67696e656572696e675f7465616d85016001781e746578742f6d61726b646f776e3b76617269616e743d\
         47464d2d4d494d49583948692065766572796f6e652c207765206a75737420736869707065642072656c\
         6561736520322e302e205f5f476f6f642020776f726b5f5f21",
    },
    Vector {
        name: "reply",
        id: "015354973c2b65ca937bf1e035ae53a5ab80e947afa43d46920d4202e5cc0b27",
        bytes: "875011a458c73b8dd2cf404db4b378b8fe4df640f65820017ce54837404c3696e0c747b985cb172716d0\
         ed0a3d249ca63ace7d82a096f4a201781e6d696d693a2f2f6578616d706c652e636f6d2f752f626f622d\
         6a6f6e65730278256d696d693a2f2f6578616d706c652e636f6d2f722f656e67696e656572696e675f74\
         65616d85016001781e746578742f6d61726b646f776e3b76617269616e743d47464d2d4d494d49582152\
         69676874206f6e21205f436f6e67726174756c6174696f6e735f2027616c6c21",
    },
    Vector {
        name: "reaction",
        id: "0158c4288911e50a8f6be3f47746b6682f10fd91bc8c05557aa589a3157aff68",
        bytes: "8750d37bc0e6a8b4f04e9e6382375f587bf6f640f65820017ce54837404c3696e0c747b985cb172716d0\
         ed0a3d249ca63ace7d82a096f4a20178256d696d693a2f2f6578616d706c652e636f6d2f752f63617468\
         792d77617368696e67746f6e0278256d696d693a2f2f6578616d706c652e636f6d2f722f656e67696e65\
         6572696e675f7465616d850260017818746578742f706c61696e3b636861727365743d7574662d3843e2\
         9da4",
    },
    Vector {
        name: "mention",
        id: "018d825adf9f6be00dcafc5704c4102f5022e74219d0b603e4ba7622654042af",
        bytes: "875004f290e215d0f82d1750bfa8b7dc089df640f65820017ce54837404c3696e0c747b985cb172716d0\
         ed0a3d249ca63ace7d82a096f4a20178256d696d693a2f2f6578616d706c652e636f6d2f752f63617468\
         792d77617368696e67746f6e0278256d696d693a2f2f6578616d706c652e636f6d2f722f656e67696e65\
         6572696e675f7465616d85016001781e746578742f6d61726b646f776e3b76617269616e743d47464d2d\
         4d494d4958584b75646f7320746f205b40416c69636520536d6974685d286d696d693a2f2f6578616d70\
         6c652e636f6d2f752f616c6963652d736d6974682920666f72206d616b696e67207468652072656c6561\
         73652068617070656e21",
    },
    Vector {
        name: "mention-html",
        id: "01967ff8e9a66819738ad5cf26d2e0388a3b81d86b0f61d129c077d043ee2a4e",
        bytes: "875015d9705fd5bf5e02b0af47c85f8b98fef640f65820017ce54837404c3696e0c747b985cb172716d0\
         ed0a3d249ca63ace7d82a096f4a20178256d696d693a2f2f6578616d706c652e636f6d2f752f63617468\
         792d77617368696e67746f6e0278256d696d693a2f2f6578616d706c652e636f6d2f722f656e67696e65\
         6572696e675f7465616d8501600177746578742f68746d6c3b636861727365743d7574662d38586a3c70\
         3e4b75646f7320746f203c6120687265663d226d696d693a2f2f6578616d706c652e636f6d2f752f616c\
         6963652d736d697468223e40416c69636520536d6974683c2f613e20666f72206d616b696e6720746865\
         2072656c656173652068617070656e213c2f703e",
    },
    Vector {
        name: "edit",
        id: "014028c0deddbdea56bec26172f6ede953d11024cb82b8192b5e2aea62d7fb47",
        bytes: "8750b8c2e6d8800ecf45df39be6c45f4c0425820015354973c2b65ca937bf1e035ae53a5ab80e947afa4\
         3d46920d4202e5cc0b2740f65820017ce54837404c3696e0c747b985cb172716d0ed0a3d249ca63ace7d\
         82a096f4a201781e6d696d693a2f2f6578616d706c652e636f6d2f752f626f622d6a6f6e65730278256d\
         696d693a2f2f6578616d706c652e636f6d2f722f656e67696e656572696e675f7465616d85016001781e\
         746578742f6d61726b646f776e3b76617269616e743d47464d2d4d494d4958225269676874206f6e2120\
         5f436f6e67726174756c6174696f6e735f207927616c6c21",
    },
    Vector {
        name: "delete",
        id: "011d9efc78d04d4dcf4d82b07d5199bbef37011c1f0c7e004b6111c6dda504b4",
        bytes: "87500a590d73b2c7761c39168be5ebf7f2e65820015354973c2b65ca937bf1e035ae53a5ab80e947afa4\
         3d46920d4202e5cc0b2740f65820017ce54837404c3696e0c747b985cb172716d0ed0a3d249ca63ace7d\
         82a096f4a201781e6d696d693a2f2f6578616d706c652e636f6d2f752f626f622d6a6f6e65730278256d\
         696d693a2f2f6578616d706c652e636f6d2f722f656e67696e656572696e675f7465616d83016000",
    },
    Vector {
        name: "unlike",
        id: "013aadbb8f313253c8930f4e93c6ca54b2ed06d258185bdcec3870534c8a4ec4",
        bytes: "8750c5ba86dc9fd272e58ca52ec805b7919958200158c4288911e50a8f6be3f47746b6682f10fd91bc8c\
         05557aa589a3157aff6840f65820017ce54837404c3696e0c747b985cb172716d0ed0a3d249ca63ace7d\
         82a096f4a20178256d696d693a2f2f6578616d706c652e636f6d2f752f63617468792d77617368696e67\
         746f6e0278256d696d693a2f2f6578616d706c652e636f6d2f722f656e67696e656572696e675f746561\
         6d83026000",
    },
    Vector {
        name: "expiring",
        id: "01e59db8173939facc2c8a4a0f0ae8d0c7a11a81239626630c9464a8d6717a03",
        bytes: "875033be993eb39f418f9295afc2ae160d2df64082f41a62036674f6a20178206d696d693a2f2f657861\
         6d706c652e636f6d2f752f616c6963652d736d6974680278256d696d693a2f2f6578616d706c652e636f\
         6d2f722f656e67696e656572696e675f7465616d85016001781e746578742f6d61726b646f776e3b7661\
         7269616e743d47464d2d4d494d4958505f5f2a56504e20474f494e4720444f574e2a5f5f2049276d2072\
         65626f6f74696e67207468652056504e20696e2074656e206d696e7574657320756e6c65737320616e79\
         6f6e65206f626a656374732e",
    },
    Vector {
        name: "attachment",
        id: "0176180c7d19a925021fe446d241134d05c38e0d999cdc0f39c391d2377ed9d1",
        bytes: "875018fac6371e4e53f1aeaf8a013155c166f640f6f6a201781e6d696d693a2f2f6578616d706c652e63\
         6f6d2f752f626f622d6a6f6e65730278256d696d693a2f2f6578616d706c652e636f6d2f722f656e6769\
         6e656572696e675f7465616d8f0662656e0269766964656f2f6d7034782b68747470733a2f2f6578616d\
         706c652e636f6d2f73746f726167652f386b7342346253727252452e6d7034001a2a36ced10150213993\
         20958a6f4c745dde670d95e0d84cc86cf2c33f21527d1dd76f5b400158209ab17a8cf0890baaae7ee016\
         c7312fcc080ba46498389458ee44f0276e783163781c3220686f757273206f66206b6579207369676e69\
         6e6720766964656f6b62696766696c652e6d7034",
    },
    Vector {
        name: "conferencing",
        id: "01496d15a8dba28d7397f9868b70768e4a67f765d5b5b1ae9e03848c5fdeb0ba",
        bytes: "8750678ac6cd54de049c3e9665cd212470faf647466f6f20313138f6f6a20178206d696d693a2f2f6578\
         616d706c652e636f6d2f752f616c6963652d736d6974680278256d696d693a2f2f6578616d706c652e63\
         6f6d2f722f656e67696e656572696e675f7465616d8f07600260781e68747470733a2f2f6578616d706c\
         652e636f6d2f6a6f696e2f31323334350000004040400040781b4a6f696e2074686520466f6f20313138\
         20636f6e666572656e636560",
    },
    Vector {
        name: "multipart-1",
        id: "01da5a515ec5db42cc4dcc19b90c3c31245d8a1cfcce11318f24eb11dce0990e",
        bytes: "8750261c953e178af653fe3d42641b91d814f640f6f6a20178206d696d693a2f2f6578616d706c652e63\
         6f6d2f752f616c6963652d736d6974680278256d696d693a2f2f6578616d706c652e636f6d2f722f656e\
         67696e656572696e675f7465616d85016003008285016001781e746578742f6d61726b646f776e3b7661\
         7269616e743d47464d2d4d494d494a232057656c636f6d652185016001782e6170706c69636174696f6e\
         2f766e642e6578616d706c6576656e646f722d66616e63792d696d2d6d6573736167654fdc861ebaa718\
         fd7c3ca159f71a2001",
    },
    Vector {
        name: "multipart-2",
        id: "01d65918c6c51c8e76546337276ae6f4bfd873d867d5cb57c76bcdca3d999dd7",
        bytes: "87508528dc2d92e4f1944d62042907ab94d0f640f6f6a20178206d696d693a2f2f6578616d706c652e63\
         6f6d2f752f616c6963652d736d6974680278256d696d693a2f2f6578616d706c652e636f6d2f722f656e\
         67696e656572696e675f7465616d850260030283850260017818746578742f706c61696e3b6368617273\
         65743d7574662d3843e29da4850260017818746578742f706c61696e3b636861727365743d7574662d38\
         44f09fa5b3850260017818746578742f706c61696e3b636861727365743d7574662d3844f09fa49e",
    },
    Vector {
        name: "multipart-3",
        id: "01cfebeadbdb83c1eefb6403ba4852daf8bbbf9cd53bf5035a74d5d741950c9f",
        bytes: "8750b8362793168d18c049b882d4642a2274f640f6f6a20178206d696d693a2f2f6578616d706c652e63\
         6f6d2f752f616c6963652d736d6974680278256d696d693a2f2f6578616d706c652e636f6d2f722f656e\
         67696e656572696e675f7465616d850160030082850160030282850160030082850162656e0177746578\
         742f68746d6c3b636861727365743d7574662d3858613c68746d6c3e3c626f64793e3c68313e57656c63\
         6f6d65213c2f68313e0a3c696d67207372633d226369643a35406c6f63616c2e696e76616c6964222061\
         6c743d2257656c636f6d6520696d616765222f3e0a3c2f626f64793e3c2f68746d6c3e85016266720177\
         746578742f68746d6c3b636861727365743d7574662d3858653c68746d6c3e3c626f64793e3c68313e42\
         69656e76656e7565213c2f68313e0a3c696d67207372633d226369643a35406c6f63616c2e696e76616c\
         69642220616c743d22496d616765206269656e76656e7565222f3e0a3c2f626f64793e3c2f68746d6c3e\
         8504600169696d6167652f67696650dc861ebaa718fd7c3ca159f71a2001a78501600302828501600300\
         82850162656e0177746578742f68746d6c3b636861727365743d7574662d3858623c68746d6c3e3c626f\
         64793e3c68313e57656c636f6d65213c2f68313e0a3c696d67207372633d226369643a3130406c6f6361\
         6c2e696e76616c69642220616c743d2257656c636f6d6520696d616765222f3e0a3c2f626f64793e3c2f\
         68746d6c3e85016266720177746578742f68746d6c3b636861727365743d7574662d3858663c68746d6c\
         3e3c626f64793e3c68313e4269656e76656e7565213c2f68313e0a3c696d67207372633d226369643a31\
         30406c6f63616c2e696e76616c69642220616c743d22496d616765206269656e76656e7565222f3e0a3c\
         2f626f64793e3c2f68746d6c3e8504600169696d6167652f706e6750fa444237451a05a72bb0f67037cc\
         1669",
    },
];

pub(super) fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
        .collect()
}

pub(super) fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn vector(name: &str) -> Content {
    let vector = VECTORS.iter().find(|vector| vector.name == name).unwrap();
    Content::decode(&bytes_of(vector.bytes)).unwrap()
}

#[test]
fn published_vectors_round_trip_with_their_ids() {
    for vector in VECTORS {
        let bytes = bytes_of(vector.bytes);
        let content = Content::decode(&bytes).unwrap_or_else(|e| panic!("{}: {e}", vector.name));
        assert_eq!(
            hex_of(&content.encode().unwrap()),
            vector.bytes,
            "{}",
            vector.name
        );
        let sender = content.extensions.sender_uri().unwrap();
        let room = content.extensions.room_uri().unwrap();
        let id = content.message_id(sender, room).unwrap();
        assert_eq!(id.to_string(), vector.id, "{}", vector.name);
        assert_eq!(
            content.message_id("mimi://example.com/u/mallory", room),
            Err(ContentError::Misattributed("sender"))
        );
    }
}

#[test]
fn published_vectors_say_what_the_draft_says() {
    let reply = vector("reply");
    assert_eq!(
        reply.in_reply_to.unwrap().to_string(),
        VECTORS[0].id,
        "the reply answers the original"
    );
    assert_eq!(
        vector("original").kind(),
        Kind::Text {
            text: "Hi everyone, we just shipped release 2.0. __Good  work__!",
            markdown: true
        }
    );
    assert_eq!(vector("reaction").kind(), Kind::Reaction("\u{2764}"));
    assert_eq!(vector("delete").kind(), Kind::Deletion);
    assert_eq!(
        vector("expiring").expires,
        Some(Expiration::At(1_644_390_004))
    );
    assert_eq!(vector("conferencing").topic, b"Foo 118");
    assert_eq!(
        vector("mention-html").kind(),
        Kind::Other("text/html;charset=utf-8")
    );
    let Body::External(attachment) = vector("attachment").body.body else {
        panic!("no external part");
    };
    assert_eq!(attachment.size, 708_234_961);
    assert_eq!(attachment.filename, "bigfile.mp4");
    assert_eq!(
        vector("multipart-1").kind(),
        Kind::Text {
            text: "# Welcome!",
            markdown: true
        }
    );
    assert_eq!(vector("multipart-2").kind(), Kind::Reaction("\u{2764}"));
}

#[test]
fn no_prefix_and_no_flipped_bit_passes_unnoticed() {
    for vector in VECTORS {
        let bytes = bytes_of(vector.bytes);
        for cut in 0..bytes.len() {
            assert!(
                Content::decode(&bytes[..cut]).is_err(),
                "{} cut at {cut}",
                vector.name
            );
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(
            Content::decode(&longer),
            Err(ContentError::WrongLength { at: bytes.len() })
        );
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // Either refused or another content: never the same content spelled differently.
            if let Ok(content) = Content::decode(&flipped) {
                assert_eq!(content.encode().unwrap(), flipped);
            }
        }
    }
}
