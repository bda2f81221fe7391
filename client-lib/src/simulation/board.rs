//! The Board of the world: three keys, of which two sign.

use bytes::Bytes;
use plenary_certs::{
    handshake::{Opener, Transcript},
    invitation::Invitation,
    ledger::{Body, SignedStatement, Statement, sign_as_board},
};
use plenary_core::{hub::ConnectionId, session::Session};
use plenary_proto::{
    codec::{decode_server, encode_client},
    ids::{Digest, NetworkId, RequestId},
    reply::{Ok as OkFrame, Reply, ServerFrame},
    request::{ClientFrame, Knock, Request},
};
use ring::rand::SystemRandom;

use super::{block, line::cut, world::World};

impl World {
    /// Signs a statement by two of the Board and appends it to the Board's own ledger.
    pub fn sign(&mut self, statement: &Statement) -> Bytes {
        let signed = self.sign_aside(statement);
        self.ledger.append(&signed).unwrap();
        signed
    }

    /// Signs a statement by two of the Board; the Board's own ledger stays as it is.
    pub fn sign_aside(&self, statement: &Statement) -> Bytes {
        let bytes = statement.encode();
        let signatures = self.board[..2]
            .iter()
            .map(|key| sign_as_board(&bytes, key))
            .collect();
        SignedStatement::new(bytes, signatures).encode().into()
    }

    /// The Board says something now, by any party that is connected.
    pub fn say(&mut self, by: usize, body: Body) {
        self.submit(by, body);
        self.run();
    }

    /// As [`Self::say`], without letting time pass.
    pub fn submit(&mut self, by: usize, body: Body) {
        let statement = self.ledger.draft(body, self.now);
        let signed = self.sign(&statement);
        self.parties[by]
            .engine
            .call(Request::LedgerSubmit(vec![signed]));
    }

    pub(super) fn found(&mut self, statements: &[Statement]) {
        let invitation = Invitation::new(
            "localhost:1",
            Digest([0; 32]),
            NetworkId([0; 16]),
            Digest([0; 32]),
            self.now.plus(1000),
            &SystemRandom::new(),
        )
        .unwrap();
        let verifier = invitation.knock_key().unwrap();
        block(self.network.let_found(invitation.id, verifier)).unwrap();
        let signed = statements
            .iter()
            .map(|statement| self.sign(statement))
            .collect();
        let (session, hello) = Session::open(
            self.network.clone(),
            ConnectionId(0),
            [5; 32],
            Digest([6; 32]),
            self.now,
        );
        let nonce = Digest([8; 32]);
        let transcript = Transcript::new(&hello[0], &[5; 32], Opener::Guest(invitation.id), &nonce);
        let knock = Knock {
            invitation: invitation.id,
            nonce,
            mac: transcript.knock_mac(&verifier),
        };
        let (session, frames) =
            block(session.receive(encode_client(ClientFrame::Knock(knock)), self.now));
        assert!(matches!(
            decode_server(frames[0].clone()).unwrap(),
            ServerFrame::Ok(OkFrame { .. })
        ));
        let request = ClientFrame::Request(RequestId(1), Request::LedgerSubmit(signed));
        let mut frames = Vec::new();
        let mut session = session;
        for frame in cut(encode_client(request), 70_000) {
            let (next, out) = block(session.receive(frame, self.now));
            session = next;
            frames.extend(out);
        }
        let reply = decode_server(frames[0].clone()).unwrap();
        assert!(
            matches!(reply, ServerFrame::Reply(_, Ok(Reply::LedgerHead(_)))),
            "{reply:?}"
        );
    }
}
